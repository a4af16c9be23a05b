"""A tuned suite: two stages in one run, the same bits whatever interrupts it, and a report that says how it was done."""

from __future__ import annotations

import os
import signal
import statistics
from pathlib import Path
from typing import Any

import pytest

import kdbench
from kdbench.analysis.tuning import seconds_of_tuning, tuning_only
from kdbench.api.planning import preview
from kdbench.plan.trial import Entry
from kdbench.report.html import page
from kdbench.report.leaderboard import leaderboard_markdown
from kdbench.report.report import Report
from kdbench.report.tuning import tuning_markdown
from kdbench.results.plans import with_earlier_rows
from kdbench.results.store import Store
from kdbench.suite.load import load_suite
from tests.e2e.test_kill import KILLER, start
from tests.support import small

FRAGILE = '''
import math
from typing import Annotated

from kdbench import Method, Search
from torch.nn import functional as F


class Fragile(Method):
    """Trains with its own value only."""

    family = "test"

    class Params(Method.Params):
        weight: Annotated[float, Search.linear(-2, -1)] = 1.0

    def loss(self, step):
        return {"ce": F.cross_entropy(step.student.logits, step.targets) * math.sqrt(self.params.weight)}
'''
TUNED: dict[str, Any] = {
    "methods": ["supervised", "kd", "fragile"],
    "seeds": 2,
    "recipe": {"epochs": 4, "batch_size": 8, "lr": 1e-6},  # so low that any other rate wins
    "tuning": {"draws": 3, "epochs": 0.5, "seed": 9, "recipe": {"lr": {"choices": [0.05, 0.1]}}},
    "plugins": ["fragile.py"],
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tuned suite, and the records of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("tuning")
    (folder / "fragile.py").write_text(FRAGILE)
    (folder / "killer.py").write_text(KILLER)
    path = small.write_suite(folder, **TUNED)
    small.run(path, folder / "whole")
    return path, folder / "whole"


def results(whole: tuple[Path, Path]) -> kdbench.Results:
    path, runs = whole
    return kdbench.load_results(runs, plugins=[path.parent / "fragile.py"])


def entries(found: kdbench.Results, label: str, role: str) -> list[Entry]:
    return [e for e in found.plan.entries if (e.label, e.role) == (label, role)]


def test_one_run_trains_the_draws_and_then_the_winners_with_all_seeds(whole: tuple[Path, Path]) -> None:
    found = results(whole)
    for label in ("supervised", "kd"):
        draws = entries(found, label, "draw")
        scores = [found.records[e.trial].metrics["validation"]["accuracy"] for e in draws]
        best = draws[scores.index(max(scores))]
        finals = entries(found, label, "student")
        assert best.grid_point, "one of the higher rates wins"
        assert [(e.seed, e.grid_point) for e in finals] == [(0, best.grid_point), (1, best.grid_point)]
        assert {found.records[e.trial].status for e in (*finals, *entries(found, label, "default"))} == {"finished"}


def test_a_draw_that_fails_loses_and_is_no_failure_of_the_run(whole: tuple[Path, Path]) -> None:
    found = results(whole)
    assert [found.records[e.trial].status for e in entries(found, "fragile", "draw")] == ["finished", "failed", "failed"]
    assert [e.grid_point for e in entries(found, "fragile", "student")] == [{}, {}]
    assert not found.failed
    chosen = found.tuning.set_index(["label", "draw"])["chosen"]
    assert chosen["fragile"].tolist() == [True, False, False]


def test_the_table_shows_default_and_tuned_and_what_it_took(whole: tuple[Path, Path]) -> None:
    found = results(whole)
    line = found.standings[lambda t: t["role"] == "student"].set_index("label").loc["kd"]

    def accuracies(role: str) -> list[float]:
        return [found.records[e.trial].metrics["test"]["accuracy"] for e in entries(found, "kd", role)]

    draws = [found.records[e.trial] for e in entries(found, "kd", "draw")]
    scores = [record.metrics["validation"]["accuracy"] for record in draws]
    assert line["default_test_accuracy"] == pytest.approx(statistics.mean(accuracies("default")))
    assert line["default_test_accuracy_sd"] == pytest.approx(statistics.stdev(accuracies("default")))
    assert line["tuned_gain"] == pytest.approx(statistics.mean(accuracies("student")) - statistics.mean(accuracies("default")))
    assert line["tuned_gain_low"] < line["tuned_gain"] < line["tuned_gain_high"]
    assert line["validation_lead"] == pytest.approx(max(scores) - scores[0])
    tests = [record.metrics["test"]["accuracy"] for record in draws]
    assert line["test_lead"] == pytest.approx(tests[scores.index(max(scores))] - tests[0])
    assert line["tuning_seconds"] == pytest.approx(sum(record.costs.wall_seconds for record in draws))
    own = found.standings[lambda t: t["role"] == "student"].set_index("label").loc["fragile"]
    assert own["tuned_gain"] == 0
    assert own["draws_failed"] == 2
    text = leaderboard_markdown(found.analysis)
    assert "tuned − default" in text
    assert "recipe.lr = " in text
    assert "## Grids" not in text


def test_no_number_of_the_table_comes_from_a_draw(whole: tuple[Path, Path]) -> None:
    found = results(whole)
    draws = {e.trial for e in found.plan.entries if e.role == "draw"}
    assert draws.isdisjoint(" ".join(found.standings["trials"]).split())
    assert tuning_only(found.plan) == draws, "the teachers have a seed of their own"
    spent = sum(found.records[trial].costs.wall_seconds for trial in draws)
    assert seconds_of_tuning(found.analysis.frame) == pytest.approx(spent)


def test_the_page_has_every_draw_with_its_values(whole: tuple[Path, Path]) -> None:
    found = results(whole)
    text, html = tuning_markdown(found.analysis), page(Report(found.analysis))
    for entry in (e for e in found.plan.entries if e.role == "draw"):
        for name, value in entry.grid_point.items():
            assert name in text
            assert f"{value:g}" in text
            assert f"{value:g}" in html
    assert text.count("\n| **") == 3, "one draw of each method was chosen"
    assert "How it was tuned" in html
    assert "Ranges: recipe.lr 0.05, 0.1; temperature 1 to 20 (log); alpha 0.1 to 1." in html


def test_a_second_run_has_nothing_to_do_but_to_try_again_what_failed(whole: tuple[Path, Path]) -> None:
    path, runs = whole
    before = Store(runs).plan("small")
    summary = small.run(path, runs)
    assert {r.trial.method for r in summary.records.values() if r.status == "failed"} == {"fragile"}
    assert len(summary.done_before) == len(summary.records) - 2
    assert Store(runs).plan("small") == before


def test_a_plan_shows_the_stage_that_records_allow(whole: tuple[Path, Path], tmp_path: Path) -> None:
    path, runs = whole
    loaded = load_suite(path)
    first, second = (preview(loaded, runs=folder, data_root=path.parent) for folder in (tmp_path / "none", runs))
    assert set(first.states.values()) == {"to do"}
    assert set(second.states.values()) == {"finished", "failed"}
    assert len(second.prepared.plan.trials) == len(first.prepared.plan.trials) + 2 * 2


def test_a_run_of_one_method_hides_nothing_of_the_others(whole: tuple[Path, Path]) -> None:
    path, runs = whole
    full = Store(runs).plan("small")
    assert full is not None
    narrow = preview(load_suite(path, only=["kd"]), runs=runs, data_root=path.parent).prepared.plan
    shown = with_earlier_rows(narrow, full, ("supervised", "kd", "fragile"), lambda trial: True)
    assert {e.model_dump_json() for e in shown.entries} == {e.model_dump_json() for e in full.entries}
    assert shown.tuning == full.tuning
    other = narrow.model_copy(update={"tuning": narrow.tuning.model_copy(update={"draws": 5})})  # type: ignore[union-attr]
    kept = with_earlier_rows(other, full, ("supervised", "kd", "fragile"), lambda trial: True)
    assert "fragile" not in {e.label for e in kept.entries}, "methods with other numbers of draws do not stand side by side"


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(
    ("moment", "options"),
    [
        ("epoch finished:14", ()),  # among the draws
        ("epoch finished:52", ()),  # among the winners
        ("epoch finished:52", ("--jobs", "2")),
    ],
)
def test_a_run_killed_in_either_stage_goes_on_to_the_same_bits(
    whole: tuple[Path, Path], tmp_path: Path, moment: str, options: tuple[str, ...]
) -> None:
    path, runs = whole
    killer = path.parent / "killer.py"
    once = {"KILL_ONCE": str(tmp_path / "killed")}
    killed = start(path, tmp_path / "runs", killer, moment, "--trust", *options, **once)
    assert killed.returncode == -signal.SIGKILL or options, killed.stderr
    assert (tmp_path / "killed").exists()
    done = start(path, tmp_path / "runs", killer, "never:0", "--trust", *options)
    assert done.returncode == 0, done.stderr
    assert small.bits(tmp_path / "runs") == small.bits(runs)
    mine, theirs = Store(tmp_path / "runs").plan("small"), Store(runs).plan("small")
    assert mine is not None
    assert theirs is not None
    assert mine.entries == theirs.entries
