"""Jobs in this process, one after the other."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace

from kdbench.engine.attempts import attempt, deaths, forget
from kdbench.engine.events import Event, Report, TrialEnded
from kdbench.engine.executors import Executor, ExecutorSettings, WorkerDied, processes
from kdbench.engine.executors.isolation import LIVES
from kdbench.engine.job import Job
from kdbench.engine.resources import Resources
from kdbench.engine.worker import work


class LocalExecutor:
    """Runs a job while it is being submitted.

    A job whose trials ended processes before runs in a worker process, where the one that did it is found.

    Args:
        settings: the user's settings.
    """

    slots = 1

    def __init__(self, settings: ExecutorSettings = ExecutorSettings()) -> None:  # noqa: B008 (frozen)
        self._settings = settings
        self._resources: Resources | None = None
        self._isolated: Executor | None = None

    def open(self, resources: Resources) -> None:
        """Keep the open resources for the jobs."""
        self._resources = resources

    def submit(self, job: Job, report: Report) -> Future[None]:
        """Run the job; ``KeyboardInterrupt`` passes through."""
        assert self._resources is not None
        store, trials = self._resources.store, job.cohort.trials
        if job.suspects or any(deaths(store, t) >= LIVES for t in trials):
            return self._isolate(job, report)
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()
        ended: set[str] = set()

        def note(event: Event) -> None:
            if isinstance(event, TrialEnded):
                ended.add(event.record.trial.id)
            report(event)

        try:
            with attempt(store, trials, ended):
                work(job.model_copy(update={"threads": self._settings.threads}), note, self._resources)
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(None)
        return future

    def close(self) -> None:
        """Release the resources."""
        self._resources = None
        if self._isolated is not None:
            self._isolated.close()

    def _isolate(self, job: Job, report: Report) -> Future[None]:
        """Run the job in a worker process."""
        assert self._resources is not None
        if self._isolated is None:
            self._isolated = processes(replace(self._settings, jobs=1))
            self._isolated.open(self._resources)
        store = self._resources.store

        def ended(future: Future[None]) -> None:
            error = future.exception()
            if error is None or (isinstance(error, WorkerDied) and error.failures):
                for trial in job.cohort.trials:
                    forget(store, trial)

        future = self._isolated.submit(job, report)
        future.add_done_callback(ended)
        return future
