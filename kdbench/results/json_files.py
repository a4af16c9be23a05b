"""JSON files of a runs folder.

They are migrated on reading, quarantined if damaged, and left alone if a newer kdbench wrote them.
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
from safetensors import SafetensorError, safe_open

from kdbench.results.files import disk_errors, write_whole
from kdbench.results.migrations import Kind, Renamed, upgrade, version_of
from kdbench.results.renaming import find_renamed

M = TypeVar("M", bound=BaseModel)


class JsonFiles:
    """The JSON files of a folder.

    Args:
        root: the folder.
        warn: called with a sentence about each damaged file or folder that is quarantined.
    """

    def __init__(self, root: Path, warn: Callable[[str], None]) -> None:
        self.root = root
        self.warn = warn

    @cached_property
    def renamed(self) -> Renamed:
        """Ids of version 1 that depended on a label → present ids of these trials."""
        return find_renamed(self.root)

    def read_json(self, kind: Kind, path: Path) -> dict[str, Any]:
        """Return the content of a JSON file in the present version.

        Raises:
            NewerFormat: a newer version of kdbench wrote it.
            ValueError: it is damaged.
        """
        data = json.loads(path.read_bytes())
        old_record = kind == "record" and version_of(kind, data) == 1
        return upgrade(kind, data, path, self.renamed) if old_record else upgrade(kind, data, path)

    def refuse_newer(self, kind: Kind, path: Path) -> None:
        """Raise :class:`NewerFormat` if a newer version of kdbench wrote a file.

        Damaged and missing files are ignored.
        """
        with suppress(ValueError, KeyError, SafetensorError, FileNotFoundError):
            if kind == "checkpoint":
                with safe_open(path, framework="pt") as file:
                    upgrade(kind, json.loads((file.metadata() or {})["kdbench"]), path)
            else:
                upgrade(kind, json.loads(path.read_bytes()), path)

    def save_json(self, path: Path, kind: Kind, value: BaseModel) -> None:
        """Write a file, unless a newer version of kdbench wrote the existing one.

        Raises:
            StoreError: it cannot be written, or a newer version of kdbench wrote it.
        """
        with disk_errors(self.root):
            self.refuse_newer(kind, path)
            write_whole(path, value.model_dump_json(indent=2).encode())

    def load_json(self, path: Path, kind: Kind, model: type[M], what: str) -> M | None:
        """Read a file; ``None`` if it is missing, or damaged and now quarantined.

        Raises:
            StoreError: it cannot be read, or a newer version of kdbench wrote it.
        """
        with disk_errors(self.root, "read"):
            if not path.exists():
                return None
            try:
                return model.model_validate(self.read_json(kind, path))
            except ValueError:  # of json, of a migration, of pydantic
                self.quarantine(path, what, "it is not valid")
                return None

    def quarantine(self, path: Path, what: str, reason: str) -> None:
        """Move a damaged file or folder out of the way, with a warning."""
        folder = self.root / "quarantine"
        free = next(n for n in itertools.count(1) if not (folder / f"{path.name}-{n}").exists())
        target = folder / f"{path.name}-{free}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
        except OSError as error:  # reports can be made from read-only folders
            self.warn(f"{what} is damaged ({reason}) and ignored; it cannot be quarantined: {error.strerror or error}")
        else:
            self.warn(f"{what} is damaged ({reason}); quarantined as {target}")
