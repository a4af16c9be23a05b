"""The JSON Schema that editors use says the same as the models, and its descriptions are those of the docstrings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from kdbench.suite.docstrings import arguments, summary
from kdbench.suite.load import load_suite, packaged_suites
from kdbench.suite.schema import Latency, Network, Recipe, Suite, json_schema
from kdbench.suite.spelling import Short, spelling_at
from tests.suite import made

SUITES = Path(__file__).resolve().parents[2] / "suites"
VALIDATOR = Draft202012Validator(json_schema())


def changed(*path: str | int, **changes: Any) -> dict[str, Any]:
    """``made.SUITE`` with these keys changed, at a path of keys."""
    raw: dict[str, Any] = yaml.safe_load(made.SUITE)
    here: Any = raw
    for part in path:
        here = here[part]
    here.update(changes)
    return raw


def test_the_packaged_schema_is_up_to_date() -> None:
    """Renew it with ``kdbench schema > suites/schema.json``."""
    assert json.loads((SUITES / "schema.json").read_text(encoding="utf-8")) == json_schema()


def test_the_command_prints_it(kdbench_command: Any) -> None:
    outcome = kdbench_command("schema")
    assert outcome.status == 0
    assert json.loads(outcome.out) == json_schema()


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("name", packaged_suites())
def test_packaged_suites_are_accepted_and_name_it(name: str) -> None:
    text = (SUITES / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.splitlines()[0] == "# yaml-language-server: $schema=schema.json"
    assert not list(VALIDATOR.iter_errors(yaml.safe_load(text)))


GOOD = {
    "a data set by name": changed(dataset="mnist"),
    "a data set with options": changed(dataset={"name": "mnist", "limit": 9}),
    "networks by name": changed(networks={"big": "mnist_mlp"}),
    "a network's recipe": changed("networks", "big", recipe={"epochs": 0}),
    "a network written out": changed("pairs", 0, student={"model": "tiny_cnn"}),
    "a number of seeds": changed(seeds=3),
    "a list of seeds": changed(seeds=[4, 2]),
    "a method with options": changed(methods=[{"method": "kd", "params": {"alpha": 0.5}}]),
    "no latency": changed(measure={"latency": False}),
    "the default latency": changed(measure={"latency": True}),
    "a setting of latency": changed(measure={"latency": {"threads": 1}}),
}
BAD = {
    "a key": changed(recipes={}),
    "a key of the data set": changed(dataset={"name": "mnist", "limt": 9}),
    "a key of a network": changed("networks", "big", kwarg={}),
    "a key of a network's recipe": changed("networks", "big", recipe={"epoch": 1}),
    "a key of a pair": changed("pairs", 0, techer="big"),
    "a key of a student": changed("pairs", 0, student={"model": "tiny_cnn", "wieghts": "a"}),
    "a key of a method": changed(methods=[{"method": "kd", "gird": {}}]),
    "a key of an assistant": changed(methods=[{"method": "kd", "assistants": [{"model": "m", "sead": 1}]}]),
    "a key of the recipe": changed(recipe={"epoch": 1}),
    "a key of latency": changed(measure={"latency": {"thread": 1}}),
    "a key of the report": changed(report={"column": []}),
    "no model": changed(networks={"big": {"kwargs": {}}}),
    "no methods": changed(methods=[]),
    "no seeds": changed(seeds=0),
    "a negative rate": changed(recipe={"lr": -1}),
}


@pytest.mark.parametrize("what", GOOD)
def test_every_spelling_is_accepted_by_schema_and_models(what: str) -> None:
    assert not list(VALIDATOR.iter_errors(GOOD[what]))
    Suite.model_validate(GOOD[what])


@pytest.mark.parametrize("what", BAD)
def test_mistakes_are_refused(what: str) -> None:
    assert list(VALIDATOR.iter_errors(BAD[what]))


def keys(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, model in [("Suite", schema), *schema["$defs"].items()]:
        yield name, model
        for key, value in model["properties"].items():
            yield f"{name}.{key}", value


def test_every_key_is_described() -> None:
    described = {name: part["description"] for name, part in keys(json_schema())}
    assert all(described.values())
    assert described["Recipe.min_lr"] == "Lowest learning rate of the schedule."
    assert described["Network.weights"] == "`scratch`, `pretrained` (timm's), or the path of a safetensors file."


def test_descriptions_come_from_docstrings() -> None:
    class Base:
        """A base.

        Args:
            one: the ``first`` of
                two lines.
            two: see :class:`kdbench.Method`.

        Raises:
            ValueError: never.
        """

    class Derived(Base):
        """Says more
        on two lines.

        And a second paragraph.

        Args:
            two: another one.
        """

    assert arguments(Derived) == {"one": "The `first` of two lines.", "two": "Another one."}
    assert arguments(Base)["two"] == "See `Method`."
    assert summary(Derived) == "Says more on two lines."


@pytest.mark.parametrize(
    ("path", "model", "short"),
    [
        ((), Suite, None),
        (("networks", "any"), Network, "model"),
        (("networks", "any", "recipe"), Recipe, None),
        (("pairs", 3, "teachers", 0), Network, None),
        (("methods", 0, "assistants", 0), Network, None),
        (("measure", "latency"), Latency, None),
        (("recipe", "lr"), None, None),
        (("absent", "deeper"), None, None),
    ],
)
def test_the_models_say_what_may_stand_where(path: tuple[str | int, ...], model: Any, short: str | None) -> None:
    found = spelling_at(Suite, path)
    assert found.model is model
    assert found.short == (Short(short) if short else None)


def test_a_suite_object_is_made_with_short_spellings() -> None:
    suite = Suite(dataset="digits", networks={"big": "mnist_mlp"}, pairs=[{"student": "tiny_cnn", "teacher": "big"}], methods=["kd"], seeds=2)  # fmt: skip
    assert suite.dataset.name == "digits"
    assert suite.networks["big"].model == "mnist_mlp"
    assert suite.methods[0].method == "kd"
    assert suite.seeds == (0, 1)
    assert load_suite(suite).suite.methods[0].method == "supervised"
