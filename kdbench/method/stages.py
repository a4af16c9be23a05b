"""Feature stages of a network, and how requests for them are resolved."""

from __future__ import annotations

from typing import Literal

Stages = Literal["all"] | tuple[int, ...]
"""Feature stages of a network, in the order of timm's ``forward_intermediates``.

``"all"``, or indices counted from the last stage (``-1``). Stages that a network lacks are left out, so that
``(-4, -3, -2, -1)`` means "the last four, or all if there are fewer"; ``()`` requests none.
"""


def pick_stages(stages: Stages, count: int) -> tuple[int, ...]:
    """Return the requested stages as indices from 0 in ascending order.

    Args:
        stages: the request.
        count: number of stages of the network; stages that it lacks are left out.
    """
    wanted = range(count) if stages == "all" else {s + count if s < 0 else s for s in stages}
    return tuple(sorted(i for i in wanted if 0 <= i < count))
