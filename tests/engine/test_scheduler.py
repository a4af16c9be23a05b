"""The scheduler: students after their teachers, no slot idle without need, every trial once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from kdbench.engine.events import Warned
from kdbench.engine.executors import WorkerDied
from kdbench.engine.job import Job, lineage, part_of
from kdbench.engine.monitor import Inbox
from kdbench.engine.scheduler import Scheduler, halve, next_parts
from kdbench.errors import StoreError
from kdbench.plan.trial import Cohort, Plan
from tests.suite import made as suites


class Pretender:
    """Runs nothing, in several threads, and notes what it was given."""

    def __init__(self, slots: int, outcome: Exception | None = None) -> None:
        self.slots = slots
        self.outcome = outcome
        self.given: list[Cohort] = []
        self.most = self._running = 0
        self.overtaken: list[str] = []
        self._finished: set[str] = set()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(slots)

    def submit(self, job: Job, report: Inbox) -> Future[None]:
        self.given.append(job.cohort)
        return self._pool.submit(self._work, job, report)

    def _work(self, job: Job, report: Inbox) -> None:
        with self._lock:
            self._running += 1
            self.most = max(self.most, self._running)
            self.overtaken += [t for t in job.cohort.teachers if t not in self._finished]
        threading.Event().wait(0.005 * len(job.cohort.trials))
        report(Warned(message=job.cohort.trials[0]))
        with self._lock:
            self._running -= 1
            self._finished.update(job.cohort.trials)
        if self.outcome is not None:
            raise self.outcome


def schedule(
    plan: Plan, executor: Pretender, trials: list[str] | None = None, tick: Callable[[], None] = lambda: None
) -> tuple[list[str], list[BaseException | None]]:
    """Run a plan; what was reported, and how jobs ended."""
    reported: list[str] = []
    ends: list[BaseException | None] = []

    def job(cohort: Cohort) -> Job:
        return Job(
            suite="s",
            trials=lineage(cohort.trials, plan.trials),
            cohort=cohort,
            dataset=plan.trials[cohort.trials[0]].data.spec,
            data_root=Path(),
            runs=Path(),
        )

    def ended(job: Job, error: BaseException | None) -> None:
        ends.append(error)
        if isinstance(error, StoreError):
            raise error

    inbox = Inbox(lambda event: reported.append(event.message) if isinstance(event, Warned) else None)
    Scheduler(plan, executor, job, load, inbox, lambda number, job: None, ended, tick).run(trials or list(plan.trials))  # type: ignore[arg-type]
    return reported, ends


def load(cohort: Cohort) -> float:
    return 1.0 * len(cohort.teachers) + 3.0 * len(cohort.trials)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    methods = ["supervised", "kd", "dkd", "at", "sp", {"method": "born_again", "generations": 2}]
    return suites.plan(tmp_path_factory.mktemp("plan"), methods=methods, seeds=3)


@pytest.mark.parametrize("slots", [1, 2, 5, 40])
def test_every_trial_runs_once_and_after_its_teachers(plan: Plan, slots: int) -> None:
    executor = Pretender(slots)
    reported, _ = schedule(plan, executor)
    assert sorted(t for c in executor.given for t in c.trials) == sorted(plan.trials)
    assert executor.overtaken == []
    assert executor.most <= slots
    assert reported  # events of other threads were handled
    assert len(reported) == len(executor.given)


def test_one_slot_gets_the_cohorts_of_the_plan_in_their_order(plan: Plan) -> None:
    executor = Pretender(1)
    schedule(plan, executor)
    assert executor.given == list(plan.cohorts)


def test_finished_trials_are_left_out(plan: Plan) -> None:
    left = list(plan.cohorts[-1].trials)[:1]
    executor = Pretender(2)
    schedule(plan, executor, left)
    assert [c.trials for c in executor.given] == [tuple(left)]


def test_a_lost_worker_ends_its_own_job_only_and_a_full_disk_the_run(plan: Plan) -> None:
    _, ends = schedule(plan, executor := Pretender(2, WorkerDied("killed")))
    assert len(ends) == len(executor.given)
    with pytest.raises(StoreError):
        schedule(plan, Pretender(2, StoreError("no space left")))


class TestParts:
    def test_cohorts_are_split_only_where_a_slot_would_be_idle(self, plan: Plan) -> None:
        cohort = max(plan.cohorts, key=lambda c: len(c.trials))
        assert next_parts([cohort], 1, 1e9, load, plan) == [cohort]
        parts = next_parts([cohort], 2, 1e9, load, plan)
        assert sorted(t for p in parts for t in p.trials) == sorted(cohort.trials)
        assert abs(load(parts[0]) - load(parts[1])) <= 4
        assert next_parts([cohort, cohort], 2, 1e9, load, plan) == [cohort, cohort]

    def test_a_slot_takes_no_more_than_its_share_of_what_is_left(self, plan: Plan) -> None:
        cohort = max(plan.cohorts, key=lambda c: len(c.trials))
        (part,) = next_parts([cohort], 1, load(cohort) / 2, load, plan)
        assert len(part.trials) < len(cohort.trials)

    def test_a_cohort_that_is_mostly_teacher_stays_whole(self, plan: Plan) -> None:
        cohort = next(c for c in plan.cohorts if c.teachers)

        def heavy(part: Cohort) -> float:
            return 1000.0 * len(part.teachers) + len(part.trials)

        assert next_parts([cohort], 2, 1.0, heavy, plan) == [cohort]

    def test_a_part_has_only_its_own_teachers_and_members_keep_their_order(self, plan: Plan) -> None:
        cohort = max(plan.cohorts, key=lambda c: len(c.trials))
        for half in halve(cohort, load, plan):
            assert list(half.trials) == [t for t in cohort.trials if t in half.trials]
            assert set(half.teachers) == {t for i in half.trials for t in plan.trials[i].teachers}
        assert part_of(cohort, cohort.trials, plan) == cohort


def test_a_lost_ctrl_c_ends_a_run_whose_workers_say_nothing(plan: Plan) -> None:
    """Python may lose ``KeyboardInterrupt``; the display is asked about it even when no event comes."""
    ticks: list[int] = []

    def tick() -> None:
        ticks.append(1)
        if len(ticks) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        schedule(plan, Mute(1), tick=tick)
    assert len(ticks) == 2


class Mute(Pretender):
    """Never reports, and never ends a job."""

    def submit(self, job: Job, report: Inbox) -> Future[None]:
        return Future()
