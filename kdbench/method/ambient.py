"""Settings of the process that all plugins share: read and restore them."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache, partial
from typing import Any

import numpy as np

from kdbench.method.setting import Setting, Values

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM") if hasattr(signal, name))
ENVIRONMENT: Any = os.environ
_get_handler: Callable[[int], Any] = importlib.import_module(
    "_signal"
).getsignal  # signal.getsignal makes enums, which takes long


def read() -> Values:
    """The values of all settings; takes some 10 µs.

    Those of torch are left out as long as nobody has imported it.
    """
    return tuple([get() for get in _readers("torch" in sys.modules)])


def restore(before: Values) -> list[Setting]:
    """Bring all settings back to what they were, and return those that had changed."""
    with_torch = len(before) > len(settings(False))
    now = tuple([get() for get in _readers(with_torch)])
    if now == before:
        return []
    known = settings(with_torch)
    changed = [s for s, old, new in zip(known, before, now, strict=True) if old != new]
    for setting, old in zip(known, before, strict=True):
        if setting in changed:
            with suppress(Exception):  # the working directory may be gone, for example
                setting.restore(old)
    return changed


@cache
def settings(with_torch: bool = True) -> tuple[Setting, ...]:
    """All settings, in the order in which they are put back."""
    if not with_torch:
        return tuple(_process())
    from kdbench.method.ambient_torch import torch_settings

    return (*torch_settings(), *settings(False))


@cache
def _readers(with_torch: bool) -> tuple[Callable[[], Any], ...]:
    return tuple(s.read for s in settings(with_torch))


def _filters() -> list[Any]:
    """The filters that turn a warning into an error."""
    return [f for f in warnings.filters if f[0] == "error"]


def _restore_filters(before: list[Any]) -> None:
    mine: Any = warnings.filters  # libraries add filters when they are imported, which harms nobody
    mine[:] = [f for f in mine if f[0] != "error"]
    mine[:0] = before
    warnings._filters_mutated()  # type: ignore[attr-defined]


def _environment() -> dict[Any, Any]:
    data: dict[Any, Any] = ENVIRONMENT._data  # encoded; to decode it all would take longer than everything else here
    return data.copy()


def _restore_environment(before: dict[Any, Any]) -> None:
    now = _environment()
    for name in now.keys() - before.keys():
        del ENVIRONMENT[ENVIRONMENT.decodekey(name)]
    for name, value in before.items():
        if now.get(name) != value:
            ENVIRONMENT[ENVIRONMENT.decodekey(name)] = ENVIRONMENT.decodevalue(value)


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was deleted
        return None


def _go_to(before: str | None) -> None:
    if before is not None:
        os.chdir(before)


def _handlers() -> Values:
    return tuple([_identified(_get_handler(number)) for number in SIGNALS])


def _restore_handlers(before: Values) -> None:
    if threading.current_thread() is threading.main_thread():
        for number, (_, handler) in zip(SIGNALS, before, strict=True):
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)


def _timer() -> bool:
    return hasattr(signal, "getitimer") and signal.getitimer(signal.ITIMER_REAL)[0] > 0


def _stop_timer(before: bool) -> None:
    if not before:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _identified(value: Any) -> tuple[int, Any]:
    """Something of a stranger's, which is compared without calling its ``__eq__``."""
    return id(value), value


def _object(name: str, get: Callable[[], Any], set_: Callable[[Any], object]) -> Setting:
    return Setting(name, lambda: _identified(get()), lambda before: set_(before[1]), False)


def _attributes(home: Any, *names: str) -> Iterable[Setting]:
    for name in names:
        yield _object(f"{home.__name__}.{name}", partial(getattr, home, name, None), partial(setattr, home, name))


def _process() -> Iterable[Setting]:
    yield Setting("numpy's handling of errors", np.geterr, lambda v: np.seterr(**v), False)
    yield Setting("the working directory", _folder, _go_to, False)
    yield Setting("environment variables", _environment, _restore_environment, False)
    yield Setting("signal handlers", _handlers, _restore_handlers, False)
    yield Setting("a running timer", _timer, _stop_timer, False)
    yield Setting("Python's warnings", _filters, _restore_filters, False)
    yield Setting("the garbage collector", gc.isenabled, lambda on: gc.enable() if on else gc.disable(), False)
    yield Setting("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit, False)
    yield _object("the trace function", sys.gettrace, sys.settrace)
    yield _object("the profile function", sys.getprofile, sys.setprofile)
    yield from _attributes(sys, "stdin", "stdout", "stderr", "excepthook", "displayhook")
    yield from _attributes(os, "environ")
