"""The trial that kills workers is found, and fails alone."""

from __future__ import annotations

import itertools

import pytest

from kdbench.engine.executors.isolation import LIVES, STARTS, Isolation

TRIALS = ("a", "b", "c", "d", "e")


def simulate(isolation: Isolation, culprit: str | None, *, known: bool = True, most: int = 100) -> list[tuple[str, ...]]:
    """Train parts; a worker dies whenever the culprit is among its trials. Returns the parts that were tried."""
    tried = []
    for _ in range(most):
        if not (part := isolation.part()):
            return tried
        tried.append(part)
        if culprit in part:
            isolation.died("was killed by signal 9", culprit if known else None, True)
        else:
            isolation.over()
    pytest.fail(f"it never ends: {tried}")


@pytest.mark.parametrize("culprit", TRIALS)
def test_a_culprit_whose_code_is_known_is_alone_after_two_deaths_and_fails_at_the_third(culprit: str) -> None:
    isolation = Isolation(TRIALS)
    others = tuple(t for t in TRIALS if t != culprit)
    assert simulate(isolation, culprit) == [TRIALS, TRIALS, others, (culprit,)]
    assert list(isolation.failed) == [culprit]
    assert isolation.failed[culprit][0] == "WorkerDied"
    assert "killed by signal 9, twice in the same epoch" in isolation.failed[culprit][1]


@pytest.mark.parametrize("culprit", TRIALS)
def test_a_culprit_that_nobody_knows_is_found_by_halves(culprit: str) -> None:
    isolation = Isolation(TRIALS)
    tried = simulate(isolation, culprit, known=False)
    assert list(isolation.failed) == [culprit]
    assert tried[-1] == (culprit,) or culprit in {t for part in tried[:-1] for t in part}
    assert sum(culprit in part for part in tried) <= LIVES * 4
    assert all({t for part in tried for t in part if t not in isolation.failed} == set(TRIALS) - {culprit} for _ in [0])


def test_nobody_fails_for_dying_only_in_company() -> None:
    """A cohort that is too large for the memory: its halves are not."""
    isolation = Isolation(TRIALS)
    for _ in range(LIVES):
        assert isolation.part() == TRIALS
        isolation.died("was killed by signal 9", None, True)
    while part := isolation.part():
        assert len(part) < len(TRIALS)
        isolation.over()
    assert not isolation.failed


def test_deaths_with_an_epoch_finished_in_between_do_not_count() -> None:
    isolation = Isolation(("a",))
    for _ in range(20):
        assert isolation.part() == ("a",)
        isolation.died("was killed by signal 9", "a", True)
        isolation.part()
        isolation.progress()
    isolation.over()
    assert not isolation.part()
    assert not isolation.failed


def test_different_trials_at_each_death_get_two_lives_each_when_alone() -> None:
    isolation = Isolation(("a", "b"))
    isolation.part()
    isolation.died("was killed by signal 9", "a", True)
    isolation.died("was killed by signal 9", "b", True)
    assert isolation.part() == ("a",)
    isolation.over()
    assert isolation.part() == ("b",)
    isolation.died("was killed by signal 9", "b", True)
    assert isolation.part() == ("b",)
    assert not isolation.failed


def test_workers_that_die_before_training_have_more_lives() -> None:
    isolation = Isolation(("a", "b"))
    for _ in range(STARTS - 1):
        isolation.part()
        isolation.died("ended with status 1", None, False)
        assert not isolation.failed
    isolation.died("ended with status 1", None, False)
    assert set(isolation.failed) == {"a", "b"}
    assert not isolation.part()


def test_suspects_of_an_earlier_run_are_trained_alone_and_last_and_fail_at_once() -> None:
    isolation = Isolation(TRIALS, ["b", "d"])
    assert isolation.part() == ("a", "c", "e")
    isolation.over()
    assert isolation.part() == ("b",)
    isolation.died("ended with status 3", "b", True)
    assert set(isolation.failed) == {"b"}
    assert isolation.part() == ("d",)
    isolation.over()
    assert not isolation.part()


def test_trials_that_have_ended_are_not_tried_again() -> None:
    isolation = Isolation(TRIALS)
    isolation.part()
    isolation.ended("c")
    isolation.died("ended with status 3", None, True)
    assert isolation.part() == ("a", "b", "d", "e")
    for trial in TRIALS:
        isolation.ended(trial)
    isolation.died("ended with status 3", None, True)
    assert not isolation.part()
    assert not isolation.failed


def test_a_trial_that_took_too_long_fails_and_the_others_go_on() -> None:
    isolation = Isolation(("a", "b", "c"))
    isolation.part()
    isolation.overdue("b", "took longer than 5 minutes")
    assert isolation.part() == ("a", "c")
    assert isolation.failed == {"b": ("TimeLimit", "it took longer than 5 minutes")}


def test_shared_work_that_takes_too_long_separates_trials_until_one_is_alone() -> None:
    isolation = Isolation(("a", "b", "c", "d"))
    for _ in itertools.count():
        part = isolation.part()
        if not part:
            break
        if "c" in part:
            isolation.overdue(None, "took longer than 5 minutes")
        else:
            isolation.over()
    assert set(isolation.failed) == {"c"}
