"""The version of kdbench."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("kdbench")
except PackageNotFoundError:  # run from a checkout that is not installed
    VERSION = "0+unknown"
