"""From a suite's file to a :class:`Suite`: short spellings, settings from the command line, errors with file and line."""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from kdbench.errors import Place, SuiteError, did_you_mean
from kdbench.suite.places import Places, parse_value, parse_yaml
from kdbench.suite.schema import DatasetSpec, Latency, Measure, MethodEntry, Network, Pair, Recipe, Suite

BASELINE = "supervised"
"""The method that every suite holds: what all others are measured against."""


@dataclass(frozen=True)
class LoadedSuite:
    """A suite and where its parts stand.

    Args:
        suite: the suite.
        path: its file.
        places: lines of the file.
        written: names of the method entries that the file holds, in its order.
    """

    suite: Suite
    path: Path
    places: Places
    written: tuple[str, ...]


def packaged_suites() -> list[str]:
    """Names of the suites that come with kdbench."""
    return sorted(
        p.name.removesuffix(".yaml") for p in importlib.resources.files("kdbench_suites").iterdir() if p.name.endswith(".yaml")
    )


def load_suite(
    source: str | Path,
    *,
    settings: Sequence[str] = (),
    only: Sequence[str] = (),
    seeds: str | None = None,
    epochs: int | None = None,
) -> LoadedSuite:
    """Read a suite.

    Args:
        source: a file, or the name of a suite that comes with kdbench.
        settings: ``key=value``, keys dotted (``recipe.lr=0.1``), values as in YAML; they replace what the file says.
        only: keep only the method entries of these names (and ``supervised``).
        seeds: a number of seeds, or a list such as ``0,1,5`` (``2,`` is the list of one).
        epochs: epochs of every network.

    Raises:
        SuiteError: the file is missing or wrong; the sentence names file, line and the nearest valid spelling.
    """
    path = _find(source)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(f"cannot be read: {error}", Place(path)) from error
    raw, places = parse_yaml(text, path)
    if not isinstance(raw, dict):
        raise SuiteError("a suite is a mapping with the keys dataset, pairs, methods, …", Place(path, 1))
    raw = _unshared(raw)
    for setting in settings:
        _apply(raw, setting)
    if seeds is not None:
        raw["seeds"] = _seeds(seeds)
    if epochs is not None:
        _set_epochs(raw, epochs)
    raw = _expand(raw, path)
    try:
        suite = Suite.model_validate(raw)
    except ValidationError as error:
        raise _explain(error, places, raw) from error
    return LoadedSuite(_select(suite, only), path, places, tuple(e.name or e.method for e in suite.methods))


def _find(source: str | Path) -> Path:
    path = Path(source)
    if path.is_file():
        return path
    name = str(source)
    packaged = packaged_suites()
    if name in packaged:
        return Path(str(importlib.resources.files("kdbench_suites") / f"{name}.yaml"))
    around = [str(p) for folder in {path.parent, Path("suites")} if folder.is_dir() for p in folder.glob("*.yaml")]
    hint = did_you_mean(name, [*packaged, *around]) or f"; suites that come with kdbench are {', '.join(packaged)}"
    raise SuiteError(f'there is no suite "{name}"{hint}')


def _unshared(value: Any) -> Any:
    """A copy in which what an alias (``*name``) repeats stands on its own, so that a setting changes one place."""
    if isinstance(value, dict):
        return {k: _unshared(v) for k, v in value.items()}
    return [_unshared(v) for v in value] if isinstance(value, list) else value


def _apply(raw: dict[str, Any], setting: str) -> None:
    key, sign, text = setting.partition("=")
    if not sign or not key:
        raise SuiteError(f'in --set {setting}: write key=value, such as "recipe.lr=0.1"')
    try:
        value = parse_value(text)
    except (yaml.YAMLError, ValueError) as error:
        raise SuiteError(f"in --set {setting}: the value is not valid YAML") from error
    *parents, last = key.split(".")
    here: Any = raw
    walked: list[str] = []
    for part in parents:
        walked.append(part)
        here = _enter(here, part, setting, walked)
    if isinstance(here, list):
        here[_index(here, last, setting)] = value
    elif isinstance(here, dict):
        _check_key(walked, last, setting)
        here[last] = value
    else:
        raise SuiteError(f"in --set {setting}: {'.'.join(walked)} is not a mapping")


def _enter(here: Any, part: str, setting: str, walked: list[str]) -> Any:
    if isinstance(here, list):
        return here[_index(here, part, setting)]
    if isinstance(here, dict):
        _check_key(walked[:-1], part, setting)
        if not isinstance(here.get(part), dict | list):
            # A data set by its bare name becomes a mapping that has one.
            here[part] = {"name": here[part]} if part == "dataset" and isinstance(here.get(part), str) else here.get(part) or {}
        return here[part]
    raise SuiteError(f"in --set {setting}: {'.'.join(walked[:-1])} is not a mapping")


def _index(values: list[Any], part: str, setting: str) -> int:
    if not part.isdigit() or int(part) >= len(values):
        raise SuiteError(f'in --set {setting}: "{part}" is no index into a list of {len(values)}')
    return int(part)


def _check_key(parents: list[str], key: str, setting: str) -> None:
    """Refuse what the schema does not know, where the schema is certain."""
    model: dict[tuple[str, ...], type[BaseModel]] = {
        (): Suite,
        ("recipe",): Recipe,
        ("dataset",): DatasetSpec,
        ("measure",): Measure,
        ("measure", "latency"): Latency,
    }
    known = model.get(tuple(parents))
    if known is not None and key not in known.model_fields:
        hint = did_you_mean(key, known.model_fields) or f"; known are {', '.join(known.model_fields)}"
        raise SuiteError(f'in --set {setting}: unknown key "{key}"{hint}')


