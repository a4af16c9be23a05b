"""Errors meant for people: one sentence, with the location and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LONGEST = 120
"""Maximum number of quoted characters in a sentence."""

MOST = 30
"""Maximum number of names listed in a sentence."""


@dataclass(frozen=True)
class Location:
    """A position in a file that a person can open.

    Args:
        file: the file; for a suite that was not read from a file, the path of keys to the value
            (``recipe.lr``).
        line: 1-based line number; ``None`` for the whole file.
    """

    file: Path | str
    line: int | None = None

    def __str__(self) -> str:
        return str(self.file) if self.line is None else f"{self.file}:{self.line}"


class KdbenchError(Exception):
    """An error caused by the input, the data or the machine.

    The command line prints ``str(error)``, without a traceback, and exits with status 2. Any other exception
    that escapes is a bug in kdbench or in a plugin.

    Args:
        message: one sentence that says what is wrong and how to fix it.
        location: where the mistake is, if it is in a file; printed in front of the message.
    """

    def __init__(self, message: str, location: Location | None = None) -> None:
        super().__init__(printable(f"{message}" if location is None else f"{location}: {message}"))
        self.message = f"{message}"
        self.location = location


class SuiteError(KdbenchError):
    """A suite that cannot be run as written."""


class DataError(KdbenchError):
    """Data that are missing, truncated, or not what the suite says."""


class PluginError(KdbenchError):
    """A plugin that cannot be imported, reuses a name, or breaks a hook's contract."""


class MethodError(KdbenchError):
    """A method that breaks the contract of :class:`kdbench.Method`.

    It fails one trial, not the suite.
    """


class StoreError(KdbenchError):
    """A runs folder that cannot be read or written."""


@contextmanager
def located(location: Location) -> Iterator[None]:
    """Add a location to an error that has none."""
    try:
        yield
    except KdbenchError as error:
        if error.location is not None:
            raise
        raise type(error)(error.message, location) from error


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest spelling: ``'; did you mean "x"?'``, or an empty string."""
    if len(name) > LONGEST:
        return ""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""


def printable(text: str) -> str:
    """Write control characters as escapes, which do nothing to a terminal.

    Line breaks are kept.
    """
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "".join(c if c == "\n" or c.isprintable() else ascii(c)[1:-1] for c in text)


def flat(text: str, most: int = 1000) -> str:
    """Put text on one line, without control characters, and shorten it."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * most]).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def known(names: Iterable[str], what: str = "; known are") -> str:
    """List valid names for the end of a sentence; a long list is shortened."""
    every = list(names)
    more = f" and {len(every) - MOST:,} more" if len(every) > MOST else ""
    return f"{what} {', '.join(map(cut, every[:MOST])) or 'none'}{more}"


def cut(text: str, most: int = LONGEST) -> str:
    """Shorten a text that is quoted in a sentence."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
