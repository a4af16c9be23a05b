"""Migration of older files to the present format; newer files are refused.

Every JSON file that kdbench writes has a ``version``, counted separately for each kind of file; plans,
profiles and ``trial.json`` of version 1 have none. To change a format, raise the version in its model and
append a function ``version n → version n + 1`` to ``MIGRATIONS``. It gets plain data and needs to know only
these two versions. A key that is added with a default does not need a new version.

In a report's copy of its records, the parts that have no version (scores, histories, predictions) have that
of its ``plan.json``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from kdbench.errors import StoreError
from kdbench.seeding import digest

Kind = Literal["record", "trial", "plan", "profile", "latency", "checkpoint"]
Json = dict[str, Any]
Renamed = Mapping[str, str]
"""Ids of trials in version 1 → their present ids, where the two differ."""
NOTHING_RENAMED: Renamed = {}


class NewerFormat(StoreError):
    """A file that a newer version of kdbench wrote.

    It is never treated as damaged, and never overwritten.
    """


def upgrade(kind: Kind, data: Any, source: Path | str, renamed: Renamed = NOTHING_RENAMED) -> Json:
    """Bring the content of a JSON file up to the present version.

    Args:
        kind: what the file holds.
        data: its content.
        source: the file, for the error message.
        renamed: see :func:`renamed_trials`; not needed for a plan, which holds all of its trials.

    Returns:
        The content in the present version; ``data`` itself does not change.

    Raises:
        NewerFormat: a newer version of kdbench wrote it.
        ValueError: the content is not valid for its kind and version.
    """
    found, steps = checked_version(kind, data, source), MIGRATIONS[kind]
    try:
        for number, step in enumerate(steps[found - 1 :], found + 1):
            data = {**step(data, renamed), "version": number}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a {kind} of version {found}") from error
    return dict(data)


def checked_version(kind: Kind, data: Any, source: Path | str) -> int:
    """The version of a file's content, if this kdbench reads it.

    Raises:
        NewerFormat: a newer version of kdbench wrote it.
        ValueError: it is not what it should be.
    """
    found, known = version_of(kind, data), len(MIGRATIONS[kind]) + 1
    if found > known:
        raise NewerFormat(
            f"{source} is a {kind} of format version {found}, but this kdbench reads versions up to {known}; "
            "it was left as it is: update kdbench (pip install --upgrade kdbench), or use another folder"
        )
    return found


def version_of(kind: Kind, data: Any) -> int:
    """Return the version of a file's content.

    Raises:
        ValueError: it is not a mapping, or its version is not a positive integer.
    """
    found = data.get("version", 1) if isinstance(data, dict) else None
    if not isinstance(found, int) or not 1 <= found < 10**6:
        raise ValueError(f"not a {kind}")
    return found


def renamed_trials(trials: Mapping[str, Json]) -> dict[str, str]:
    """Map ids of version 1 that depended on a label to the present ones.

    Students of such trials are included, because their ids depend on those of their teachers.

    Args:
        trials: trials of version 1 by id; a trial whose id does not follow from its content is left out.
    """
    found: dict[str, str] = {}
    waiting: list[str] = [*trials][::-1]
    while waiting:  # not by recursion: a chain of teachers may be long
        old = waiting[-1]
        trial = trials.get(old)
        teachers = _teachers(trial)
        if old not in found and (unknown := [t for t in teachers if t not in found and t in trials]):
            found[old] = old  # of a circle, which no digests form, nothing is renamed
            waiting += reversed(unknown)
            continue
        waiting.pop()
        if trial is not None and found.get(old, old) == old and _id_of_version_1(trial) == old:
            spec = {**trial["data"]["spec"], "label": None, "options": {}}
            now = {**trial, "data": {**trial["data"], "spec": spec}, "teachers": [found.get(t, t) for t in teachers]}
            found[old] = _id_of_version_1(now) or old
        found.setdefault(old, old)
    return {old: found[old] for old in trials if found[old] != old}


def _teachers(trial: Any) -> list[str]:
    found = trial.get("teachers") if isinstance(trial, dict) else None
    return [t for t in found if isinstance(t, str)] if isinstance(found, list | tuple) else []


def _id_of_version_1(trial: Json) -> str | None:
    """Return the digest of all keys of a version 1 trial; ``None`` if it is not valid."""
    try:
        weights = {} if trial["weights_digest"] is None else {"weights": "file"}
        return digest({**trial, "model": {**trial["model"], **weights}})
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _record_1(data: Json, renamed: Renamed) -> Json:
    """Rename teachers, group metrics by split, and count samples instead of images."""
    builtin = {f"{split}_{name}": (split, name) for split in ("train", "validation", "test") for name in ("accuracy", "loss")}
    metrics: dict[str, dict[str, Any]] = {}
    for name, value in data["metrics"].items():
        split, short = builtin.get(name, ("test", name))  # all others are plugins' metrics, of the test split
        metrics.setdefault(split, {})[short] = value
    return {
        **data,
        "trial": _trial_1(data["trial"], renamed),
        "metrics": metrics,
        "costs": _per_sample(data["costs"]),
    }


def _trial_1(data: Json, renamed: Renamed) -> Json:
    return {**data, "teachers": [renamed.get(t, t) for t in data["teachers"]]}


def _plan_1(data: Json, _: Renamed) -> Json:
    """Replace ids that depended on a label."""
    renamed = renamed_trials(data["trials"])

    def ids(old: list[str]) -> list[str]:
        return list(dict.fromkeys(renamed.get(i, i) for i in old))

    return {
        **data,
        "trials": {renamed.get(i, i): _trial_1(t, renamed) for i, t in data["trials"].items()},
        "entries": [
            {**e, "trial": renamed.get(e["trial"], e["trial"]), "teachers": ids(e.get("teachers", []))} for e in data["entries"]
        ],
        "cohorts": [{**c, "trials": ids(c["trials"]), "teachers": ids(c["teachers"])} for c in data["cohorts"]],
    }


def _profile_1(data: Json, _: Renamed) -> Json:
    """Replace the shape of images by the inputs of any task."""
    return {**{k: v for k, v in data.items() if k != "input_shape"}, "inputs": data["input_shape"]}


def _latency_1(data: Json, _: Renamed) -> Json:
    return {**data, "results": [_per_sample(r) for r in data["results"]]}


def _checkpoint_1(data: Json, renamed: Renamed) -> Json:
    if data["format"] != "kdbench-checkpoint-1":
        raise KeyError("format")
    kept = {k: v for k, v in data.items() if k != "format"}
    return {**kept, "trial": renamed.get(data["trial"], data["trial"]), "history": [_per_sample(r) for r in data["history"]]}


def _per_sample(data: Json) -> Json:
    """Give ``images_per_second`` the name that it has had since version 2."""
    return {RENAMED_COLUMNS.get(k, k): v for k, v in data.items()}


RENAMED_COLUMNS = {"images_per_second": "samples_per_second"}
"""Old name → present name of columns of ``history.csv``, which has no version."""

MIGRATIONS: Mapping[Kind, tuple[Callable[[Json, Renamed], Json], ...]] = {
    "record": (_record_1,),
    "trial": (_trial_1,),
    "plan": (_plan_1,),
    "profile": (_profile_1,),
    "latency": (_latency_1,),
    "checkpoint": (_checkpoint_1,),
}
"""Migrations of each kind of file: from version 1 to 2, from 2 to 3, and so on."""

VERSIONS: Mapping[Kind, int] = {kind: len(steps) + 1 for kind, steps in MIGRATIONS.items()}
"""The version in which each kind of file is written."""
