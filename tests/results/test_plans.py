"""A narrower run hides nothing: the rows of earlier runs stay in the report where they still belong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kdbench.plan.trial import Plan
from kdbench.results.plans import with_earlier_rows
from kdbench.results.store import Store
from tests.results import made as stored
from tests.suite import made
from tests.support import small

METHODS: list[Any] = [
    "supervised",
    "kd",
    {"method": "dkd", "name": "decoupled"},
    {"name": "takd", "method": "kd", "assistants": ["lightcnn"]},
    {"method": "born_again", "generations": 2},
    {"name": "searched", "method": "kd", "grid": {"temperature": [2, 8]}},
]
NAMES = ("supervised", "kd", "decoupled", "takd", "born_again", "searched")


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., Plan]:
    def make(**changes: Any) -> Plan:
        return made.plan(tmp_path, **{"methods": METHODS, "seeds": 2, **changes})

    return make


def both(new: Plan, old: Plan, names: tuple[str, ...] = NAMES, records: bool = True) -> Plan:
    found = with_earlier_rows(new, old, names, lambda _: records)
    for entry in found.entries:
        assert set(found.trials[entry.trial].teachers) <= set(found.trials)
    order = list(found.trials)
    assert all(order.index(t) < order.index(i) for i, trial in found.trials.items() for t in trial.teachers)
    assert {t for c in found.cohorts for t in c.trials} == set(found.trials)
    return found


def labels(of: Plan) -> set[str]:
    return {e.label for e in of.entries}


def test_a_run_of_one_method_shows_all_that_a_run_of_all_showed(plan: Callable[..., Plan]) -> None:
    whole = plan()
    for only in (["kd"], ["takd"], ["born_again", "decoupled"], ["searched"]):
        found = both(plan(load={"only": only}), whole)
        assert found.entries == whole.entries
        assert dict(found.trials) == dict(whole.trials)


def test_a_run_of_fewer_seeds_too(plan: Callable[..., Plan]) -> None:
    whole = plan()
    assert both(plan(load={"seeds": "1"}), whole).entries == whole.entries
    assert both(plan(load={"seeds": "1,", "only": ["kd"]}), whole).entries == whole.entries


def test_a_run_of_more_is_shown_as_it_is(plan: Callable[..., Plan]) -> None:
    whole = plan()
    assert both(whole, plan(load={"only": ["kd"], "seeds": "1"})) is whole
    assert both(whole, whole) is whole


def test_rows_without_a_record_are_not_kept(plan: Callable[..., Plan]) -> None:
    narrow = plan(load={"only": ["kd"]})
    assert both(narrow, plan(), records=False) is narrow


def test_rows_that_the_suite_no_longer_names_are_not_kept(plan: Callable[..., Plan]) -> None:
    narrow = plan(load={"only": ["kd"]})
    assert labels(both(narrow, plan(), names=("supervised", "kd", "decoupled"))) == {"supervised", "kd", "decoupled", "big"}


def test_points_that_a_grid_no_longer_has_are_not_kept(plan: Callable[..., Plan]) -> None:
    fewer = [*METHODS[:-1], {"name": "searched", "method": "kd", "grid": {"temperature": [2]}}]
    found = both(plan(methods=fewer, load={"seeds": "1"}), plan())
    points = {(e.seed, e.grid_point["temperature"]) for e in made.rows(found, "searched")}
    assert points == {(0, 2), (1, 2)}


def test_other_hyper_parameters_replace_the_rows_of_all_seeds(plan: Callable[..., Plan]) -> None:
    hot = [{"method": "kd", "params": {"temperature": 9}} if m == "kd" else m for m in METHODS]
    found = both(plan(methods=hot, load={"only": ["kd"], "seeds": "1"}), plan())
    assert [(e.seed, found.trials[e.trial].params["temperature"]) for e in made.rows(found, "kd")] == [(0, 9.0)]
    assert len(made.rows(found, "decoupled")) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"load": {"only": ["kd"], "epochs": 3}},
        {"load": {"only": ["kd"]}, "dataset": {"name": "digits", "limit": 500}},
        {"load": {"only": ["kd"]}, "pairs": [{"name": "pair", "student": "lightcnn", "teacher": "big"}]},
    ],
    ids=["recipe", "data", "student"],
)
def test_rows_of_another_experiment_never_stand_beside_the_new_ones(plan: Callable[..., Plan], change: dict[str, Any]) -> None:
    narrow = plan(**change)
    assert both(narrow, plan()) is narrow


def test_rows_that_another_teacher_taught_are_not_kept(plan: Callable[..., Plan]) -> None:
    networks = {"big": {"model": "mnist_mlp", "recipe": {"epochs": 9}}}
    found = both(plan(networks=networks, load={"only": ["kd"]}), plan())
    assert labels(found) == {"big", "supervised", "kd", "born_again", "born_again (generation 1)"}  # its teacher is no other


def test_the_store_keeps_rows_only_when_asked_to(plan: Callable[..., Plan], tmp_path: Path) -> None:
    store = Store(tmp_path / "runs", warn=pytest.fail)
    store.open()
    whole, narrow = plan(methods=METHODS[:3]), plan(methods=METHODS[:3], load={"only": ["kd"]})
    assert store.save_plan(whole, keep=NAMES) == 0
    for trial in whole.trials.values():
        store.save(stored.record(trial))
    assert store.save_plan(narrow, keep=NAMES) == 2
    assert store.plan(whole.suite) == whole.model_copy(update={"cohorts": store.plan(whole.suite).cohorts})  # type: ignore[union-attr]
    assert store.save_plan(narrow) == 0
    assert store.plan(whole.suite) == narrow


def test_a_narrower_run_says_what_the_report_shows_beside_its_own_rows(tmp_path: Path) -> None:
    notes: list[str] = []

    class Notes(small.Progress):
        def note(self, message: str) -> None:
            notes.append(message)

    path = small.write_suite(tmp_path, methods=["supervised", "kd", "dkd"])
    small.run(path, tmp_path / "runs", progress=Notes())
    assert notes == []
    before = Store(tmp_path / "runs").plan("small")
    summary = small.run(path, tmp_path / "runs", progress=Notes(), only=["kd"])
    assert notes == ["the report also shows 1 row of an earlier run of this suite"]
    assert len(summary.records) == 4  # two teachers, two students
    after = Store(tmp_path / "runs").plan("small")
    assert before is not None
    assert after is not None
    assert after.entries == before.entries
