"""Logits of networks on a split, and the numbers that curves are drawn from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdbench.data.types import Batch


def predict(
    models: Mapping[str, nn.Module], batches: Iterable[Batch], precision: str = "fp32"
) -> tuple[dict[str, Tensor], Tensor]:
    """Logits of several networks on the same batches.

    Args:
        models: networks by name; put in evaluation mode.
        batches: unaugmented batches, shared by all networks.
        precision: ``fp32`` or ``bf16``, of the forward pass.

    Returns:
        Logits by name (float32, N×C, on the CPU) and the targets (int64, N, on the CPU).
    """
    logits: dict[str, list[Tensor]] = {name: [] for name in models}
    targets: list[Tensor] = []
    for model in models.values():
        model.eval()
    for batch in batches:
        targets.append(batch.targets.cpu())
        with torch.inference_mode(), torch.autocast(batch.inputs.device.type, torch.bfloat16, enabled=precision == "bf16"):
            for name, model in models.items():
                logits[name].append(model(batch.inputs).float().cpu())
    # Made outside inference mode, so that whoever gets them may use them in any way.
    return {name: _join(parts) for name, parts in logits.items()}, _join(targets)


def scores(logits: Tensor, targets: Tensor) -> dict[str, float]:
    """Accuracy (share of samples in [0, 1]) and mean cross-entropy (nats) of logits N×C; empty for no samples."""
    if len(targets) == 0:
        return {}
    accuracy = (logits.argmax(1) == targets).double().mean()
    return {"accuracy": float(accuracy), "loss": float(F.cross_entropy(logits, targets))}


def _join(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat([p.clone() for p in parts]) if parts else torch.empty(0, dtype=torch.int64)
