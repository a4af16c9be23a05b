"""Reports as files: through the same hook as a plugin's."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from kdbench.analysis.analysis import Analysis
from kdbench.errors import KdbenchError
from kdbench.plugins.manager import load_registry
from kdbench.report.formats import kdbench_reporters, parse_formats, write_report
from kdbench.report.report import Report
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
