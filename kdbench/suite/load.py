"""Loading of suites: find a suite, read it, apply settings, validate it.

A suite is given as a file, the name of a packaged suite, a dict or a :class:`Suite`.
"""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kdbench.errors import Location, SuiteError, cut, did_you_mean, known
from kdbench.suite.explain import explain
from kdbench.suite.locations import KeyLocations, Locations, OptionLocations, Replaced
from kdbench.suite.parse import read_suite_file
from kdbench.suite.schema import MethodEntry, Suite
from kdbench.suite.settings import apply_setting, parse_seeds, with_epochs
from kdbench.suite.values import check_values

BASELINE = "supervised"
"""The method that every suite has, and with which all others are compared."""


@dataclass(frozen=True)
class LoadedSuite:
    """A suite and where it comes from.

    Args:
        suite: the suite.
        path: its file; ``None`` if it was given as a dict or a :class:`Suite`.
        folder: the folder that its relative paths (plugins, weights) start from: the file's folder, or the
            working directory.
        locations: where its parts are, for errors.
        written: names of the method entries as they were given, in that order; those of the file that were
            replaced come last.
    """

    suite: Suite
    path: Path | None
    folder: Path
    locations: Locations
    written: tuple[str, ...]


def packaged_suites() -> list[str]:
    """Return the names of the suites that come with kdbench."""
    return sorted(
        p.name.removesuffix(".yaml") for p in importlib.resources.files("kdbench_suites").iterdir() if p.name.endswith(".yaml")
    )


def load_suite(
    source: str | Path | Mapping[str, Any] | Suite,
    *,
    settings: Sequence[str] = (),
    methods: Sequence[Any] | None = None,
    add: Sequence[Any] = (),
    only: Sequence[str] = (),
    seeds: str | None = None,
    epochs: int | None = None,
) -> LoadedSuite:
    """Load a suite, and add the baseline if it is missing.

    Args:
        source: a file, the name of a suite that comes with kdbench, a mapping of the same keys, or a suite.
        settings: ``key=value``, keys joined by dots (``recipe.lr=0.1``), values as in YAML; they override the
            source.
        methods: method entries, spelled as in a suite, that replace those of the source.
        add: method entries that are run in addition, unless the source has entries of these names.
        only: keep only the method entries of these names (and ``supervised``).
        seeds: a number of seeds, or a list such as ``0,1,5`` (``2,`` is a list of one).
        epochs: epochs of every network, at least 0.

    Raises:
        SuiteError: the suite is missing or wrong; the message says where, and gives the nearest valid
            spelling.
    """
    raw, path, locations = _read(source)
    earlier: list[str] = []
    if methods is not None:
        earlier = _entry_names(raw.get("methods"))
        raw, locations = {**raw, "methods": list(methods)}, Replaced(locations, ("methods",), KeyLocations())
    raw, locations = _with_entries(raw, locations, add)
    for setting in settings:
        raw = apply_setting(raw, setting)
        path_of_keys = tuple(setting.partition("=")[0].split("."))
        locations = Replaced(locations, path_of_keys, OptionLocations(f"--set {cut(setting)}"))
    if seeds is not None:
        raw = {**raw, "seeds": parse_seeds(seeds)}
        locations = Replaced(locations, ("seeds",), OptionLocations(f"--seeds {cut(seeds)}"))
    if epochs is not None and isinstance(raw.get("recipe", {}), Mapping):
        raw = apply_setting(raw, f"recipe.epochs={epochs}")
        locations = Replaced(locations, ("recipe", "epochs"), OptionLocations(f"--epochs {epochs}"))
    check_values(raw, locations)
    try:
        suite = Suite.model_validate(raw)
    except ValidationError as error:
        raise explain(error, locations, raw) from error
    written = [entry.name or entry.method for entry in suite.methods]
    written += [name for name in earlier if name not in written]
    if epochs is not None:
        suite = with_epochs(suite, epochs)
    return LoadedSuite(_select(suite, only), path, path.parent if path else Path.cwd(), locations, tuple(written))


def _with_entries(raw: Mapping[str, Any], locations: Locations, add: Sequence[Any]) -> tuple[Mapping[str, Any], Locations]:
    """Append method entries to a suite that was not validated yet."""
    entries = raw.get("methods")
    if not isinstance(entries, list | tuple):
        return raw, locations
    known = _entry_names(entries)
    for entry in add:
        names = _entry_names([entry])
        if names and names[0] in known:
            continue
        known += names
        option = OptionLocations(f"--add {cut(str(entry))}")
        locations = Replaced(locations, ("methods", str(len(entries))), option)
        entries = [*entries, entry]
    return {**raw, "methods": entries}, locations


def _read(source: str | Path | Mapping[str, Any] | Suite) -> tuple[Mapping[str, Any], Path | None, Locations]:
    """Return a source's content, its file, and where its parts are."""
    if isinstance(source, Suite):
        return source.model_dump(exclude_unset=True), None, KeyLocations()
    if isinstance(source, Mapping):
        return source, None, KeyLocations()
    path = _find(source)
    raw, locations = read_suite_file(path)
    if not isinstance(raw, dict):
        raise SuiteError("a suite is a mapping with the keys dataset, pairs, methods, …", Location(path, 1))
    return {"name": path.stem, **raw}, path, locations


def is_file(path: Path) -> bool:
    """Return whether a path leads to a regular file; a long path raises nothing."""
    return os.path.isfile(path)


def _entry_names(entries: Any) -> list[str]:
    """Return the names of method entries that have not been validated yet.

    Entries without a recognizable name are left out.
    """
    listed = entries if isinstance(entries, list | tuple) else []
    found = [e if isinstance(e, str) else e.get("name") or e.get("method") for e in listed if isinstance(e, str | Mapping)]
    return [name for name in found if isinstance(name, str)]


def _find(source: str | Path) -> Path:
    path, name = Path(source), str(source)
    if is_file(path):
        return path
    packaged = packaged_suites()
    if name in packaged:
        return Path(str(importlib.resources.files("kdbench_suites") / f"{name}.yaml"))
    if os.path.exists(path):  # which, unlike Path.exists, raises nothing where a name is too long
        what = "a folder" if os.path.isdir(path) else "not a regular file"
        raise SuiteError(f"this is {what}: name a suite's YAML file", Location(path))
    around = [str(p) for folder in {path.parent, Path("suites")} if os.path.isdir(folder) for p in folder.glob("*.yaml")]
    hint = did_you_mean(name, [*packaged, *around]) or f"; suites that come with kdbench are {', '.join(packaged)}"
    raise SuiteError(f'there is no suite "{cut(name)}"{hint}')


def _select(suite: Suite, only: Sequence[str]) -> Suite:
    """Put the baseline in front, and keep what ``only`` names."""
    entries = list(suite.methods)
    names = [e.name or e.method for e in entries]
    for name in only:
        if name not in names and name != BASELINE:
            hint = did_you_mean(name, names) or known(names, "; this suite has")
            hint += "; --add runs a method that the suite lacks"
            raise SuiteError(f'in --only: the suite has no method entry "{cut(name)}"{hint}')
    if only:
        entries = [e for e in entries if (e.name or e.method) in only or e.method == BASELINE]
    if not any(e.method == BASELINE and not e.params and not e.grid and not e.pairs for e in entries):
        entries.insert(0, MethodEntry(method=BASELINE))
    return suite.model_copy(update={"methods": tuple(entries)})
