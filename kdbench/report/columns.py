"""The leaderboard's columns: their names, their headings and what they show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kdbench.analysis.task import metric_column, teacher_column, units
from kdbench.errors import KdbenchError, Location, did_you_mean
from kdbench.plan.trial import TaskInfo
from kdbench.report import cells
from kdbench.report.cells import Line
from kdbench.report.text import decimals, duration, milliseconds, percent, quantity, size, times
from kdbench.report.wording import Wording, metric_text

if TYPE_CHECKING:
    from kdbench.analysis.analysis import Analysis
    from kdbench.analysis.speeds import Setting
    from kdbench.suite.schema import Latency, ReportSpec


@dataclass(frozen=True)
class Column:
    """One column.

    Args:
        heading: its heading.
        key: the column of the standings that it is sorted by.
        cell: formats a row's cell.
        untrusted: whether it holds text from plugins and suites, which is escaped.
        lower_is_better: whether the best is the lowest (or the first in the alphabet).
        short: its heading in narrow tables, if another.
        brief: formats a row's cell in narrow tables, if otherwise.
    """

    heading: str
    key: str
    cell: Callable[[Line], str]
    untrusted: bool = False
    lower_is_better: bool = False
    short: str = ""
    brief: Callable[[Line], str] | None = None

    def narrow(self) -> Column:
        """Return the column as narrow tables show it."""
        return replace(self, heading=self.short or self.heading, cell=self.brief or self.cell)


def _low(heading: str, key: str, text: Callable[[float], str], short: str = "") -> Column:
    return Column(heading, key, cells.plain(key, text), lower_is_better=True, short=short)


def _high(heading: str, key: str, text: Callable[[float], str]) -> Column:
    return Column(heading, key, cells.plain(key, text))


def _text(heading: str, key: str, cell: Callable[[Line], str]) -> Column:
    return Column(heading, key, cell, untrusted=True, lower_is_better=True)


def columns_of(task: TaskInfo) -> dict[str, Column]:
    """Return a task's columns by name; those of metrics are named after them."""
    words = Wording(task)
    lower = not task.metrics[task.primary].higher_is_better
    return {
        "place": Column("place", "place", cells.place, lower_is_better=True),
        "first": _high("first %", "first_probability", lambda v: f"{100 * v:.0f}"),
        "method": _text("method", "label", cells.name),
        "family": _text("family", "family", cells.family),
        **_metrics(words),
        "default": Column(
            f"default{words.percent_sign}", f"default_{metric_column(task)}", cells.default(words), lower_is_better=lower
        ),
        "tuned": Column("tuned − default", "tuned_gain", cells.gain(words), lower_is_better=lower),
        "lead": Column("lead: validation → test", "validation_lead", cells.lead(words), lower_is_better=lower),
        "tuning": _low("tuning time", "tuning_seconds", duration),
        "delta": Column("Δ supervised", "delta", cells.delta("delta", words), lower_is_better=lower),
        "delta_kd": Column("Δ kd", "delta_kd", cells.delta("delta_kd", words), lower_is_better=lower),
        "networks": Column(
            f"Δ these trained networks (test {words.units})",
            f"delta_{words.units}_low",
            cells.networks(words),
            lower_is_better=lower,
        ),
        "gap": Column("gap closed %", "gap_closed", cells.gap),
        "effect": Column(
            "effect size", "effect_size", cells.plain("effect_size", lambda v: cells.rounded(v, "z.2f")), lower_is_better=lower
        ),
        "teacher": Column(
            f"teacher{words.percent_sign}",
            teacher_column(task),
            cells.plain(teacher_column(task), words.value),
            lower_is_better=lower,
        ),
        "agreement": _high("agreement %", "agreement", percent),
        "kl": _low("KL to teacher", "kl", decimals),
        "nll": _low("NLL", "nll", decimals),
        "ece": _low("ECE %", "ece", percent),
        "top5": _high("top-5 %", "top5", percent),
        "f1": _high("macro F1 %", "macro_f1", percent),
        "parameters": _low("parameters", "parameters", quantity, "params"),
        "macs": _low("MACs", "macs", quantity),
        "size": _low("size MB", "size_mb", size),
        "compression": _high("compression", "compression", times),
        "latency": Column("latency ms", "latency_ms", cells.reading("latency_ms", milliseconds), lower_is_better=True),
        "throughput": Column(f"{units(task)}/s", "throughput", cells.reading("throughput", quantity)),
        "test_set": Column("test set s", "test_set_seconds", cells.test_set, lower_is_better=True),
        "speedup": Column("speed-up", "speedup", cells.speedup),
        "efficiency": Column("efficiency", "efficiency", cells.efficiency),
        "time": _low("time", "wall_seconds", duration),
        "step": _low("step time", "step_ratio", lambda v: f"{v:.2f}×"),
        "extra": _low("extra parameters", "method_parameters", quantity),
        "note": _text("note", "error", cells.note),
    }


