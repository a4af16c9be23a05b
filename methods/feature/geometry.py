"""Feature maps of student and teacher on a common grid."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from kdbench import MethodError


def check_maps(method: str, *shapes: tuple[int, ...]) -> None:
    """Refuse features that are not maps (C, H, W).

    Raises:
        MethodError: a shape does not have three parts, such as that of tokens (L, D).
    """
    for shape in shapes:
        if len(shape) != 3:
            raise MethodError(f'method "{method}" compares feature maps (C, H, W), but a network of this pair returns {shape}')


def same_grid(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Average-pool two maps N×C×H×W to the smaller height and width of the two."""
    grid = min(a.shape[2], b.shape[2]), min(a.shape[3], b.shape[3])
    return _pool(a, grid), _pool(b, grid)


def _pool(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    return maps if maps.shape[2:] == grid else F.adaptive_avg_pool2d(maps, grid)
