"""Ways to run a network whose latency is measured."""

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
"""One forward pass of one batch that lies on the device already."""

Batch = tuple[Tensor, ...]
"""The arguments of one pass, each N×…: a single tensor for networks of images."""


@dataclass(frozen=True)
class Place:
    """Where a network runs.

    Args:
        device: ``cpu`` or ``cuda``.
        threads: intra-op threads on the CPU.
    """

    device: DeviceKind
    threads: int


def forward_pass(model: nn.Module, batch: Batch, runtime: Runtime, place: Place) -> Pass:
    """Make ready to run a network, in evaluation mode, without gradients.

    Args:
        model: the network, which is changed (mode, device, memory format).
        batch: on the CPU; what the pass takes is a copy on the device.
        runtime: how the network is run.
        place: where.

    Raises:
        KdbenchError: the runtime is not installed, or is not for such a network or device.
        Exception: whatever a compiler or exporter raises for a network that it cannot translate.
    """
    return RUNTIMES[runtime](model.eval().requires_grad_(False), batch, place)


def unavailable(device: DeviceKind) -> str:
    """Why this machine cannot measure on such a device; empty if it can."""
    return "" if device == "cpu" or torch.cuda.is_available() else "no CUDA device on this machine"


def _eager(model: nn.Module, batch: Batch, place: Place) -> Pass:
    return _inference(model.to(place.device), _on(place, batch))


def _channels_last(model: nn.Module, batch: Batch, place: Place) -> Pass:
    if any(tensor.ndim != 4 for tensor in batch):
        raise KdbenchError("channels_last is for inputs with channels, height and width (N×C×H×W)")
    inputs = tuple(tensor.to(place.device, memory_format=torch.channels_last) for tensor in batch)
    return _inference(model.to(place.device, memory_format=torch.channels_last), inputs)  # type: ignore[call-overload]


def _bf16(model: nn.Module, batch: Batch, place: Place) -> Pass:
    network, samples = model.to(place.device), _on(place, batch)

    def run() -> object:
        with torch.inference_mode(), torch.autocast(place.device, torch.bfloat16):
            return network(*samples)

    return run


def _compile(model: nn.Module, batch: Batch, place: Place) -> Pass:
    from torch._dynamo import config

    # Networks of one class share this limit, and those beyond it would run eagerly, unnoticed. torch < 2.6 has the second name.
    setattr(config, "recompile_limit" if hasattr(config, "recompile_limit") else "cache_size_limit", 256)
    return _inference(torch.compile(model.to(place.device), dynamic=False), _on(place, batch))


def _inference(network: Callable[..., object], batch: Batch) -> Pass:
    def run() -> object:
        with torch.inference_mode():
            return network(*batch)

    return run


def _on(place: Place, batch: Batch) -> Batch:
    return tuple(tensor.to(place.device) for tensor in batch)


def _onnxruntime(model: nn.Module, batch: Batch, place: Place) -> Pass:
    try:
        import onnx  # noqa: F401 (the export needs it)
        import onnxruntime
    except ImportError as error:
        raise KdbenchError(f"{error.name} is not installed: pip install kdbench[onnx]") from error
    provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[place.device]
    if provider not in onnxruntime.get_available_providers():
        raise KdbenchError(f"the installed onnxruntime has no {provider}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = place.threads, 1
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
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(tensor.numpy(), place.device, 0))
    binding.bind_output("logits", place.device, 0)

    def run() -> object:
        session.run_with_iobinding(binding)
        return binding

    return run


RUNTIMES: Mapping[Runtime, Callable[[Any, Batch, Place], Pass]] = {
    "eager": _eager,
    "channels_last": _channels_last,
    "bf16": _bf16,
    "compile": _compile,
    "onnxruntime": _onnxruntime,
}
