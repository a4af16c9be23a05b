"""The errors that kdbench shows to a person: one sentence, with the place and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """A position in a file that a person can open.

    Args:
        file: the file; for a suite that was not read from one, the keys that lead to the value (``recipe.lr``).
        line: 1-based line number, or ``None`` when the whole file is meant.
    """

    file: Path | str
    line: int | None = None

    def __str__(self) -> str:
        return str(self.file) if self.line is None else f"{self.file}:{self.line}"


class KdbenchError(Exception):
    """An error caused by input, data or the machine, told in one sentence and without a traceback.

    The command line prints ``str(error)`` and exits with status 2. Anything else that escapes is a
    defect of kdbench or of a plugin.

    Args:
        message: one sentence that says what is wrong and how to mend it.
        place: where, if a file is to blame; printed in front of the message.
    """

    def __init__(self, message: str, place: Place | None = None) -> None:
        super().__init__(message if place is None else f"{place}: {message}")
        self.message = message
        self.place = place


class SuiteError(KdbenchError):
    """A suite that cannot be run as written."""


class DataError(KdbenchError):
    """Data that are missing, truncated, or not what the suite says they are."""


class PluginError(KdbenchError):
    """A plugin that cannot be imported, claims a taken name, or breaks a contract of its hook."""


class MethodError(KdbenchError):
    """A method that breaks the contract of :class:`kdbench.Method`; it costs one trial, not the suite."""


class StoreError(KdbenchError):
    """A runs folder that cannot be read or written."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``'; did you mean "x"?'`` for the nearest known spelling, or an empty string."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""
