"""The page, as text and in a real browser."""

from __future__ import annotations

import base64
import html.parser
import io
import itertools
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kdbench.analysis.analysis import Analysis
from kdbench.report.columns import columns_of
from kdbench.report.figures.style import Chart
from kdbench.report.formats import kdbench_reporters, write_html
from kdbench.report.html import page
from kdbench.report.report import Report
from kdbench.report.text import csv_bytes
from kdbench.results.archive import save_archive
from tests.report.scenes import PROFILES, scene
from tests.results import made
from tests.results.made import row

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
VOID = {"br", "img", "input", "link", "meta", "path", "rect", "use", "circle"}


class Outline(html.parser.HTMLParser):
    """What a page holds: its tags with their attributes, and what is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def report() -> Report:
    return Report(scene(methods=["kd", "dkd", "at", "dml"], samples=300, epochs=4, title="Made up", description="Two pairs."))


@pytest.fixture(scope="module")
def found(report: Report) -> list[Chart]:
    return report.charts


@pytest.fixture(scope="module")
def text(report: Report) -> str:
    return page(report)


@pytest.fixture(scope="module")
def outline(text: str) -> Outline:
    return Outline(text)


def test_it_is_one_file_that_needs_nothing_else(text: str, outline: Outline) -> None:
    assert outline.open == []
    assert not outline.all("link")
    assert all("src" not in attributes for attributes in outline.all("script"))
    loaded = [a.get("src") or a.get("href") or a.get("xlink:href") for tag in ("img", "image", "use") for a in outline.all(tag)]
    assert all(address and address.startswith(("#", "data:")) for address in loaded)
    assert not re.search(r"url\((?!#)|@import", text)
    (policy,) = [a["content"] for a in outline.all("meta") if a.get("http-equiv")]
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")


def test_every_figure_is_there_with_a_sentence_for_those_who_cannot_see_it(found: list[Chart], outline: Outline) -> None:
    drawings = [a for a in outline.all("svg") if a.get("role") == "img"]
    assert sorted(str(a["aria-label"]) for a in drawings) == sorted(f"{c.title}. {c.sentence}" for c in found)
    assert len(outline.all("figcaption")) == len(found) > 20


def test_identifiers_are_unique_and_every_link_on_the_page_leads_somewhere(outline: Outline) -> None:
    ids = [str(a["id"]) for _, a in outline.tags if "id" in a]
    assert len(ids) == len(set(ids))
    targets = [str(v)[1:] for _, a in outline.tags for k in ("href", "xlink:href") if (v := a.get(k)) and v.startswith("#")]
    assert set(targets) <= set(ids)
    named = {str(a["aria-labelledby"]) for _, a in outline.tags if "aria-labelledby" in a}
    assert named <= set(ids)


def test_headings_come_in_order_and_tables_have_captions_and_scopes(text: str, outline: Outline) -> None:
    levels = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    assert len(outline.all("caption")) == len(outline.all("table"))
    assert all(a.get("scope") in ("col", "colgroup", "row") for a in outline.all("th"))
    assert text.index('class="skip"') < text.index("<header>")


def test_cells_hold_the_exact_number_that_they_are_sorted_by(report: Report, text: str) -> None:
    table = report.standings
    first = table[(table["pair"] == "one") & (table["label"] == "kd")].iloc[0]
    shown = columns_of(report.plan.task)["accuracy"].cell(first).replace(" ", "\N{NO-BREAK SPACE}")
    assert f'data-sort="{float(first["test_accuracy"])!r}">{shown}</td>' in text


def test_each_number_is_traced_to_its_records(report: Report, text: str, tmp_path: Path) -> None:
    save_archive(report.analysis.frame.archive, tmp_path)
    records = json.loads((tmp_path / "records" / "records.json").read_text())
    links = re.findall(r'<a href="records/records.json#/([0-9a-f]{16})"><code>([0-9a-f]{16})</code></a>', text)
    assert {trial for _, trial in links} == set(report.records)
    for pointer, trial in links:
        assert pointer == trial
        assert records[trial]["metrics"] == report.records[trial].metrics
    for fact in (
        "kdbench run made.yaml",
        "kdbench 0.1.0, commit abcdef123456, python 3.11.7, torch 2.4.0",
        made.FINGERPRINT,
        "Some CPU",
    ):
        assert fact in text


def test_names_from_plugins_and_suites_are_escaped_everywhere() -> None:
    of = scene(
        pairs=["<script>alert(1)</script>"],
        methods=[EVIL, "</script><script>alert(3)</script>", "{{ 7 * 7 }}"],
        classes=["<b>", "</svg><script>alert(4)</script>", '" onload="x'],
        samples=60,
        epochs=2,
        grid=False,
        title="</title>" + EVIL,
        description=EVIL,
        suite="</style>" + EVIL,
    )
    text = page(Report(of))
    found = Outline(text)
    assert found.open == []
    assert len(found.all("script")) == 1
    assert len(found.all("title")) == 1
    assert not found.all("img")
    assert not found.all("b")
    assert not [name for _, attributes in found.tags for name in attributes if name.startswith("on")]
    assert "{{ 7 * 7 }}" in text


def test_failures_stand_there_with_their_reason() -> None:
    of = Analysis(made.frame(row("supervised", 0.8), row("kd", error="loss is <NaN>"), row("at", None)))
    text = page(Report(of))
    assert "failed: NonFiniteLoss: loss is &lt;NaN&gt;" in text
    assert "1 of 3 trials finished, 1 failed" in text


def test_a_suite_of_which_nothing_was_run_has_a_page_all_the_same() -> None:
    found = Outline(page(Report(Analysis(made.frame(row("supervised", None), row("kd", None))))))
    assert found.open == []
    assert len(found.all("table")) == 3
    assert not found.all("input") or all(a.get("class") != "budget" for a in found.all("input"))
    assert not found.all("figure")


def test_the_same_records_give_the_same_bytes_and_not_many(text: str, tmp_path: Path) -> None:
    small = Report(scene(pairs=["p"], methods=["kd"], samples=60, epochs=2, grid=False))
    (path,) = write_html(small, tmp_path)
    assert path == tmp_path / "index.html"
    assert path.read_bytes() == page(small).encode()
    assert len(text) < 2_000_000


def test_reports_can_be_asked_for_as_page_and_figures() -> None:
    assert {"html", "svg", "png"} <= set(kdbench_reporters())


# --- in a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's chromium without a window."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no chromium with chromedriver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield started
    started.quit()


@pytest.fixture
def opened(browser: Any, text: str, tmp_path: Path) -> Any:
    """The page in a window as wide as a desk's."""
    path = tmp_path / "index.html"
    path.write_text(text, encoding="utf-8")
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    browser.get(path.as_uri())
    return browser


