"""Teachers that are near chance, or below the student trained alone."""

from __future__ import annotations

from pathlib import Path

import pytest

import kdbench
from kdbench.engine.progress import Progress
from kdbench.results.record import Record
from kdbench.results.store import Store
from kdbench.results.teachers import concerned, weak_teachers
from tests.support import small


class Log(Progress):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Record]]:
    folder = tmp_path_factory.mktemp("weak")
    path = small.write_suite(folder, methods=["kd"])
    return path, folder / "runs", dict(small.run(path, folder / "runs").records)


def changed(records: dict[str, Record], values: dict[str, float]) -> dict[str, Record]:
    """Give networks another accuracy, by the ids of their trials."""
    return {
        i: r.model_copy(update={"metrics": {"test": {"accuracy": values.get(i, 0.5)}}}) if r.status == "finished" else r
        for i, r in records.items()
    }


@pytest.mark.parametrize(
    ("teacher", "student", "words"),
    [
        (0.10, 0.50, "near chance: 10.00 % accuracy with 10 classes"),
        (0.14, 0.12, "near chance"),
        (0.15, 0.12, ""),
        (0.49, 0.50, "worse than the student trained alone: 49.00 % accuracy against 50.00 %"),
        (0.50, 0.50, ""),
        (0.60, 0.50, ""),
    ],
)
def test_which_teachers_are_weak(
    finished: tuple[Path, Path, dict[str, Record]], teacher: float, student: float, words: str
) -> None:
    path, _, records = finished
    plan = small.prepared(path).plan
    values = {e.trial: teacher if e.role == "teacher" else student for e in plan.entries}
    found = weak_teachers(plan, changed(records, values))
    assert concerned(plan) == {e.trial for e in plan.entries if e.role == "teacher" or e.method == "supervised"}
    assert bool(found) == bool(words)
    assert all(words in w.warning for w in found)
    assert weak_teachers(plan, {}) == []


def test_a_weak_teacher_is_in_the_log_and_in_the_report(tmp_path: Path) -> None:
    teacher = {"model": "tiny_cnn", "recipe": {"epochs": 1, "lr": 1e-9}}  # as good as not trained
    pairs = [{"name": "pair", "student": {"model": "tiny_cnn"}, "teacher": "big"}]
    path = small.write_suite(tmp_path, networks={"big": teacher}, pairs=pairs, methods=["kd"])
    log = Log()
    small.run(path, tmp_path / "runs", progress=log)
    (warning,) = [w for w in log.warnings if "big" in w]
    assert 'the teacher "big" is ' in warning
    results = kdbench.load_results(tmp_path / "runs")
    results.report(tmp_path / "report", "md,html")
    for name in ("leaderboard.md", "index.html"):
        shown = (tmp_path / "report" / name).read_text(encoding="utf-8")
        assert "Warning: the teacher" in shown
    assert Store(tmp_path / "runs").records()


def test_a_name_in_a_warning_is_no_markdown(tmp_path: Path) -> None:
    teacher = {"model": "tiny_cnn", "recipe": {"epochs": 1, "lr": 1e-9}}
    pairs = [{"name": "pair", "student": {"model": "tiny_cnn"}, "teacher": "<b>*x*</b>"}]
    path = small.write_suite(tmp_path, networks={"<b>*x*</b>": teacher}, pairs=pairs, methods=["kd"])
    small.run(path, tmp_path / "runs")
    kdbench.load_results(tmp_path / "runs").report(tmp_path / "report", "md,html")
    report = (tmp_path / "report" / "leaderboard.md").read_text(encoding="utf-8")
    assert "Warning: the teacher `<b>*x*</b>` is" in report
    assert "<b>*x*" not in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
