"""Named random streams, each derived from a trial's seed and the stream's purpose.

``init`` depends on (seed, student), ``data`` on (seed, data, data-side recipe), ``member`` on the trial. So
methods that share a seed share initial weights, batch order and augmentation.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def canonical_json(value: Any) -> str:
    """Serialize plain data canonically: sorted keys, no spaces, ASCII, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any, length: int = 16) -> str:
    """Hash plain data: the first ``length`` hexadecimal digits of its JSON's SHA-256."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def named_seed(purpose: str, *parts: Any) -> int:
    """Derive a 63-bit seed for one purpose.

    Args:
        purpose: the stream's name, such as ``"init"``, ``"data"`` or ``"member"``.
        parts: plain data (numbers, strings, lists, dicts) that the stream depends on.
    """
    return int(digest([purpose, *parts]), 16) >> 1


def named_generator(purpose: str, *parts: Any) -> torch.Generator:
    """Make a CPU generator seeded with :func:`named_seed`."""
    import torch

    return torch.Generator().manual_seed(named_seed(purpose, *parts))
