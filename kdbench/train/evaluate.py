"""Predictions of networks on a split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from kdbench.data.types import Batch
from kdbench.models.call import call
from kdbench.train.presentation import Presentation, present


def predict(
    models: Mapping[str, nn.Module],
    batches: Iterable[Batch],
    presentations: Mapping[str, Presentation],
    precision: str = "fp32",
) -> tuple[dict[str, Tensor], Tensor]:
    """Compute the logits of several networks on the same batches.

    Args:
        models: networks by name; set to evaluation mode.
        batches: unaugmented batches, shared by all networks.
        presentations: preprocessing of each network's inputs, by name.
        precision: precision of the forward pass, ``fp32`` or ``bf16``.

    Returns:
        Logits by name (float32, M×C, on the CPU) and targets (int64, M, on the CPU), without padding.
    """
    logits: dict[str, list[Tensor]] = {name: [] for name in models}
    targets: list[Tensor] = []
    for model in models.values():
        model.eval()
    for batch in batches:
        targets.append(batch.targets.cpu())
        with torch.inference_mode(), torch.autocast(batch.targets.device.type, torch.bfloat16, enabled=precision == "bf16"):
            shown = present(batch, (presentations[name] for name in models))
            for name, model in models.items():
                own = shown[presentations[name].key]
                logits[name].append(own.units(call(model, own.inputs)).float().cpu())
    # Copied outside inference mode, so that callers may use them in any way.
    return {name: _join(parts) for name, parts in logits.items()}, _join(targets)


def _join(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat([p.clone() for p in parts]) if parts else torch.empty(0, dtype=torch.int64)
