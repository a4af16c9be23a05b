"""A suite that asks for too much, or for something that is not finite, is refused with the line that does."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import Field

from kdbench.errors import KdbenchError, SuiteError
from kdbench.method import Method
from kdbench.method.params import plain_data
from kdbench.plan.planner import make_plan
from kdbench.suite.load import load_suite
from kdbench.suite.parse import MAX_BYTES, MAX_DEPTH, read_suite_file
from kdbench.suite.resolve import resolve
from kdbench.suite.size import MAX_CHAIN, MAX_TRIALS
from tests.suite import made

BIG = 10**9


def refused(folder: Path, text: str, **options: Any) -> tuple[str, int | None]:
    """What is said of a suite's text, and of which line."""
    with pytest.raises(KdbenchError) as caught:
        made.loaded(folder, text, **options)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 1000
    assert caught.value.location is not None
    return caught.value.message, caught.value.location.line


def line(text: str, part: str) -> int:
    return next(n for n, found in enumerate(text.splitlines(), 1) if part in found)


def with_methods(entry: str) -> str:
    return made.SUITE.replace("[supervised, kd]", f"\n  - {entry}")


TOO_MUCH = {
    "generations": (with_methods(f"{{method: born_again, generations: {BIG}}}"), "generations", "less than or equal to 1000"),
    "seeds": (made.SUITE + f"seeds: {BIG}\n", "seeds", "at most 10,000 seeds"),
    "a list of seeds": (made.SUITE + f"seeds: {list(range(10_001))}\n", "seeds", "at most 10000 items"),
    "a large seed": (made.SUITE + f"seeds: [{2**64}]\n", "seeds", "64 bits"),
    "peers": (with_methods(f"{{method: dml, params: {{peers: {BIG}}}}}"), "peers", "less than or equal to 64"),
    "padding": (made.SUITE + f"recipe: {{augmentation: {{crop_padding: {BIG}}}}}\n", "padding", "less than or equal to 4096"),
    "epochs": (made.SUITE + f"recipe:\n  epochs: {BIG}\n", "epochs", "less than or equal to 100000"),
    "a measured batch": (made.SUITE + f"measure: {{batch_size: {BIG}}}\n", "measure", "less than or equal to 4096"),
    "seconds": (made.SUITE + "measure: {latency: {min_seconds: .inf}}\n", "measure", "finite number, not inf"),
    "many seconds": (made.SUITE + "measure: {latency: {min_seconds: 1.0e+9}}\n", "measure", "less than or equal to 3600"),
    "a long text": (made.SUITE + f"title: {'x' * 10_001}\n", "title", "more than 10,000 characters"),
    "a long key": (made.SUITE + f"networks2: {{{'x' * 201}: 1}}\n", "networks2", "more than 200 characters"),
    "many teachers": (made.SUITE.replace("teacher: big", f"teachers: {['big'] * 33}"), "teachers", "at most 32 items"),
}


@pytest.mark.parametrize("what", TOO_MUCH)
def test_numbers_have_limits(what: str, tmp_path: Path) -> None:
    text, part, said = TOO_MUCH[what]
    message, number = refused(tmp_path, text)
    assert said in message
    assert number == line(text, part)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (with_methods("{method: kd, grid: {temperature: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]}}") + "seeds: 5000\n", "seeds"),
        (with_methods(f"{{method: kd, grid: {{temperature: {list(range(1, 200))}, alpha: {[0.001 * i for i in range(200)]}}}}}"), "kd"),
        (with_methods("{method: born_again, generations: 1000}") + "seeds: 30\n", "born_again"),
    ],
)  # fmt: skip
def test_trials_are_counted_before_any_is_made(text: str, part: str, tmp_path: Path) -> None:
    message, number = refused(tmp_path, text)
    assert f"{MAX_TRIALS:,} is the most that can be planned" in message
    assert number == line(text, part)


def chain(length: int) -> str:
    layers = "".join(f"  n{i}: {{model: tiny_cnn, method: kd, teachers: [n{i + 1}]}}\n" for i in range(length - 1))
    networks = f"  big: {{model: mnist_mlp}}\n{layers}  n{length - 1}: mnist_mlp"
    return made.SUITE.replace("  big: {model: mnist_mlp}", networks).replace("teacher: big", "teacher: n0")


def test_a_chain_of_teachers_has_an_end(tmp_path: Path) -> None:
    assert made.loaded(tmp_path, chain(MAX_CHAIN))
    for length in (MAX_CHAIN + 1, 1500):
        assert "in a row" in refused(tmp_path, chain(length))[0]


