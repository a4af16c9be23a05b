"""What a suite may say about tuning, and the sentence that it gets where it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdbench.errors import SuiteError
from kdbench.suite.schema import Suite, Tuning
from tests.suite import made


def suite(folder: Path, tuning: str, more: str = "", methods: str = "[supervised, kd]") -> Suite:
    text = made.SUITE.replace("methods: [supervised, kd]\n", f"methods: {methods}\n")
    return made.loaded(folder, f"{text}tuning: {tuning}\n{more}").suite


def test_short_spellings_of_recipe_keys(tmp_path: Path) -> None:
    assert suite(tmp_path, "{}").tuning == Tuning()
    both = suite(tmp_path, "{recipe: [lr, weight_decay]}").tuning
    assert both is not None
    assert both.recipe == {"lr": None, "weight_decay": None}
    given = suite(tmp_path, "{recipe: {lr: {log: [0.01, 1]}}}").tuning
    assert given is not None
    assert given.recipe["lr"] is not None
    assert given.recipe["lr"].log == (0.01, 1.0)


def test_the_command_line_switches_tuning_on_and_off(tmp_path: Path) -> None:
    tuned = made.loaded(tmp_path, settings=["tuning.draws=3"]).suite
    assert tuned.tuning == Tuning(draws=3)
    text = made.SUITE + "tuning: {draws: 5}\n"
    assert made.loaded(tmp_path, text, settings=["tuning=null"]).suite.tuning is None


@pytest.mark.parametrize(
    ("tuning", "more", "methods", "message"),
    [
        ("{seed: 1}", "seeds: 2", "[kd]", "seed 1 is one of the final trials.*draws need another"),
        ("{draws: 1}", "", "[kd]", "tuning.draws.*greater than or equal to 2"),
        ("{epochs: 0}", "", "[kd]", "tuning.epochs.*greater than 0"),
        ("{draw: 3}", "", "[kd]", 'unknown key "draw".*did you mean "draws"'),
        ("{recipe: [lrs]}", "", "[kd]", "lrs"),
        ("{recipe: {lr: {linear: [-1, 1]}}}", "", "[kd]", "tuning.recipe.lr.*greater than 0"),
        ("{recipe: {lr: {log: [1, 0.1]}}}", "", "[kd]", "smaller number first"),
        ("{recipe: {lr: {log: [1, 2], linear: [1, 2]}}}", "", "[kd]", "exactly one"),
        ("{}", "", "[{method: kd, grid: {alpha: [0.1, 0.9]}}]", "no grids.*search: {alpha"),
        ("{}", "", "[{method: kd, search: {alpha: {linear: [0, 2]}}}]", "alpha.*less than or equal to 1"),
        ("{}", "", "[{method: kd, search: {alhpa: {linear: [0, 1]}}}]", 'unknown parameter "alhpa".*did you mean "alpha"'),
    ],
)
def test_what_cannot_be_tuned_is_refused_with_its_place(
    tmp_path: Path, tuning: str, more: str, methods: str, message: str
) -> None:
    with pytest.raises(SuiteError, match=message):
        suite(tmp_path, tuning, more, methods)


def test_tuning_needs_a_validation_set(tmp_path: Path) -> None:
    text = made.SUITE.replace("dataset: digits", "dataset: {name: digits, validation: 0}") + "tuning: {}\n"
    with pytest.raises(SuiteError, match="needs a validation set"):
        made.loaded(tmp_path, text)


def test_too_many_draws_are_counted_before_anything_is_planned(tmp_path: Path) -> None:
    pairs = "[" + ", ".join(f"{{name: p{i}, student: tiny_cnn, teacher: big}}" for i in range(30)) + "]"
    text = made.SUITE.replace("pairs:\n  - {name: pair, student: tiny_cnn, teacher: big}\n", f"pairs: {pairs}\n")
    with pytest.raises(SuiteError, match=r"draws and seeds"):
        made.loaded(tmp_path, text + "tuning: {draws: 1000}\n")
