"""Settings from the command line (``recipe.lr=0.1``), applied before validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kdbench.errors import SuiteError, did_you_mean
from kdbench.suite.locations import parse_value
from kdbench.suite.schema import Network, Suite
from kdbench.suite.spelling import spelling_at


def apply_setting(raw: Mapping[str, Any], setting: str) -> dict[str, Any]:
    """A suite in which one value is replaced; what was given stays as it is.

    Args:
        raw: a suite as it was written.
        setting: ``key=value``, keys joined by dots, the value as YAML spells it.

    Raises:
        SuiteError: the setting has no such form, or there is no such key.
    """
    key, sign, text = setting.partition("=")
    if not sign or not key:
        raise SuiteError(f'in --set {setting}: write key=value, such as "recipe.lr=0.1"')
    try:
        value = parse_value(text)
        replaced: dict[str, Any] = _replaced(raw, key.split("."), value)
    except ValueError as error:
        raise SuiteError(f"in --set {setting}: the value is not valid YAML") from error
    except _Refused as error:
        raise SuiteError(f"in --set {setting}: {error}") from error
    return replaced


def parse_seeds(text: str) -> int | list[int]:
    """A number of seeds, or a list: ``3``, ``0,1,5``, ``7,``.

    Raises:
        SuiteError: it is neither.
    """
    try:
        numbers = [int(part) for part in text.removesuffix(",").split(",")]
    except ValueError as error:
        raise SuiteError(f'in --seeds {text}: write a number of seeds ("3") or a list ("0,1,5")') from error
    if "," in text:
        return numbers
    if numbers[0] < 1:
        raise SuiteError(f"in --seeds {text}: a suite needs at least one seed")
    return numbers[0]


def with_epochs(suite: Suite, epochs: int) -> Suite:
    """A suite in which every network is trained for that many epochs."""

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
    """Why a setting cannot be applied."""


def _replaced(here: Any, keys: Sequence[str], value: Any, walked: tuple[str | int, ...] = ()) -> Any:
    """A copy of ``here`` with another value at ``keys``: copied along the way, for an alias may share the parts."""
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
    """The mapping that a value stands for when a setting reaches into it."""
    if value is None:
        return {}
    short = spelling_at(Suite, path).short
    return short.written_out(value) if short else value


def _check(path: tuple[str | int, ...], key: str) -> None:
    """Refuse a key that is unknown for certain."""
    model = spelling_at(Suite, path).model
    if model is not None and key not in model.model_fields:
        hint = did_you_mean(key, model.model_fields) or f"; known are {', '.join(model.model_fields)}"
        raise _Refused(f'unknown key "{key}"{hint}')
