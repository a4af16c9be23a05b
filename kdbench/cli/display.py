"""What a run looks like while it goes on: one live display in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.progress import Progress as RichProgress
from rich.table import Table
from rich.text import Text

from kdbench.cli import interrupt
from kdbench.plan.trial import Cohort, Plan, Trial
from kdbench.results.record import Record
from kdbench.train.progress import Progress

MOST_MEMBERS = 8
"""A line of a log names so many members, of more only the worst and the best."""
MOST_ROWS = 20
"""The live display shows so many members."""


def make_display() -> Progress:
    """The live display in a terminal, plain lines elsewhere."""
    console = Console(stderr=True)
    return LiveDisplay(console) if console.is_terminal else PlainDisplay()


class Meter:
    """Counts samples, and tells rate and time left."""

    def __init__(self) -> None:
        self.total = 0.0
        self.done = 0.0
        self.samples = 0
        self.begin = time.monotonic()

    def start(self, total: float) -> None:
        """Begin a run of so much work."""
        self.total, self.done, self.samples, self.begin = total, 0.0, 0, time.monotonic()

    def batch(self, samples: int, work: float) -> None:
        """Count a batch: its samples times its members, and the work that it was."""
        self.samples += samples
        self.done += work

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return max(time.monotonic() - self.begin, 1e-9)

    @property
    def rate(self) -> float:
        """Samples a second since the start, all members counted."""
        return self.samples / self.seconds

    def left(self) -> str:
        """Time left, for people."""
        return duration((self.total - self.done) / self.done * self.seconds) if self.done else "?"


def duration(seconds: float) -> str:
    """Seconds for people: ``48 s``, ``3 min 20 s``, ``2 h 05 min``."""
    whole = round(max(seconds, 0))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _percent(metrics: Mapping[str, float], split: str) -> str:
    value = metrics.get(f"{split}_accuracy")
    return "–" if value is None else f"{100 * value:.2f}"


def counted(names: Sequence[str]) -> str:
    """Names on a line, points of one grid as their number: ``supervised, kd ×25``."""
    count = Counter(name.split("[")[0] for name in names)
    return ", ".join(
        f"{short} ×{count[short]}" if count[short] > 1 else next(n for n in names if n.split("[")[0] == short)
        for short in count
    )


class PlainDisplay(Progress):
    """One line an epoch of a cohort, for logs."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._meter = Meter()
        self._where = ""
        self._epochs = 0
        self._open: tuple[int, list[tuple[str, str]]] | None = None

    def suite_started(self, plan: Plan, done: Sequence[str], work: float) -> None:
        """Say how much there is to do."""
        self._names = plan.names()
        self._meter.start(work)
        self._say(f"suite {plan.suite}: {len(plan.trials)} trials in {len(plan.cohorts)} cohorts, {len(done)} finished before")

    def preparing(self, what: str) -> None:
        """Say what goes on."""
        self._say(what)

    def cohort_started(self, number: int, total: int, cohort: Cohort, labels: Sequence[str], epochs: int) -> None:
        """Say who trains now."""
        self._flush()
        self._where, self._epochs = f"cohort {number}/{total}", epochs
        self._say(f"{self._where}: {counted(labels)}; {epochs} epochs")

    def batch(self, epoch: int, samples: int, members: int, work: float) -> None:
        """Count, and print what the epoch before came to."""
        interrupt.check()
        self._flush()
        self._meter.batch(samples * members, work)

    def skipped(self, work: float) -> None:
        """Count."""
        self._meter.total -= work

    def epoch_finished(self, trial: Trial, epoch: int, metrics: Mapping[str, float]) -> None:
        """Gather the members of an epoch on one line."""
        if self._open is None or self._open[0] != epoch:
            self._flush()
            self._open = (epoch, [])
        split = "validation" if "validation_accuracy" in metrics else "test"
        self._open[1].append((_percent(metrics, split), self._names[trial.id]))

    def trial_finished(self, trial: Trial, record: Record) -> None:
        """Say so when a trial failed."""
        if record.failure is not None:
            self._flush()
            self._say(f"FAILED {self._names[trial.id]} (seed {trial.seed}): {record.failure.kind}: {record.failure.message}")

    def note(self, message: str) -> None:
        """Print."""
        self._say(message)

    def warn(self, message: str) -> None:
        """Print."""
        self._say(f"warning: {message}")

    def suite_finished(self) -> None:
        """Print what is still open."""
        self._flush()

    def _flush(self) -> None:
        if self._open is not None:
            epoch, members = self._open
            self._open = None
            self._say(
                f"{self._where} epoch {epoch}/{self._epochs}  {self._meter.rate:,.0f} images/s  {self._meter.left()} left  "
                f"accuracy %: {self._members(members)}"
            )

    @staticmethod
    def _members(members: Sequence[tuple[str, str]]) -> str:
        if len(members) <= MOST_MEMBERS:
            return ", ".join(f"{name} {accuracy}" for accuracy, name in members)
        known = sorted((float(accuracy), name) for accuracy, name in members if accuracy != "–")
        spread = f", from {known[0][0]:.2f} ({known[0][1]}) to {known[-1][0]:.2f} ({known[-1][1]})" if known else ""
        return f"{len(members)} members{spread}"

    @staticmethod
    def _say(message: str) -> None:
        print(message, file=sys.stderr, flush=True)