def columns_for(analysis: Analysis) -> dict[str, Column]:
    """Return all columns of a suite's records by name.

    Beside those of the task there is one for each latency setting and each metric of a plugin.
    """
    from kdbench.analysis.speeds import measured_settings

    found = columns_of(analysis.task)
    for setting in measured_settings(analysis.frame):
        found[setting.name] = _of_setting(setting, analysis.task)
    for key in plugin_metrics(analysis):
        found.setdefault(key, Column(key.replace("_", " "), key, cells.plain(key, lambda v: f"{v:.4g}".replace("-", "−"))))
    return found


def plugin_metrics(analysis: Analysis) -> list[str]:
    """Return the columns of the standings that hold metrics of plugins."""
    from kdbench.analysis.standings import plugin_columns

    table = analysis.standings
    return [name for name in plugin_columns(analysis.frame) if name in table and table[name].notna().any()]


def _of_setting(setting: Setting, task: TaskInfo) -> Column:
    """Return a setting's column: ms of one sample, or samples per second."""
    where = f"{setting.device} {setting.runtime}"
    if setting.batch_size == 1:
        return Column(f"{where}, ms", setting.column, cells.reading(setting.column, milliseconds), lower_is_better=True)
    heading = f"{where}, {units(task)}/s in batches of {setting.batch_size}"
    return Column(heading, setting.column, cells.reading(setting.column, quantity))


def _metrics(words: Wording) -> dict[str, Column]:
    task = words.task
    label = f"{words.metric}{words.percent_sign}"
    found = {
        task.primary: Column(
            f"test {label}",
            metric_column(task),
            cells.primary(words),
            lower_is_better=not task.metrics[task.primary].higher_is_better,
            short=label,
            brief=cells.primary(words, brief=True),
        )
    }
    for name, info in task.metrics.items():
        key = metric_column(task, "test", name)
        show = lambda v, percentage=info.percent: metric_text(v, percentage=percentage)  # noqa: E731
        label = f"{info.label}{' %' if info.percent else ''}"
        column = Column(f"test {label}", key, cells.plain(key, show), lower_is_better=not info.higher_is_better, short=label)
        found.setdefault(name, column)
    return found


def check_columns(
    names: Sequence[str], where: str = "", location: Location | None = None, known: Iterable[str] | None = None
) -> tuple[str, ...]:
    """Check names of columns, and return each once, a latency setting with its device.

    Args:
        names: names of columns.
        where: the option or key that names them, for the error: ``in --columns: ``.
        location: location in a file.
        known: names of the task's columns; by default, those of image classification.

    Raises:
        KdbenchError: a name is unknown.
    """
    known = tuple(columns_of(TaskInfo()) if known is None else known)
    found = [_known(name, known) for name in names]
    for name, column in zip(names, found, strict=True):
        if column is None:
            hint = did_you_mean(name, known) or f"; known are {', '.join(known)}"
            raise KdbenchError(f'{where}unknown column "{name}"{hint}', location)
    return tuple(dict.fromkeys(column for column in found if column is not None))


def _known(name: str, known: Sequence[str]) -> str | None:
    return name if name in known else next((k for k in known if k.partition("/")[2] == name), None)


def check_report(
    spec: ReportSpec,
    location: Callable[..., Location],
    task: TaskInfo | None = None,
    latency: Latency | bool = False,
    metrics: Iterable[str] = (),
) -> None:
    """Check a suite's settings for its report.

    Args:
        spec: ``report:`` of the suite.
        location: gives the location of a path of keys in the suite's file.
        task: the suite's task; image classification by default.
        latency: how the suite measures latency.
        metrics: names of plugins' metrics.

    Raises:
        KdbenchError: a column or a latency setting is unknown.
    """
    settings = setting_names(latency)
    known = (*columns_of(task or TaskInfo()), *settings, *metrics)
    for i, name in enumerate(spec.columns):
        check_columns([name], location=location("report", "columns", i), known=known)
    check_columns([spec.sort.removeprefix("-")], location=location("report", "sort"), known=known)
    if spec.latency is not None:
        check_latency(spec.latency, settings, location=location("report", "latency"))


def setting_names(latency: Latency | bool) -> list[str]:
    """Return the names of the settings in which a suite measures latency."""
    if isinstance(latency, bool):
        return []
    return [f"{d}/{r}@{b}" for d in latency.devices for r in latency.runtimes for b in latency.batch_sizes]


def check_latency(name: str, settings: Sequence[str], where: str = "", location: Location | None = None) -> None:
    """Check the name of a latency setting.

    Raises:
        KdbenchError: it is none of the settings.
    """
    if _known(name, settings) is None:
        short = dict.fromkeys(s.partition("/")[2] for s in settings)
        hint = did_you_mean(name, [*short, *settings]) or (f"; measured are {', '.join(settings)}" if settings else "")
        measured = "is not measured" if settings else "is not measured: this suite measures no latency"
        raise KdbenchError(f'{where}latency "{name}" {measured}{hint}', location)