def shown(browser: Any, selector: str) -> list[Any]:
    return [e for e in browser.find_elements("css selector", selector) if e.is_displayed()]


def accuracies(browser: Any) -> list[float]:
    """The first table's accuracies from top to bottom."""
    script = """const table = document.querySelector("table.board");
        const at = [...table.tHead.rows[0].cells].findIndex((c) => c.textContent.trim() === "test accuracy %");
        return [...table.tBodies[0].rows].map((r) => Number(r.cells[at].dataset.sort));"""
    return list(browser.execute_script(script))


def heading(browser: Any, text: str) -> Any:
    return next(b for b in browser.find_elements("css selector", "table.board button") if b.text.strip() == text)


def test_a_reader_sees_the_figures_and_sorts_the_table(opened: Any, found: list[Chart]) -> None:
    drawings = shown(opened, "figure svg[role=img]")
    assert len(drawings) == len(found)
    assert all(d.size["width"] > 200 and d.size["height"] > 80 for d in drawings)
    button = heading(opened, "test accuracy %")
    button.click()
    assert accuracies(opened) == sorted(accuracies(opened), reverse=True)
    header = button.find_element("xpath", "..")
    assert header.get_attribute("aria-sort") == "descending"
    button.click()
    assert accuracies(opened) == sorted(accuracies(opened))
    assert header.get_attribute("aria-sort") == "ascending"
    errors = [entry for entry in opened.get_log("browser") if entry["level"] == "SEVERE"]
    assert errors == []


