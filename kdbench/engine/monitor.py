"""Converts the events of workers into progress and plugin events.

It runs in the thread that runs the suite.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

from kdbench.engine.events import BatchTrained, EpochFinished, Event, TrialEnded, TrialStarted, Warned, WorkerLost
from kdbench.engine.progress import Progress
from kdbench.plan.trial import Plan
from kdbench.plugins.manager import Registry


class Inbox:
    """Takes events from any thread, and handles them in the thread that created it.

    Args:
        handle: handles an event.
    """

    def __init__(self, handle: Callable[[Event], None]) -> None:
        self._handle = handle
        self._owner = threading.get_ident()
        self._queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()

    def __call__(self, event: Event) -> None:
        """Report an event; one from the owner's thread is handled at once."""
        if threading.get_ident() == self._owner:
            self._handle(event)
        else:
            self._queue.put(event)

    def wake(self, *_: object) -> None:
        """Let :meth:`wait` return."""
        self._queue.put(None)

    def wait(self, seconds: float) -> None:
        """Handle waiting events; wait this long for the first one or for :meth:`wake`."""
        try:
            event = self._queue.get(timeout=seconds)
            while True:
                if event is not None:
                    self._handle(event)
                event = self._queue.get_nowait()
        except queue.Empty:
            pass


class Monitor:
    """Handles events.

    Args:
        plan: the plan whose trials the events are about.
        registry: all plugins, which are notified.
        progress: the display.
        work: work per training sample, by trial id, as :mod:`kdbench.engine.estimate` computes it.
        samples: training samples per epoch, by trial id.
        lost: called when a worker process was lost, to remove the files that it left.
    """

    def __init__(
        self,
        plan: Plan,
        registry: Registry,
        progress: Progress,
        work: Mapping[str, float],
        samples: Mapping[str, int],
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._plan = plan
        self._registry = registry
        self._progress = progress
        self._work = work
        self._samples = samples
        self._lost = lost
        self.ended: set[str] = set()
        """Ids of the trials that have ended."""
        self._seen = dict.fromkeys(plan.trials, 0)
        """Training samples of each trial that were trained or skipped."""

    def __call__(self, event: Event) -> None:
        """Handle one event."""
        progress = self._progress
        match event:
            case BatchTrained(trials=trials, epoch=epoch, samples=samples):
                for trial_id in trials:
                    self._seen[trial_id] += samples
                progress.batch(trials, epoch, samples, samples * sum(self._work[t] for t in trials))
            case TrialStarted(trial=trial_id, epoch=epoch):
                self._move(trial_id, epoch * self._samples[trial_id])
                self._hook("kdbench_trial_started", trial=self._plan.trials[trial_id])
            case EpochFinished(trial=trial_id, epoch=epoch, metrics=metrics):
                trial = self._plan.trials[trial_id]
                progress.epoch_finished(trial, epoch, metrics)
                self._hook("kdbench_epoch_finished", trial=trial, epoch=epoch, metrics=metrics)
            case TrialEnded(record=record):
                trial = self._plan.trials[record.trial.id]
                self.ended.add(trial.id)
                self._move(trial.id, trial.recipe.epochs * self._samples[trial.id])
                progress.trial_finished(trial, record)
                self._hook("kdbench_trial_finished", trial=trial, record=record)
            case Warned(message=message):
                progress.warn(message)
            case WorkerLost(message=message):
                progress.warn(message)
                self._lost()

    def _move(self, trial_id: str, samples: int) -> None:
        """Set a trial's position, and report the work that is skipped or repeated."""
        if skipped := samples - self._seen[trial_id]:
            self._progress.skipped(skipped * self._work[trial_id])
        self._seen[trial_id] = samples

    def _hook(self, name: str, **arguments: Any) -> None:
        self._registry.notify(name, self._progress.warn, **arguments)
