"""What a suite or an option may name: what each thing is and takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

    from kdbench.plugins.registry import Registry


@dataclass(frozen=True)
class Listing:
    """A table.

    Args:
        headings: the columns' headings; none for a plain list of names.
        rows: the rows; the first cell is the name.
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def matching(self, pattern: str | None) -> Listing:
        """Return the rows whose name contains a text, or fits a pattern."""
        if pattern is None:
            return self
        glob = pattern if any(c in pattern for c in "*?[") else f"*{pattern}*"
        return Listing(self.headings, tuple(row for row in self.rows if fnmatch(row[0].lower(), glob.lower())))


def methods(registry: Registry) -> Listing:
    """List methods with their parameters."""
    from kdbench.method.create import params_class

    rows = ((name, c.family, c.describe(), _parameters(params_class(c))) for name, c in registry.methods.items())
    return Listing(("method", "family", "what", "parameters"), tuple(rows))


def models(registry: Registry) -> Listing:
    """List models: those of kdbench and of plugins first, then timm's."""
    from kdbench.models.factory import model_names

    own = list(registry.models)
    return Listing((), tuple((name,) for name in dict.fromkeys([*own, *model_names(registry.models)])))


def datasets(registry: Registry) -> Listing:
    """List data sets with their options."""
    from kdbench.suite.docstrings import arguments

    rows: list[tuple[str, ...]] = []
    for name, cls in registry.datasets.items():
        rows.append((name, "", cls.title or _summary(cls)))
        told = arguments(cls.Options)
        rows += [("", option, told.get(option, "")) for option in cls.Options.model_fields]
    return Listing(("data set", "option", "what"), tuple(rows))


def tasks(registry: Registry) -> Listing:
    """List tasks with their units and metrics."""
    rows = ((n, t.unit, ", ".join(t.metrics), _summary(t)) for n, t in registry.tasks.items())
    return Listing(("task", "unit", "metrics", "what"), tuple(rows))


def metrics(registry: Registry) -> Listing:
    """List metrics: of the tasks, of every classification, and of plugins."""
    rows = [
        (name, f"task {task.name}", _one_line(metric.function))
        for task in registry.tasks.values()
        for name, metric in task.metrics.items()
    ]
    rows += [(name, "stored predictions", text) for name, text in SCORES.items()]
    rows += [(name, "plugin", _one_line(function)) for name, function in registry.metrics.items()]
    return Listing(("metric", "of", "what"), tuple(rows))


def formats(registry: Registry) -> Listing:
    """List the formats of reports."""
    rows = ((name, _one_line(function)) for name, function in registry.reporters.items())
    return Listing(("format", "what"), tuple(rows))


def executors(registry: Registry) -> Listing:
    """List what trains cohorts."""
    return Listing(("executor", "what"), tuple((n, _one_line(f)) for n, f in registry.executors.items()))


def columns() -> Listing:
    """List the columns of leaderboards of image classification."""
    from kdbench.plan.trial import TaskInfo
    from kdbench.report.columns import columns_of
    from kdbench.report.legend import GENERAL

    rows = []
    for name, column in columns_of(TaskInfo()).items():
        told = GENERAL.get(name, "").partition(": ")[2] or COLUMNS.get(name, "")
        rows.append((name, column.heading, told))
    return Listing(("column", "heading", "what"), tuple(rows))


def suites() -> Listing:
    """List the suites that come with kdbench."""
    from kdbench.suite.load import packaged_suites

    return Listing((), tuple((name,) for name in packaged_suites()))


def optimizers() -> Listing:
    """List timm's optimizers."""
    from timm.optim import list_optimizers

    described = list_optimizers(with_description=True)
    return Listing(("optimizer", "what"), tuple((name, " ".join(text.split())) for name, text in described))


def schedules() -> Listing:
    """List learning-rate schedules."""
    from kdbench.suite.resolve import SCHEDULES

    return Listing((), tuple((name,) for name in SCHEDULES))


OF_PLUGINS: Mapping[str, Callable[[Registry], Listing]] = {
    "methods": methods,
    "models": models,
    "datasets": datasets,
    "tasks": tasks,
    "metrics": metrics,
    "formats": formats,
    "executors": executors,
}
"""Kinds that plugins may provide."""

OF_KDBENCH: Mapping[str, Callable[[], Listing]] = {
    "suites": suites,
    "columns": columns,
    "optimizers": optimizers,
    "schedules": schedules,
}
"""The other kinds, for which no plugin is imported."""

SCORES = {
    "nll": "Mean negative log-likelihood, nats.",
    "ece": "Expected calibration error of the highest probability, 15 bins, in [0, 1].",
    "top5": "Share of samples with the true class among the five highest, if there are more than five classes.",
    "macro_precision": "Mean precision of the classes.",
    "macro_recall": "Mean recall of the classes.",
    "macro_f1": "Mean F1 score of the classes.",
}
"""Scores that are computed from stored predictions of every classification."""

COLUMNS = {
    "place": "the places that the data allow (simultaneous 95 % confidence sets of ranks)",
    "method": "name of the row",
    "family": "the method's family",
    "accuracy": "mean over seeds, with their standard deviation, or with an interval for a single seed",
    "delta": "difference to the student trained alone, with the simultaneous 95 % interval",
    "delta_kd": "the same against the row kd",
    "networks": "difference of the very networks that were trained, with an interval over test samples",
    "gap": "share of the teacher's lead that the row closes, with the simultaneous 95 % interval",
    "teacher": "mean test accuracy of the row's teachers",
    "top5": "share of samples with the true class among the five highest",
    "f1": "mean F1 score of the classes",
    "parameters": "number of parameters of the deployed network",
    "latency": "median time of a forward pass of a batch",
    "test_set": "time for all test samples at the largest batch measured",
    "efficiency": "accuracy in percent / (size in MB × latency in ms)",
    "note": "what is wrong with the row, if anything",
}
"""What columns are that the legend of a report explains by its numbers."""


def _parameters(model: type[BaseModel]) -> str:
    fields = model.model_fields.items()
    return ", ".join(name if f.is_required() else f"{name}={f.get_default(call_default_factory=True)}" for name, f in fields)


def _summary(cls: type[Any]) -> str:
    from kdbench.suite.docstrings import summary

    return summary(cls)


def _one_line(function: object) -> str:
    """Return the first line of a docstring, without quotes of code."""
    text = inspect.cleandoc(getattr(function, "__doc__", None) or "")
    return text.partition("\n")[0].replace("``", "")
