"""Every hook of kdbench, on one page.

A plugin is a module (or object) with functions named like these, marked with ``kdbench.hookimpl``. It is found through the
entry-point group ``kdbench`` (kdbench's own methods, models and data sets are), as a file named by ``--plugin FILE.py`` or by
``plugins:`` in a suite, or handed over as an object in Python. A file that only defines Method, Dataset or Task classes needs no hook.
Two plugins that claim one name are an error that names both. A hook may leave out arguments that it does not use.

Hooks that provide things return iterables or mappings; hooks that are events return nothing, and must not change what
they are given. An exception in an event is reported as a warning that names the plugin; it never costs a trial, and the other
plugins still receive the event.
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

    A factory takes ``num_classes``, ``in_chans`` and the suite's ``kwargs``. It is asked before timm; registering the name
    with timm (``timm.models.register_model``) as well makes it usable in ``timm.create_model``.
    """


@hookspec
def kdbench_datasets() -> Iterable[type[Any]]:  # type: ignore[empty-body]
    """Return subclasses of ``kdbench.Dataset``; each is known by its ``name``."""


@hookspec
def kdbench_tasks() -> Iterable[type[Any]]:  # type: ignore[empty-body]
    """Return subclasses of ``kdbench.Task``; each is known by its ``name``."""


@hookspec
def kdbench_metrics() -> Mapping[str, Callable[[Tensor, Tensor], float]]:  # type: ignore[empty-body]
    """Return metrics by name: functions of test logits (float32, N×C) and targets (int64, N), kept with each record."""


@hookspec
def kdbench_executors() -> Mapping[str, Any]:  # type: ignore[empty-body]
    """Return executors by name: functions of ``ExecutorSettings`` that make an ``Executor`` (see :mod:`kdbench.engine.executors`)."""


@hookspec
def kdbench_reporters() -> Mapping[str, Callable[[Any, Path], list[Path]]]:  # type: ignore[empty-body]
    """Return report formats by name: functions of (report, folder) that write files into the folder, and return their paths.

    ``report`` is a ``kdbench.report.report.Report``: ``report.standings`` is the leaderboard in raw numbers, ``report.rows`` has
    a row a trial, ``report.charts`` holds the figures, ``report.plan.task`` says what the metrics are called.
    """


@hookspec
def kdbench_trial_started(trial: Any) -> None:
    """A trial begins, or goes on after an interruption. ``trial`` is a ``kdbench.plan.trial.Trial``."""


@hookspec
def kdbench_epoch_finished(trial: Any, epoch: int, metrics: Mapping[str, float]) -> None:
    """An epoch of a trial is trained, evaluated and checkpointed. ``metrics`` is its row of ``history.csv``."""


@hookspec
def kdbench_trial_finished(trial: Any, record: Any) -> None:
    """A trial ended, well or not; ``record`` (``kdbench.results.record.Record``) is stored by now."""


@hookspec
def kdbench_suite_finished(plan: Any, records: Mapping[str, Any]) -> None:
    """All trials of a suite ended; ``records`` maps trial ids to records."""
