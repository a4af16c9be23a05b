"""One live display in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.progress import Progress as RichProgress
from rich.table import Table
from rich.text import Text

from kdbench.api import interrupt
from kdbench.api.progress.meter import Meter
from kdbench.api.progress.rows import Rows
from kdbench.api.progress.words import Words
from kdbench.engine.progress import Progress
from kdbench.plan.trial import Cohort, Plan, Trial
from kdbench.results.record import Record


class _Rate(ProgressColumn):
    """Rate and remaining time of the whole suite.

    Args:
        display: the display whose meter it shows.
    """

    def __init__(self, display: LiveDisplay) -> None:
        super().__init__()
        self._display = display

    def render(self, task: Task) -> Text:
        """Show the meter."""
        return Text(self._display.rate())


class LiveDisplay(Progress):
    """Bars for the suite and each cohort's epochs, and the members' latest numbers.

    Args:
        console: the terminal to draw on.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._words = Words()
        self._rows = Rows(self._words)
        self._meter = Meter()
        self._bars = RichProgress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
        )
        self._rate = RichProgress(TextColumn("  {task.description}"), _Rate(self))
        self._suite = self._bars.add_task("suite", unit="trials", total=None)
        self._rate.add_task("")
        self._epochs: dict[str, TaskID] = {}  # by trial: the bar of its cohort
        self._live: Live | None = None

    def rate(self) -> str:
        """Return the rate and the remaining time as text."""
        return f"{self._meter.rate:,.0f} {self._words.units}/s · {self._meter.left()} left"

    def suite_started(self, plan: Plan, done: Sequence[str], work: float) -> None:
        """Open the display."""
        self._words = Words(plan)
        self._rows = Rows(self._words)
        self._meter.start(work)
        if work == 0:
            return
        self._console.print(f"suite {plan.suite}: {len(plan.trials)} trials, {len(done)} finished before", highlight=False)
        self._bars.update(self._suite, description=f"suite {plan.suite}", completed=len(done), total=len(plan.trials))
        self._live = Live(get_renderable=self._render, console=self._console, refresh_per_second=4, transient=True)
        self._live.start()

    def afterwards(self, seconds: float) -> None:
        """Count what follows training as time left."""
        self._meter.after = seconds

    def preparing(self, what: str) -> None:
        """Print what is being prepared."""
        self._console.print(what, style="dim", highlight=False)

    def cohort_started(self, name: str, cohort: Cohort, labels: Sequence[str], epochs: int) -> None:
        """Show the cohort's members and a bar."""
        self._epochs.update(dict.fromkeys(cohort.trials, self._bars.add_task(name, unit="epochs", total=epochs)))
        self._rows.open(cohort, labels)

    def tick(self) -> None:
        """Raise ``KeyboardInterrupt`` if the user asked to stop and Python lost it."""
        interrupt.check()

    def batch(self, trials: Sequence[str], epoch: int, samples: int, work: float) -> None:
        """Count a batch."""
        interrupt.check()
        self._meter.batch(samples * len(trials), work)
        self._bars.update(self._epochs[trials[0]], completed=epoch)

    def skipped(self, work: float) -> None:
        """Take skipped work off the total."""
        self._meter.total -= work

    def epoch_finished(self, trial: Trial, epoch: int, metrics: Mapping[str, float]) -> None:
        """Update a member's row."""
        self._rows.update(trial, epoch, metrics)
        self._bars.update(self._epochs[trial.id], completed=epoch)

    def trial_finished(self, trial: Trial, record: Record) -> None:
        """Print a line about the trial above the display."""
        self._bars.advance(self._suite)
        style = "red" if record.failure is not None else None
        self._console.print(self._words.ended(trial, record), style=style, highlight=False, markup=False)

    def cohort_finished(self, cohort: Cohort) -> None:
        """Hide the cohort's members and its bar."""
        self._rows.close(cohort)
        if (bar := self._epochs.get(cohort.trials[0])) is not None:
            self._bars.remove_task(bar)

    def note(self, message: str) -> None:
        """Print a message above the display."""
        self._console.print(message, highlight=False, markup=False)

    def warn(self, message: str) -> None:
        """Print a warning above the display."""
        self._console.print(f"warning: {message}", style="yellow", highlight=False, markup=False)

    def suite_finished(self) -> None:
        """Close the display."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _render(self) -> RenderableType:
        first, *others = self._rows.headings()
        table = Table(box=None, padding=(0, 1, 0, 1), header_style="dim")
        table.add_column(first)
        for name in others:
            table.add_column(name, justify="right")
        for row in self._rows.shown():
            table.add_row(*(Text(cell) for cell in row))
        return Group(self._bars, self._rate, table)
