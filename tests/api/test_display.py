"""What a run looks like, live and in a log."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from kdbench.api import interrupt
from kdbench.api.progress import Silent, display_for, make_display, meter
from kdbench.api.progress.live import LiveDisplay
from kdbench.api.progress.meter import Meter, duration
from kdbench.api.progress.notebook import MOST_LINES, NotebookDisplay
from kdbench.api.progress.plain import PlainDisplay
from kdbench.plan.trial import Cohort, MetricInfo, Plan, TaskInfo, Trial
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


def test_time_left_includes_what_follows_training(clock: Clock) -> None:
    meter = Meter()
    meter.start(400.0)
    meter.after = 60.0
    clock.now += 10
    meter.batch(samples=50, work=100.0)
    assert meter.left() == "1 min 30 s"


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
        "✓ kd[temperature=2] (tiny_cnn, seed 0): 50.00 % test accuracy",
        "✗ kd[temperature=2] (tiny_cnn, seed 0): NonFiniteLoss: loss is NaN",
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
    assert any("suite small: 4 trials in" in line for line in lines)
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line) for line in lines)
    epochs = [line for line in lines if " epoch 2/2 " in line]
    assert epochs
    assert all("images/s" in line and "left  accuracy %: " in line for line in epochs)
    assert epochs[-1].split(" images/s  ")[1].startswith("2 s left")  # the report


def test_a_log_s_line_comes_when_its_epoch_is_over_and_not_an_epoch_later(capsys: pytest.CaptureFixture[str]) -> None:
    trial = made.trial("kd")
    log = PlainDisplay()
    log.suite_started(made.plan((trial, made.entry(trial, "kd"))), [], 1000.0)
    log.cohort_started("cohort 1/1", cohort_of(trial), ["kd"], 3)
    log.epoch_finished(trial, 1, {"test_accuracy": 0.5})
    log.batch([trial.id], 1, 32, 1.0)
    assert "cohort 1/1 on tiny_cnn epoch 1/3 " in capsys.readouterr().err
    log.epoch_finished(trial, 3, {"test_accuracy": 0.5})
    log.cohort_finished(cohort_of(trial))
    assert "cohort 1/1 on tiny_cnn epoch 3/3 " in capsys.readouterr().err


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
    assert " cohort 2/2 on tiny_cnn epoch 1/3 " in lines[0]
    assert lines[0].endswith("dkd 25.00")
    assert " cohort 1/2 on tiny_cnn epoch 1/3 " in lines[1]
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
    assert "cohort 1/1: grid ×9, dkd[beta=2] on tiny_cnn; 3 epochs" in said
    assert "accuracy %: 9 members, from 50.00 (grid[alpha=0]) to 58.00 (grid[alpha=8])" in said


def test_an_interrupt_that_got_lost_is_raised_at_the_next_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    displays = [PlainDisplay(), Silent()]
    for shown in displays:
        shown.batch(["x"], 0, 32, 1.0)
    monkeypatch.setattr(interrupt, "_wanted", 2)
    for shown in displays:
        with pytest.raises(KeyboardInterrupt):
            shown.batch(["x"], 0, 32, 1.0)


def three_students() -> tuple[Plan, list[Trial]]:
    """The same methods for three pairs; two of them have the same kind of network."""
    trials: list[Trial] = []
    rows = []
    for pair, model, width in (("one", "tiny_cnn", 2), ("two", "tiny_cnn", 4), ("three", "lightcnn", 2)):
        for method in ("kd", "dkd", "sp"):
            trial = made.trial(method)
            spec = trial.model.model_copy(update={"model": model, "kwargs": {"width": width}})
            trials.append(trial.model_copy(update={"model": spec}))
            rows.append((trials[-1], made.entry(trials[-1], method, pair=pair)))
    return made.plan(*rows), trials


def test_members_of_several_pairs_have_rows_of_their_own_that_say_whose_they_are(clock: Clock) -> None:
    plan, trials = three_students()
    console = Console(file=io.StringIO(), force_terminal=True, width=110, color_system=None)
    live = LiveDisplay(console)
    live.suite_started(plan, [], 1000.0)
    live.cohort_started("cohort 1/1", cohort_of(*trials), [plan.names()[t.id] for t in trials], 2)
    for trial in trials:
        live.epoch_finished(trial, 1, {"test_accuracy": 0.5})
    console.print(live._render())
    said = console.file.getvalue()  # type: ignore[attr-defined]
    live.suite_finished()
    for name in ("kd · one", "kd · two", "kd · three", "sp · three"):
        assert f"{name} " in said


def test_networks_tell_trials_apart_where_they_can_and_pairs_where_they_cannot() -> None:
    plan, trials = three_students()
    assert [plan.names()[t.id] for t in trials[::3]] == ["kd · one", "kd · two", "kd · three"]
    few = [t for t in trials if t.model.kwargs != {"width": 4}]
    smaller = made.plan(*((t, made.entry(t, t.method, pair=t.model.model, grid_point={"x": 1})) for t in few))
    assert smaller.names()[few[0].id] == "kd · tiny_cnn[x=1]"
    assert smaller.names()[few[3].id] == "kd · lightcnn[x=1]"


SENTENCES = TaskInfo(
    name="language",
    unit="sentence",
    metrics={"perplexity": MetricInfo(label="perplexity", higher_is_better=False, percent=False)},
    primary="perplexity",
)


def test_displays_speak_of_what_is_learnt(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    trial = made.trial("kd")
    plan = made.plan((trial, made.entry(trial, "kd"))).model_copy(update={"task": SENTENCES})
    console = Console(file=io.StringIO(), force_terminal=True, width=110, color_system=None)
    live, notebook, shown = LiveDisplay(console), NotebookDisplay(), ""
    record = made.record(trial, 0.5).model_copy(update={"metrics": {"test": {"perplexity": 12.5}}})
    for display in (PlainDisplay(), notebook, live):
        display.suite_started(plan, [], 1000.0)
        display.cohort_started("cohort 1/1", cohort_of(trial), ["kd"], 3)
        clock.now += 2
        display.batch([trial.id], 0, 32, 1.0)
        display.epoch_finished(trial, 1, {"test_perplexity": 12.5})
        console.print(live._render())
        shown += notebook.text() + notebook.html()
        display.trial_finished(trial, record)
        display.cohort_finished(cohort_of(trial))
        display.suite_finished()
    lines, drawn = capsys.readouterr().err, console.file.getvalue()  # type: ignore[attr-defined]
    assert "sentences/s" in lines
    assert "perplexity: kd 12.50" in lines
    assert "test perplexity" in drawn
    assert "✓ kd (tiny_cnn, seed 0): 12.50 test perplexity" in drawn
    assert "sentences/s" in shown
    assert not any(word in lines + shown for word in ("image", "accuracy", "%"))


class TestNotebook:
    @pytest.fixture
    def messages(self, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
        """What the front end is sent."""
        found: list[dict[str, Any]] = []

        class Publisher:
            def publish(self, data: Any, metadata: Any = None, **options: Any) -> None:
                found.append({"data": data, **options})

        class Shell:
            kernel = object()
            display_pub = Publisher()

            @classmethod
            def initialized(cls) -> bool:
                return True

            @classmethod
            def instance(cls) -> Any:
                return cls()

        monkeypatch.setattr("IPython.core.interactiveshell.InteractiveShell.initialized", Shell.initialized)
        monkeypatch.setattr("IPython.core.interactiveshell.InteractiveShell.instance", Shell.instance)
        monkeypatch.setattr("IPython.get_ipython", Shell)
        return found

    def test_a_run_updates_one_output_in_place(self, messages: list[dict[str, Any]], tmp_path: Path) -> None:
        display = make_display()
        assert isinstance(display, NotebookDisplay)
        small.run(small.write_suite(tmp_path, methods=["supervised", "kd"]), tmp_path / "runs", progress=display)
        ids = {message["transient"]["display_id"] for message in messages}
        assert len(ids) == 1
        assert [m.get("update", False) for m in messages] == [False] + [True] * (len(messages) - 1)
        assert any('<progress value="2" max="4"' in m["data"]["text/html"] for m in messages)
        assert any("<td" in m["data"]["text/html"] for m in messages)
        last = messages[-1]["data"]
        assert last["text/plain"].startswith("suite small: 4 trials, 0 finished before; ")
        assert "<progress" not in last["text/html"]
        assert "✓" not in last["text/html"]

    def test_failures_and_warnings_stay_and_names_are_escaped(self, messages: list[dict[str, Any]]) -> None:
        trial = made.trial("kd")
        display = NotebookDisplay()
        display.suite_started(made.plan((trial, made.entry(trial, "<i>kd</i>"))), [], 1000.0)
        display.preparing("reading digits")
        display.cohort_started("cohort 1/1", cohort_of(trial), ["<i>kd</i>"], 2)
        display.skipped(500.0)
        display.trial_finished(trial, made.record(trial, error="loss is NaN"))
        display.trial_finished(trial, made.record(trial, 0.5))
        display.note("a note")
        display.suite_finished()
        display.warn("look at <this>")
        html = messages[-1]["data"]["text/html"]
        assert "✗ &lt;i&gt;kd&lt;/i&gt; (tiny_cnn, seed 0): NonFiniteLoss: loss is NaN" in html
        assert "warning: look at &lt;this&gt;" in html
        assert "a note" in html
        assert "✓" not in html
        assert "<i>" not in "".join(m["data"]["text/html"] for m in messages)

    def test_only_the_latest_lines_on_trials_that_are_well_are_shown(self, messages: list[dict[str, Any]]) -> None:
        trial = made.trial("kd")
        display = NotebookDisplay()
        display.suite_started(made.plan((trial, made.entry(trial, "kd"))), [], 1000.0)
        display.warn("first")
        for _ in range(MOST_LINES + 5):
            display.trial_finished(trial, made.record(trial, 0.5))
        assert display.text().count("✓") == MOST_LINES
        assert "warning: first" in display.text()


def test_the_usual_display_of_a_process_without_a_terminal_is_a_log() -> None:
    assert isinstance(make_display(), PlainDisplay)
    assert isinstance(display_for(False), Silent)
    own = PlainDisplay()
    assert display_for(own) is own
