"""Events: every plugin hears of them, whatever the others do."""

from __future__ import annotations

import signal
from types import SimpleNamespace
from typing import Any

import pytest

from kdbench import hookimpl
from kdbench.plugins.manager import load_registry

TRIAL = SimpleNamespace(id="0123456789abcdef")


class Listener:
    def __init__(self, heard: list[Any], error: BaseException | None = None) -> None:
        self.heard, self.error = heard, error

    @hookimpl
    def kdbench_epoch_finished(self, trial: Any, epoch: int) -> None:
        self.heard.append((trial.id, epoch))
        if self.error is not None:
            raise self.error


class Silent:
    @hookimpl
    def kdbench_epoch_finished(self) -> None:
        pass


def test_a_plugin_that_raises_is_named_and_keeps_the_event_from_nobody() -> None:
    heard: list[Any] = []
    warnings: list[str] = []
    registry = load_registry(objects=[Listener(heard), Listener(heard, ValueError("boom")), Silent(), Listener(heard)])
    registry.notify("kdbench_epoch_finished", warnings.append, trial=TRIAL, epoch=3, metrics={})
    assert heard == [(TRIAL.id, 3)] * 3
    assert warnings == ["plugin Listener (2) failed in kdbench_epoch_finished of trial 0123456789abcdef: ValueError: boom"]


def test_an_event_without_a_trial_is_named_by_its_hook() -> None:
    class Late:
        @hookimpl
        def kdbench_suite_finished(self, records: Any) -> None:
            raise RuntimeError(str(records))

    warnings: list[str] = []
    load_registry(objects=[Late()]).notify("kdbench_suite_finished", warnings.append, plan=None, records={})
    (warning,) = warnings
    assert "Late failed in kdbench_suite_finished: RuntimeError: {}" in warning


def test_ctrl_c_in_an_event_stops_the_run() -> None:
    def interrupt(metrics: object) -> None:
        signal.raise_signal(signal.SIGINT)

    registry = load_registry(objects=[SimpleNamespace(kdbench_epoch_finished=hookimpl(interrupt))])
    with pytest.raises(KeyboardInterrupt):
        registry.notify("kdbench_epoch_finished", pytest.fail, trial=TRIAL, epoch=0, metrics={})
