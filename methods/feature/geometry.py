"""What feature methods share: features of student and teacher brought to one grid."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from kdbench import MethodError


def check_maps(method: str, *shapes: tuple[int, ...]) -> None:
    """Refuse features that are not maps (C, H, W).

    Raises:
        MethodError: a shape has not three parts, as that of tokens (L, D).
    """
    for shape in shapes:
        if len(shape) != 3:
            raise MethodError(f'method "{method}" compares feature maps (C, H, W), and a network of this pair gives {shape}')


def same_grid(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Average-pool the larger of two maps N×C×H×W to the grid of the smaller, each side for itself."""
    grid = [min(x, y) for x, y in zip(a.shape[2:], b.shape[2:], strict=True)]
    return _pool(a, grid), _pool(b, grid)


def _pool(maps: Tensor, grid: list[int]) -> Tensor:
    return maps if list(maps.shape[2:]) == grid else F.adaptive_avg_pool2d(maps, grid)
