"""Formulas of the papers in numpy and math, written apart from the methods; and small steps to try them on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kdbench import BuildContext, Outputs, Shapes, Step

Array = NDArray[np.float64]


def softmax(z: Any, temperature: float = 1.0) -> Array:
    e = np.exp(np.asarray(z, dtype=np.float64) / temperature)
    return e / e.sum(axis=-1, keepdims=True)


def kl(p: Array, q: Array) -> float:
    """Mean over samples of Σ p·log(p/q)."""
    return float((p * np.log(p / q)).sum(axis=-1).mean())


def ce(z: Any, y: Sequence[int]) -> float:
    p = softmax(z)
    return float(np.mean([-np.log(p[n, k]) for n, k in enumerate(y)]))


def logits(n: int, c: int, seed: int = 0, scale: float = 2.0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(n, c, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).mul(scale).to(dtype)


def step(
    student: Tensor,
    targets: Tensor,
    *,
    teachers: Sequence[Tensor] = (),
    features: Sequence[Tensor] = (),
    teacher_features: Sequence[Sequence[Tensor]] = (),
    inputs: Tensor | None = None,
    epoch: int = 0,
    past: Tensor | None = None,
) -> Step:
    of_teachers = [tuple(f) for f in teacher_features] or [()] * len(teachers)
    return Step(
        student=Outputs(student, tuple(features)),
        teachers=tuple(Outputs(z, f) for z, f in zip(teachers, of_teachers, strict=True)),
        inputs=torch.zeros(len(targets), 1) if inputs is None else inputs,
        targets=targets,
        epoch=epoch,
        progress=0.0,
        extras={} if past is None else {"past_logits": past},
    )


def context(
    student: Sequence[tuple[int, ...]] = (),
    teachers: Sequence[Sequence[tuple[int, ...]]] = (),
    *,
    classes: int = 3,
    epochs: int = 4,
    network: nn.Module | None = None,
) -> BuildContext:
    made = network if network is not None else nn.Linear(1, classes)
    return BuildContext(
        student=Shapes(tuple(student)),
        teachers=tuple(Shapes(tuple(t)) for t in teachers),
        num_classes=classes,
        labels=torch.arange(12) % classes,
        epochs=epochs,
        steps_per_epoch=2,
        new_student=lambda: made,
    )
