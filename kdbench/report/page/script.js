
"use strict";
// The page can be read without this: it only sorts, filters and opens the details that a link leads to.
(() => {
  const tables = [...document.querySelectorAll("table.board")];
  const filter = document.getElementById("filter");
  const family = document.getElementById("family");
  const all = document.getElementById("all");
  const shown = document.getElementById("shown");

  const key = (row, column, kind) => {
    const cell = row.cells[column];
    if (kind === "text") return cell.textContent.trim().toLowerCase();
    return cell.dataset.sort ? Number(cell.dataset.sort) : NaN;
  };

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
    for (const th of table.tHead.rows[0].cells) th.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", order);
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [key(row, header.cellIndex, kind), row]);
    rows.sort((a, b) => compare(a[0], b[0], order === "ascending" ? 1 : -1));
    body.append(...rows.map(([, row]) => row));
  };

  const apply = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const table of tables) {
      for (const row of table.tBodies[0].rows) {
        const text = row.textContent.toLowerCase();
        const fits = words.every((word) => text.includes(word)) && (!family.value || row.dataset.family === family.value);
        row.hidden = !fits;
        count += fits;
      }
    }
    shown.textContent = `${count} ${count === 1 ? "row" : "rows"}`;
  };

  const columns = () => {
    for (const table of tables) table.classList.toggle("few", !all.checked);
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
  window.addEventListener("hashchange", open);
  if (all) {
    all.addEventListener("change", columns);
    columns();
  }
  apply();
  open();
})();
