"""The scheduler, which assigns ready cohorts to free slots along the trials' DAG."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future

from kdbench.engine.executors import Executor
from kdbench.engine.job import Job, part_of
from kdbench.engine.monitor import Inbox
from kdbench.plan.trial import Cohort, Plan

GAIN = 0.8
"""A cohort is halved only if each half has at most this share of its work.

Teachers run in both halves.
"""
PATIENCE = 0.5
"""Longest sleep in seconds, so that a signal is noticed on every system."""

Load = Callable[[Cohort], float]


class Scheduler:
    """Runs the cohorts of a plan.

    Args:
        plan: the plan.
        executor: runs the jobs in its slots.
        make_job: creates the job of a cohort, or of a part of one.
        load: estimates the work of a cohort or a part.
        inbox: takes the workers' events.
        started: called when a job is about to be submitted, with the number of its cohort (from 1) and the
            job.
        ended: called when a job has ended, with the job and its error (or ``None``); an exception that it
            raises ends the run.
        tick: called about twice a second while jobs run; an exception that it raises ends the run.
    """

    def __init__(
        self,
        plan: Plan,
        executor: Executor,
        make_job: Callable[[Cohort], Job],
        load: Load,
        inbox: Inbox,
        started: Callable[[int, Job], None],
        ended: Callable[[Job, BaseException | None], None],
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        self._plan = plan
        self._executor = executor
        self._make_job = make_job
        self._load = load
        self._inbox = inbox
        self._started = started
        self._ended = ended
        self._tick = tick
        self._number = {t: n for n, cohort in enumerate(plan.cohorts, 1) for t in cohort.trials}

    def run(self, trials: Collection[str]) -> None:
        """Run all cohorts, restricted to ``trials``; return when all have ended."""
        waiting = list(self._plan.cohorts)
        pending = set(trials)  # trials that have not ended
        running: dict[Future[None], Job] = {}
        waiting = _without(waiting, lambda t: t not in pending, self._plan)
        while waiting or running:
            free = self._executor.slots - len(running)
            ready = [c for c in waiting if pending.isdisjoint(c.teachers)]
            limit = sum(map(self._load, waiting)) / self._executor.slots
            for cohort in next_parts(ready, free, limit, self._load, self._plan) if free else ():
                taken = set(cohort.trials)
                waiting = _without(waiting, lambda t, taken=taken: t in taken, self._plan)  # type: ignore[misc]
                job = self._make_job(cohort)
                self._started(self._number[cohort.trials[0]], job)
                future = self._executor.submit(job, self._inbox)
                running[future] = job
                future.add_done_callback(self._inbox.wake)
            self._inbox.wait(PATIENCE)
            self._tick()
            for future in [f for f in running if f.done()]:
                self._inbox.wait(0)  # its last events
                job = running.pop(future)
                pending.difference_update(job.cohort.trials)
                self._ended(job, future.exception())


def next_parts(ready: Sequence[Cohort], free: int, limit: float, load: Load, plan: Plan) -> list[Cohort]:
    """Choose what free slots take next: whole cohorts, or parts of them.

    Cohorts are split where slots would otherwise be idle, now or at the end.

    A trial's results do not depend on its cohort, to the bit, so cohorts may be split freely; but
    teachers run in every part.

    Args:
        ready: cohorts whose teachers have finished, in the order of the plan.
        free: number of free slots.
        limit: largest work of a part: a slot that takes more than its share of the remaining work keeps the
            others waiting.
        load: estimates the work of a cohort.
        plan: the plan.
    """
    parts = list(ready)
    whole: set[Cohort] = set()
    while candidates := [c for c in parts if c not in whole and len(c.trials) > 1 and (len(parts) < free or load(c) > limit)]:
        largest = max(candidates, key=load)
        halves = halve(largest, load, plan)
        if max(map(load, halves)) > GAIN * load(largest):
            whole.add(largest)
            continue
        at = parts.index(largest)
        parts[at : at + 1] = halves
    return parts[:free]


def halve(cohort: Cohort, load: Load, plan: Plan) -> tuple[Cohort, Cohort]:
    """Split a cohort into two parts of about equal work; members keep their order."""
    own = {t: load(part_of(cohort, [t], plan)) for t in cohort.trials}
    sides: tuple[list[str], list[str]] = ([], [])
    for trial in sorted(cohort.trials, key=lambda t: -own[t]):
        min(sides, key=lambda side: sum(own[t] for t in side)).append(trial)
    first, second = (part_of(cohort, sorted(side, key=cohort.trials.index), plan) for side in sides)
    return first, second


def _without(cohorts: Iterable[Cohort], gone: Callable[[str], bool], plan: Plan) -> list[Cohort]:
    """Return cohorts without the trials that are gone; leave out empty cohorts."""
    left = ((c, [t for t in c.trials if not gone(t)]) for c in cohorts)
    return [part_of(c, trials, plan) for c, trials in left if trials]
