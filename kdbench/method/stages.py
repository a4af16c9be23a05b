"""Feature stages of a network, and which of them a request means."""

from __future__ import annotations

from typing import Literal

Stages = Literal["all"] | tuple[int, ...]
"""Feature stages of a network, in the order of timm's ``forward_intermediates``.

``"all"``, or indices counted from the last stage (``-1``). Those a network lacks are left out, so that
``(-4, -3, -2, -1)`` means "the last four, or all if there are fewer"; ``()`` asks for none.
"""


def pick_stages(stages: Stages, count: int) -> tuple[int, ...]:
    """The stages that a request means, as indices from 0 in ascending order.

    Args:
        stages: the request.
        count: how many stages the network has; those that it lacks are left out.
    """
    wanted = range(count) if stages == "all" else {s + count if s < 0 else s for s in stages}
    return tuple(sorted(i for i in wanted if 0 <= i < count))
