"""Paths of files that others name."""

from __future__ import annotations

import os
from pathlib import Path


def real_path(path: Path | str) -> Path:
    """Make a path absolute and follow links.

    Links that lead in a circle stay as they are; ``Path.resolve`` raises ``RuntimeError`` for them.
    """
    return Path(os.path.realpath(path))


def user_folder(variable: str, default: str) -> Path | None:
    """Return a folder of the user's own for kdbench; ``None`` without a home.

    Args:
        variable: the environment variable that names its parent, such as ``XDG_CACHE_HOME``.
        default: its parent if the variable is not set, such as ``~/.cache``.
    """
    try:
        return Path(os.environ.get(variable) or default).expanduser() / "kdbench"
    except RuntimeError:  # neither HOME nor an entry in the list of users, as in containers
        return None
