"""Settings of the process that all plugins share: read and restore them."""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn.modules import module as module_hooks
from torch.optim import optimizer as optimizer_hooks

C: Any = torch._C
AUTOGRAD: Any = C._autograd
GLOBAL_HOOKS: tuple[dict[Any, Any], ...] = tuple(
    value
    for home in (module_hooks, optimizer_hooks)
    for name, value in vars(home).items()
    if name.startswith("_global_") and isinstance(value, dict)
)
"""Where torch keeps the hooks that run for every module and every optimiser."""
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM") if hasattr(signal, name))
ENVIRONMENT: Any = os.environ
_get_handler: Callable[[int], Any] = importlib.import_module(
    "_signal"
).getsignal  # signal.getsignal makes enums, which takes long
SUBNORMAL = 3e-308
"""A normal float64 whose half is subnormal."""


@dataclass(frozen=True)
class Setting:
    """One setting.

    Args:
        name: for messages.
        read: returns its value, which compares equal as long as nothing changed.
        restore: brings a value back.
        decides_numbers: whether numbers that are computed depend on it.
    """

    name: str
    read: Callable[[], Any]
    restore: Callable[[Any], object]
    decides_numbers: bool = True


Values = tuple[Any, ...]


def read() -> Values:
    """The values of all settings; takes some 10 µs."""
    return tuple([get() for get in _READERS])


def restore(before: Values) -> list[Setting]:
    """Bring all settings back to what they were, and return those that had changed."""
    now = read()
    if now == before:
        return []
    changed = [s for s, old, new in zip(SETTINGS, before, now, strict=True) if old != new]
    for setting, old in zip(SETTINGS, before, strict=True):
        if setting in changed:
            with suppress(Exception):  # the working directory may be gone, for example
                setting.restore(old)
    return changed


def _inference(before: bool) -> None:
    mode = C._InferenceMode(before)
    mode.__enter__()
    # Its destructor would bring back what the plugin left: it stays alive.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(mode))


def _autocast(device: str) -> Iterable[Setting]:
    name = f"autocast of the {device.upper()}"
    yield Setting(name, partial(torch.is_autocast_enabled, device), lambda on: torch.set_autocast_enabled(device, on))
    yield Setting(name, partial(torch.get_autocast_dtype, device), lambda dtype: torch.set_autocast_dtype(device, dtype))


def _nesting() -> int:
    """Return the number of open autocast regions.

    Torch caches cast weights until the last region is closed.
    """
    C.autocast_increment_nesting()
    return int(C.autocast_decrement_nesting())


def _close_autocast(before: int) -> None:
    while _nesting() > before:
        C.autocast_decrement_nesting()
    torch.clear_autocast_cache()


def _default_device() -> Any:
    return getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)


def _pop(length: Callable[[], int], pop: Callable[[], object]) -> Callable[[int], None]:
    def restore(before: int) -> None:
        while length() > before:
            pop()

    return restore


def _saved_tensor_hooks() -> Any:
    return AUTOGRAD._top_saved_tensors_default_hooks(True)


def _pop_saved_tensor_hooks(before: Any) -> None:
    while (now := _saved_tensor_hooks()) is not None and now != before:
        AUTOGRAD._pop_saved_tensors_default_hooks()


def _registered() -> Values:
    return tuple([tuple(hooks) for hooks in GLOBAL_HOOKS])


def _unregister(before: Values) -> None:
    for hooks, known in zip(GLOBAL_HOOKS, before, strict=True):
        for key in [k for k in hooks if k not in known]:
            del hooks[key]


def _flushes_subnormal() -> bool:
    return SUBNORMAL * 0.5 == 0.0


def _precision(backend: str, operation: str) -> Setting:
    def set_(value: str) -> None:
        C._set_fp32_precision_setter(backend, operation, value)

    return Setting(
        f"float32 precision of {backend} {operation}", partial(C._get_fp32_precision_getter, backend, operation), set_
    )


def _flag(name: str, get: str, set_: str) -> Iterable[Setting]:
    """A setting that not every release of torch has."""
    if hasattr(C, get) and hasattr(C, set_):
        yield Setting(name, getattr(C, get), getattr(C, set_))


def _torch() -> Iterable[Setting]:
    yield Setting("inference mode", torch.is_inference_mode_enabled, _inference)
    yield Setting("torch's gradients (torch.set_grad_enabled)", torch.is_grad_enabled, C._set_grad_enabled)
    yield Setting("the open autocast regions", _nesting, _close_autocast)
    for device in ("cpu", "cuda"):
        yield from _autocast(device)
    yield Setting("the autocast cache", torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled)
    yield Setting("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype)
    yield Setting("torch's default device", _default_device, lambda c: torch.set_default_device(c and c.device))
    for kind in ("function", "dispatch"):
        length: Callable[[], int] = getattr(C, f"_len_torch_{kind}_stack")
        pop = getattr(C, f"_pop_torch_{kind}_stack")
        pop = partial(pop, None) if kind == "dispatch" else pop
        yield Setting(f"torch's {kind} modes", length, _pop(length, pop))
    yield Setting("torch's hooks on saved tensors", _saved_tensor_hooks, _pop_saved_tensor_hooks)
    yield Setting("torch's global hooks on modules and optimisers", _registered, _unregister)
    yield Setting("torch's number of threads", torch.get_num_threads, torch.set_num_threads)
    yield Setting("the flushing of subnormal numbers", _flushes_subnormal, torch.set_flush_denormal)
    yield Setting("torch's anomaly detection", torch.is_anomaly_enabled, torch.set_anomaly_enabled)
    deterministic = (
        torch.are_deterministic_algorithms_enabled,
        torch.is_deterministic_algorithms_warn_only_enabled,
    )
    yield Setting(
        "torch's deterministic algorithms",
        lambda: tuple([get() for get in deterministic]),
        lambda v: C._set_deterministic_algorithms(v[0], warn_only=v[1]),
    )
    yield from _flag("cudnn", "_get_cudnn_enabled", "_set_cudnn_enabled")
    yield from _flag("cudnn.benchmark", "_get_cudnn_benchmark", "_set_cudnn_benchmark")
    yield from _flag("cudnn.deterministic", "_get_cudnn_deterministic", "_set_cudnn_deterministic")
    yield from _flag("mkldnn", "_get_mkldnn_enabled", "_set_mkldnn_enabled")
    yield from _flag("mkldnn.deterministic", "_get_mkldnn_deterministic", "_set_mkldnn_deterministic")
    yield from _flag("the float32 matmul precision", "_get_float32_matmul_precision", "_set_float32_matmul_precision")
    yield from _flag("flash attention", "_get_flash_sdp_enabled", "_set_sdp_use_flash")
    yield from _flag("memory-efficient attention", "_get_mem_efficient_sdp_enabled", "_set_sdp_use_mem_efficient")
    yield from _flag("plain attention", "_get_math_sdp_enabled", "_set_sdp_use_math")
    if hasattr(C, "_get_fp32_precision_getter"):
        for backend, operation in (("cuda", "matmul"), ("cuda", "conv"), ("mkldnn", "matmul"), ("mkldnn", "conv")):
            yield _precision(backend, operation)


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


SETTINGS = (*_torch(), *_process())
"""In the order in which they are put back."""
_READERS = tuple(s.read for s in SETTINGS)
