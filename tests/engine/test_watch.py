"""A worker that does not advance is noticed; one that takes too long is ended."""

from __future__ import annotations

from kdbench.engine.activity import Activity, map_memory, shared_memory
from kdbench.engine.executors.watch import SILENCE, Watch


def begun(limit: float | None, trials: int = 2) -> tuple[Watch, Activity, list[str]]:
    notes: list[str] = []
    watch, activity = Watch(limit), Activity()
    names = [f"trial {n}" for n in range(trials)]
    watch.begin(names, notes.append)
    activity.begin(names)
    return watch, activity, notes


def test_what_is_being_done_is_read_from_shared_memory() -> None:
    descriptor = shared_memory()
    here, there = Activity(map_memory(descriptor)), Activity(map_memory(descriptor))
    assert not here.now.begun
    there.begin(["x", "y"])
    there.enter("y", 3)
    moment = here.now
    assert (moment.trial, moment.epoch, moment.begun) == (1, 3, True)
    there.leave()
    assert here.now.trial is None
    assert here.now.steps > moment.steps
    here.reset()
    assert not there.now.begun


def test_without_a_limit_a_silent_worker_is_told_about_and_never_ended() -> None:
    watch, activity, notes = begun(None)
    activity.enter("trial 1", 1)
    for _ in range(int(10 * SILENCE)):
        assert not watch.tick(activity.now, 1.0)
    assert 3 <= len(notes) <= 5  # after 3, 6, 12, 24 minutes
    assert "has not advanced for 3 minutes: it is in trial 1, epoch 2" in notes[0]
    assert watch.end() is None


def test_a_worker_that_advances_is_not_told_about() -> None:
    watch, activity, notes = begun(None)
    for _ in range(int(3 * SILENCE)):
        activity.enter("trial 0")
        watch.tick(activity.now, 1.0)
    assert not notes


def test_a_trial_is_judged_by_its_own_time_only() -> None:
    watch, activity, _ = begun(1.0)
    for second in range(110):  # 55 s for each of the two trials
        activity.enter(f"trial {second % 2}")
        assert not watch.tick(activity.now, 1.0)
    for _ in range(5):
        activity.enter("trial 1")
        assert not watch.tick(activity.now, 1.0)
    activity.enter("trial 1", 2)
    assert watch.tick(activity.now, 1.0)
    verdict = watch.end()
    assert verdict is not None
    assert verdict.trial == 1
    assert verdict.why == "took longer than 1 minutes (limits.trial_minutes), in epoch 3"


def test_shared_work_without_an_end_is_overdue_too_and_belongs_to_a_trial_that_is_alone() -> None:
    for trials, expected in ((2, None), (1, 0)):
        watch, activity, _ = begun(1.0, trials)
        activity.leave()
        assert not any(watch.tick(activity.now, 1.0) for _ in range(60))
        assert watch.tick(activity.now, 1.0)
        verdict = watch.end()
        assert verdict is not None
        assert verdict.trial == expected


def test_imports_and_reading_of_data_have_no_limit() -> None:
    watch, activity, notes = begun(1.0)
    activity.reset()
    assert not any(watch.tick(activity.now, 1.0) for _ in range(200))
    assert "it is in imports, or in reading the data" in notes[0]


def test_nothing_is_counted_between_jobs() -> None:
    watch, activity, _ = begun(0.01)
    watch.end()
    assert not any(watch.tick(activity.now, 1.0) for _ in range(20))
