"""The one place through which files of a runs folder or a report folder are read.

Such a folder may come from a stranger. So names are checked before they become part of a path, nothing is
read through a symbolic link, from a device or from a pipe, and bytes, depth and number of values are bounded.
Nothing here writes.
"""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from kdbench.errors import StoreError, cut

M = TypeVar("M", bound=BaseModel)
MB = 1_000_000
LIMITS = {
    "record.json": 16 * MB,
    "trial.json": 4 * MB,
    "history.csv": 64 * MB,
    "predictions.npz": 512 * MB,
    "student.safetensors": 64_000 * MB,
    "method.py": 16 * MB,
}
"""Most bytes of the files in a trial's folder."""
PLAN_LIMIT = 64 * MB
"""Most bytes of a plan; one of 20,000 trials has 45 MB."""
JSON_LIMIT = 16 * MB
"""Most bytes of any other JSON file in a runs folder."""
ARCHIVE_LIMIT = 256 * MB
"""Most bytes of a file in the ``records`` folder of a report."""
MOST_VALUES = 4_000_000
"""Most values in a JSON file, each of up to 64 bytes in memory.

A plan of 20,000 trials has 1.3 million."""

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_ID = re.compile(r"[0-9a-f]{16}")
_LONGEST_NAME = 200


class Unreadable(ValueError):
    """A file that kdbench will not read.

    The text follows the file's name: ``is a symbolic link``.
    """


def is_id(text: str) -> bool:
    """Whether a text is an id: 16 hexadecimal digits."""
    return _ID.fullmatch(text) is not None


def is_plain_name(text: str) -> bool:
    """Whether a text names a file in any folder, and nothing outside it."""
    usual = text.isprintable() and not any(c in "/\\" for c in text) and text == text.strip()
    return usual and 0 < len(text.encode()) <= _LONGEST_NAME and text[0] != "."


def inside(root: Path, *names: str) -> Path:
    """The path of something in a folder.

    Args:
        root: the folder.
        names: of folders and, last, of a file or a folder.

    Raises:
        StoreError: a name could lead elsewhere.
    """
    for name in names:
        if not is_plain_name(name):
            raise StoreError(f"{cut(ascii(name))} cannot be the name of a file in {root}")
    return root.joinpath(*names)


def refuse_links(root: Path, *names: str) -> None:
    """Check that nothing on the way from a folder to a file in it is a symbolic link.

    The folder itself may be one: its user named it.

    Raises:
        Unreadable: something is a link, or what should be a folder is not.
        OSError: there is no such file.
    """
    path = str(root)
    for i, name in enumerate(names):
        path = os.path.join(path, name)
        mode = os.lstat(path).st_mode
        if stat.S_ISLNK(mode):
            raise Unreadable("is a symbolic link" if i == len(names) - 1 else f"lies behind the symbolic link {name}")
        if i < len(names) - 1 and not stat.S_ISDIR(mode):
            raise Unreadable(f"lies in {name}, which is not a folder")


@contextmanager
def open_file(root: Path, *names: str, limit: int) -> Iterator[io.BufferedReader]:
    """Open a regular file in a folder for reading.

    Args:
        root: the folder.
        names: of folders and, last, of the file.
        limit: most bytes that it may have.

    Raises:
        Unreadable: it is not a regular file, is reached through a link, or is too large.
        OSError: it is not there, or may not be read.
    """
    path = inside(root, *names)
    refuse_links(root, *names)
    if not stat.S_ISREG(path.lstat().st_mode):  # before it is opened: opening a device may do something
        raise Unreadable("is not a regular file")
    with os.fdopen(os.open(path, os.O_RDONLY | _BINARY | _NO_LINKS), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise Unreadable("is not a regular file")
        if found.st_size > limit:
            raise Unreadable(f"has {found.st_size / MB:,.0f} MB, more than the {limit / MB:,.0f} MB that kdbench reads")
        yield file


def read_bytes(root: Path, *names: str, limit: int) -> bytes:
    """The content of a regular file in a folder; see :func:`open_file`."""
    with open_file(root, *names, limit=limit) as file:
        size = os.fstat(file.fileno()).st_size  # to ask for the limit would allocate as much
        content = file.read(size + 1)
    if len(content) > size:
        raise Unreadable("grows while it is read")
    return content


def names_in(root: Path, *names: str) -> list[str]:
    """Names of what is in a folder of a folder, sorted; none where it does not exist.

    Raises:
        Unreadable: it is a symbolic link, or not a folder.
        OSError: it may not be read.
    """
    try:
        refuse_links(root, *names)
        return sorted(os.listdir(root.joinpath(*names)))
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        raise Unreadable("is not a folder") from None


def parse_json(content: bytes) -> Any:
    """Read plain data from JSON of bounded depth (200) and size.

    If a key occurs twice, the last counts.

    Raises:
        Unreadable: it is not JSON, or exceeds a bound.
    """
    if sum(map(content.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise Unreadable(f"holds more than {MOST_VALUES:,} values")
    try:
        return from_json(content)
    except ValueError as error:
        raise Unreadable(f"is not valid JSON ({cut(str(error), 100)})") from None
    except (RecursionError, MemoryError):
        raise Unreadable("is nested too deeply, or too large") from None


def validated(model: type[M], content: Any) -> M:
    """A model of plain data.

    Raises:
        Unreadable: the data are not those of such a model.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise Unreadable(f"is not valid ({_first_mistake(error)})") from None
    except (RecursionError, OverflowError, MemoryError):
        raise Unreadable("is not valid (it is nested too deeply, or too large)") from None


def _first_mistake(error: ValidationError) -> str:
    count = error.error_count()
    if count > 100:  # to list them would take memory for each
        return f"{count:,} mistakes"
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return cut(ascii(".".join(map(str, first["loc"])))[1:-1] + f": {first['msg']}", 200)