def _seeds(text: str) -> int | list[int]:
    try:
        numbers = [int(part) for part in text.removesuffix(",").split(",")]
    except ValueError as error:
        raise SuiteError(f'in --seeds {text}: write a number of seeds ("3") or a list ("0,1,5")') from error
    if "," in text:
        return numbers
    if numbers[0] < 1:
        raise SuiteError(f"in --seeds {text}: a suite needs at least one seed")
    return numbers[0]


def _set_epochs(raw: dict[str, Any], epochs: int) -> None:
    if isinstance(raw.get("recipe", {}), dict):
        raw["recipe"] = {**raw.get("recipe", {}), "epochs": epochs}
    networks = _mappings(raw.get("networks"))
    for pair in _mappings(raw.get("pairs")):
        networks += _mappings([pair.get("student"), pair.get("teacher")]) + _mappings(pair.get("teachers"))
    for entry in _mappings(raw.get("methods")):
        networks += _mappings(entry.get("assistants"))
    for network in networks:
        if isinstance(network.get("recipe"), dict):
            network["recipe"]["epochs"] = epochs


def _mappings(values: Any) -> list[dict[str, Any]]:
    """The mappings in a list or a mapping; none where the file, not checked yet, has something else."""
    items = values.values() if isinstance(values, dict) else values if isinstance(values, list) else ()
    return [item for item in items if isinstance(item, dict)]


def _expand(raw: dict[str, Any], path: Path) -> dict[str, Any]:
    """Write short spellings out."""
    full = {"name": path.stem, **raw}
    if isinstance(full.get("dataset"), str):
        full["dataset"] = {"name": full["dataset"]}
    if isinstance(full.get("methods"), list):
        full["methods"] = [{"method": m} if isinstance(m, str) else m for m in full["methods"]]
    if isinstance(full.get("networks"), dict):
        full["networks"] = {k: {"model": v} if isinstance(v, str) else v for k, v in full["networks"].items()}
    seeds = full.get("seeds", 1)
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        full["seeds"] = list(range(seeds))
    return full


def _select(suite: Suite, only: Sequence[str]) -> Suite:
    """Put the baseline in front, and keep what ``only`` names."""
    entries = list(suite.methods)
    names = [e.name or e.method for e in entries]
    for name in only:
        if name not in names and name != BASELINE:
            hint = did_you_mean(name, names) or f"; this suite has {', '.join(names)}"
            raise SuiteError(f'in --only {name}: the suite has no method entry "{name}"{hint}')
    if only:
        entries = [e for e in entries if (e.name or e.method) in only or e.method == BASELINE]
    if not any(e.method == BASELINE and not e.params and not e.grid and not e.pairs for e in entries):
        entries.insert(0, MethodEntry(method=BASELINE))
    return suite.model_copy(update={"methods": tuple(entries)})


MODELS: dict[str, type[BaseModel]] = {
    "dataset": DatasetSpec, "networks": Network, "pairs": Pair, "methods": MethodEntry, "recipe": Recipe, "measure": Measure
}  # fmt: skip


def _explain(error: ValidationError, places: Places, raw: dict[str, Any]) -> SuiteError:
    """Pydantic's findings in plain words, each with its line."""
    seen: dict[str, None] = {}
    first: Place | None = None
    findings = error.errors()
    deeper = {f["loc"][0] for f in findings if len(f["loc"]) > 1}
    for finding in findings:
        if finding["type"] == "too_short" and finding["loc"][0] in deeper:
            continue  # pydantic counts an item that is wrong as missing
        location = _in_file(finding["loc"], raw)
        if location and location[0] == "seeds":
            location = ("seeds",)
        place = places.of(*location)
        first = first or place
        seen[f"{place}: {_sentence(finding, location)}"] = None
    lines = list(seen)
    more = f"\n(and {len(lines) - 5} more)" if len(lines) > 5 else ""
    explained = SuiteError("\n".join(lines[:5]) + more)
    explained.place = first
    return explained


def _in_file(location: tuple[str | int, ...], raw: Any) -> tuple[str | int, ...]:
    """Keep the parts of pydantic's path that exist in the data: it also names members of unions."""
    kept: list[str | int] = []
    here = raw
    for number, part in enumerate(location):
        last = number == len(location) - 1
        if isinstance(here, dict) and (part in here or (last and isinstance(part, str) and part not in ("str", "Network"))):
            kept.append(part)
            here = here.get(part)
        elif isinstance(here, list | tuple) and isinstance(part, int) and part < len(here):
            kept.append(part)
            here = here[part]
    return tuple(kept)


def _sentence(finding: Any, location: tuple[str | int, ...]) -> str:
    name = ".".join(map(str, location)) or "the suite"
    if finding["type"] == "extra_forbidden":
        known = list(_model_at(location).model_fields)
        hint = did_you_mean(str(location[-1]), known) or f"; known are {', '.join(known)}"
        return f'unknown key "{location[-1]}"{hint}'
    if finding["type"] == "missing":
        return f"{name} is missing"
    return f"{name}: {plain(finding)}"


def plain(finding: Any) -> str:
    """What pydantic found, with the value that it found."""
    message = str(finding["msg"])
    value = finding.get("input")
    shown = f", not {value!r}" if isinstance(value, str | int | float | bool) or value is None else ""
    return message[0].lower() + message[1:] + shown


def _model_at(location: tuple[str | int, ...]) -> type[BaseModel]:
    if len(location) > 1 and location[-2] == "recipe":
        return Recipe
    if location[:2] == ("measure", "latency") and len(location) > 2:
        return Latency
    if location[0] == "pairs" and any(part in ("student", "teacher", "teachers") for part in location[1:-1]):
        return Network
    if "assistants" in location[:-1]:
        return Network
    return MODELS.get(str(location[0]), Suite) if len(location) > 1 else Suite
