"""The environment that a number was computed in: code, libraries, machine."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from kdbench.measure.machine import device_name, machine, now

__all__ = ["commit", "device_name", "libraries", "machine", "now"]

LIBRARIES = ("torch", "torchvision", "timm", "numpy", "fvcore", "torchmetrics", "safetensors")
"""Libraries that can change results."""


@cache
def libraries() -> dict[str, str]:
    """Return the versions of Python and of the libraries that can change results."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    if torch.version.cuda and torch.cuda.is_available():
        found["cuda"] = torch.version.cuda
    return found


@cache
def commit() -> str:
    """Return the git commit of kdbench's checkout; empty for an installed package.

    It ends in ``+dirty`` if files differ from the commit.
    """
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / ".git").exists():
        return ""
    try:
        head = _git(checkout, "rev-parse", "--short=12", "HEAD")
        return head + ("+dirty" if _git(checkout, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603, S607
    return done.stdout.strip()
