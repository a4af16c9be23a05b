"""What a run looks like, live and in a log."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from kdbench.api import interrupt
from kdbench.api.progress import Silent, meter
from kdbench.api.progress.live import LiveDisplay
from kdbench.api.progress.meter import Meter, duration
from kdbench.api.progress.plain import PlainDisplay
from kdbench.plan.trial import Cohort, Trial
from tests.results import made
from tests.support import small


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


def cohort_of(*trials: Trial) -> Cohort:
    return Cohort(trials=tuple(t.id for t in trials), teachers=(), sampler="shuffle")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(meter, "time", found)
    return found


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (3599, "59 min 59 s"), (7500, "2 h 05 min")]
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_time_left_goes_by_work_and_the_rate_by_images(clock: Clock) -> None:
    """A cheap half of the images is done in 10 s; the dear half is three times the work."""
    meter = Meter()
    meter.start(400.0)
    assert meter.left() == "?"
    clock.now += 10
    meter.batch(samples=50, work=100.0)
    assert meter.rate == pytest.approx(5.0)
    assert meter.left() == "30 s"


def test_a_live_display_shows_bars_members_and_what_is_done(clock: Clock) -> None:
    trial = made.trial("kd")
    plan = made.plan((trial, made.entry(trial, "kd", grid_point={"temperature": 2})), suite="tiny")
    console = Console(file=io.StringIO(), force_terminal=True, width=110, color_system=None)
    live = LiveDisplay(console)
    live.preparing("reading digits")
    live.suite_started(plan, [], 1000.0)
    cohort = cohort_of(trial)
    live.cohort_started("cohort 1/1", cohort, ["kd[temperature=2]"], 2)
    clock.now += 2
    live.batch([trial.id], 0, 32, 500.0)
    live.epoch_finished(trial, 1, {"loss": 0.5, "train_accuracy": 0.25, "test_accuracy": 0.5})
    live.warn("look at [this]")
    console.print(live._render())
    live.skipped(500.0)
    live.trial_finished(trial, made.record(trial, 0.5))
    live.trial_finished(trial, made.record(trial, error="loss is NaN"))
    live.note("a note")
    live.suite_finished()
    live.suite_finished()
    said = console.file.getvalue()  # type: ignore[attr-defined]
    for part in (
        "suite tiny: 1 trials, 0 finished before",
        "16 images/s",
        "2 s left",
        "kd[temperature=2]",
        "0.5000",
        "25.00",
        "warning: look at [this]",
        "✓ kd[temperature=2] (seed 0): 50.00 % test accuracy",
        "✗ kd[temperature=2] (seed 0): NonFiniteLoss: loss is NaN",
        "a note",
    ):
        assert part in said, part


def test_a_finished_suite_opens_no_display(clock: Clock) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    live = LiveDisplay(console)
    live.suite_started(made.plan(), [], 0.0)
    live.suite_finished()
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]


def test_a_log_gets_a_line_an_epoch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small.run(small.write_suite(tmp_path), tmp_path / "runs", progress=PlainDisplay())
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith("suite small: 4 trials in") for line in lines)
    epochs = [line for line in lines if " epoch 2/2 " in line]
    assert epochs
    assert all("images/s" in line and "left  accuracy %: " in line for line in epochs)
    assert epochs[-1].split(" images/s  ")[1].startswith("0 s left")


def test_a_log_s_line_comes_when_its_epoch_is_over_and_not_an_epoch_later(capsys: pytest.CaptureFixture[str]) -> None:
    trial = made.trial("kd")
    log = PlainDisplay()
    log.suite_started(made.plan((trial, made.entry(trial, "kd"))), [], 1000.0)
    log.cohort_started("cohort 1/1", cohort_of(trial), ["kd"], 3)
    log.epoch_finished(trial, 1, {"test_accuracy": 0.5})
    log.batch([trial.id], 1, 32, 1.0)
    assert "cohort 1/1 epoch 1/3 " in capsys.readouterr().err
    log.epoch_finished(trial, 3, {"test_accuracy": 0.5})
    log.cohort_finished(cohort_of(trial))
    assert "cohort 1/1 epoch 3/3 " in capsys.readouterr().err


def test_cohorts_that_train_side_by_side_have_lines_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = made.trial("kd"), made.trial("dkd")
    log = PlainDisplay()
    log.suite_started(made.plan((first, made.entry(first, "kd")), (second, made.entry(second, "dkd"))), [], 1000.0)
    log.cohort_started("cohort 1/2", cohort_of(first), ["kd"], 3)
    log.cohort_started("cohort 2/2", cohort_of(second), ["dkd"], 3)
    log.epoch_finished(first, 1, {"test_accuracy": 0.5})
    log.epoch_finished(second, 1, {"test_accuracy": 0.25})
    log.batch([second.id], 1, 32, 1.0)
    log.batch([first.id], 1, 32, 1.0)
    lines = capsys.readouterr().err.splitlines()[-2:]
    assert lines[0].startswith("cohort 2/2 epoch 1/3 ")
    assert lines[0].endswith("dkd 25.00")
    assert lines[1].startswith("cohort 1/2 epoch 1/3 ")
    assert lines[1].endswith("kd 50.00")


def test_a_log_counts_the_points_of_a_grid_and_gives_the_worst_and_best_of_many(capsys: pytest.CaptureFixture[str]) -> None:
    points = [(made.trial("kd", alpha), made.entry) for alpha in range(9)]
    rows = [(trial, entry(trial, "grid", grid_point={"alpha": trial.seed})) for trial, entry in points]
    single = made.trial("dkd")
    plan = made.plan(*rows, (single, made.entry(single, "dkd", grid_point={"beta": 2})))
    log = PlainDisplay()
    log.suite_started(plan, [], 1000.0)
    names = [plan.names()[t] for t in plan.trials]
    log.cohort_started("cohort 1/1", cohort_of(*(t for t, _ in rows)), names, 3)
    for trial, _ in rows:
        log.epoch_finished(trial, 1, {"test_accuracy": 0.5 + trial.seed / 100})
    log.suite_finished()
    said = capsys.readouterr().err
    assert "cohort 1/1: grid ×9, dkd[beta=2]; 3 epochs" in said
    assert "accuracy %: 9 members, from 50.00 (grid[alpha=0]) to 58.00 (grid[alpha=8])" in said


def test_an_interrupt_that_got_lost_is_raised_at_the_next_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    displays = [PlainDisplay(), Silent()]
    for shown in displays:
        shown.batch(["x"], 0, 32, 1.0)
    monkeypatch.setattr(interrupt, "_wanted", 2)
    for shown in displays:
        with pytest.raises(KeyboardInterrupt):
            shown.batch(["x"], 0, 32, 1.0)
