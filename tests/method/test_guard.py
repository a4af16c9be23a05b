"""The guard: whatever a plugin raises or leaves behind costs the plugin alone, and names it."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from kdbench.errors import MethodError, StoreError
from kdbench.method import ambient
from kdbench.method.guard import Guard, PluginFailed, SettingsChanged, text_of, trace_of


class Exits(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class Lies(Exception):
    def __str__(self) -> str:
        return 3  # type: ignore[return-value]  # noqa: PLE0307


def call(action: Callable[[], Any], warn: Callable[[str], None] = pytest.fail) -> Guard:
    guard = Guard(warn)
    with guard.calling('method "bad"', "loss(step)"):
        action()
    return guard


def raising(error: BaseException) -> Callable[[], None]:
    def action() -> None:
        raise error

    return action


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        SystemExit(0),
        GeneratorExit(),
        asyncio.CancelledError(),
        KeyboardInterrupt(),
        StopIteration(),
        BaseException(),
        Exits(),
        Lies(),
        ValueError("x" * 10**6),
        MethodError("x" * 10**6),
        StoreError("the disk is full"),
        type("E" * 10**5, (Exception,), {})("\x1b[31m\n\ud800"),
    ],
    ids=lambda e: type(e).__name__[:20],
)
def test_whatever_is_raised_becomes_one_short_error_that_names_the_plugin(error: BaseException) -> None:
    with pytest.raises(PluginFailed) as caught:
        call(raising(error))
    message = caught.value.message
    assert message.startswith('method "bad" failed in loss(step): ')
    assert len(message) < 600
    assert message.isprintable()
    assert len(trace_of(error)) < 21_000


def test_a_sentence_of_kdbenchs_own_passes_unchanged() -> None:
    error = MethodError("these networks do not suit me")
    with pytest.raises(MethodError) as caught:
        call(raising(error))
    assert caught.value is error


def test_the_users_ctrl_c_passes() -> None:
    with pytest.raises(KeyboardInterrupt):
        call(lambda: signal.raise_signal(signal.SIGINT))


def test_an_unreadable_text_is_empty() -> None:
    assert text_of(Exits()) == text_of(Lies()) == ""


class Dispatch(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


MODES: list[Any] = []
"""Kept alive: their destructors would undo them."""


def enter(mode: Any) -> None:
    MODES.append(mode)
    mode.__enter__()


@pytest.mark.parametrize(
    "action",
    [
        lambda: torch.set_grad_enabled(False),
        lambda: enter(torch.inference_mode()),
        lambda: enter(torch.autocast("cpu", torch.bfloat16)),
        lambda: torch.set_default_dtype(torch.float64),
        lambda: torch.set_default_device("meta"),
        lambda: torch.use_deterministic_algorithms(True),
        lambda: torch.set_num_threads(torch.get_num_threads() + 1),
        lambda: torch.set_flush_denormal(True),
        lambda: torch.autograd.set_detect_anomaly(True),
        lambda: torch.set_float32_matmul_precision("medium"),
        lambda: setattr(torch.backends.cudnn, "benchmark", True),
        lambda: torch.nn.modules.module.register_module_forward_hook(lambda *_: None),
        lambda: enter(torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t)),
        lambda: enter(torch.overrides.TorchFunctionMode()),
        lambda: enter(Dispatch()),
    ],
)
def test_a_setting_that_numbers_depend_on_is_restored_and_costs_the_plugin(action: Callable[[], Any]) -> None:
    before = ambient.read()
    with pytest.raises(SettingsChanged, match='method "bad" left .* changed after loss'):
        call(action)
    assert ambient.read() == before
    assert torch.ones(1).dtype == torch.float32
    assert (torch.ones(1, requires_grad=True) * 2).requires_grad


@pytest.mark.parametrize(
    "action",
    [
        lambda: os.chdir("/"),
        lambda: os.environ.update(KDBENCH_TEST="1"),
        os.environ.clear,
        lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        lambda: setattr(sys, "stdout", None),
        gc.disable,
        lambda: np.seterr(all="raise"),
        lambda: warnings.simplefilter("error"),
        lambda: sys.setrecursionlimit(10**5),
    ],
)
def test_another_setting_is_restored_with_a_warning(action: Callable[[], Any]) -> None:
    before, said = ambient.read(), list[str]()
    call(action, said.append)
    assert ambient.read() == before
    assert len(said) == 1
    assert said[0].startswith('method "bad" changed ')


def test_settings_are_restored_after_an_exception_as_well() -> None:
    def action() -> None:
        torch.set_grad_enabled(False)
        raise SystemExit

    with pytest.raises(PluginFailed, match="SystemExit"):
        call(action)
    assert torch.is_grad_enabled()


def test_a_thread_that_is_left_running_is_known_by_its_plugin() -> None:
    end = threading.Event()
    guard = call(lambda: threading.Thread(target=end.wait, daemon=True).start())
    assert guard.suspects() == {'method "bad"'}
    end.set()


def test_what_is_being_called_can_be_read_while_it_runs() -> None:
    guard = Guard()
    with guard.calling('method "kd"', "build(context)"):
        assert guard.current == 'method "kd": build(context)'
    assert guard.current == ""
