"""Runtimes of networks whose latency is measured."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kdbench.errors import KdbenchError
from kdbench.suite.schema import DeviceKind, Runtime

Pass = Callable[[], object]
"""Runs one forward pass of a batch that is already on the device."""

Batch = tuple[Tensor, ...]
"""The arguments of one pass, each N×…; a single tensor for image networks."""


@dataclass(frozen=True)
class DeviceConfig:
    """The device that a network runs on.

    Args:
        device: ``cpu`` or ``cuda``.
        threads: intra-op threads on the CPU.
    """

    device: DeviceKind
    threads: int


def forward_pass(model: nn.Module, batch: Batch, runtime: Runtime, config: DeviceConfig) -> Pass:
    """Prepare a network for timing, in evaluation mode and without gradients.

    Args:
        model: the network, which is changed (mode, device, memory format).
        batch: a batch on the CPU; it is copied to the device.
        runtime: how the network is run.
        config: the device and its threads.

    Raises:
        KdbenchError: the runtime is not installed, or does not support such a network or device.
        Exception: raised by a compiler or exporter that does not support the network.
    """
    return RUNTIMES[runtime](model.eval().requires_grad_(False), batch, config)


def unavailable(device: DeviceKind) -> str:
    """Say why this machine cannot measure on such a device; empty if it can."""
    return "" if device == "cpu" or torch.cuda.is_available() else "no CUDA device on this machine"


def _eager(model: nn.Module, batch: Batch, config: DeviceConfig) -> Pass:
    return _inference(model.to(config.device), _on(config, batch))


def _channels_last(model: nn.Module, batch: Batch, config: DeviceConfig) -> Pass:
    if any(tensor.ndim != 4 for tensor in batch):
        raise KdbenchError("channels_last needs inputs with channels, height and width (N×C×H×W)")
    inputs = tuple(tensor.to(config.device, memory_format=torch.channels_last) for tensor in batch)
    return _inference(model.to(config.device, memory_format=torch.channels_last), inputs)  # type: ignore[call-overload]


def _bf16(model: nn.Module, batch: Batch, config: DeviceConfig) -> Pass:
    network, samples = model.to(config.device), _on(config, batch)

    def run() -> object:
        with torch.inference_mode(), torch.autocast(config.device, torch.bfloat16):
            return network(*samples)

    return run


def _compile(model: nn.Module, batch: Batch, config: DeviceConfig) -> Pass:
    from torch._dynamo import config as dynamo

    # Networks of one class share this limit; beyond it they would silently run eagerly. torch < 2.6 uses the
    # second name.
    setattr(dynamo, "recompile_limit" if hasattr(dynamo, "recompile_limit") else "cache_size_limit", 256)
    return _inference(torch.compile(model.to(config.device), dynamic=False), _on(config, batch))


def _inference(network: Callable[..., object], batch: Batch) -> Pass:
    def run() -> object:
        with torch.inference_mode():
            return network(*batch)

    return run


def _on(config: DeviceConfig, batch: Batch) -> Batch:
    return tuple(tensor.to(config.device) for tensor in batch)


def _onnxruntime(model: nn.Module, batch: Batch, config: DeviceConfig) -> Pass:
    try:
        import onnx  # noqa: F401 (the export needs it)
        import onnxruntime
    except ImportError as error:
        raise KdbenchError(f"{error.name} is not installed: pip install onnx onnxruntime onnxscript") from error
    provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[config.device]
    if provider not in onnxruntime.get_available_providers():
        raise KdbenchError(f"the installed onnxruntime has no {provider}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = config.threads, 1
    options.log_severity_level = 3  # errors
    names = [f"input{n or ''}" for n in range(len(batch))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        torch.onnx.export(model, batch, str(path), input_names=names, output_names=["logits"])
        session = onnxruntime.InferenceSession(str(path), options, providers=[provider])
    if session.get_providers()[0] != provider:  # it falls back to the CPU without an error
        raise KdbenchError(f"onnxruntime could not start its {provider}")
    # Bound to memory of the device, so that no copy from or to the host is timed.
    binding = session.io_binding()
    for name, tensor in zip(names, batch, strict=True):
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(tensor.numpy(), config.device, 0))
    binding.bind_output("logits", config.device, 0)

    def run() -> object:
        session.run_with_iobinding(binding)
        return binding

    return run


RUNTIMES: Mapping[Runtime, Callable[[Any, Batch, DeviceConfig], Pass]] = {
    "eager": _eager,
    "channels_last": _channels_last,
    "bf16": _bf16,
    "compile": _compile,
    "onnxruntime": _onnxruntime,
}
