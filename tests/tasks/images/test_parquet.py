from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from kdbench.errors import DataError
from kdbench.tasks.images import decode
from tests.tasks.images.samples import load, picture, png, sentence, shape_of, write_parquet


def write_both(root: Path, **kwargs: Any) -> Path:
    for part, count in (("train", 12), ("test", 6)):
        write_parquet(root / "set" / f"{part}.parquet", [png(i) for i in range(count)], [i % 3 for i in range(count)], **kwargs)
    return root


def options(**more: Any) -> dict[str, Any]:
    return {"path": "set"} | more


def test_images_labels_and_names_are_read(tmp_path: Path) -> None:
    data = load("parquet", write_both(tmp_path, names=["x", "y", "z"]), options=options(), validation=0.0)
    assert data.class_names == ("x", "y", "z")
    assert data.train.targets.tolist() == [i % 3 for i in range(12)]
    assert shape_of(data) == (3, 5, 5)
    expected = np.asarray(picture(7)).transpose(2, 0, 1)
    assert torch.equal(data.train.inputs[7], torch.from_numpy(expected.copy()))


def test_without_metadata_classes_are_called_by_number(tmp_path: Path) -> None:
    assert load("parquet", write_both(tmp_path), options=options()).class_names == ("0", "1", "2")


def test_grey_images_have_one_channel_unless_asked(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write_parquet(tmp_path / "set" / f"{part}.parquet", [png(i, mode="L") for i in range(10)], [0, 1] * 5)
    assert shape_of(load("parquet", tmp_path, options=options())) == (1, 5, 5)
    assert shape_of(load("parquet", tmp_path, options=options(channels=3))) == (3, 5, 5)


def test_shards_are_joined_in_the_order_of_their_names_and_validation_serves_as_test(tmp_path: Path) -> None:
    for i in (1, 0):
        write_parquet(
            tmp_path / "set" / "data" / f"train-0000{i}-of-00002.parquet", [png(10 * i + j) for j in range(4)], [0, 1] * 2
        )
    write_parquet(tmp_path / "set" / "data" / "validation-00000-of-00001.parquet", [png(99)], [1])
    data = load("parquet", tmp_path, options=options(), validation=0.0)
    assert data.train.inputs[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 10, 11, 12, 13]
    assert data.test.inputs[:, 0, 0, 0].tolist() == [99]


def test_files_may_be_named_and_relative_to_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_both(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    named = {"train": ["set/train.parquet", "set/test.parquet"], "test": "set/test.parquet"}
    data = load("parquet", tmp_path / "elsewhere", options=named, validation=0.0)
    assert (len(data.train), len(data.test)) == (18, 6)


def test_the_data_root_comes_before_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_both(tmp_path / "root", names=["right"] * 3)
    write_both(tmp_path / "here", names=["wrong"] * 3)
    monkeypatch.chdir(tmp_path / "here")
    assert load("parquet", tmp_path / "root", options=options()).class_names[0] == "right"


def test_columns_may_be_named(tmp_path: Path) -> None:
    numbers = {"id": [7, 8], "coarse": [0, 0]}
    for part in ("train", "test"):
        write_parquet(
            tmp_path / "set" / f"{part}.parquet", [png(1), png(2)], [0, 1], columns=("picture", "fine"), extra=numbers
        )
    with pytest.raises(DataError, match="called label is needed, but there is none .*fine: int64.*set the option label_column"):
        load("parquet", tmp_path, options=options())
    data = load("parquet", tmp_path, options=options(label_column="fine", image_column="picture"), validation=0.0)
    assert data.train.targets.tolist() == [0, 1]


def test_size_brings_all_images_to_one_square(tmp_path: Path) -> None:
    for part in ("train", "test"):
        sizes = [(9, 5), (6, 12), (4, 4)]
        write_parquet(tmp_path / "set" / f"{part}.parquet", [png(i, size=s) for i, s in enumerate(sizes)], [0, 1, 2])
    assert shape_of(load("parquet", tmp_path, options=options(size=4))) == (3, 4, 4)
    with pytest.raises(DataError, match="6×12 pixels and the first has 9×5: set the option size") as caught:
        load("parquet", tmp_path, options=options())
    assert "row 1" in sentence(caught.value)


def test_size_cuts_the_centre_of_the_longer_side_out(tmp_path: Path) -> None:
    wide = Image.new("RGB", (12, 4), (255, 0, 0))
    wide.paste((0, 255, 0), (4, 0, 8, 4))
    buffer = io.BytesIO()
    wide.save(buffer, "PNG")
    decoded = decode.decode_images([buffer.getvalue()], str, 4, 3)
    assert decoded[0].flatten(1).unique(dim=1).flatten().tolist() == [0, 255, 0]


def test_decoding_happens_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_both(tmp_path)
    first = load("parquet", tmp_path, options=options())
    monkeypatch.setattr("kdbench.tasks.images.reading.decode_images", None)
    again = load("parquet", tmp_path, options=options())
    assert again.fingerprint == first.fingerprint


def test_one_pixel_changes_the_fingerprint_and_the_place_of_the_data_does_not(tmp_path: Path) -> None:
    prints = [load("parquet", write_both(tmp_path / name), options=options()).fingerprint for name in ("a", "b")]
    changed = picture(3)
    changed.putpixel((4, 4), (1, 2, 3))
    buffer = io.BytesIO()
    changed.save(buffer, "PNG")
    cells = [buffer.getvalue() if i == 3 else png(i) for i in range(6)]
    write_parquet(tmp_path / "b" / "set" / "test.parquet", cells, [i % 3 for i in range(6)])
    assert prints[0] == prints[1] != load("parquet", tmp_path / "b", options=options()).fingerprint


def damage(root: Path, how: str) -> Path:
    """Damage a data set, and return what the message must name."""
    folder = root / "set"
    train, test = folder / "train.parquet", folder / "test.parquet"
    match how:
        case "truncated file":
            train.write_bytes(train.read_bytes()[:-30])
        case "no parquet":
            test.write_bytes(b"hello")
            return test
        case "missing train":
            train.unlink()
            return folder
        case "missing folder":
            return Path("sett")
        case "no image":
            write_parquet(train, [png(0), b"no image at all"], [0, 1])
        case "truncated image":
            write_parquet(train, [png(0), png(1)[:-30]], [0, 1])
        case "null image":
            write_parquet(test, [png(0), None], [0, 1])
            return test
        case "null label":
            write_parquet(train, [png(0), png(1)], [0, None])
        case "negative label":
            write_parquet(test, [png(0), png(1)], [0, -1])
            return test
        case "label beyond the names":
            write_parquet(train, [png(0), png(1)], [0, 5], names=["a", "b"])
        case "no image column":
            pq.write_table(pa.table({"label": [0], "text": ["x"]}), train)
        case "empty":
            write_parquet(train, [], [])
    return train


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("truncated file", "truncated"),
        ("no parquet", "not a parquet file"),
        ("missing train", "contains no train*.parquet"),
        ("missing folder", 'did you mean "set"'),
        ("no image", "row 1 (column img) is not an image"),
        ("truncated image", "row 1 (column img) cannot be decoded"),
        ("null image", "row 1 has no image (column img)"),
        ("null label", "row 1 has no label (column label)"),
        ("negative label", "row 1 has the label -1"),
        ("label beyond the names", "row 1 has the label 5, which is not one of the 2 classes"),
        ("no image column", "columns are label: int64, text: string"),
        ("empty", "has no rows"),
    ],
)
def test_damage_is_said_in_one_sentence_with_the_file(tmp_path: Path, how: str, words: str) -> None:
    named = damage(write_both(tmp_path), how)
    with pytest.raises(DataError) as caught:
        load("parquet", tmp_path, options=options(path="sett" if how == "missing folder" else "set"))
    assert words in sentence(caught.value)
    assert str(named) in str(caught.value)


