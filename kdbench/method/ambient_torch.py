"""Torch's settings of the process that all plugins share."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch.nn.modules import module as module_hooks
from torch.optim import optimizer as optimizer_hooks

from kdbench.method.setting import Setting, Values

C: Any = torch._C
AUTOGRAD: Any = C._autograd
GLOBAL_HOOKS: tuple[dict[Any, Any], ...] = tuple(
    value
    for home in (module_hooks, optimizer_hooks)
    for name, value in vars(home).items()
    if name.startswith("_global_") and isinstance(value, dict)
)
"""Where torch keeps the hooks that run for every module and every optimiser."""
SUBNORMAL = 3e-308
"""A normal float64 whose half is subnormal."""


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


def torch_settings() -> Iterable[Setting]:
    """All of them, in the order in which they are put back."""
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
