"""JSON files of a runs folder.

They are migrated on reading and left alone if a newer kdbench wrote them. A damaged one is left out, with a
warning; only a process that holds the folder's lock moves it to ``quarantine/``.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic_core import from_json

from kdbench.errors import printable
from kdbench.results.checkpoints import refuse_newer_checkpoint
from kdbench.results.files import disk_errors, write_whole
from kdbench.results.migrations import NOTHING_RENAMED, Kind, Renamed, checked_version, upgrade
from kdbench.results.reading import (
    JSON_LIMIT,
    PLAN_LIMIT,
    Unreadable,
    inside,
    parse_json,
    read_bytes,
    refuse_links,
)
from kdbench.results.renaming import find_renamed
from kdbench.results.seal import seal, unseal

T = TypeVar("T")


class JsonFiles:
    """The JSON files of a folder.

    Args:
        root: the folder.
        warn: called with a sentence for each thing that was found damaged.
    """

    def __init__(self, root: Path, warn: Callable[[str], None]) -> None:
        self.root = root
        self.owned = False
        """Whether this process holds the folder's lock, and so may move what is damaged."""
        self.unsealed: set[str] = set()
        """Files without a digest of their content, which older versions of kdbench wrote."""
        self._warn = warn
        self._left_out: set[str] = set()

    def warn(self, message: str) -> None:
        """Pass on a warning, without control characters."""
        self._warn(printable(message))

    @cached_property
    def renamed(self) -> Renamed:
        """Ids of version 1 that depended on a label → present ids of these trials."""
        return find_renamed(self.root)

    def read_json(self, kind: Kind, *names: str) -> dict[str, Any]:
        """The content of a JSON file in the present version.

        Args:
            kind: what the file holds.
            names: of the folders that it is in, and its own.

        Raises:
            NewerFormat: a newer version of kdbench wrote it.
            Unreadable: it is damaged.
            OSError: it is not there, or may not be read.
        """
        content = parse_json(read_bytes(self.root, *names, limit=PLAN_LIMIT if kind == "plan" else JSON_LIMIT))
        path = self.root.joinpath(*names)
        try:
            old_record = checked_version(kind, content, path) == 1 and kind == "record"
            data, sealed = unseal(content)
            data = upgrade(kind, data, path, self.renamed if old_record else NOTHING_RENAMED)
        except Unreadable:
            raise
        except (ValueError, RecursionError):
            raise Unreadable("is not valid") from None
        if not sealed:
            self.unsealed.add("/".join(names))
        return data

    def refuse_newer(self, kind: Kind, *names: str) -> None:
        """Raise :class:`NewerFormat` if a newer version of kdbench wrote a file.

        Damaged and missing files are ignored.
        """
        path = inside(self.root, *names)
        with suppress(ValueError, KeyError, FileNotFoundError, RecursionError):
            if kind == "checkpoint":
                refuse_links(self.root, *names)
                refuse_newer_checkpoint(path)
            else:
                upgrade(kind, parse_json(read_bytes(self.root, *names, limit=PLAN_LIMIT)), path)

    def save_json(self, kind: Kind, value: BaseModel, *names: str) -> None:
        """Write a file with its digest, unless a newer kdbench wrote the existing one.

        Raises:
            StoreError: it cannot be written, or a newer version of kdbench wrote it.
        """
        with disk_errors(self.root):
            self.refuse_newer(kind, *names)
            write_whole(inside(self.root, *names), sealed_json(value))

    def load_json(self, kind: Kind, make: Callable[[dict[str, Any]], T], what: str, *names: str) -> T | None:
        """Read a file; ``None`` if it is missing or damaged.

        :meth:`set_apart` deals with a damaged one.

        Args:
            kind: what the file holds.
            make: makes it of plain data, and raises :class:`Unreadable` if it does not fit.
            what: what a warning calls it.
            names: of the folders that it is in, and its own.

        Raises:
            StoreError: it cannot be read, or a newer version of kdbench wrote it.
        """
        inside(self.root, *names)
        with disk_errors(self.root, "read"):
            try:
                return make(self.read_json(kind, *names))
            except FileNotFoundError:
                return None
            except Unreadable as error:
                self.set_apart(what, f"{names[-1]} {error}", *names)
            except PermissionError as error:
                self.unreadable(what, error, *names)
            return None

    def unreadable(self, what: str, error: PermissionError, *names: str) -> None:
        """Leave out what may not be read.

        A process that holds the lock stops there: the record might be whole.
        """
        if self.owned:
            raise error
        self.set_apart(what, f"{Path(str(error.filename)).name}: {error.strerror}", *names)

    def set_apart(self, what: str, reason: str, *names: str) -> None:
        """Warn of a damaged file or folder.

        A process that holds the lock moves it to ``quarantine/``, within the folder.
        """
        key = "/".join(names)
        if not self.owned:
            if key not in self._left_out:
                self.warn(f"{what} in {self.root} is damaged ({reason}) and left out")
            self._left_out.add(key)
            return
        folder = self.root / "quarantine"
        free = next(n for n in itertools.count(1) if not os.path.lexists(folder / f"{names[-1]}-{n}"))
        target = folder / f"{names[-1]}-{free}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            refuse_links(self.root, folder.name)
            refuse_links(self.root, *names[:-1])
            os.replace(inside(self.root, *names), target)
        except (OSError, Unreadable) as error:
            why = (error.strerror or error) if isinstance(error, OSError) else f"{folder.name} {error}"
            self.warn(f"{what} is damaged ({reason}) and ignored; it cannot be quarantined: {why}")
        else:
            self.warn(f"{what} is damaged ({reason}); quarantined as {target}")


def sealed_json(value: BaseModel) -> bytes:
    """A model as JSON, with the digest of its content."""
    return json.dumps(seal(from_json(value.model_dump_json())), indent=2, ensure_ascii=False).encode()
