"""Identities of trials, networks and measurements.

Their digests survive new keys in the schema.

Ids and seeds are digests. If they covered whatever keys the schema happens to have, a key added with a
default would change every id, and finished records would be lost. So the canonical form of a model has

- always: the keys of version 1, listed below and frozen;
- a key added later: only if its value differs from its default (a required key: always);
- never: labels, options and paths, which only say how things are called and where they are.

Adding a field with a default to a schema therefore needs no edit here, on one condition: **the default means
what training did before the field existed, and never changes afterwards**.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

if TYPE_CHECKING:
    from kdbench.plan.trial import Trial
    from kdbench.suite.schema import ModelSpec, Recipe

VERSION_1: Mapping[str, frozenset[str]] = {
    "Trial": frozenset({"data", "model", "weights_digest", "method", "params", "teachers", "recipe", "seed"}),
    "DataKey": frozenset({"spec", "fingerprint"}),
    "DatasetSpec": frozenset({"name", "options", "label", "classes", "limit", "validation", "test", "split_seed"}),
    "ModelSpec": frozenset({"model", "kwargs", "stem", "weights"}),
    "Recipe": frozenset(
        {
            *("epochs", "batch_size", "drop_last", "optimizer", "lr", "weight_decay", "momentum", "optimizer_kwargs"),
            *("decay_norm_and_bias", "schedule", "schedule_kwargs", "warmup_epochs", "min_lr", "clip_grad"),
            *("augmentation", "precision", "channels_last"),
        }
    ),
    "Augmentation": frozenset({"crop_padding", "crop_mode", "flip"}),
    "Latency": frozenset(
        {
            *("devices", "runtimes", "batch_sizes", "threads", "min_seconds", "min_rounds", "blocks", "processes"),
            "max_spread",
        }
    ),
}
"""Keys of version 1 by class name, which subclasses share.

The table is frozen: do not add new keys to it.
"""

IGNORED: Mapping[str, Mapping[str, Any]] = {"DatasetSpec": {"options": {}, "label": None}}
"""Keys of version 1 that never count, with the value that replaces theirs."""


Known = dict[int, dict[str, Any]]
"""Canonical forms of models inside other models, by their ``id()``.

They are valid as long as these models are kept."""


def canonical(model: BaseModel, known: Known | None = None) -> dict[str, Any]:
    """Return the canonical form of a model, as described above, as plain data.

    Args:
        model: the model.
        known: cache of the canonical forms of the models inside, which is filled.
    """
    always = _by_class(VERSION_1, model) or frozenset()
    inner = {name for name, value in model if isinstance(value, BaseModel)}
    dumped = model.model_dump(mode="json", exclude=inner)
    found: dict[str, Any] = {}
    for name, field in type(model).model_fields.items():
        if field.exclude or (name not in dumped and name not in inner):
            continue  # it is excluded from serialisation
        value = _plain(getattr(model, name), dumped.get(name), known)
        if name in always or _counts(field, getattr(model, name), value):
            found[name] = value
    return {**found, **(_by_class(IGNORED, model) or {})}


def trial_identity(trial: Trial, known: Known | None = None) -> dict[str, Any]:
    """Return what identifies a trial, the data behind ``Trial.id``.

    A weights file counts by its content, not by its path.
    """
    found = canonical(trial, known)
    return found if trial.weights_digest is None else {**found, "model": {**found["model"], "weights": "file"}}


def student_identity(trial: Trial) -> dict[str, Any]:
    """Return what decides a student's initial weights, besides seed and weights file."""
    own = canonical(trial.model)
    return own if trial.weights_digest is None else {**own, "weights": "file"}


def architecture_identity(spec: ModelSpec) -> dict[str, Any]:
    """Return what decides the cost of a network: everything but its weights."""
    return {name: value for name, value in canonical(spec).items() if name != "weights"}


def data_side(recipe: Recipe) -> dict[str, Any]:
    """Return what decides the batch stream: the keys in :meth:`Recipe.data_side`."""
    named = recipe.data_side()
    return {name: value for name, value in canonical(recipe).items() if name in named}


def _by_class(table: Mapping[str, Any], model: BaseModel) -> Any:
    return next((table[cls.__name__] for cls in type(model).__mro__ if cls.__name__ in table), None)


def _counts(field: FieldInfo, value: Any, plain: Any) -> bool:
    """Return whether the value of a key added later differs from its default."""
    if field.is_required():
        return True
    default = field.get_default(call_default_factory=True)
    return bool(value != default and plain != _plain(default, default))


def _plain(value: Any, dumped: Any, known: Known | None = None) -> Any:
    """Convert ``dumped``, the JSON form of ``value``, to the canonical form."""
    if isinstance(value, BaseModel):
        if known is None:
            return canonical(value)
        if id(value) not in known:
            known[id(value)] = canonical(value, known)
        return known[id(value)]
    if isinstance(value, Mapping):
        return {name: _plain(own, part) for own, (name, part) in zip(value.values(), dumped.items(), strict=True)}
    if isinstance(value, list | tuple):
        return [_plain(own, part) for own, part in zip(value, dumped, strict=True)]
    return dumped
