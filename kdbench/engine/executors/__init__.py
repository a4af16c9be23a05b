"""Executors, which run jobs.

This process and worker processes are built in; a cluster is a plugin.

The shape is that of ``concurrent.futures``, submitit and dask: ``submit`` takes a job and returns a future. A
wrapper of one of them submits :func:`kdbench.engine.worker.work` with the job, and passes on the events that
come back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from kdbench.plugins.hookspecs import hookimpl

if TYPE_CHECKING:
    from kdbench.engine.events import Report
    from kdbench.engine.job import Job
    from kdbench.engine.resources import Resources
    from kdbench.plugins.manager import Registry
    from kdbench.results.record import Failure


class WorkerDied(Exception):
    """Trials of a job failed because workers died, or were ended.

    Args:
        message: why.
        failures: by trial; without them, all trials of the job failed that have not ended.
    """

    def __init__(self, message: str, failures: Mapping[str, Failure] | None = None) -> None:
        super().__init__(message)
        self.failures = failures


class Executor(Protocol):
    """Runs jobs."""

    @property
    def slots(self) -> int:
        """Number of jobs that run at the same time; further ones wait."""

    def open(self, resources: Resources) -> None:
        """Prepare for the first job; called once, with the main process's resources.

        The executor may keep them, share them, or ignore them.
        """

    def submit(self, job: Job, report: Report) -> Future[None]:
        """Run a job.

        Args:
            job: the job; the executor may change ``device``, ``threads``, ``data_file`` and ``objects`` to
                suit its workers.
            report: receives events, from any thread; the last one comes before the future is done.

        Returns:
            A future that is done when every trial of the job has a record. Its exception is
            :class:`WorkerDied`, or the one that ended the job.
        """

    def close(self) -> None:
        """Stop running jobs soon, and do not start waiting ones.

        Afterwards no process or temporary file remains. It may be called more than once.
        """


@dataclass(frozen=True)
class ExecutorSettings:
    """The user's settings for running jobs.

    Args:
        name: name of the executor; ``None`` for ``local`` with one job, and ``processes`` with several or
            with ``trial_minutes``.
        jobs: number of jobs that run at the same time; ``None`` leaves the choice to kdbench.
        device: device that networks train on: ``cpu``, ``cuda`` (all GPUs), ``cuda:1``.
        threads: number of torch's CPU threads in each worker; ``None`` leaves the choice to kdbench.
        trial_minutes: the longest time that a trial may train; ``None`` for no limit. Only an executor that
            can kill its workers can enforce it.
    """

    name: str | None = None
    jobs: int | None = 1
    device: str = "cpu"
    threads: int | None = None
    trial_minutes: float | None = None

    @property
    def suitable(self) -> str:
        """Name of the executor: the user's, or the one that suits the settings."""
        return self.name or ("local" if self.jobs == 1 and self.trial_minutes is None else "processes")


ExecutorFactory = Callable[[ExecutorSettings], Executor]


def local(settings: ExecutorSettings) -> Executor:
    """Create the executor that runs jobs in this process."""
    from kdbench.engine.executors.local import LocalExecutor

    return LocalExecutor(settings)


def processes(settings: ExecutorSettings) -> Executor:
    """Create the executor that runs jobs in worker processes on this machine."""
    from kdbench.engine.executors.processes import ProcessExecutor

    return ProcessExecutor(settings)


BUILT_IN: Mapping[str, ExecutorFactory] = {"local": local, "processes": processes}


def early_executor(settings: ExecutorSettings) -> Executor | None:
    """Create the executor early, before any plugin is loaded, if that is possible.

    Its workers can then start while the plan is made.
    """
    name = settings.suitable
    return BUILT_IN[name](settings) if settings.jobs is not None and name in BUILT_IN else None


def make_executor(settings: ExecutorSettings, registry: Registry, suitable_jobs: int) -> Executor:
    """Create the executor.

    Args:
        settings: the user's settings.
        registry: all plugins, which include the executors.
        suitable_jobs: number of jobs that run at the same time, if the settings leave it open.

    Raises:
        PluginError: no executor has the given name.
    """
    from kdbench.method.guard import Guard

    settings = replace(settings, jobs=settings.jobs or suitable_jobs)
    factory = registry.find("executor", registry.executors, settings.suitable)
    with Guard().calling(f'executor "{settings.suitable}"', "its factory"):
        executor: Executor = factory(settings)
    return executor


@hookimpl
def kdbench_executors() -> Mapping[str, ExecutorFactory]:
    """Provide the built-in executors."""
    return BUILT_IN
