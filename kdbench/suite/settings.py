"""Settings from the command line (``recipe.lr=0.1``), applied before validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kdbench.errors import SuiteError, cut, did_you_mean
from kdbench.suite.parse import parse_value
from kdbench.suite.schema import Network, Suite
from kdbench.suite.spelling import spelling_at


def apply_setting(raw: Mapping[str, Any], setting: str) -> dict[str, Any]:
    """Return a copy of a suite in which one value is replaced.

    Args:
        raw: a suite as it was written; it does not change.
        setting: ``key=value``, keys joined by dots, the value as in YAML.

    Raises:
        SuiteError: the setting does not have this form, or the key does not exist.
    """
    key, sign, text = setting.partition("=")
    if not sign or not key:
        raise SuiteError(f'in --set {cut(setting)}: write key=value, such as "recipe.lr=0.1"')
    try:
        value = parse_value(text)
        replaced: dict[str, Any] = _replaced(raw, key.split("."), value)
    except ValueError as error:
        raise SuiteError(f"in --set {cut(setting)}: {error}") from error
    except _Refused as error:
        raise SuiteError(f"in --set {cut(setting)}: {error}") from error
    return replaced


def parse_seeds(text: str) -> int | list[int]:
    """Parse a number of seeds, or a list: ``3``, ``0,1,5``, ``7,``.

    Raises:
        SuiteError: it is neither.
    """
    try:
        numbers = [int(part) for part in text.removesuffix(",").split(",")]
    except ValueError as error:
        raise SuiteError(f'in --seeds {cut(text)}: write a number of seeds ("3") or a list ("0,1,5")') from error
    if "," in text:
        return numbers
    if numbers[0] < 1:
        raise SuiteError(f"in --seeds {text}: a suite needs at least one seed")
    return numbers[0]


def with_epochs(suite: Suite, epochs: int) -> Suite:
    """Return a suite in which every network is trained for ``epochs`` epochs."""

    def trained(reference: Any) -> Any:
        if isinstance(reference, Network) and reference.recipe:
            return reference.model_copy(update={"recipe": {**reference.recipe, "epochs": epochs}})
        return reference

    return suite.model_copy(
        update={
            "recipe": suite.recipe.model_copy(update={"epochs": epochs}),
            "networks": {name: trained(network) for name, network in suite.networks.items()},
            "pairs": tuple(
                pair.model_copy(
                    update={
                        "student": trained(pair.student),
                        "teacher": trained(pair.teacher),
                        "teachers": tuple(map(trained, pair.teachers)),
                    }
                )
                for pair in suite.pairs
            ),
            "methods": tuple(
                entry.model_copy(update={"assistants": tuple(map(trained, entry.assistants))}) for entry in suite.methods
            ),
        }
    )


class _Refused(Exception):
    """A setting cannot be applied; the text says why."""


def _replaced(here: Any, keys: Sequence[str], value: Any, walked: tuple[str | int, ...] = ()) -> Any:
    """Return a copy of ``here`` with another value at ``keys``.

    All parts on the way there are copied too, because aliases may share them.
    """
    key, *rest = keys
    if isinstance(here, Mapping):
        _check(walked, key)
        inner = _written_out(here.get(key), (*walked, key)) if rest else None
        return {**here, key: _replaced(inner, rest, value, (*walked, key)) if rest else value}
    if isinstance(here, Sequence) and not isinstance(here, str):
        if not key.isdecimal() or int(key) >= len(here):
            raise _Refused(f'"{key}" is not an index into a list of {len(here)}')
        index = int(key)
        inner = _written_out(here[index], (*walked, index)) if rest else None
        changed = _replaced(inner, rest, value, (*walked, index)) if rest else value
        return [*here[:index], changed, *here[index + 1 :]]
    raise _Refused(f"{'.'.join(map(str, walked))} is not a mapping")


def _written_out(value: Any, path: tuple[str | int, ...]) -> Any:
    """Return the mapping that a value stands for when a setting changes a key in it."""
    if value is None:
        return {}
    short = spelling_at(Suite, path).short
    return short.written_out(value) if short else value


def _check(path: tuple[str | int, ...], key: str) -> None:
    """Refuse a key that is certainly unknown."""
    model = spelling_at(Suite, path).model
    if model is not None and key not in model.model_fields:
        hint = did_you_mean(key, model.model_fields) or f"; known are {', '.join(model.model_fields)}"
        raise _Refused(f'unknown key "{key}"{hint}')