def test_teachers_that_share_their_teachers_are_planned_once_each(tmp_path: Path) -> None:
    layers = {
        f"n{i}{side}": {"model": "tiny_cnn", "kwargs": {"width": 2 + (side == "b")}, "method": "mean_teachers"}
        | {"teachers": [f"n{i + 1}a", f"n{i + 1}b"]}
        for i in range(30)
        for side in "ab"
    }
    networks = {**layers, "n30a": "mnist_mlp", "n30b": "tiny_cnn"}
    plan = made.plan(tmp_path, networks=networks, pairs=[{"student": "lightcnn", "teacher": "n0a"}], methods=["kd"])
    assert len(plan.trials) == 1 + 2 * 29 + 2 + 2


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan"])
@pytest.mark.parametrize(
    "where",
    [
        "recipe: {lr: VALUE}",
        "recipe: {optimizer_kwargs: {eps: VALUE}}",
        "recipe: {schedule_kwargs: {decay_rate: VALUE}}",
        "dataset2: VALUE",
        "measure: {latency: {max_spread: VALUE}}",
    ],
)
def test_what_is_not_finite_is_refused_wherever_it_stands(value: str, where: str, tmp_path: Path) -> None:
    text = f"{made.SUITE}{where.replace('VALUE', value)}\n"
    message, number = refused(tmp_path, text)
    assert "finite number" in message
    assert number == 7


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan"])
@pytest.mark.parametrize("entry", ["params: {temperature: VALUE}", "grid: {temperature: [1, VALUE]}"])
def test_a_method_s_parameters_are_finite(value: str, entry: str, tmp_path: Path) -> None:
    text = with_methods(f"{{method: kd, {entry.replace('VALUE', value)}}}")
    assert refused(tmp_path, text)[1] == 7


def test_a_method_may_allow_an_infinite_parameter_and_its_trial_is_recorded_with_it() -> None:
    class Params(Method.Params):
        margin: float = Field(1.0, allow_inf_nan=True)
        other: float = 1.0

    plain = plain_data(Params(margin=math.inf))
    assert plain == {"margin": "Infinity", "other": 1.0}
    assert Params(**plain).margin == math.inf
    assert math.isnan(Params(**plain_data(Params(margin=math.nan))).margin)
    assert plain_data(Params()) == {"margin": 1.0, "other": 1.0}
    with pytest.raises(ValueError, match="finite"):
        Params(other=math.inf)


def test_a_parameter_that_could_not_be_read_again_is_refused() -> None:
    from pydantic import BaseModel

    class Params(BaseModel):
        inner: dict[str, float] = {}

    with pytest.raises(ValueError, match=r"inner\.x is not a finite number"):
        plain_data(Params(inner={"x": math.inf}))


@pytest.mark.parametrize("name", ["../x", "/x", "a/b", "..", ".hidden", "", "a\\b", "💥" * 60], ids=ascii)
def test_a_suite_s_name_is_a_plain_file_name(name: str, tmp_path: Path) -> None:
    message, number = refused(tmp_path, f"name: {json.dumps(name, ensure_ascii=False)}\n{made.SUITE}")
    assert ": name: " in message
    assert number == 1


@pytest.mark.parametrize("text", [r"\0", r"\ud800", r"\x1b[31m", r"\x7f", r"\u2028"])
@pytest.mark.parametrize("where", ['title: "TEXT"', 'plugins: ["TEXT"]', '"TEXT": 1', 'report: {sort: "TEXT"}'])
def test_control_characters_and_halves_of_characters_are_refused(text: str, where: str, tmp_path: Path) -> None:
    message, number = refused(tmp_path, f"{made.SUITE}{where.replace('TEXT', text)}\n")
    assert "not printable" in message or "not valid YAML" in message
    assert message.isprintable()
    assert number == 7


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("!!bool 3", "'3' is not a valid bool"),
        ("!!int x", "'x' is not a valid int"),
        ("!!binary aGk=", "is not one of plain values"),
        ("!!set {a, b}", "is not one of plain values"),
        ("!!omap [a: 1]", "is not one of plain values"),
        ("!!python/name:os.system", "is not one of plain values"),
        ("9" * 5000, "is not a valid int"),
        ("{? [a] : b}", "keys should be strings, not ('a',)"),
        ("{<<: 3}", "merging"),
        ("{1: 2}", "keys should be strings, not 1"),
        ("{true: 2}", "keys should be strings, not True"),
        ("&x [*x]", "alias of itself"),
        ("[" * 60 + "]" * 60, "nested too deeply"),
    ],
)
def test_strange_yaml_is_refused_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    message, number = refused(tmp_path, f"{made.SUITE}recipe:\n  optimizer_kwargs:\n    x: {text}\n")
    assert said in message
    assert number == 9


def test_plain_types_may_be_written_as_tags(tmp_path: Path) -> None:
    text = f"{made.SUITE}title: !!str 3\ndescription: !!timestamp 2024-01-01\nrecipe: {{lr: !!float 1}}\n"
    suite = made.loaded(tmp_path, text).suite
    assert (suite.title, suite.description, suite.recipe.lr) == ("3", "2024-01-01", 1.0)


def test_a_chain_of_aliases_counts_as_nesting(tmp_path: Path) -> None:
    lines = ["a0: &a0 {x: 1}", *(f"a{i}: &a{i} {{x: *a{i - 1}}}" for i in range(1, 2000))]
    message, number = refused(tmp_path, "\n".join(lines) + "\n" + made.SUITE)
    assert "nested too deeply" in message
    assert number == MAX_DEPTH


