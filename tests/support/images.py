"""What networks of images take, by the shape of the images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from kdbench.tasks.images.classification import ImageClassification
from kdbench.tasks.interface import Interface

TASK = ImageClassification()


def interface(shape: Sequence[int] = (3, 32, 32), classes: int = 10) -> Interface:
    """What a network takes and gives that classifies images of a shape C×H×W."""
    return Interface(TASK, list(shape), classes)


def arguments(shape: Sequence[int] = (3, 32, 32), classes: int = 10) -> dict[str, Any]:
    """What such a network's factory is told."""
    return interface(shape, classes).arguments


def example(shape: Sequence[int] = (3, 32, 32), batch_size: int = 1) -> Tensor:
    """Black images of that shape, in float32."""
    inputs = interface(shape).example(batch_size)
    assert isinstance(inputs, Tensor)
    return inputs
