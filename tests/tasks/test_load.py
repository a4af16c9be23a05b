from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from kdbench.data.types import Dataset, RawData, Split, TaskData
from kdbench.errors import DataError
from kdbench.suite.schema import DatasetSpec
from kdbench.tasks.images.embedded import Digits
from kdbench.tasks.load import data_root, load_data
from tests.support.images import TASK
from tests.tasks.images.samples import load, sentence, shape_of

ROOT = Path("there is no such folder")


def counts(split: Split, classes: int = 10) -> list[int]:
    return torch.bincount(split.targets, minlength=classes).tolist()


def test_digits_need_no_files_and_are_the_same_everywhere() -> None:
    data = load("digits", ROOT)
    assert (len(data.train), len(data.validation), len(data.test)) == (1294, 144, 359)
    assert shape_of(data) == (1, 8, 8)
    assert data.class_names == tuple("0123456789")
    assert (int(data.train.inputs.min()), int(data.train.inputs.max())) == (0, 255)
    assert data.fingerprint == "89505138d9e52d15"


def rows(*splits: Split) -> list[tuple[bytes, int]]:
    return sorted((bytes(i.flatten().tolist()), int(t)) for s in splits for i, t in zip(s.inputs, s.targets, strict=True))


def test_cuts_lose_and_repeat_nothing() -> None:
    whole = load("digits", ROOT, validation=0.0)
    cut = load("digits", ROOT, validation=0.3, split_seed=5)
    pooled = load("digits", ROOT, test=0.4)
    assert len(whole.validation) == 0
    assert rows(whole.train) == rows(cut.train, cut.validation)
    assert rows(whole.test) == rows(cut.test)
    assert rows(whole.train, whole.test) == rows(pooled.train, pooled.validation, pooled.test)
    assert len(pooled.test) == round(0.4 * 1797)


def test_every_split_is_stratified() -> None:
    data = load("digits", ROOT, validation=0.25, test=0.3, limit=400)
    assert len(data.train) + len(data.validation) == len(data.test) == 400
    for split in (data.train, data.validation, data.test):
        shares = torch.tensor(counts(split)) / len(split)
        assert shares.min() > 0.08
        assert shares.max() < 0.12


def test_classes_are_renumbered_in_the_order_given() -> None:
    whole, data = load("digits", ROOT, validation=0.0), load("digits", ROOT, classes=[7, 0, 3], validation=0.0)
    assert data.class_names == ("7", "0", "3")
    assert data.num_classes == 3
    assert counts(data.train, 3) == [counts(whole.train)[c] for c in (7, 0, 3)]
    assert torch.equal(data.train.inputs[data.train.targets == 0], whole.train.inputs[whole.train.targets == 7])


def test_a_limit_above_the_size_changes_nothing() -> None:
    assert load("digits", ROOT, limit=10**6).fingerprint == load("digits", ROOT).fingerprint


def test_a_validation_share_that_is_asked_for_holds_a_sample_at_least() -> None:
    assert len(load("digits", ROOT, limit=20, validation=0.01).validation) == 1


def test_split_seeds_change_the_fingerprint_and_labels_do_not() -> None:
    plain, seeded, named = (load("digits", ROOT, **s) for s in ({}, {"split_seed": 1}, {"label": "Digits!"}))
    assert plain.fingerprint == named.fingerprint != seeded.fingerprint
    assert (plain.name, named.name) == ("digits", "Digits!")