@pytest.mark.parametrize(("option", "near"), [("image_column", "img"), ("label_column", "label")])
def test_a_misspelt_column_gets_the_nearest_spelling(tmp_path: Path, option: str, near: str) -> None:
    with pytest.raises(DataError, match=f'option {option}: "{near}s" .* did you mean "{near}"'):
        load("parquet", write_both(tmp_path), options=options(**{option: f"{near}s"}))


def test_sixteen_bit_images_are_refused_rather_than_clipped(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 4), 40_000, dtype=np.uint16)).save(buffer, "PNG")
    with pytest.raises(DataError, match="more than 8 bits"):
        decode.decode_images([buffer.getvalue()], lambda i: f"image {i}", None, 1)


def test_images_that_do_not_fit_in_memory_are_an_error_before_they_are_decoded() -> None:
    with pytest.raises(DataError, match="GB of memory are free") as caught:
        decode.decode_images([png(0)] * 10_000, str, 100_000, 3)
    sentence(caught.value)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_decoded_images_are_resized_as_files_are(mode: str) -> None:
    images = decode.decode_images([png(i, size=(9, 9), mode=mode) for i in range(3)], str, None, 1 if mode == "L" else 3)
    expected = decode.decode_images([png(i, size=(9, 9), mode=mode) for i in range(3)], str, 14, 1 if mode == "L" else 3)
    assert torch.equal(decode.resize_images(images, 14), expected)
