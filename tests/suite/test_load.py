"""From a file to a suite: short spellings, what the command line replaces, and errors that say where and what is near."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from kdbench.errors import KdbenchError, SuiteError
from kdbench.models.factory import create_model, model_names
from kdbench.plan.planner import make_plan
from kdbench.suite.load import load_suite, packaged_suites
from kdbench.suite.resolve import entries_by_pair, network_of, plugin_files, resolve, teachers_of
from kdbench.suite.schema import Suite
from kdbench.train.optim import check_recipe
from tests.suite import made
from tests.support.images import arguments

LONG = """\
name: suite
dataset: {name: digits}
networks: {big: {model: mnist_mlp, weights: scratch, method: supervised, seed: 0}}
pairs: [{name: pair, student: {model: tiny_cnn}, teachers: [big]}]
methods: [{method: supervised}, {method: kd, params: {}, grid: {}}]
seeds: [0]
"""


def suite(folder: Path, text: str = made.SUITE, **options: Any) -> Suite:
    return made.loaded(folder, text, **options).suite


def edited(old: str, new: str) -> str:
    assert old in made.SUITE
    return made.SUITE.replace(old, new, 1)


class TestSpellings:
    def test_short_and_long_spellings_mean_the_same(self, tmp_path: Path) -> None:
        short, long = suite(tmp_path), suite(tmp_path, LONG)
        assert short.dataset == long.dataset
        assert short.networks == long.networks
        assert short.methods == long.methods
        assert short.seeds == long.seeds
        assert teachers_of(short.pairs[0]) == teachers_of(long.pairs[0]) == ("big",)
        assert network_of(short, short.pairs[0].student) == network_of(long, long.pairs[0].student)

    def test_a_network_is_its_model_s_name_or_a_mapping(self, tmp_path: Path) -> None:
        assert suite(tmp_path, edited("{model: mnist_mlp}", "mnist_mlp")).networks == suite(tmp_path).networks

    @pytest.mark.parametrize(
        ("written", "seeds"), [("1", (0,)), ("3", (0, 1, 2)), ("[7]", (7,)), ("[4, 2]", (4, 2)), ("\n- 5\n- 6", (5, 6))]
    )
    def test_seeds_are_a_number_of_them_or_a_list(self, written: str, seeds: tuple[int, ...], tmp_path: Path) -> None:
        assert suite(tmp_path, made.SUITE + f"seeds: {written}\n").seeds == seeds

    def test_numbers_with_an_exponent_are_numbers(self, tmp_path: Path) -> None:
        found = suite(tmp_path, made.SUITE + "recipe: {lr: 5e-4, weight_decay: 1E-3, optimizer_kwargs: {eps: 1e-8}}\n").recipe
        assert (found.lr, found.weight_decay, found.optimizer_kwargs) == (5e-4, 1e-3, {"eps": 1e-8})

    def test_the_name_is_the_file_s_unless_the_file_says_it(self, tmp_path: Path) -> None:
        assert load_suite(made.write(tmp_path, made.SUITE, "my-suite")).suite.name == "my-suite"
        assert load_suite(made.write(tmp_path, "name: other\n" + made.SUITE, "my-suite")).suite.name == "other"

    def test_the_baseline_is_put_in_front_where_it_is_not_asked_for(self, tmp_path: Path) -> None:
        for methods in ("[kd, dkd]", "[kd, dkd, {method: supervised, name: smooth, params: {label_smoothing: 0.1}}]"):
            entries = suite(tmp_path, edited("[supervised, kd]", methods)).methods
            assert [e.method for e in entries][:3] == ["supervised", "kd", "dkd"]
            assert not entries[0].params
        assert [e.method for e in suite(tmp_path, edited("[supervised, kd]", "[kd, supervised]")).methods] == [
            "kd",
            "supervised",
        ]

    def test_parts_can_be_repeated_with_aliases(self, tmp_path: Path) -> None:
        text = edited(
            "big: {model: mnist_mlp}", "big: &b {model: mnist_mlp, recipe: {lr: 1}}\n  same: *b\n  more: {<<: *b, seed: 3}"
        )
        networks = suite(tmp_path, text).networks
        assert networks["big"] == networks["same"]
        assert networks["more"] == networks["big"].model_copy(update={"seed": 3})


class TestPackaged:
    def test_suites_come_with_kdbench(self) -> None:
        here = Path(__file__).resolve().parents[2] / "suites"
        assert packaged_suites() == sorted(p.stem for p in here.glob("*.yaml"))
        assert "digits" in packaged_suites()

    @pytest.mark.parametrize("name", packaged_suites())
    def test_each_is_found_by_its_name_and_good(self, name: str) -> None:
        registry = made.registry()
        loaded = resolve(load_suite(name), registry, lambda: model_names(registry.models))
        assert loaded.suite.name == name
        plan = make_plan(loaded.suite, registry, made.FINGERPRINT)
        rows = {(e.pair, e.label, e.seed) for e in made.rows(plan)}
        entries = sum(map(len, entries_by_pair(loaded.suite).values()))
        if loaded.suite.tuning is None or loaded.suite.tuning.default:
            assert len(rows) == entries * len(loaded.suite.seeds)
        else:
            assert len(made.rows(plan, role="draw")) == entries * loaded.suite.tuning.draws
        for trial in plan.trials.values():
            check_recipe(trial.recipe)
        for spec in {str(t.model): t.model for t in plan.trials.values() if t.model.kwargs}.values():
            assert create_model(spec, arguments=arguments())

    def test_a_file_comes_before_a_packaged_suite(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "digits").write_text(made.SUITE)
        monkeypatch.chdir(tmp_path)
        assert load_suite("digits").suite.pairs[0].name == "pair"


class TestSettings:
    @pytest.mark.parametrize(
        ("setting", "found"),
        [
            ("recipe.lr=1e-2", lambda s: s.recipe.lr == 0.01),
            ("recipe.epochs=010", lambda s: s.recipe.epochs == 10),
            ("recipe.augmentation.flip=true", lambda s: s.recipe.augmentation.get("flip")),
            ("recipe={lr: 0.3, epochs: 4}", lambda s: (s.recipe.lr, s.recipe.epochs) == (0.3, 4)),
            ("recipe.schedule_kwargs.decay_rate=0.2", lambda s: s.recipe.schedule_kwargs == {"decay_rate": 0.2}),
            (
                "recipe.schedule_kwargs={decay_milestones: [1, 2]}",
                lambda s: s.recipe.schedule_kwargs.get("decay_milestones") == [1, 2],
            ),
            ("seeds=[3, 4]", lambda s: s.seeds == (3, 4)),
            ("seeds=2", lambda s: s.seeds == (0, 1)),
            ("title=a=b", lambda s: s.title == "a=b"),
            ("dataset=mnist", lambda s: s.dataset.name == "mnist"),
            ("dataset.limit=50", lambda s: (s.dataset.name, s.dataset.limit) == ("digits", 50)),
            ("networks.big.kwargs.widths=[8, 4]", lambda s: s.networks["big"].kwargs == {"widths": [8, 4]}),
            ("networks.big=mnist_cnn", lambda s: s.networks["big"].model == "mnist_cnn"),
            ("networks.new.model=mnist_cnn", lambda s: list(s.networks) == ["big", "new"]),
            ("pairs.0.student=mnist_cnn", lambda s: s.pairs[0].student == "mnist_cnn"),
            ("methods.1=dkd", lambda s: s.methods[1].method == "dkd"),
            ("methods.1.params.alpha=0.5", lambda s: (s.methods[1].method, s.methods[1].params) == ("kd", {"alpha": 0.5})),
            ("networks.big.recipe.lr=2", lambda s: s.networks["big"].recipe == {"lr": 2}),
            ("methods=[dkd]", lambda s: [e.method for e in s.methods] == ["supervised", "dkd"]),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_a_setting_replaces_what_the_file_says(self, setting: str, found: Any, tmp_path: Path) -> None:
        assert not found(suite(tmp_path))
        assert found(suite(tmp_path, settings=[setting]))

    def test_later_settings_win_and_others_stay(self, tmp_path: Path) -> None:
        text = made.SUITE + "recipe: {lr: 0.1, epochs: 7}\n"
        assert suite(tmp_path, text, settings=["recipe.lr=0.2", "recipe.lr=0.3"]).recipe.model_dump(
            include={"lr", "epochs"}
        ) == {
            "lr": 0.3,
            "epochs": 7,
        }

    def test_a_setting_changes_one_place_even_where_the_file_has_an_alias(self, tmp_path: Path) -> None:
        text = edited("big: {model: mnist_mlp}", "big: &b {model: mnist_mlp, recipe: {lr: 1}}\n  same: *b")
        networks = suite(tmp_path, text, settings=["networks.big.recipe.lr=2"]).networks
        assert (networks["big"].recipe, networks["same"].recipe) == ({"lr": 2}, {"lr": 1})

    @pytest.mark.parametrize(
        ("setting", "said"),
        [
            ("recipe.lr", "write key=value"),
            ("=3", "write key=value"),
            ("recipe.lr=[1", "not valid YAML"),
            ("recipes.lr=1", 'unknown key "recipes"; did you mean "recipe"?'),
            ("recipe.epoch=1", 'unknown key "epoch"; did you mean "epochs"?'),
            ("dataset.limi=1", 'unknown key "limi"; did you mean "limit"?'),
            ("measure.costs=false", 'unknown key "costs"; did you mean "cost"?'),
            ("recipe.zzz=1", 'unknown key "zzz"; known are epochs, '),
            ("pairs.1.name=x", '"1" is not an index into a list of 1'),
            ("pairs.-1.name=x", '"-1" is not an index'),
            ("methods.kd.params={}", '"kd" is not an index'),
            ("networks.big.recipe.epoch=1", 'unknown key "epoch"; did you mean "epochs"?'),
            ("pairs.0.student.kwargs={}", "pairs.0.student is not a mapping"),
        ],
    )
    def test_a_wrong_setting_is_refused_by_its_own_name(self, setting: str, said: str, tmp_path: Path) -> None:
        with pytest.raises(SuiteError) as caught:
            suite(tmp_path, settings=[setting])
        assert caught.value.message.startswith(f"in --set {setting}: ")
        assert said in caught.value.message

    def test_a_setting_of_the_augmentation_is_checked_by_the_task(self, tmp_path: Path) -> None:
        changed = load_suite(made.write(tmp_path, made.SUITE), settings=["recipe.augmentation.flp=true"])
        with pytest.raises(SuiteError, match=r'unknown key "flp"; did you mean "flip"\?'):
            resolve(changed, made.registry(), lambda: made.MODELS)


class TestOptions:
    @pytest.mark.parametrize(
        ("text", "seeds"), [("2", (0, 1)), ("5,", (5,)), ("4,2", (4, 2)), ("0", None), ("-1", None), ("a", None)]
    )
    def test_seeds(self, text: str, seeds: tuple[int, ...] | None, tmp_path: Path) -> None:
        if seeds:
            assert suite(tmp_path, made.SUITE + "seeds: [9]\n", seeds=text).seeds == seeds
        else:
            with pytest.raises(SuiteError, match="in --seeds"):
                suite(tmp_path, seeds=text)

    def test_epochs_are_those_of_every_network(self, tmp_path: Path) -> None:
        text = """\
