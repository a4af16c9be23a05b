"""``Results``: tables, figures and reports of a run, from the runs folder or from a report."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from matplotlib.figure import Figure

import kdbench
from kdbench import KdbenchError, Results
from kdbench.report.figures.charts import SECTIONS
from tests.api import made


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("results")
    methods = ["supervised", {"method": "kd", "name": "<b>kd</b>"}, {"method": "dkd", "grid": {"beta": [1.0, 2.0]}}]
    return kdbench.run(made.suite(folder, seeds=2), methods=methods, runs=folder / "runs", data_root=folder, progress=False)


def test_tables_have_a_row_a_trial_and_a_row_a_method(results: Results) -> None:
    assert len(results.frame) == len(results.plan.entries)
    assert {"label", "seed", "test_accuracy", "status"} <= set(results.frame.columns)
    assert set(results.standings["label"]) == {"big", "other", "supervised", "<b>kd</b>", "dkd"}
    results.frame.insert(0, "mine", 1)  # into a copy: nobody else sees it
    results.standings.insert(0, "mine", 1)
    assert "mine" not in {*results.frame, *results.standings}


def test_records_and_plan_are_those_of_the_run(results: Results) -> None:
    assert set(results.records) == set(results.plan.trials) == set(results.asked)
    assert (results.failed, results.stale, results.done_before) == ((), (), ())
    assert repr(results) == f"<Results of suite small: {len(results.records)} finished trials>"


def test_a_notebook_shows_the_leaderboard_and_no_tag_of_a_stranger_s(results: Results) -> None:
    assert results._repr_markdown_() == results.leaderboard()
    assert re.search(r"\n\n\| +(place|method) ", results.leaderboard())
    html = results._repr_html_()
    assert html.startswith("<table>")
    assert "&lt;b&gt;kd&lt;/b&gt;" in html
    assert "<b>kd" not in html


def test_columns_and_order_of_the_leaderboard_can_be_chosen(results: Results) -> None:
    text = results.leaderboard(["method", "nll"], sort="-method")
    first, _, *rows = [line for line in text.splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in first.split("|")[1:-1]] == ["method", "NLL"]
    assert "supervised" in rows[2]
    with pytest.raises(KdbenchError, match='unknown column "metod"; did you mean "method"'):
        results.leaderboard(["metod"])


@pytest.mark.parametrize("kind", ["scores", "difference", "curves", "grid", "confusion", "reliability"])
def test_every_kind_of_figure_is_one_of_matplotlib_s(results: Results, kind: str) -> None:
    figure = results.plot(kind, pair="pair")
    assert isinstance(figure, Figure)
    assert figure is not results.plot(kind)
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


def test_a_figure_that_cannot_be_drawn_is_one_sentence(results: Results) -> None:
    assert isinstance(results.plot("curves-loss-pair"), Figure)
    with pytest.raises(KdbenchError, match='unknown kind of figure "curvs"; did you mean "curves"'):
        results.plot("curvs")
    with pytest.raises(KdbenchError, match=f'unknown kind of figure "x"; known are {", ".join(SECTIONS)}'):
        results.plot("x")
    with pytest.raises(KdbenchError, match='these results have nothing to draw of the kind "ranking"'):
        results.plot("ranking")
    with pytest.raises(KdbenchError, match='unknown pair "piar"; did you mean "pair"'):
        results.plot("curves", pair="piar")


def test_a_report_is_written_and_read_back(results: Results, tmp_path: Path) -> None:
    written = results.report(tmp_path / "report", ["md", "json"])
    assert [p.name for p in written] == [
        "leaderboard.md",
        "epochs.md",
        "classes.md",
        "accuracy-methods-pair.svg",
        "leaderboard.json",
    ]
    assert results.report(formats="csv")[0].parent == results.folder / "reports" / "small"
    back = kdbench.load_results(tmp_path / "report")
    assert back.leaderboard() == results.leaderboard()
    assert back.frame.equals(results.frame)
    assert back.report_folder == tmp_path / "report"
    with pytest.raises(KdbenchError, match='in formats: unknown format "markdwn"'):
        results.report(tmp_path, "markdwn")


def test_a_runs_folder_is_read_back(results: Results, tmp_path: Path) -> None:
    back = kdbench.load_results(str(results.folder))
    assert back.standings.equals(results.standings)
    assert kdbench.load_results(results.folder, "small").plan == back.plan
    with pytest.raises(KdbenchError, match='name one of the suites that were run in .*: small; did you mean "small"'):
        kdbench.load_results(results.folder, "smal")
    with pytest.raises(KdbenchError, match="no suite was run in"):
        kdbench.load_results(tmp_path)


def test_what_is_damaged_is_a_warning(results: Results, tmp_path: Path) -> None:
    shutil.copytree(results.folder, tmp_path / "runs")
    trial = next(iter(results.records))
    (tmp_path / "runs" / "trials" / trial / "record.json").write_text("{")
    with pytest.warns(UserWarning, match=f"the record of trial {trial}"):
        back = kdbench.load_results(tmp_path / "runs")
    assert "1 missing" in repr(back)
