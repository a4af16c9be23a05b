"""Parquet files as people keep them: labels of any type, several configurations, shards that differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kdbench.data.types import TaskData
from kdbench.errors import DataError
from tests.tasks.images.samples import load, png, sentence, shape_of, write_parquet

IMAGES = pa.array([{"bytes": png(i)} for i in range(4)], pa.struct([("bytes", pa.binary())]))


def write(root: Path, **columns: Any) -> Path:
    """Write training and test files of four images, with these columns."""
    root.mkdir(parents=True, exist_ok=True)
    for part in ("train", "test"):
        pq.write_table(pa.table({"image": IMAGES, **columns}), root / f"{part}.parquet")
    return root


def read(root: Path, **options: Any) -> TaskData:
    return load("parquet", root, options={"path": ".", **options}, validation=0.0)


@pytest.mark.parametrize(
    ("labels", "names", "targets"),
    [
        (pa.array(["dog", "cat", "dog", "ant"]), ("ant", "cat", "dog"), [2, 1, 2, 0]),
        (pa.array(["dog", "cat", "dog", "ant"], pa.large_string()), ("ant", "cat", "dog"), [2, 1, 2, 0]),
        (pa.array(["dog", "cat", "dog", "ant"]).dictionary_encode(), ("ant", "cat", "dog"), [2, 1, 2, 0]),
        (pa.array([True, False, False, True]), ("false", "true"), [1, 0, 0, 1]),
        (pa.array([2.0, 0.0, 1.0, 2.0]), ("0", "1", "2"), [2, 0, 1, 2]),
        (pa.array([2, 0, 1, 2], pa.uint8()).dictionary_encode(), ("0", "1", "2"), [2, 0, 1, 2]),
    ],
)
@pytest.mark.parametrize("column", ["label", "Class", "fine_label"])
def test_labels_of_any_type_beside_other_numbers(
    tmp_path: Path, column: str, labels: pa.Array, names: tuple[str, ...], targets: list[int]
) -> None:
    data = read(write(tmp_path, image_id=[3, 1, 0, 2], width=[5, 5, 5, 5], **{column: labels}))
    assert data.class_names == names
    assert data.train.targets.tolist() == data.test.targets.tolist() == targets
    assert any(f"labels are the column {column}" in note for note in data.notes) == (column != "label")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"image_id": [0, 1, 2, 3]}, "there is none (columns are image: struct<bytes: binary>, image_id: int64)"),
        ({"fine_label": [0, 1, 2, 3], "coarse_label": [0, 0, 1, 1]}, "there are several (fine_label, coarse_label)"),
        ({"label": [0.0, 1.5, 2.0, 3.0]}, "row 1 has the label 1.5 (column label), which is not a whole number"),
        ({"label": [[0], [1], [2], [3]]}, "there is none"),
    ],
)
def test_what_is_not_named_a_label_is_not_taken_for_one(tmp_path: Path, columns: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError) as caught:
        read(write(tmp_path, **columns))
    assert words in sentence(caught.value)
    assert "label_column" in str(caught.value)


def test_the_schema_says_which_column_is_a_class_label(tmp_path: Path) -> None:
    for part in ("train", "test"):
        file = tmp_path / f"{part}.parquet"
        write_parquet(file, [png(0), png(1)], [1, 0], names=["x", "y"], columns=("image", "kind"), extra={"label_id": [7, 8]})
    data = read(tmp_path)
    assert data.class_names == ("x", "y")
    assert data.train.targets.tolist() == [1, 0]


def test_a_text_that_no_training_row_has_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, label=["a", "b", "a", "b"])
    pq.write_table(pa.table({"image": IMAGES, "label": ["a", "b", "c", "b"]}), tmp_path / "test.parquet")
    with pytest.raises(DataError, match=r'test.parquet: row 2 has the label "c", which is not one of the 2 classes'):
        read(tmp_path)


def test_hidden_labels_are_explained(tmp_path: Path) -> None:
    write(tmp_path, label=[0, 1, 0, 1])
    pq.write_table(pa.table({"image": IMAGES, "label": [-1, -1, -1, -1]}), tmp_path / "test.parquet")
    with pytest.raises(DataError, match="-1 stands for an unknown label"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (["x", "y"], ["y", "x"], '"y" for class 0, and .*train-0.parquet has "x"'),
        (["x", "y"], ["x", "y", "z"], "3 classes, and .*train-0.parquet has 2"),
    ],
)
def test_shards_that_contradict_each_other_are_not_pooled(
    tmp_path: Path, first: list[str], second: list[str], words: str
) -> None:
    write_parquet(tmp_path / "train-0.parquet", [png(0), png(1)], [0, 1], names=first)
    write_parquet(tmp_path / "train-1.parquet", [png(0), png(1)], [0, 1], names=second)
    write_parquet(tmp_path / "test-0.parquet", [png(0)], [0], names=first)
    with pytest.raises(DataError, match=words) as caught:
        read(tmp_path)
    sentence(caught.value)


def test_text_and_numbers_are_not_pooled(tmp_path: Path) -> None:
    write(tmp_path, label=["a", "b", "a", "b"])
    pq.write_table(pa.table({"image": IMAGES, "label": [0, 1, 0, 1]}), tmp_path / "test.parquet")
    with pytest.raises(DataError, match="labels of the kind integers, and .* of the kind text"):
        read(tmp_path)


@pytest.mark.parametrize("layout", ["{}/train-0.parquet {}/test-0.parquet", "{}/train/0000.parquet {}/test/0000.parquet"])
def test_several_configurations_are_not_pooled(tmp_path: Path, layout: str) -> None:
    for n, name in enumerate(("plain", "rotated")):
        for path in layout.format(name, name).split():
            write_parquet(tmp_path / path, [png(10 * n), png(10 * n + 1)], [0, 1])
    with pytest.raises(
        DataError, match=r"several configurations \(plain, rotated\): choose one, for example path: plain"
    ) as caught:
        read(tmp_path)
    sentence(caught.value)
    data = load("parquet", tmp_path, options={"path": "rotated"}, validation=0.0)
    assert data.train.inputs[:, 0, 0, 0].tolist() == [10, 11]
    train, test = (part.replace("{}", "*") for part in layout.split())
    both = load("parquet", tmp_path, options={"train": train, "test": test}, validation=0.0)
    assert both.train.inputs[:, 0, 0, 0].tolist() == [0, 1, 10, 11]


@pytest.mark.parametrize(
    "layout",
    [
        "default/train/0000.parquet default/validation/0000.parquet default/test/0000.parquet",
        "data/train-0.parquet data/validation-0.parquet data/test-0.parquet",
        "train/a.parquet val/a.parquet test/a.parquet",
        "birds-train.parquet birds_dev.parquet birds.test.parquet",
    ],
)
def test_files_are_found_in_every_usual_layout(tmp_path: Path, layout: str) -> None:
    for n, path in enumerate(layout.split()):
        write_parquet(tmp_path / path, [png(10 * n), png(10 * n + 1)], [0, 1])
    data = load("parquet", tmp_path, options={"path": "."}, validation=0.5)
    assert [s.inputs[0, 0, 0, 0].item() for s in (data.train, data.validation, data.test)] == [0, 10, 20]
    assert len(data.train) == 2


def test_training_files_alone_need_a_share_to_test_on(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", [png(i) for i in range(10)], [0, 1] * 5)
    assert len(load("parquet", tmp_path, options={"path": "."}, test=0.2).test) == 2
    assert len(load("parquet", tmp_path, options={"train": "*.parquet"}, test=0.2).test) == 2
    with pytest.raises(DataError, match="no test samples"):
        read(tmp_path)


def test_files_of_no_split_are_counted(tmp_path: Path) -> None:
    write(tmp_path, label=[0, 1, 0, 1])
    write_parquet(tmp_path / "extra.parquet", [png(0)], [0])
    assert any("1 parquet file of no known split (extra.parquet)" in note for note in read(tmp_path).notes)


def test_colour_is_decided_by_all_images(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write_parquet(tmp_path / f"{part}.parquet", [png(0, mode="L"), png(1)], [0, 1])
    data = read(tmp_path)
    assert shape_of(data)[0] == 3
    assert "2 of 4 images converted to RGB (2 grey)" in data.notes
