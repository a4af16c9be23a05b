"""Jobs in this process, one after the other."""

from __future__ import annotations

from concurrent.futures import Future

from kdbench.engine.events import Report
from kdbench.engine.executors import ExecutorSettings
from kdbench.engine.job import Job
from kdbench.engine.resources import Resources
from kdbench.engine.worker import work


class LocalExecutor:
    """Runs a job while it is being submitted.

    Args:
        settings: the user's settings.
    """

    slots = 1

    def __init__(self, settings: ExecutorSettings = ExecutorSettings()) -> None:  # noqa: B008 (frozen)
        self._threads = settings.threads
        self._resources: Resources | None = None

    def open(self, resources: Resources) -> None:
        """Keep the open resources for the jobs."""
        self._resources = resources

    def submit(self, job: Job, report: Report) -> Future[None]:
        """Run the job; ``KeyboardInterrupt`` passes through."""
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()
        try:
            work(job.model_copy(update={"threads": self._threads}), report, self._resources)
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(None)
        return future

    def close(self) -> None:
        """Release the resources."""
        self._resources = None