dataset: digits
networks: {big: {model: mnist_mlp, recipe: {epochs: 9, lr: 1}}, plain: {model: mnist_mlp}}
pairs:
  - {name: a, student: {model: tiny_cnn, recipe: {epochs: 8}}, teacher: {model: mnist_cnn, recipe: {epochs: 7}}}
  - {name: b, student: tiny_cnn, teachers: [big, plain, {model: mnist_cnn, recipe: {epochs: 6}}]}
methods: [{method: kd, assistants: [{model: lightcnn, recipe: {epochs: 5}}]}]
"""
        for options in ({"epochs": 3}, {"epochs": 3, "settings": ["recipe.epochs=4"]}):
            plan = make_plan(suite(tmp_path, text, **options), made.registry(), made.FINGERPRINT)
            assert {t.recipe.epochs for t in plan.trials.values()} == {3}
        assert suite(tmp_path, text, epochs=3).networks["big"].recipe == {"epochs": 3, "lr": 1}

    def test_only_keeps_what_it_names_and_the_baseline(self, tmp_path: Path) -> None:
        text = edited("[supervised, kd]", "[kd, dkd, {method: kd, name: hot, params: {temperature: 9}}, dist]")

        def kept(*only: str) -> list[str]:
            return [e.name or e.method for e in suite(tmp_path, text, only=only).methods]

        assert kept("dkd") == ["supervised", "dkd"]
        assert kept("dist", "hot") == ["supervised", "hot", "dist"]
        assert kept("supervised") == ["supervised"]
        with pytest.raises(SuiteError, match='"dkdd"; did you mean "dkd"'):
            kept("dkdd")

    def test_only_does_not_shift_the_lines_of_errors(self, tmp_path: Path) -> None:
        text = edited("[supervised, kd]", "\n- kd\n- dist\n- {method: dkd, params: {alpha: -1}}")
        for only in ((), ("dkd",), ("kd", "dkd")):
            with pytest.raises(KdbenchError) as caught:
                suite(tmp_path, text, only=only)
            assert caught.value.location is not None
            assert caught.value.location.line == line(text, "alpha: -1")


def line(text: str, part: str) -> int:
    return next(n for n, written in enumerate(text.splitlines(), 1) if part in written)


def said(folder: Path, text: str) -> tuple[str, int | None]:
    """The message of the error, and the line that it names."""
    with pytest.raises(KdbenchError) as caught:
        made.loaded(folder, text)
    location = caught.value.location
    assert location is not None
    assert Path(location.file) == folder / "suite.yaml"
    assert str(caught.value).startswith(f"{location}: ")
    return str(caught.value), location.line


NETWORK, STUDENT, METHODS = "{model: mnist_mlp}", "student: tiny_cnn", "[supervised, kd]"
NEAR = {
    "at the top": ("dataset: digits", "dataset: digits\nrecipes: {lr: 1}", "recipes", '"recipes"; did you mean "recipe"?'),
    "in the data set": ("digits", "{name: digits, limt: 3}", "limt", '"limt"; did you mean "limit"?'),
    "in a data set's options": ("digits", "{name: folder, options: {pth: a}}", "pth", '"pth"; did you mean "path"?'),
    "in a network": (NETWORK, "{model: mnist_mlp, kwarg: {}}", "kwarg", '"kwarg"; did you mean "kwargs"?'),
    "in a network's recipe": (NETWORK, "{model: mnist_mlp, recipe: {epoch: 1}}", "epoch", '"epoch"; did you mean "epochs"?'),
    "in a network's augmentation": (
        NETWORK,
        "\n    model: mnist_mlp\n    recipe:\n      augmentation:\n        flp: true",
        "flp",
        '"flp"; did you mean "flip"?',
    ),
    "in a network's parameters": (
        NETWORK,
        "{model: mnist_mlp, params: {label_smooth: 0.1}}",
        "label_smooth",
        '"label_smoothing"?',
    ),
    "in a pair": (STUDENT, f"{STUDENT}, techers: [big]", "techers", '"techers"; did you mean "teachers"?'),
    "in a student": (STUDENT, "student: {model: tiny_cnn, wieghts: a}", "wieghts", '"wieghts"; did you mean "weights"?'),
    "in a method": (METHODS, "[{method: kd, gird: {}}]", "gird", '"gird"; did you mean "grid"?'),
    "in a method's parameters": (METHODS, "[{method: kd, params: {temprature: 1}}]", "temprature", '"temperature"?'),
    "in a grid": (METHODS, "[{method: kd, grid: {temprature: [1]}}]", "temprature", '"temperature"?'),
    "in an assistant": (
        METHODS,
        "[{method: kd, assistants: [{model: tiny_cnn, sead: 1}]}]",
        "sead",
        '"sead"; did you mean "seed"?',
    ),
    "a data set": ("digits", "digit", "digit", '"digit"; did you mean "digits"?'),
    "a model": (NETWORK, "mnist_mpl", "mnist_mpl", '"mnist_mpl"; did you mean "mnist_mlp"?'),
    "a network in a pair": ("teacher: big", "teacher: bigg", "bigg", '"bigg"; did you mean "big"?'),
    "a network in a list": ("teacher: big", "teachers:\n    [big,\n    bigg]", "bigg", '"bigg"; did you mean "big"?'),
    "a network's teacher": (NETWORK, "{model: mnist_mlp, method: kd, teachers: [bgi]}", "bgi", '"bgi"; did you mean "big"?'),
    "a network's method": (NETWORK, "{model: mnist_mlp, method: supervisd}", "supervisd", 'did you mean "supervised"?'),
    "a method": (METHODS, "\n- supervised\n- kdd", "kdd", '"kdd"; did you mean "kd"?'),
    "an assistant": (METHODS, "[{method: kd, assistants: [tiny_cn]}]", "tiny_cn]", '"tiny_cn"; did you mean "tiny_cnn"?'),
    "an optimizer": (
        "dataset: digits",
        "dataset: digits\nrecipe: {optimizer: adammw}",
        "adammw",
        '"adammw"; did you mean "adamw"?',
    ),
    "a schedule": ("dataset: digits", "dataset: digits\nrecipe: {schedule: cosin}", "cosin", '"cosin"; did you mean "cosine"?'),
    "a network's schedule": (
        NETWORK,
        "{model: mnist_mlp, recipe: {schedule: stepp}}",
        "stepp",
        '"stepp"; did you mean "step"?',
    ),
}


@pytest.mark.parametrize("where", NEAR)
def test_a_wrong_name_is_reported_with_its_line_and_the_nearest(where: str, tmp_path: Path) -> None:
    old, new, part, hint = NEAR[where]
    text = edited(old, new)
    message, number = said(tmp_path, text)
    assert hint in message
    assert number == line(text, part)
    assert len(message.splitlines()) == 1


RECIPE = "dataset: digits\nrecipe: "
WRONG = {
    "a text for a number": ("dataset: digits", RECIPE + "{lr: fast}", "fast", "recipe.lr: input should be a valid number"),
    "a fraction of an epoch": ("dataset: digits", RECIPE + "{epochs: 1.5}", "1.5", "integer"),
    "a negative rate": ("dataset: digits", RECIPE + "{lr: -1}", "-1", "greater than 0, not -1"),
    "an infinite rate": ("dataset: digits", RECIPE + "{lr: .inf}", ".inf", "finite"),
    "a rate that is no number": ("dataset: digits", RECIPE + "{lr: .nan}", ".nan", "nan"),
    "no precision": ("dataset: digits", RECIPE + "{precision: fp8}", "fp8", "'fp32' or 'bf16', not 'fp8'"),
    "a recipe of one word": ("dataset: digits", RECIPE + "fast", "fast", "recipe: input should be a mapping, not 'fast'"),
    "an augmentation": (
        "dataset: digits",
        RECIPE + "{augmentation: {crop_padding: -1}}",
        "padding",
        "greater than or equal to 0",
    ),
    "all data for validation": ("digits", "{name: digits, validation: 1}", "validation", "less than 1"),
    "a network's rate": (NETWORK, "{model: mnist_mlp, recipe: {lr: 0}}", "lr: 0", "lr: input should be greater than 0, not 0"),
    "a network's seed": (NETWORK, "{model: mnist_mlp, seed: sam}", "sam", "input should be 'same', not 'sam'"),
    "a network's weights": (NETWORK, "{model: mnist_mlp, weights: pretraned}", "pretraned", 'did you mean "pretrained"'),
    "a network of a number": (NETWORK, "3", "big: 3", "networks.big: input should be a name or a mapping, not 3"),
    "a student of a number": (STUDENT, "student: 3", "student", "pairs.0.student: input should be a name or a mapping"),
    "a pair of a word": (
        "{name: pair, student: tiny_cnn, teacher: big}",
        "big",
        "- big",
        "pairs.0: input should be a mapping",
    ),
    "pairs of a word": (
        "pairs:\n  - {name: pair, student: tiny_cnn, teacher: big}",
        "pairs: big",
        "pairs",
        "pairs: input should be",
    ),
    "no pairs": ("pairs:\n  - {name: pair, student: tiny_cnn, teacher: big}", "pairs: []", "pairs", "at least 1 item"),
    "no methods": (METHODS, "[]", "methods", "methods: tuple should have at least 1 item"),
    "no data set": ("dataset: digits\n", "", "networks:", "dataset is missing"),
    "no student": (f"{STUDENT}, ", "", "name: pair", "pairs.0.student is missing"),
    "no model": (NETWORK, "{kwargs: {}}", "kwargs", "networks.big.model is missing"),
    "no seeds": ("dataset: digits", "dataset: digits\nseeds: []", "seeds", "at least 1 item"),
    "zero seeds": ("dataset: digits", "dataset: digits\nseeds: 0", "seeds", "at least 1 item"),
    "seeds of a word": ("dataset: digits", "dataset: digits\nseeds: [0, x]", "seeds", "integer"),
    "a parameter": (METHODS, "[{method: kd, params: {alpha: 2}}]", "alpha", 'alpha of method "kd": input should be less than'),
    "a grid point": (METHODS, "[{method: kd, grid:\n {alpha: [0.1,\n 2]}}]", " 2]", "less than or equal to 1, not 2"),
    "a grid of one number": (METHODS, "[{method: kd, grid: {alpha: 0.1}}]", "alpha", "valid list"),
    "an empty grid": (METHODS, "[{method: kd, grid: {alpha: []}}]", "alpha", "the grid of alpha is empty"),
    "zero generations": (METHODS, "[{method: kd, generations: 0}]", "generations", "greater than 0"),
    "generations of two teachers": (METHODS, "[{method: mean_teachers, generations: 1}]", "gener", "exactly one teacher"),
    "assistants of no teacher": (METHODS, "[{method: supervised, name: a, assistants: [big]}]", "assis", "exactly one teacher"),
    "generations and assistants": (METHODS, "[{method: kd, generations: 1, assistants: [big]}]", "assis", "not both"),
    "teacher and teachers": (
        "teacher: big",
        "teacher: big, teachers: [big]",
        "teachers",
        "either teacher or teachers, not both",
    ),
    "too few teachers": (METHODS, "\n- mean_teachers", "mean_", 'needs at least 2 teachers, but pair "pair" has 1'),
    "a teacher without its own": (
        NETWORK,
        "{model: mnist_mlp, method: kd}",
        "kd}",
        'needs 1 teacher, but network "big" has 0',
    ),
    "two methods of one name": (METHODS, "\n- kd\n- {method: dkd, name: kd}", "dkd", '"kd", the other on line 7'),
    "a second baseline": (
        METHODS,
        "[{method: supervised, params: {label_smoothing: 0.1}}]",
        "smoo",
        "give one a name: of its own",
    ),
    "two pairs of one name": ("pairs:", "pairs:\n  - {name: pair, student: big}", "teacher", '"pair", the other on line 5'),
    "a plugin's name for a key": ("dataset: digits", "dataset: digits\n3: 4", "3: 4", "keys should be strings"),
    "a network that teaches itself": (
        NETWORK,
        "{model: mnist_mlp, method: kd, teachers: [big]}",
        "big:",
        "a cycle among teachers: big ← big",
    ),
    "networks that teach each other": (
        NETWORK,
        "{model: mnist_mlp, method: kd, teachers: [b]}\n  b: {model: mnist_mlp, method: kd, teachers: [c]}\n"
        "  c: {model: mnist_mlp, method: kd, teachers: [big]}",
        "c:",
        "a cycle among teachers: big ← b ← c ← big",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_value_is_reported_with_its_line(what: str, tmp_path: Path) -> None:
    old, new, part, hint = WRONG[what]
    text = edited(old, new)
    message, number = said(tmp_path, text)
    assert hint in message
    assert number == line(text, part)


def test_all_mistakes_are_reported_at_once_but_no_more_than_five(tmp_path: Path) -> None:
    message, number = said(tmp_path, made.SUITE + "recipe:\n  epochs: -1\n  lr: -1\n")
    assert [m.split(": ")[0].rpartition(":")[2] for m in message.splitlines()] == ["8", "9"]
    assert number == 8
    message, _ = said(tmp_path, made.SUITE + "".join(f"x{n}: 1\n" for n in range(7)))
    assert len(message.splitlines()) == 6
    assert message.endswith("(and 2 more)")


@pytest.mark.parametrize("text", ["", "# nothing\n", "- kd\n- dkd\n", "digits\n", "3\n"])
def test_a_file_that_is_not_a_mapping(text: str, tmp_path: Path) -> None:
    message, number = said(tmp_path, text)
    assert "a suite is a mapping with the keys dataset" in message
    assert number == 1


def test_invalid_yaml(tmp_path: Path) -> None:
    assert said(tmp_path, made.SUITE + "seeds: [1\n")[1] == 8
    message, number = said(tmp_path, made.SUITE + "seeds: 1\nseeds: 2\n")
    assert 'the key "seeds" is given twice, first on line 7' in message
    assert number == 8


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_bytes(b"title: \xff\xfe\n")
    with pytest.raises(SuiteError, match="cannot be read"):
        load_suite(tmp_path / "suite.yaml")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    made.write(tmp_path, made.SUITE, "mnist-small")
    with pytest.raises(SuiteError, match=r'there is no suite .*; did you mean ".*mnist-small\.yaml"'):
        load_suite(tmp_path / "mnist-smal.yaml")
    with pytest.raises(SuiteError, match='there is no suite "digts"; did you mean "digits"'):
        load_suite("digts")
    with pytest.raises(SuiteError, match="suites that come with kdbench are .*digits"):
        load_suite("zzzzzzzz")


@pytest.mark.parametrize(
    "wrong", ["pairs: 3", "pairs: [{student: tiny_cnn, teachers: 3}]", "networks: 3", "methods: 3", "recipe: 3"]
)
def test_mistakes_are_reported_with_epochs_on_the_command_line_too(wrong: str, tmp_path: Path) -> None:
    key = wrong.partition(":")[0]
    text = "".join(
        f"{part}\n"
        for part in [wrong, "dataset: digits", "pairs: [{student: tiny_cnn}]", "methods: [kd]"]
        if part == wrong or not part.startswith(key)
    )
    with pytest.raises(SuiteError, match=rf"suite\.yaml:1: {key}"):
        suite(tmp_path, text, epochs=1)


class TestSources:
    RAW: dict[str, Any] = {
        "dataset": "digits",
        "networks": {"big": "mnist_mlp"},
        "pairs": [{"name": "pair", "student": "tiny_cnn", "teacher": "big"}],
        "methods": ["supervised", "kd"],
    }

    def test_a_file_a_dict_and_a_suite_are_the_same(self, tmp_path: Path) -> None:
        file = suite(tmp_path)
        assert Suite.model_validate({"name": "suite", **self.RAW}) == file
        assert load_suite(self.RAW).suite == file
        assert load_suite(file).suite == file
        assert Suite(**self.RAW) == file

    def test_options_change_a_dict_or_a_suite_like_a_file_and_leave_what_was_given_alone(self, tmp_path: Path) -> None:
        options: dict[str, Any] = {"settings": ["methods.1.params.alpha=0.5", "dataset.limit=9"], "seeds": "2", "epochs": 3}
        before = copy.deepcopy(self.RAW)
        assert load_suite(self.RAW, **options).suite == suite(tmp_path, **options)
        assert load_suite(suite(tmp_path), **options).suite == suite(tmp_path, **options)
        assert before == self.RAW

    def test_the_baseline_is_put_in_front(self) -> None:
        loaded = load_suite({**self.RAW, "methods": ["kd"]})
        assert [e.method for e in loaded.suite.methods] == ["supervised", "kd"]
        assert loaded.written == ("kd",)

    def test_relative_paths_are_relative_to_the_file_or_to_the_working_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        raw = {**self.RAW, "plugins": ["mine.py"]}
        loaded = load_suite(raw)
        assert loaded.path is None
        assert plugin_files(loaded)[0] == [tmp_path / "elsewhere" / "mine.py"]
        assert str(next(iter(plugin_files(loaded)[1].values()))) == "plugins.0"
        file = load_suite(made.write(tmp_path, made.SUITE + "plugins: [mine.py]\n"))
        assert plugin_files(file)[0] == [tmp_path / "mine.py"]

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"recipes": {}}, 'recipes: unknown key "recipes"; did you mean "recipe"?'),
            ({"recipe": {"epoch": 1}}, 'recipe.epoch: unknown key "epoch"; did you mean "epochs"?'),
            ({"recipe": {"lr": -1}}, "recipe.lr: input should be greater than 0, not -1"),
            ({"networks": {"big": {"kwargs": {}}}}, "networks.big.model: this key is missing"),
            ({"networks": {"big": {"model": "mnist_mpl"}}}, 'networks.big.model: unknown model "mnist_mpl"; did you mean "mnist_mlp"?'),
            ({"methods": ["kdd"]}, 'methods.0.method: unknown method "kdd"; did you mean "kd"?'),
            ({"methods": ["kd", "kd"]}, 'methods.1.name: two method entries are called "kd", the other at methods.0'),
            ({"pairs": [{"student": "tiny_cnn", "teacher": "bgi"}]}, 'pairs.0.teacher: unknown network or model "bgi"'),
        ],
    )  # fmt: skip
    def test_mistakes_are_reported_with_their_keys(self, changes: dict[str, Any], said: str) -> None:
        with pytest.raises(KdbenchError) as caught:
            resolve(load_suite({**self.RAW, **changes}), made.registry(), lambda: made.MODELS)
        assert str(caught.value).startswith(said)
