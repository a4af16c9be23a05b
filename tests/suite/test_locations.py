"""YAML as suites are written in it: the numbers of YAML 1.2, the line of every value, and nothing that runs code."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.errors import SuiteError
from kdbench.suite.locations import KeyLocations
from kdbench.suite.parse import parse_value, parse_yaml

FILE = Path("suite.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5e-4", 5e-4),
        ("1e5", 1e5),
        ("-1E+2", -100.0),
        ("5.0e-4", 5e-4),
        (".5", 0.5),
        ("1.", 1.0),
        ("-.inf", -math.inf),
        ("+3", 3),
        ("010", 10),
        ("08", 8),
        ("0x10", 16),
        ("1_000", 1000),
        ("true", True),
        ("null", None),
        ("~", None),
    ],
)
def test_numbers_and_constants(text: str, value: Any) -> None:
    found = parse_value(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["on", "yes", "no", "12:30", "2024-01-01", "2024-01-01 10:00:00", "1e", "e5", "1.2.3"])
def test_what_yaml_1_1_would_turn_into_something_else_is_text(text: str) -> None:
    assert parse_value(text) == text


@given(st.floats(allow_nan=False) | st.integers() | st.booleans())
def test_a_number_that_python_writes_comes_back(value: float) -> None:
    text = {math.inf: ".inf", -math.inf: "-.inf"}.get(value, str(value))
    found = parse_value(text)
    assert found == value
    assert type(found) is type(value)


TEXT = """\
# a comment
dataset: digits
networks:
  big:
    model: m
    kwargs: {width: 3,
      depth: 4}
methods:
- kd

- method: dkd
  params:
    alpha: 1
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 2),
        (("dataset",), 2),
        (("networks", "big"), 4),
        (("networks", "big", "model"), 5),
        (("networks", "big", "kwargs", "width"), 6),
        (("networks", "big", "kwargs", "depth"), 7),
        (("methods", 0), 9),
        (("methods", 1), 11),
        (("methods", 1, "params", "alpha"), 13),
        (("methods", 1, "params", "absent"), 12),  # what the file does not hold stands where its surroundings do
        (("methods", 7, "params"), 8),
        (("absent", "deeper"), 2),
    ],
)
def test_every_part_has_its_line(path: tuple[str | int, ...], line: int) -> None:
    _, locations = parse_yaml(TEXT, FILE)
    assert str(locations.of(*path)) == f"suite.yaml:{line}"


def test_an_alias_stands_where_its_anchor_does() -> None:
    value, locations = parse_yaml("a: &x\n  b: 1\nc: *x\nd:\n  <<: *x\n  e: 2\n", FILE)
    assert value == {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}}
    assert locations.of("c").line == 3
    assert locations.of("c", "b").line == 2
    assert locations.of("d", "b").line == 2
    assert locations.of("d", "e").line == 6


def test_what_a_mapping_says_itself_hides_what_is_merged_into_it() -> None:
    value, locations = parse_yaml("a: &x {b: 1}\nc:\n  <<: *x\n  b: 2\n", FILE)
    assert value["c"] == {"b": 2}
    assert locations.of("c", "b").line == 4


def test_an_empty_document_is_nothing() -> None:
    assert parse_yaml("", FILE)[0] is None
    assert parse_yaml("# only a comment\n", FILE)[0] is None
    assert str(parse_yaml("", FILE)[1].of("dataset")) == "suite.yaml"


@pytest.mark.parametrize(
    ("text", "location", "said"),
    [
        ("a: 1\nb: [1\n", "suite.yaml:3", "expected ',' or ']'"),
        ("a: 1\n b: 2\n", "suite.yaml:2", "mapping values are not allowed"),
        ("a: 1\nb: 2\na: 3\n", "suite.yaml:3", 'the key "a" is given twice, first on line 1'),
        ("a: &x {b: 1}\nc:\n  <<: *x\n  d: 1\n  d: 2\n", "suite.yaml:5", 'the key "d" is given twice, first on line 4'),
        ("a:\n  - {b: 1,\n     b: 2}\n", "suite.yaml:3", 'the key "b"'),
        ("a: 1\nb: *nowhere\n", "suite.yaml:2", "alias 'nowhere'"),
        ("a: 1\n---\nb: 1\n", "suite.yaml:2", "another document"),
        ("a: 1\n{b: c}: 1\n", "suite.yaml:2", "unhashable key"),
        ("a: 1\nb: a\x07b\n", "suite.yaml:2", "0x7"),
        ("a: !!int abc\n", "suite.yaml:1", "abc"),
        ("a: &x [*x]\n", "suite.yaml:1", "alias of itself"),
        ("a: 1\nb: &x {c: *x}\n", "suite.yaml:2", "alias of itself"),
        ("a: " + "[" * 10_000, "suite.yaml:1", "nested too deeply"),
        (
            "a0: &a0 [1, 2]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60)),
            "suite.yaml:16",
            "100,000",
        ),
    ],
)
def test_what_is_not_yaml_is_refused_with_its_line(text: str, location: str, said: str) -> None:
    with pytest.raises(SuiteError) as caught:
        parse_yaml(text, FILE)
    assert str(caught.value.location) == location
    assert said in caught.value.message


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!!python/name:os.system", "!mine"])
def test_nothing_is_constructed_from_a_tag(tag: str) -> None:
    with pytest.raises(SuiteError, match=r"suite\.yaml:1: .*tag"):
        parse_yaml(f"a: {tag} [echo]\n", FILE)
    with pytest.raises(ValueError, match="not valid YAML"):
        parse_value(f"{tag} [echo]")


def test_a_suite_without_a_file_has_its_paths_of_keys() -> None:
    assert str(KeyLocations().of("pairs", 0, "student")) == "pairs.0.student"
    assert str(KeyLocations().of()) == "the suite"
    assert KeyLocations().reference("pairs", 0) == "at pairs.0"
    assert parse_yaml(TEXT, FILE)[1].reference("methods", 0) == "on line 9"
