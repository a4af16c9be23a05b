"""What a run looks like while it goes on: one live display in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.progress import Progress as RichProgress
from rich.table import Table
from rich.text import Text

from kdbench.cli import interrupt
from kdbench.engine.progress import Progress
from kdbench.plan.trial import Cohort, Plan, Trial
from kdbench.results.record import Record

MOST_MEMBERS = 8
"""A line of a log names at most this many members; of more, only the worst and the best."""
MOST_ROWS = 20
"""Most members that the live display shows."""


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
        """Begin a run with this much work ahead."""
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


@dataclass
class _Running:
    """A cohort in training: what its line of the log begins with, and who has finished the epoch that is open."""

    name: str
    epochs: int
    epoch: int = 0
    members: list[tuple[str, str]] = field(default_factory=list)


class PlainDisplay(Progress):
    """One line an epoch of a cohort, for logs."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._meter = Meter()
        self._running: dict[str, _Running] = {}  # by trial

    def suite_started(self, plan: Plan, done: Sequence[str], work: float) -> None:
        """Say how much there is to do."""
        self._names = plan.names()
        self._meter.start(work)
        self._say(f"suite {plan.suite}: {len(plan.trials)} trials in {len(plan.cohorts)} cohorts, {len(done)} finished before")

    def preparing(self, what: str) -> None:
        """Say what goes on."""
        self._say(what)

    def cohort_started(self, name: str, cohort: Cohort, labels: Sequence[str], epochs: int) -> None:
        """Say what trains now."""
        self._running.update(dict.fromkeys(cohort.trials, _Running(name, epochs)))
        self._say(f"{name}: {counted(labels)}; {epochs} epochs")

    def batch(self, trials: Sequence[str], epoch: int, samples: int, work: float) -> None:
        """Count, and print the results of the epoch before."""
        interrupt.check()
        self._flush(*trials)
        self._meter.batch(samples * len(trials), work)

    def skipped(self, work: float) -> None:
        """Count."""
        self._meter.total -= work

    def epoch_finished(self, trial: Trial, epoch: int, metrics: Mapping[str, float]) -> None:
        """Gather the members of an epoch on one line."""
        running = self._running.setdefault(trial.id, _Running("", 0))
        if running.epoch != epoch:
            self._flush(trial.id)
            running.epoch = epoch
        split = "validation" if "validation_accuracy" in metrics else "test"
        running.members.append((_percent(metrics, split), self._names[trial.id]))

    def trial_finished(self, trial: Trial, record: Record) -> None:
        """Say so when a trial failed."""
        if record.failure is not None:
            self._flush(trial.id)
            self._say(f"FAILED {self._names[trial.id]} (seed {trial.seed}): {record.failure.kind}: {record.failure.message}")

    def cohort_finished(self, cohort: Cohort) -> None:
        """Print the results of the last epoch."""
        self._flush(*cohort.trials)

    def note(self, message: str) -> None:
        """Print."""
        self._say(message)

    def warn(self, message: str) -> None:
        """Print."""
        self._say(f"warning: {message}")

    def suite_finished(self) -> None:
        """Print what is still open."""
        self._flush(*self._running)

    def _flush(self, *trials: str) -> None:
        for trial in trials:
            running = self._running.get(trial)
            if running is None or not running.members:
                continue
            members, running.members = running.members, []
            self._say(
                f"{running.name} epoch {running.epoch}/{running.epochs}  {self._meter.rate:,.0f} images/s"
                f"  {self._meter.left()} left  accuracy %: {self._members(members)}"
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
        self._suite = self._bars.add_task("suite", unit="trials", total=None)
        self._rate.add_task("")
        self._epochs: dict[str, TaskID] = {}  # by trial: the bar of its cohort
        self._rows: dict[str, list[str]] = {}  # by trial
        self._live: Live | None = None

    def suite_started(self, plan: Plan, done: Sequence[str], work: float) -> None:
        """Open the display."""
        self._names = plan.names()
        self._meter.start(work)
        if work == 0:
            return
        self._console.print(f"suite {plan.suite}: {len(plan.trials)} trials, {len(done)} finished before", highlight=False)
        self._bars.update(self._suite, description=f"suite {plan.suite}", completed=len(done), total=len(plan.trials))
        self._live = Live(get_renderable=self._render, console=self._console, refresh_per_second=4, transient=True)
        self._live.start()

    def preparing(self, what: str) -> None:
        """Say what goes on."""
        self._console.print(what, style="dim", highlight=False)

    def cohort_started(self, name: str, cohort: Cohort, labels: Sequence[str], epochs: int) -> None:
        """Show its members and a bar."""
        self._epochs.update(dict.fromkeys(cohort.trials, self._bars.add_task(name, unit="epochs", total=epochs)))
        self._rows.update({t: [label, "0", "–", "–", "–", "–"] for t, label in zip(cohort.trials, labels, strict=True)})

    def batch(self, trials: Sequence[str], epoch: int, samples: int, work: float) -> None:
        """Count."""
        interrupt.check()
        self._meter.batch(samples * len(trials), work)
        self._bars.update(self._epochs[trials[0]], completed=epoch)

    def skipped(self, work: float) -> None:
        """Count."""
        self._meter.total -= work

    def epoch_finished(self, trial: Trial, epoch: int, metrics: Mapping[str, float]) -> None:
        """Update a member's row."""
        loss = metrics.get("loss")
        self._rows[trial.id] = [
            self._names[trial.id],
            str(epoch),
            "–" if loss is None else f"{loss:.4f}",
            *(_percent(metrics, split) for split in ("train", "validation", "test")),
        ]
        self._bars.update(self._epochs[trial.id], completed=epoch)

    def trial_finished(self, trial: Trial, record: Record) -> None:
        """Leave a line about each trial behind."""
        self._bars.advance(self._suite)
        name = f"{self._names[trial.id]} (seed {trial.seed})"
        if record.failure is not None:
            self._console.print(
                f"✗ {name}: {record.failure.kind}: {record.failure.message}", style="red", highlight=False, markup=False
            )
        else:
            accuracy = _percent({f"test_{name}": value for name, value in record.metrics.get("test", {}).items()}, "test")
            self._console.print(f"✓ {name}: {accuracy} % test accuracy", highlight=False, markup=False)

    def cohort_finished(self, cohort: Cohort) -> None:
        """Hide its members and its bar."""
        for trial in cohort.trials:
            self._rows.pop(trial, None)
        if (bar := self._epochs.get(cohort.trials[0])) is not None:
            self._bars.remove_task(bar)

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