def test_a_mapping_that_holds_itself_is_refused() -> None:
    raw: dict[str, Any] = {**yaml.safe_load(made.SUITE), "recipe": {}}
    raw["recipe"]["optimizer_kwargs"] = raw["recipe"]
    with pytest.raises(SuiteError, match="nested too deeply"):
        load_suite(raw)


def test_thousands_of_mistakes_are_counted_not_listed(tmp_path: Path) -> None:
    with pytest.raises(SuiteError) as caught:
        made.loaded(tmp_path, made.SUITE + "".join(f"x{i}: 1\n" for i in range(5000)))
    assert str(caught.value).endswith("(and 4,995 more)")
    assert len(str(caught.value).splitlines()) == 6


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [Path.mkdir, _pipe, _loop, _device])
def test_a_suite_is_a_regular_file(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "suite.yaml")
    with pytest.raises(SuiteError, match="a folder|not a regular file|there is no suite"):
        load_suite(tmp_path / "suite.yaml")


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    with path.open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(SuiteError, match=f"more than {MAX_BYTES // 1024} KiB"):
        load_suite(path)


def test_a_file_in_another_encoding_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_bytes(made.SUITE.encode() + "title: é\n".encode("latin-1"))
    with pytest.raises(SuiteError, match=r"suite\.yaml:7: cannot be read: the byte 0xe9 is not UTF-8"):
        read_suite_file(path)
    path.write_bytes(made.SUITE.encode("utf-16"))
    with pytest.raises(SuiteError, match=r"suite\.yaml:1: .*UTF-8"):
        read_suite_file(path)
    path.write_bytes(made.SUITE.encode("utf-8-sig"))
    assert read_suite_file(path)[0] == yaml.safe_load(made.SUITE)


class TestWhere:
    """What is said names the whole path, and the option where one is at fault."""

    def test_a_setting_is_named_and_not_a_line_of_the_file(self, tmp_path: Path) -> None:
        text = made.SUITE + "recipe:\n  lr: 0.1\n"
        for setting, said in {
            "recipe.augmentation.flp=1": 'unknown key "flp"; did you mean "flip"?',
            "recipe.lr=-1": "recipe.lr: input should be greater than 0, not -1",
            "recipe={lr: fast}": "recipe.lr: input should be a valid number",
            "methods.1=kdd": 'unknown method "kdd"',
            "networks.big.model=mnist_mpl": 'unknown model "mnist_mpl"',
            "recipe.optimizer_kwargs.eps=.inf": "finite",
        }.items():
            with pytest.raises(KdbenchError) as caught:
                made.loaded(tmp_path, text, settings=[setting])
            assert str(caught.value).startswith(f"in --set {setting}: ")
            assert said in str(caught.value)

    def test_other_mistakes_stay_in_the_file(self, tmp_path: Path) -> None:
        with pytest.raises(KdbenchError, match=r"suite\.yaml:8: recipe\.lr"):
            made.loaded(tmp_path, made.SUITE + "recipe:\n  lr: -1\n", settings=["recipe.epochs=3"])

    @pytest.mark.parametrize(
        ("changes", "path"),
        [
            ({"recipe": {"augmentation": {"crop_padding": -1}}}, "recipe.augmentation.crop_padding"),
            ({"networks": {"big": {"model": "mnist_mlp", "recipe": {"lr": 0}}}}, "networks.big.recipe.lr"),
            ({"networks": {"big": {"model": "mnist_mlp", "preprocessing": {"size": [0, 1]}}}}, "networks.big.preprocessing.size.0"),
            ({"methods": [{"method": "kd", "params": {"alpha": 2}}]}, "methods.0.params.alpha"),
            ({"methods": [{"method": "kd", "grid": {"alpha": [0.1, 2]}}]}, "methods.0.grid.alpha.1"),
            ({"dataset": {"name": "folder", "options": {"size": 3}}}, "dataset.options.path"),
        ],
    )  # fmt: skip
    def test_the_whole_path_is_named(self, changes: dict[str, Any], path: str, tmp_path: Path) -> None:
        raw = {**yaml.safe_load(made.SUITE), **changes}
        with pytest.raises(KdbenchError) as caught:
            made.loaded(tmp_path, yaml.safe_dump(raw, sort_keys=False))
        assert path in caught.value.message
        with pytest.raises(KdbenchError) as caught:
            resolve(load_suite(raw), made.registry(), lambda: made.MODELS)
        assert str(caught.value).count(path) == 1


def test_ids_of_trials_do_not_depend_on_how_they_are_planned() -> None:
    plan = make_plan(load_suite("digits").suite, made.registry(), made.FINGERPRINT)
    from kdbench.plan.trial import Trial

    for trial in plan.trials.values():
        assert Trial.model_validate_json(trial.model_dump_json()).id == trial.id
