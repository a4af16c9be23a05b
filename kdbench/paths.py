"""Paths of files that others name."""

from __future__ import annotations

import os
from pathlib import Path


def real_path(path: Path | str) -> Path:
    """Make a path absolute and follow links.

    Links that lead in a circle stay as they are; ``Path.resolve`` raises ``RuntimeError`` for them.
    """
    return Path(os.path.realpath(path))
