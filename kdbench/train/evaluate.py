"""Predictions of networks on a split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from kdbench.data.inputs import tensors
from kdbench.data.types import Batch
from kdbench.errors import MethodError
from kdbench.method.guard import Guard, described
from kdbench.models.call import call
from kdbench.train.presentation import Presentation, present
from kdbench.train.shared import Shared


def predict(
    models: Mapping[str, nn.Module],
    batches: Iterable[Batch],
    presentations: Mapping[str, Presentation],
    precision: str = "fp32",
    *,
    classes: int | None = None,
    labels: Mapping[str, str] = MappingProxyType({}),
    guard: Guard | None = None,
) -> tuple[dict[str, Tensor], Tensor]:
    """Compute the logits of several networks on the same batches.

    Args:
        models: networks by name; set to evaluation mode.
        batches: unaugmented batches, shared by all networks.
        presentations: preprocessing of each network's inputs, by name.
        precision: precision of the forward pass, ``fp32`` or ``bf16``.
        classes: C, if logits of another shape are an error.
        labels: what messages call the networks, by name.
        guard: calls the networks.

    Returns:
        Logits by name (float32, M×C, on the CPU) and targets (int64, M, on the CPU), without padding.

    Raises:
        MethodError: a network gives something else than logits, or changes its inputs, which networks share.
    """
    guard = guard or Guard()
    logits: dict[str, list[Tensor]] = {name: [] for name in models}
    targets: list[Tensor] = []
    called = {name: labels.get(name, "the network") for name in models}
    for name, model in models.items():
        with guard.calling(called[name], "eval()"):
            model.eval()
    for batch in batches:
        targets.append(batch.targets.cpu())
        with torch.inference_mode(), torch.autocast(batch.targets.device.type, torch.bfloat16, enabled=precision == "bf16"):
            shown = present(batch, (presentations[name] for name in models))
            shared = Shared(t for b in (batch, *shown.values()) for t in (*tensors(b.inputs).values(), b.targets))
            shared.seal()
            for name, model in models.items():
                own = shown[presentations[name].key]
                with guard.calling(called[name], "its forward pass in evaluation"):
                    given = call(model, own.inputs)
                if shared.changed() or bool(shared.broken()):
                    raise MethodError(f"{called[name]} changes its inputs in place, which other networks share")
                logits[name].append(_logits(given, own, classes, called[name]))
    # Copied outside inference mode, so that callers may use them in any way.
    return {name: _join(parts) for name, parts in logits.items()}, _join(targets)


def _logits(given: Any, batch: Batch, classes: int | None, label: str) -> Tensor:
    """What a network gave for a batch, float32, M×C, on the CPU."""
    if not isinstance(given, Tensor) or given.is_complex() or given.layout is not torch.strided or given.is_meta:
        raise MethodError(f"{label} must give a tensor of logits, not {described(given)}")
    units = 1 if batch.mask is None else batch.mask.dim()
    if given.dim() != units + 1 or given.shape[:units] != (batch.indices.shape if batch.mask is None else batch.mask.shape):
        raise MethodError(f"{label} must give a row of logits for each of {len(batch.indices)} inputs, not {described(given)}")
    if classes is not None and given.shape[-1] != classes:
        raise MethodError(f"{label} must give logits of {classes} classes, not {described(given)}")
    return batch.units(given).float().cpu()


def _join(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat([p.clone() for p in parts]) if parts else torch.empty(0, dtype=torch.int64)
