"""Every hook of kdbench, on one page.

A plugin is a module (or object) with functions named like these, marked with ``kdbench.hookimpl``.
kdbench finds it through the entry-point group ``kdbench`` (as it finds its own methods, models and data
sets), as a file named by ``--plugin FILE.py`` or by ``plugins:`` in a suite, or as an object passed in
Python. A file that only defines Method, Dataset or Task classes does not need a hook. If two plugins
claim the same name, the error names both. A hook may leave out arguments that it does not use.

Hooks that provide things return iterables or mappings. Hooks for events return nothing, and must not change
their arguments. An exception in an event hook is reported as a warning that names the plugin; the trial goes
on, and the other plugins still receive the event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdbench.method import Method

hookspec = pluggy.HookspecMarker("kdbench")
hookimpl = pluggy.HookimplMarker("kdbench")


@hookspec
def kdbench_methods() -> Iterable[type[Method]]:  # type: ignore[empty-body]
    """Return method classes; each is known by its ``name``."""


@hookspec
def kdbench_models() -> Mapping[str, Callable[..., nn.Module]]:  # type: ignore[empty-body]
    """Return model factories by name.

    A factory takes ``num_classes``, ``in_chans`` and the suite's ``kwargs``. Factories take precedence over
    timm's models of the same name; to use one in ``timm.create_model`` too, register it with timm as well
    (``timm.models.register_model``).
    """


@hookspec
def kdbench_datasets() -> Iterable[type[Any]]:  # type: ignore[empty-body]
    """Return subclasses of ``kdbench.Dataset``; each is known by its ``name``."""


@hookspec
def kdbench_tasks() -> Iterable[type[Any]]:  # type: ignore[empty-body]
    """Return subclasses of ``kdbench.Task``; each is known by its ``name``."""


@hookspec
def kdbench_metrics() -> Mapping[str, Callable[[Tensor, Tensor], float]]:  # type: ignore[empty-body]
    """Return metrics by name.

    A metric is a function of test logits (float32, N×C) and targets (int64, N). Its value is stored in each
    record.
    """


@hookspec
def kdbench_executors() -> Mapping[str, Any]:  # type: ignore[empty-body]
    """Return executor factories by name.

    A factory takes ``ExecutorSettings`` and returns an ``Executor``, see :mod:`kdbench.engine.executors`.
    """


@hookspec
def kdbench_reporters() -> Mapping[str, Callable[[Any, Path], list[Path]]]:  # type: ignore[empty-body]
    """Return report formats by name.

    A format is a function of (report, folder) that writes files into the folder and returns their paths.
    ``report`` is a ``kdbench.report.report.Report``: ``report.standings`` is the leaderboard in raw
    numbers, ``report.rows`` has a row per trial, ``report.charts`` holds the figures, and
    ``report.plan.task`` names the metrics.
    """


@hookspec
def kdbench_trial_started(trial: Any) -> None:
    """Called when a trial begins or resumes after an interruption.

    ``trial`` is a ``kdbench.plan.trial.Trial``.
    """


@hookspec
def kdbench_epoch_finished(trial: Any, epoch: int, metrics: Mapping[str, float]) -> None:
    """Called when an epoch of a trial was trained, evaluated and checkpointed.

    ``metrics`` is the epoch's row of ``history.csv``.
    """


@hookspec
def kdbench_trial_finished(trial: Any, record: Any) -> None:
    """Called when a trial has finished or failed.

    ``record``, a ``kdbench.results.record.Record``, is already stored.
    """


@hookspec
def kdbench_suite_finished(plan: Any, records: Mapping[str, Any]) -> None:
    """Called when all trials of a suite have ended.

    ``records`` maps trial ids to records.
    """
