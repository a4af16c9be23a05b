"""One setting of the process that plugins share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Values = tuple[Any, ...]


@dataclass(frozen=True)
class Setting:
    """One setting.

    Args:
        name: for messages.
        read: returns its value, which compares equal as long as nothing changed.
        restore: brings a value back.
        decides_numbers: whether numbers that are computed depend on it.
    """

    name: str
    read: Callable[[], Any]
    restore: Callable[[Any], object]
    decides_numbers: bool = True