def test_the_keyboard_is_enough(opened: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    opened.find_element("tag name", "body").send_keys(Keys.TAB)
    assert opened.switch_to.active_element.get_attribute("class") == "skip"
    assert opened.switch_to.active_element.is_displayed()
    button = heading(opened, "test accuracy %")
    opened.execute_script("arguments[0].focus()", button)
    opened.switch_to.active_element.send_keys(Keys.ENTER)
    assert accuracies(opened) == sorted(accuracies(opened), reverse=True)
    link = opened.find_element("link text", "kd")
    link.send_keys(Keys.ENTER)
    details = opened.find_element("css selector", "details:target")
    assert details.get_attribute("open") is not None
    assert "kdbench run made.yaml" in details.text


def test_filters_leave_what_fits(opened: Any) -> None:
    from selenium.webdriver.support.ui import Select

    everything = len(shown(opened, "table.board tbody tr"))
    Select(opened.find_element("id", "family")).select_by_value("attention")
    assert [r.find_element("tag name", "th").text for r in shown(opened, "table.board tbody tr")] == ["at", "at"]
    assert opened.find_element("id", "shown").text == "2 rows"
    Select(opened.find_element("id", "family")).select_by_value("")
    opened.find_element("id", "filter").send_keys("dkd")
    assert {r.find_element("tag name", "th").text for r in shown(opened, "table.board tbody tr")} == {"dkd", "dkd-beta"}
    opened.find_element("id", "filter").clear()
    opened.find_element("id", "filter").send_keys(" ")
    assert len(shown(opened, "table.board tbody tr")) == everything


def test_a_phone_scrolls_tables_and_figures_and_not_the_page(opened: Any) -> None:
    opened.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    assert opened.execute_script("return document.documentElement.scrollWidth") == 390
    scroll = opened.find_element("css selector", ".scroll")
    opened.execute_script("arguments[0].scrollLeft = 300", scroll)
    method = scroll.find_element("css selector", "tbody th")
    assert 0 <= method.rect["x"] < 60, "the first column stays"


def names(browser: Any) -> list[str]:
    """The headings of the first table that a reader sees."""
    table = browser.find_element("css selector", "table.board")
    return [b.text.strip() for b in table.find_elements("css selector", "thead button") if b.is_displayed()]


def test_a_reader_chooses_columns(opened: Any) -> None:
    usual = names(opened)
    assert 6 <= len(usual) <= 9
    assert "MACs" not in usual
    opened.find_element("css selector", "#columns summary").click()
    opened.find_element("css selector", "#columns input[value=macs]").click()
    assert set(names(opened)) - set(usual) == {"MACs"}
    opened.find_element("id", "every").click()
    assert {"MACs", "compression", "Δ these trained networks (test images)"} <= set(names(opened))
    opened.find_element("id", "usual").click()
    assert names(opened) == usual


@pytest.mark.parametrize(("width", "columns"), [(1400, None), (390, ["method", "test accuracy %", "Δ supervised"])])
def test_tables_and_figures_fit_a_screen_whole(browser: Any, text: str, tmp_path: Path, width: int, columns: Any) -> None:
    path = tmp_path / "index.html"
    path.write_text(text, encoding="utf-8")
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    )
    browser.get(path.as_uri())
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert columns is None or names(browser) == columns
    wide = """return [...document.querySelectorAll("table.board, figure .drawing")].map((e) => e.closest(".scroll"))
        .filter((e) => e.scrollWidth > e.clientWidth + 1).length"""
    assert browser.execute_script(wide) == 0
    drawing = browser.find_element("css selector", ".drawing")
    before = drawing.size["width"]
    browser.execute_script("arguments[0].click()", drawing)
    assert width > 500 or drawing.size["width"] > before, "pressed, it is as large as on a desk"


def test_a_budget_leaves_what_fits_and_names_the_best(browser: Any, tmp_path: Path) -> None:
    rows = [
        row("supervised", 0.8, pair="small", model="tiny_cnn"),
        row("kd", 0.85, pair="small", model="tiny_cnn"),
        row("supervised", 0.9, pair="large", model="wide"),
        row("kd", 0.95, pair="large", model="wide"),
    ]
    (path,) = write_html(Report(Analysis(made.frame(*rows, profiles=PROFILES))), tmp_path)
    browser.get(path.as_uri())
    limit = browser.find_element("css selector", "input.budget[data-name=parameters]")
    limit.send_keys("200k")
    assert browser.find_element("id", "shown").text.startswith("2 rows; best within the budget: kd (small), 85.00 [")
    assert len(shown(browser, "table.board tbody tr")) == 2
    limit.clear()
    limit.send_keys("2M")
    assert browser.find_element("id", "shown").text.startswith("4 rows; best within the budget: kd (large), 95.00")
    limit.clear()
    limit.send_keys("x")
    assert browser.find_element("id", "shown").text == "4 rows"
    assert limit.get_attribute("aria-invalid") is not None


def test_the_table_is_there_as_csv(opened: Any, report: Report, text: str) -> None:
    """What is shown, with exact numbers; and all of it as a link that needs no script."""
    (encoded,) = re.findall(r'download="leaderboard.csv" href="data:text/csv;base64,([^"]+)"', text)
    assert base64.b64decode(encoded) == csv_bytes(report.standings)
    opened.execute_script("""window.saved = []; URL.createObjectURL = (blob) => { window.saved.push(blob); return "#"; };""")
    opened.find_element("id", "filter").send_keys("dkd")
    opened.find_element("id", "download").click()
    csv = opened.execute_async_script("window.saved[0].text().then(arguments[0])")
    table = pd.read_csv(io.StringIO(csv))
    expected = report.standings[report.standings["label"].str.contains("dkd")]
    assert list(table.columns[:4]) == ["pair", "method", "place", "accuracy"]
    assert table["accuracy"].tolist() == expected["test_accuracy"].tolist()
    assert table["pair"].tolist() == expected["pair"].tolist()


def test_in_the_dark_text_is_light_in_figures_too(opened: Any) -> None:
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    colours = opened.execute_script(
        """const style = (s, p) => getComputedStyle(document.querySelector(s))[p];
        return [style("body", "backgroundColor"), style("body", "color"), style("figure svg text", "fill")];"""
    )
    ground, text, label = (sum(map(int, re.findall(r"\d+", c)[:3])) / 3 for c in colours)
    assert ground < 60
    assert min(text, label) > 180


def test_a_script_in_a_name_never_runs(browser: Any, tmp_path: Path) -> None:
    of = scene(
        pairs=["p"], methods=[EVIL, "</script><script>document.title = 'broken'</script>"], samples=60, epochs=2, grid=False
    )
    (path,) = write_html(Report(of), tmp_path)
    browser.get(path.as_uri())
    assert browser.title == "made – kdbench"
    assert EVIL in [e.text for e in browser.find_elements("css selector", "table.board tbody th")]