def test_mean_and_deviation_are_of_the_training_split_alone() -> None:
    data = load("digits", ROOT, limit=100, validation=0.5)
    values = data.train.inputs.double() / 255
    torch.testing.assert_close(data.statistics["mean"], values.mean((0, 2, 3)).float())
    torch.testing.assert_close(data.statistics["std"], values.std((0, 2, 3), correction=0).float())


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"name": "digit"}, ['"digit"', 'did you mean "digits"']),
        ({"name": "xyz"}, ["known are cifar10, cifar100, digits"]),
        ({"name": "digits", "options": {"size": 3}}, ['unknown option "size"', "it has no options"]),
        ({"name": "folder", "options": {"pth": "x"}}, ['unknown option "pth"', 'did you mean "path"']),
        ({"name": "folder"}, ['option "path" is missing']),
        ({"name": "folder", "options": {"path": "x", "size": "big"}}, ['option "size"', "integer", "'big'"]),
        ({"name": "folder", "options": {"path": "x", "channels": 2}}, ['option "channels"', "1 or 3"]),
        ({"name": "parquet"}, ["either the option path, or both train and test"]),
        ({"name": "parquet", "options": {"path": "a", "train": "b"}}, ["either the option path"]),
        ({"name": "parquet", "options": {"train": "b"}}, ["either the option path"]),
        ({"name": "digits", "classes": [0, 12]}, ["12", "are 0 to 9"]),
        ({"name": "digits", "classes": [1, 1]}, ["once", "[1, 1]"]),
        ({"name": "digits", "classes": []}, ["once"]),
        ({"name": "digits", "limit": 1, "validation": 0.9}, ["no training samples"]),
    ],
)
def test_what_a_suite_asks_wrongly_is_said_in_one_sentence(spec: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        load(root=ROOT, **spec)
    assert all(word in sentence(caught.value) for word in words), str(caught.value)


def from_plugin(train: Split, test: Split, names: tuple[str, ...] = ("a", "b")) -> TaskData:
    class Mine(Dataset):
        name = "mine"

        def load(self, root: Path) -> RawData:
            return RawData(train, test, names)

    return load_data(DatasetSpec(name="mine"), ROOT, {"mine": Mine}, TASK)


def good(count: int = 8, shape: tuple[int, ...] = (1, 2, 2)) -> Split:
    return Split(torch.arange(count).view(-1, 1, 1, 1).expand(count, *shape).to(torch.uint8), torch.arange(count) % 2)


def test_a_plugin_s_data_are_cut_like_any_other() -> None:
    data = from_plugin(good(20), good(8))
    assert (len(data.train), len(data.validation), len(data.test)) == (18, 2, 8)
    assert data.train.inputs.is_contiguous()


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        (Split(good().inputs.float(), good().targets), good(), "float32"),
        (Split(good().inputs[0], good().targets), good(), "3 dimensions"),
        (Split(good().inputs, good().targets.int()), good(), "int32"),
        (good(), Split(good().inputs, good().targets[:3]), "length 8"),
        (good(), good(shape=(1, 3, 3)), "(1, 3, 3)"),
        (good(), Split(good().inputs, good().targets + 1), "are 1 to 2"),
        (good(), good(0), "no test samples"),
    ],
)
def test_a_plugin_s_data_are_held_to_the_contract(train: Split, test: Split, words: str) -> None:
    with pytest.raises(DataError) as caught:
        from_plugin(train, test)
    assert words in sentence(caught.value)
    assert '"mine"' in str(caught.value)


@pytest.mark.parametrize(
    ("names", "words"), [(None, "not of None"), ((3, 4), "not of int"), (("a", b"b"), "not of bytes"), ("ab", "not of str")]
)
def test_names_of_classes_are_strings(names: Any, words: str) -> None:
    with pytest.raises(DataError, match="class_names must be a tuple of strings") as caught:
        from_plugin(good(), good(), names)
    assert words in sentence(caught.value)


@pytest.mark.parametrize(
    "values", [[0.5], torch.tensor(0.5), torch.tensor([1]), torch.tensor([float("nan")]), torch.ones(2, 2)]
)
def test_a_task_s_statistics_are_finite_and_flat(values: Any) -> None:
    class Odd(type(TASK)):  # type: ignore[misc]
        def statistics(self, train: Split) -> Any:
            return {"mean": values}

    with pytest.raises(DataError, match="finite one-dimensional float tensors"):
        load_data(DatasetSpec(name="digits"), ROOT, {"digits": Digits}, Odd())


def test_the_data_root_is_given_or_from_the_environment_or_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDBENCH_DATA", "from-environment")
    assert data_root(Path("given")) == Path("given")
    assert data_root(None) == Path("from-environment")
    monkeypatch.delenv("KDBENCH_DATA")
    assert data_root(None) == Path("data")
