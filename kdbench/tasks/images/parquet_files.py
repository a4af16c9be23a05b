"""Finding parquet files: of one configuration, by split."""

from __future__ import annotations

import glob
import re
from pathlib import Path
from types import MappingProxyType

from kdbench.data.files import counted, find, walk
from kdbench.errors import DataError, Location, cut

Paths = str | tuple[str, ...]

MAX_ENTRIES = 100_000
"""Most files in a folder that is searched for parquet files."""

STARTS = MappingProxyType({"train": "train", "test": "test", "val": "validation"})
"""The split of a file by the beginning of its name."""

WORDS = MappingProxyType(STARTS | {"validation": "validation", "valid": "validation", "dev": "validation"})
"""The split by the name of a folder, or by a word in the name of a file."""

Files = dict[str, list[Path]]
"""Files by split; the validation split is missing if there is none."""


def files_in(path: str, root: Path) -> tuple[Files, list[str]]:
    """Find the files of each split in a folder, at any depth; and say what is unusual.

    The split is the first word of a file's name, or else the name of the closest folder that is called by a
    split, or else a word in the file's name. What remains of its folder's path is its configuration.

    Raises:
        DataError: there are no training files, or several configurations.
    """
    folder = find(Path(path), root, "the folder of parquet files")
    if folder.is_file():
        raise DataError("is a file: name it with the option train instead of path", Location(folder))
    found = walk(folder, lambda name: name.endswith(".parquet"), MAX_ENTRIES)
    files: Files = {"train": [], "test": []}
    configurations: dict[str, set[str]] = {}
    unknown: list[str] = []
    for file in found.files:
        split, configuration = _split_of(file.relative_to(folder))
        if split is None:
            unknown.append(file.name)
            continue
        files.setdefault(split, []).append(file)
        configurations.setdefault(split, set()).add(configuration)
    for names in configurations.values():
        if len(names) > 1:
            first = sorted(names)[0]
            raise DataError(
                f"holds several configurations ({cut(', '.join(n or '.' for n in sorted(names)))}): choose one, for example "
                f'path: {Path(path) / first}, or name the files of all with the options train and test ("*" matches any name)',
                Location(folder),
            )
    if not files["train"]:
        raise DataError("contains no train*.parquet: add it, or name files with the options train and test", Location(folder))
    notes = [n for n in found.notes("parquet files") if "not taken" not in n]
    if unknown:
        notes.append(f"not used: {counted(len(unknown), 'parquet file')} of no known split ({cut(', '.join(unknown))})")
    if not files["test"] and "validation" in files:
        files["test"] = files.pop("validation")
        notes.append("validation files are the test set, for there are no test files")
    return files, notes


def _split_of(file: Path) -> tuple[str | None, str]:
    """Return a file's split, ``None`` if its name does not say, and configuration."""
    folders = list(file.parent.parts)
    split = next((split for start, split in STARTS.items() if file.name.startswith(start)), None)
    for place in reversed(range(len(folders))):
        own = WORDS.get(folders[place].lower().removeprefix("partial-"))
        if own is not None and split in (None, own):
            split = own
            del folders[place]
            break
    words = re.split(r"[^a-z]+", file.stem.lower())
    return split or next((WORDS[word] for word in words if word in WORDS), None), "/".join(folders)


def named_files(paths: Paths, root: Path) -> list[Path]:
    """Find files by their paths, in which ``*`` and ``?`` match any name.

    Raises:
        DataError: there is no such file.
    """
    found: list[Path] = []
    for path in [paths] if isinstance(paths, str) else paths:
        matched = _matched(path, root) if glob.has_magic(path) else []
        found += matched or [find(Path(path), root, "the parquet file")]
    for file in found:
        if not file.is_file():
            raise DataError("is not a regular file", Location(file))
    return found


def _matched(pattern: str, root: Path) -> list[Path]:
    for base in (root, Path()):
        if matched := sorted(glob.glob(str(base / Path(pattern).expanduser()), recursive=True)):
            return [Path(m) for m in matched]
    return []
