"""Reports as files: through the same hook as a plugin's."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from kdbench.analysis.analysis import Analysis
from kdbench.analysis.frame import frame_of
from kdbench.analysis.source import analysis_of_report
from kdbench.errors import KdbenchError
from kdbench.plugins.manager import load_registry
from kdbench.report.formats import kdbench_reporters, parse_formats, write_report
from kdbench.report.report import Report
from kdbench.report.sections import with_view
from kdbench.results.record import LatencyReport, LatencyResult
from kdbench.suite.schema import Latency
from tests.results import made
from tests.results.made import frame, row

REPORTERS = kdbench_reporters()


@pytest.fixture
def made_up() -> Analysis:
    teacher = row("big", 1 / 3, role="teacher", model="big")
    return Analysis(
        frame(
            teacher,
            row("supervised", 0.8),
            row("kd", 0.9, taught_by=[teacher[0]]),
            row("at", error="NaN, loss"),
            profiles=[made.profile()],
        )
    )


def test_the_built_in_formats_come_through_the_public_hook() -> None:
    assert set(REPORTERS) <= set(load_registry().reporters)


def test_a_report_is_the_same_bytes_every_time(made_up: Analysis, tmp_path: Path) -> None:
    one = write_report(made_up, tmp_path / "one", list(REPORTERS), REPORTERS)
    two = write_report(made_up, tmp_path / "two", list(REPORTERS), REPORTERS)
    assert {"leaderboard.md", "epochs.md", "leaderboard.csv", "trials.csv", "leaderboard.json", "leaderboard.tex"} <= {
        p.name for p in one
    }
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]
    assert all(b"\r" not in p.read_bytes() for p in one if p.suffix != ".png")


def test_tables_for_machines_hold_exact_numbers(made_up: Analysis, tmp_path: Path) -> None:
    write_report(made_up, tmp_path, ["csv", "json"], REPORTERS)
    table = pd.read_csv(tmp_path / "leaderboard.csv", engine="python").set_index("label")
    assert table["test_accuracy"]["big"] == 1 / 3
    assert table["error"]["at"] == "NonFiniteLoss: NaN, loss"
    assert ",106826,4273040," in (tmp_path / "leaderboard.csv").read_text()
    trials = pd.read_csv(tmp_path / "trials.csv").set_index("label")
    assert trials["status"].to_dict() == {"big": "finished", "supervised": "finished", "kd": "finished", "at": "failed"}
    assert trials["teachers"]["kd"] == trials["trial"]["big"]
    content = json.loads((tmp_path / "leaderboard.json").read_text())
    assert content["rows"][0]["test_accuracy"] == pytest.approx(1 / 3, abs=1e-15)
    assert content["rows"][0]["delta"] is None
    assert content["provenance"][trials["trial"]["kd"]]["command"] == "kdbench run made.yaml"


def test_every_row_of_the_leaderboard_names_its_records(made_up: Analysis, tmp_path: Path) -> None:
    write_report(made_up, tmp_path, ["csv"], REPORTERS)
    table = pd.read_csv(tmp_path / "leaderboard.csv")
    named = {trial for trials in table["trials"] for trial in trials.split()}
    assert named == set(made_up.records)


def test_formats_are_checked_by_name() -> None:
    assert parse_formats(" md, csv,md", REPORTERS) == ["md", "csv"]
    with pytest.raises(KdbenchError, match='unknown format "jsno"; did you mean "json"'):
        parse_formats("md,jsno", REPORTERS)
    with pytest.raises(KdbenchError, match='unknown format "xyz"; known are md, .*csv, json'):
        parse_formats("xyz", REPORTERS)
    with pytest.raises(KdbenchError, match="no format given; known are md, .*csv, json"):
        parse_formats(",", REPORTERS)


def test_a_folder_that_cannot_be_written_is_told_in_a_sentence(made_up: Analysis, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KdbenchError, match=r"the report in .*file.x cannot be written: Not a directory"):
        write_report(made_up, tmp_path / "file" / "x", ["md"], REPORTERS)


def test_a_plugin_s_format_is_given_the_tables_and_figures_of_all_formats(made_up: Analysis, tmp_path: Path) -> None:
    seen: list[Report] = []

    def mine(report: Report, folder: Path) -> list[Path]:
        seen.append(report)
        (folder / "mine.txt").write_text(f"{report.plan.task.primary}: {report.standings['label'].tolist()}")
        return [folder / "mine.txt"]

    files = write_report(made_up, tmp_path, ["svg", "mine", "png"], {**REPORTERS, "mine": mine})
    assert (tmp_path / "mine.txt").read_text() == "accuracy: ['big', 'kd', 'supervised', 'at']"
    assert tmp_path / "mine.txt" in files
    (report,) = seen
    assert report.charts is report.charts, "drawn once"
    assert report.standings is made_up.standings
    assert len(report.rows) == len(report.records) == 4


def test_a_plugin_s_format_that_fails_is_named(made_up: Analysis, tmp_path: Path) -> None:
    def broken(report: Report, folder: Path) -> list[Path]:
        raise ZeroDivisionError("division by zero")

    def refusing(report: Report, folder: Path) -> list[Path]:
        raise KdbenchError("no")

    with pytest.raises(KdbenchError, match='the report format "mine" failed: ZeroDivisionError: division by zero'):
        write_report(made_up, tmp_path, ["mine"], {"mine": broken})
    with pytest.raises(KdbenchError, match="^no$"):
        write_report(made_up, tmp_path, ["mine"], {"mine": refusing})


def test_a_report_of_other_columns_keeps_the_suite_s_own_in_its_records(made_up: Analysis, tmp_path: Path) -> None:
    write_report(made_up, tmp_path, ["md"], REPORTERS)
    plan = (tmp_path / "records" / "plan.json").read_bytes()
    write_report(with_view(made_up, ["method", "nll"], "-method"), tmp_path, ["md"], REPORTERS)
    assert "| NLL |" in " ".join((tmp_path / "leaderboard.md").read_text().split())
    assert (tmp_path / "records" / "plan.json").read_bytes() == plan
    write_report(analysis_of_report(tmp_path), tmp_path, ["md"], REPORTERS)
    assert "Δ supervised" in (tmp_path / "leaderboard.md").read_text().split("## All columns")[0]


def test_what_a_folder_holds_in_other_formats_is_written_again(made_up: Analysis, tmp_path: Path) -> None:
    """So that its page and figures are of the same records as its tables."""
    write_report(made_up, tmp_path, ["html", "svg", "latex", "csv"], REPORTERS)
    names = {p for p in tmp_path.rglob("*") if p.is_file()}
    before = {p: p.read_bytes() for p in names}
    changed = Analysis(frame(row("supervised", 0.7), row("kd", 0.75), profiles=[made.profile()]))
    written = write_report(changed, tmp_path, ["md"], REPORTERS)
    stale = {p.name for p in names if p.exists() and p.read_bytes() == before[p] and p.parent != tmp_path / "records"}
    assert stale <= {"difference-pair.svg"} | {"index.json"}
    assert {"index.html", "leaderboard.tex", "leaderboard.csv", "accuracy-methods-pair.svg"} <= {p.name for p in written}
    assert "leaderboard.json" not in {p.name for p in written}, "what nobody asked for"


def test_figures_that_records_have_no_more_are_removed_and_a_reader_s_own_files_stay(made_up: Analysis, tmp_path: Path) -> None:
    write_report(made_up, tmp_path, ["md"], REPORTERS)
    mine = tmp_path / "figures" / "mine.svg"
    mine.write_text("<svg/>")
    assert (tmp_path / "figures" / "accuracy-methods-pair.svg").exists()
    write_report(Analysis(frame(row("supervised", 0.7))), tmp_path, ["md"], REPORTERS)
    assert [p.name for p in (tmp_path / "figures").iterdir()] == ["mine.svg"]


def test_an_index_of_figures_from_elsewhere_removes_nothing_outside(made_up: Analysis, tmp_path: Path) -> None:
    (tmp_path / "leaderboard.md").write_text("")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "index.json").write_text('["../leaderboard.md", "../../x.svg", 3, null]')
    write_report(made_up, tmp_path, ["csv"], REPORTERS)
    assert (tmp_path / "leaderboard.md").exists()


def test_latencies_are_a_table_of_their_own(made_up: Analysis, tmp_path: Path) -> None:
    result = LatencyResult(
        profile=made.profile_id("tiny_cnn"),
        model="tiny_cnn",
        device="cpu",
        runtime="onnxruntime",
        batch_size=1,
        median_ms=0.24,
        iqr_ms=0.01,
        stable=True,
    )
    report = LatencyReport(id="0" * 16, settings=Latency(), results=(result,), machine={}, clock="c", started="2026-01-01")
    of = made_up.frame
    write_report(Analysis(frame_of(of.plan, of.records, of.profiles, None, (report,))), tmp_path, ["csv"], REPORTERS)
    (line,) = pd.read_csv(tmp_path / "latency.csv").to_dict("records")
    assert (line["model"], line["runtime"], line["median_ms"]) == ("tiny_cnn", "onnxruntime", 0.24)
    assert pd.read_csv(tmp_path / "leaderboard.csv")["latency_ms_cpu_onnxruntime_1"].dropna().unique().tolist() == [0.24]


def test_latex_holds_only_what_pdflatex_can_typeset(made_up: Analysis, tmp_path: Path) -> None:
    """ASCII and accented letters of Latin 1; signs are commands."""
    names = ["T² ≈ α·β ±", "naïve Größe", "метод 方法", "100 % #1 $x_{2}$ & ~^\\", "ŵ ﬁ ½ ☃ Λ ϑ", "[a]", "*b"]
    rows = [row("supervised", 0.8, s) for s in (0, 1)]
    rows += [row(name, 0.9 + 0.01 * i, s, method="kd", params={"t": i}) for i, name in enumerate(names) for s in (0, 1)]
    write_report(Analysis(frame(*rows, profiles=[made.profile()])), tmp_path, ["latex"], REPORTERS)
    text = (tmp_path / "leaderboard.tex").read_text(encoding="utf-8")
    assert {c for c in text if not c.isascii()} == set("ïöß")
    assert r"$\Delta$ supervised" in text
    assert r"$\pm$" in text
    assert r"T$^2$ $\approx$ $\alpha$$\cdot$$\beta$" in text
    assert "(U+65B9)" in text
    if shutil.which("pdflatex") is None:
        return
    (tmp_path / "page.tex").write_text(
        r"\documentclass{article}\usepackage{booktabs}\begin{document}\input{leaderboard.tex}\end{document}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    said = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert said.returncode == 0, said.stdout[-2000:]
