"""What is committed under reports/ follows from the records beside it, and README.md says the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kdbench.analysis.source import analysis_of_report
from kdbench.report.beside import figures_in
from kdbench.report.leaderboard import leaderboard_markdown, leaderboard_tables
from kdbench.report.readme import update_readme
from kdbench.results.archive import is_archive

ROOT = Path(__file__).resolve().parents[1]
REPORTS = sorted(p for p in (ROOT / "reports").glob("*") if is_archive(p))
README = ROOT / "README.md"


@pytest.mark.parametrize("folder", REPORTS, ids=lambda p: p.name)
def test_a_committed_leaderboard_follows_from_its_records(folder: Path) -> None:
    assert (folder / "leaderboard.md").read_text(encoding="utf-8") == leaderboard_markdown(analysis_of_report(folder))


@pytest.mark.parametrize("folder", REPORTS, ids=lambda p: p.name)
def test_a_committed_report_names_no_path_of_a_machine(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.suffix in (".json", ".md", ".csv", ".html", ".svg"):
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"(?<![\w.])/(?:home|root|tmp|work|Users)/", text), path.name


def test_the_readme_s_leaderboards_are_up_to_date() -> None:
    suites = {analysis_of_report(folder).plan.suite: folder for folder in REPORTS}
    shown = re.findall(r"^<!-- kdbench:leaderboard (\S+) -->$", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(shown) == {"mnist", "cifar10-cpu"}
    for suite in shown:
        analysis, folder = analysis_of_report(suites[suite]), suites[suite].relative_to(ROOT).as_posix()
        tables = leaderboard_tables(analysis, figures_in(analysis.boards, folder))
        assert not update_readme(README, suite, tables, check=True), f"kdbench report {suites[suite]} --readme README.md"


@pytest.mark.parametrize("page", [README, ROOT / "reports" / "README.md"], ids=lambda p: p.parent.name)
def test_figures_that_a_page_shows_are_there(page: Path) -> None:
    links = re.findall(r"\]\(<?([^)>#]*figures/[^)>#]+)>?\)", page.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (page.parent / link).is_file()] == []


@pytest.mark.parametrize("folder", REPORTS, ids=lambda p: p.name)
def test_a_committed_leaderboard_shows_its_figures(folder: Path) -> None:
    links = re.findall(r"\]\(<(figures/[^>]+)>\)", (folder / "leaderboard.md").read_text(encoding="utf-8"))
    assert links
    assert all((folder / link).is_file() for link in links)