class _Rate(ProgressColumn):
    """Images a second and time left of the whole suite."""

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self._meter = meter

    def render(self, task: Task) -> Text:
        """Show the meter."""
        return Text(f"{self._meter.rate:,.0f} images/s · {self._meter.left()} left")


class LiveDisplay(Progress):
    """Bars for the suite and the cohort's epoch, and the members' latest numbers.

    Args:
        console: where it is drawn.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._names: dict[str, str] = {}
        self._meter = Meter()
        self._bars = RichProgress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
        )
        self._rate = RichProgress(TextColumn("  {task.description}"), _Rate(self._meter))
        self._suite = self._bars.add_task("suite", unit="cohorts", total=None)
        self._epoch = self._bars.add_task("epoch", unit="epochs", total=None, visible=False)
        self._rate.add_task("")
        self._rows: dict[str, list[str]] = {}
        self._live: Live | None = None

    def suite_started(self, plan: Plan, done: Sequence[str], work: float) -> None:
        """Open the display."""
        self._names = plan.names()
        self._meter.start(work)
        if work == 0:
            return
        self._console.print(f"suite {plan.suite}: {len(plan.trials)} trials, {len(done)} finished before", highlight=False)
        self._bars.update(self._suite, description=f"suite {plan.suite}", total=len(plan.cohorts))
        self._live = Live(get_renderable=self._render, console=self._console, refresh_per_second=4, transient=True)
        self._live.start()

    def preparing(self, what: str) -> None:
        """Say what goes on."""
        self._console.print(what, style="dim", highlight=False)

    def cohort_started(self, number: int, total: int, cohort: Cohort, labels: Sequence[str], epochs: int) -> None:
        """Begin a new table of members."""
        self._bars.update(self._suite, completed=number - 1, total=total)
        self._bars.update(self._epoch, description=f"cohort {number}", completed=0, total=epochs, visible=True)
        self._rows = {label: [label, "0", "–", "–", "–", "–"] for label in labels}

    def batch(self, epoch: int, samples: int, members: int, work: float) -> None:
        """Count."""
        interrupt.check()
        self._meter.batch(samples * members, work)
        self._bars.update(self._epoch, completed=epoch)

    def skipped(self, work: float) -> None:
        """Count."""
        self._meter.total -= work

    def epoch_finished(self, trial: Trial, epoch: int, metrics: Mapping[str, float]) -> None:
        """Update a member's row."""
        loss = metrics.get("loss")
        label = self._names[trial.id]
        self._rows[label] = [
            label,
            str(epoch),
            "–" if loss is None else f"{loss:.4f}",
            *(_percent(metrics, split) for split in ("train", "validation", "test")),
        ]
        self._bars.update(self._epoch, completed=epoch)

    def trial_finished(self, trial: Trial, record: Record) -> None:
        """Leave a line about each trial behind."""
        name = f"{self._names[trial.id]} (seed {trial.seed})"
        if record.failure is not None:
            self._console.print(
                f"✗ {name}: {record.failure.kind}: {record.failure.message}", style="red", highlight=False, markup=False
            )
        else:
            accuracy = _percent({f"test_{name}": value for name, value in record.metrics.get("test", {}).items()}, "test")
            self._console.print(f"✓ {name}: {accuracy} % test accuracy", highlight=False, markup=False)

    def note(self, message: str) -> None:
        """Print above the display."""
        self._console.print(message, highlight=False, markup=False)

    def warn(self, message: str) -> None:
        """Print above the display."""
        self._console.print(f"warning: {message}", style="yellow", highlight=False, markup=False)

    def suite_finished(self) -> None:
        """Close the display."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _render(self) -> RenderableType:
        table = Table(box=None, padding=(0, 2, 0, 2), header_style="dim")
        table.add_column("member")
        for name in ("epoch", "loss", "train %", "val %", "test %"):
            table.add_column(name, justify="right")
        for row in list(self._rows.values())[:MOST_ROWS]:
            table.add_row(*(Text(cell) for cell in row))
        if len(self._rows) > MOST_ROWS:
            table.add_row(Text(f"… and {len(self._rows) - MOST_ROWS} more"))
        return Group(self._bars, self._rate, table)
