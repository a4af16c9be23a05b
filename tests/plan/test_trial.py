"""The id of a trial: the same for the same training, another for any other, today and tomorrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kdbench.plan.trial import Trial
from tests.suite import made

SPELLED_OUT: dict[str, Any] = {
    "task": "classification",
    "data": {
        "spec": {
            "name": "digits",
            "options": {},
            "label": None,
            "classes": [0, 1, 2],
            "limit": 160,
            "validation": 0.2,
            "test": 0.25,
            "split_seed": 3,
        },
        "fingerprint": "0123456789abcdef",
    },
    "model": {"model": "tiny_cnn", "kwargs": {"width": 4, "depth": 2}, "stem": "default", "weights": "scratch"},
    "weights_digest": None,
    "preprocessing": None,
    "method": "kd",
    "params": {"temperature": 4.0, "alpha": 0.9, "scale_by_t2": True},
    "teachers": ["fedcba9876543210"],
    "recipe": {
        "epochs": 2,
        "batch_size": 32,
        "drop_last": True,
        "optimizer": "sgd",
        "lr": 0.05,
        "weight_decay": 0.0005,
        "momentum": 0.9,
        "optimizer_kwargs": {"nesterov": False},
        "decay_norm_and_bias": True,
        "schedule": "multistep",
        "schedule_kwargs": {"decay_milestones": [1], "decay_rate": 0.1},
        "warmup_epochs": 0,
        "min_lr": 0.0,
        "clip_grad": None,
        "augmentation": {"crop_padding": 4, "crop_mode": "zeros", "flip": True},
        "precision": "fp32",
        "channels_last": True,
    },
    "seed": 1,
}
GOLDEN = "e59a839ae4be7456"
"""The id of the above. If it changes, every finished record of every user becomes unfindable: change the form only on purpose."""


def changed(*path: str, to: Any) -> dict[str, Any]:
    """``SPELLED_OUT`` with one value replaced or added."""

    def replace(here: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
        first, *rest = keys
        return {**here, first: replace(here[first], tuple(rest)) if rest else to}

    return replace(SPELLED_OUT, path)


def backwards(value: Any) -> Any:
    """The same mapping with its keys in the opposite order, at every depth."""
    return {k: backwards(v) for k, v in reversed(value.items())} if isinstance(value, dict) else value


def test_the_id_of_a_trial_never_changes() -> None:
    assert Trial.model_validate(SPELLED_OUT).id == GOLDEN


def test_the_spelled_out_trial_says_everything_that_version_1_knew() -> None:
    """A key that is added to the schema belongs neither here nor in the id, as long as it has its default."""

    def within(part: Any, whole: Any) -> bool:
        return all(k in whole and within(v, whole[k]) for k, v in part.items()) if isinstance(part, dict) else part == whole

    assert within(SPELLED_OUT, Trial.model_validate(SPELLED_OUT).model_dump(mode="json"))


@pytest.mark.parametrize("key", ["task", "preprocessing"])
def test_the_id_of_a_trial_of_version_1_is_that_of_its_defaults(key: str) -> None:
    """Plans and records of version 1 know neither the task nor the preprocessing."""
    assert Trial.model_validate({k: v for k, v in SPELLED_OUT.items() if k != key}).id == GOLDEN


def test_the_id_does_not_depend_on_the_order_of_keys() -> None:
    assert Trial.model_validate(backwards(SPELLED_OUT)).id == GOLDEN


def test_the_id_survives_being_stored() -> None:
    trial = Trial.model_validate(SPELLED_OUT)
    assert Trial.model_validate_json(trial.model_dump_json()).id == trial.id


OTHERS = {
    "seed": changed("seed", to=2),
    "content of the data": changed("data", "fingerprint", to="0123456789abcdee"),
    "cut of the data": changed("data", "spec", "split_seed", to=4),
    "model": changed("model", "model", to="mnist_mlp"),
    "model's kwargs": changed("model", "kwargs", "width", to=5),
    "a further kwarg": changed("model", "kwargs", "bias", to=True),
    "stem": changed("model", "stem", to="small"),
    "pretrained weights": changed("model", "weights", to="pretrained"),
    "content of the weights' file": changed("weights_digest", to="ab" * 32),
    "task": changed("task", to="tagging"),
    "preprocessing": changed("preprocessing", to={"mean": [0.5]}),
    "other preprocessing": changed("preprocessing", to={"mean": [0.25]}),
    "method": changed("method", to="dkd"),
    "method's parameter": changed("params", "temperature", to=4.5),
    "epochs": changed("recipe", "epochs", to=3),
    "learning rate": changed("recipe", "lr", to=0.1),
    "augmentation": changed("recipe", "augmentation", "flip", to=False),
    "optimizer's argument": changed("recipe", "optimizer_kwargs", "nesterov", to=True),
    "schedule's argument": changed("recipe", "schedule_kwargs", "decay_milestones", to=[1, 2]),
    "precision": changed("recipe", "precision", to="bf16"),
    "another teacher": changed("teachers", to=["fedcba9876543211"]),
    "a second teacher": changed("teachers", to=["fedcba9876543210", "0" * 16]),
    "no teacher": changed("teachers", to=[]),
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_training_has_another_id(what: str) -> None:
    assert Trial.model_validate(OTHERS[what]).id != GOLDEN


def test_all_ids_differ() -> None:
    assert len({Trial.model_validate(other).id for other in OTHERS.values()}) == len(OTHERS)


def test_the_order_of_teachers_counts() -> None:
    one, two = "0" * 16, "1" * 16
    assert (
        Trial.model_validate(changed("teachers", to=[one, two])).id
        != Trial.model_validate(changed("teachers", to=[two, one])).id
    )


def test_a_weights_file_counts_by_its_content_and_not_by_its_path() -> None:
    def at(path: str, content: str) -> str:
        return Trial.model_validate({**changed("model", "weights", to=path), "weights_digest": content}).id

    assert at("/home/a/w.safetensors", "ab" * 32) == at("/mnt/b/other.safetensors", "ab" * 32)
    assert at("/home/a/w.safetensors", "ab" * 32) != at("/home/a/w.safetensors", "cd" * 32)


def ids(folder: Path, **changes: Any) -> set[str]:
    folder.mkdir(exist_ok=True)
    return set(made.plan(folder, **changes).trials)


SAME = {
    "a default parameter": {"methods": ["supervised", {"method": "kd", "params": {"temperature": 4.0}}]},
    "all default parameters": {
        "methods": [
            {"method": "supervised", "params": {"label_smoothing": 0.0}, "name": "alone"},
            {"method": "kd", "params": {"temperature": 4, "alpha": 0.9, "scale_by_t2": True}},
        ]
    },
    "a grid of the default alone": {"methods": ["supervised", {"method": "kd", "grid": {"temperature": [4]}}]},
    "the default recipe": {"recipe": {"epochs": 30, "optimizer": "sgd", "lr": 0.05, "augmentation": {"flip": False}}},
    "the default of a data set's key": {"dataset": {"name": "digits", "validation": 0.1}},
    "a network's recipe that says what the suite's says": {"networks": {"big": {"model": "mnist_mlp", "recipe": {"lr": 0.05}}}},
    "names": {
        "name": "other",
        "title": "Other",
        "networks": {"large": {"model": "mnist_mlp"}},
        "pairs": [{"name": "two", "student": "tiny_cnn", "teachers": ["large"]}],
        "methods": [{"method": "supervised", "name": "alone"}, {"method": "kd", "name": "taught"}],
    },
    "a network spelt out in the pair": {"pairs": [{"student": {"model": "tiny_cnn"}, "teacher": {"model": "mnist_mlp"}}]},
    "a network by its model's name": {"pairs": [{"student": "tiny_cnn", "teacher": "mnist_mlp"}]},
    "the order of methods": {"methods": ["kd", "supervised"]},
    "what is measured": {"measure": {"cost": False}},
}


@pytest.mark.parametrize("what", SAME)
def test_what_is_only_spelt_otherwise_has_the_same_ids(what: str, tmp_path: Path) -> None:
    assert ids(tmp_path, **SAME[what]) == ids(tmp_path)


def test_where_data_lie_changes_no_id(tmp_path: Path) -> None:
    here, there = (ids(tmp_path, dataset={"name": "folder", "options": {"path": path}}) for path in ("a", "/b"))
    assert here == there


def test_where_a_suite_lies_changes_no_id_of_networks_with_weights(tmp_path: Path) -> None:
    found = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.safetensors").write_bytes(b"weights")
        network = {"model": "mnist_mlp", "weights": f"{name}.safetensors"}
        found.append(ids(tmp_path / name, networks={"big": network}))
    assert found[0] == found[1]
    assert found[0] != ids(tmp_path)


def test_a_teacher_trained_otherwise_makes_other_students(tmp_path: Path) -> None:
    usual = made.plan(tmp_path)
    longer = made.plan(tmp_path, networks={"big": {"model": "mnist_mlp", "recipe": {"epochs": 31}}})
    (one,), (other,) = made.rows(usual, "kd"), made.rows(longer, "kd")
    assert usual.trials[one.trial].model_dump(exclude={"teachers"}) == longer.trials[other.trial].model_dump(
        exclude={"teachers"}
    )
    assert one.trial != other.trial
    assert made.rows(usual, "supervised")[0].trial == made.rows(longer, "supervised")[0].trial
