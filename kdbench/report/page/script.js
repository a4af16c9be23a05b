
"use strict";
// The page can be read without this: it sorts, filters, chooses columns, and opens the details that a link leads to.
(() => {
  const tables = [...document.querySelectorAll("table.board")];
  const filter = document.getElementById("filter");
  const family = document.getElementById("family");
  const shown = document.getElementById("shown");
  const boxes = [...document.querySelectorAll("#columns input")];
  const limits = [...document.querySelectorAll("input.budget")];

  const headings = (table) => [...table.tHead.rows[0].cells];
  const at = (table, name) => headings(table).findIndex((th) => th.dataset.name === name);
  const number = (cell) => (cell && cell.dataset.sort ? Number(cell.dataset.sort) : NaN);
  const visible = (element) => !element.hidden;

  const key = (row, column, kind) =>
    kind === "text" ? row.cells[column].textContent.trim().toLowerCase() : number(row.cells[column]);

  const compare = (a, b, sign) => {
    if (typeof a === "string") return sign * a.localeCompare(b, "en", { numeric: true });
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b); // what is not known stands last, always
    return sign * (a - b);
  };

  const sort = (table, button) => {
    const header = button.closest("th");
    const kind = button.dataset.kind;
    const first = button.dataset.first;
    const other = first === "ascending" ? "descending" : "ascending";
    const order = header.getAttribute("aria-sort") === first ? other : first;
    for (const th of headings(table)) th.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", order);
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [key(row, header.cellIndex, kind), row]);
    rows.sort((a, b) => compare(a[0], b[0], order === "ascending" ? 1 : -1));
    body.append(...rows.map(([, row]) => row));
  };

  const amount = (text) => {
    const found = /^\s*([0-9.]+)\s*([kMGT]?)\s*$/.exec(text.replace(",", ""));
    return found ? Number(found[1]) * { "": 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12 }[found[2]] : NaN;
  };

  const within = (table, row) =>
    limits.every((input) => {
      const most = amount(input.value);
      input.toggleAttribute("aria-invalid", input.value.trim() !== "" && Number.isNaN(most));
      return Number.isNaN(most) || number(row.cells[at(table, input.dataset.name)]) <= most;
    });

  const best = (rows) => {
    const sign = shown.dataset.lower ? -1 : 1;
    const known = rows.filter(([table, row]) => !Number.isNaN(number(row.cells[at(table, shown.dataset.primary)])));
    known.sort((a, b) => sign * (number(b[1].cells[at(b[0], shown.dataset.primary)]) - number(a[1].cells[at(a[0], shown.dataset.primary)])));
    return known[0];
  };

  const apply = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fitting = [];
    for (const table of tables) {
      for (const row of table.tBodies[0].rows) {
        const text = row.textContent.toLowerCase();
        const fits = words.every((word) => text.includes(word)) && (!family.value || row.dataset.family === family.value);
        row.hidden = !(fits && within(table, row));
        if (visible(row)) fitting.push([table, row]);
      }
    }
    shown.textContent = `${fitting.length} ${fitting.length === 1 ? "row" : "rows"}`;
    const limited = limits.some((input) => !Number.isNaN(amount(input.value)));
    const first = limited && best(fitting.filter(([, row]) => row.classList.contains("student")));
    if (first) {
      const [table, row] = first;
      const where = tables.length > 1 ? ` (${table.caption.querySelector("strong").textContent})` : "";
      shown.textContent += `; best within the budget: ${row.cells[0].textContent.trim()}${where}, ${row.cells[at(table, shown.dataset.primary)].textContent.trim()}`;
    }
  };

  const columns = () => {
    const wanted = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    for (const table of tables) {
      const hidden = headings(table).map((th, i) => i > 0 && !wanted.has(th.dataset.name));
      for (const row of table.rows) hidden.forEach((gone, i) => (row.cells[i].hidden = gone));
    }
  };

  const choose = (fits) => {
    for (const box of boxes) box.checked = fits(box);
    columns();
  };

  const quoted = (text) => {
    const safe = /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text; // no formula for a spreadsheet
    return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };

  const download = () => {
    const lines = [];
    for (const table of tables) {
      const chosen = headings(table).filter(visible);
      if (!lines.length) lines.push(["pair", ...chosen.map((th) => th.dataset.name)]);
      for (const row of [...table.tBodies[0].rows].filter(visible)) {
        const cells = chosen.map((th) => row.cells[th.cellIndex]);
        lines.push([table.caption.querySelector("strong").textContent, ...cells.map((cell) => cell.dataset.sort || cell.textContent.trim())]);
      }
    }
    const text = lines.map((line) => line.map(quoted).join(",")).join("\n") + "\n";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = "leaderboard.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  const open = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target instanceof HTMLDetailsElement) {
      target.open = true;
      target.scrollIntoView();
      target.querySelector("summary").focus({ preventScroll: true });
    }
  };

  for (const table of tables) {
    for (const button of table.tHead.querySelectorAll("button")) {
      button.disabled = false;
      button.addEventListener("click", () => sort(table, button));
    }
  }
  const form = document.querySelector(".filters");
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  filter.addEventListener("input", apply);
  family.addEventListener("change", apply);
  for (const input of limits) input.addEventListener("input", apply);
  for (const box of boxes) box.addEventListener("change", columns);
  document.getElementById("download").addEventListener("click", download);
  document.getElementById("every").addEventListener("click", () => choose(() => true));
  document.getElementById("usual").addEventListener("click", () => choose((box) => box.dataset.usual === "yes"));
  for (const figure of document.querySelectorAll(".drawing")) {
    figure.addEventListener("click", () => figure.classList.toggle("full"));
  }
  window.addEventListener("hashchange", open);
  const narrow = window.matchMedia("(max-width: 40rem)").matches;
  choose((box) => (narrow ? box.dataset.first === "yes" : box.dataset.usual === "yes"));
  apply();
  open();
})();
