from __future__ import annotations

from pathlib import Path

import pytest

from kdbench.errors import DataError
from tests.tasks.images.samples import load, picture, sentence, shape_of, write_folder


@pytest.mark.parametrize("test", ["test", "val", "validation"])
def test_classes_are_the_sub_folders_in_the_order_of_their_names(tmp_path: Path, test: str) -> None:
    write_folder(tmp_path / "insects", classes=["bee", "ant"], test=test)
    data = load("folder", tmp_path, options={"path": "insects"}, validation=0.0)
    assert data.class_names == ("ant", "bee")
    assert shape_of(data) == (3, 5, 5)
    assert data.train.targets.tolist() == [0] * 4 + [1] * 4
    assert data.train.inputs[:, 0, 0, 0].tolist() == [10, 11, 12, 13, 0, 1, 2, 3]
    assert data.test.targets.tolist() == [0, 0, 1, 1]


def test_other_files_and_hidden_folders_are_passed_over(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    (root / "train" / "ant" / "notes.txt").write_text("x")
    (root / "train" / ".thumbnails").mkdir()
    picture(200).save(root / "train" / "bee" / "UPPER.JPG")
    (root / "train" / "bee" / "more").mkdir()
    picture(200).save(root / "train" / "bee" / "more" / "deep.png")
    data = load("folder", tmp_path, options={"path": str(root)}, validation=0.0)
    assert data.train.targets.tolist() == [0] * 4 + [1] * 6


def test_size_and_channels_are_as_asked(tmp_path: Path) -> None:
    write_folder(tmp_path, size=(11, 7))
    data = load("folder", tmp_path, options={"path": ".", "size": 6, "channels": 1})
    assert shape_of(data) == (1, 6, 6)


def test_grey_images_have_one_channel(tmp_path: Path) -> None:
    write_folder(tmp_path, mode="L")
    assert shape_of(load("folder", tmp_path, options={"path": "."})) == (1, 5, 5)


def test_the_fingerprint_does_not_depend_on_where_the_folder_lies(tmp_path: Path) -> None:
    prints = []
    for name in ("a", "b"):
        write_folder(tmp_path / name / "x")
        prints.append(load("folder", tmp_path / name, options={"path": "x"}).fingerprint)
    picture(250).save(tmp_path / "b" / "x" / "train" / "ant" / "0.png")
    assert prints[0] == prints[1] != load("folder", tmp_path / "b", options={"path": "x"}).fingerprint


def test_decoding_happens_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "x")
    first = load("folder", tmp_path, options={"path": "x"})
    monkeypatch.setattr("kdbench.tasks.images.reading.decode_images", None)
    assert load("folder", tmp_path, options={"path": "x"}).fingerprint == first.fingerprint


def damage(root: Path, how: str) -> Path:
    """Damage a folder, and return what the message must name."""
    image = root / "train" / "bee" / "2.png"
    match how:
        case "truncated image":
            image.write_bytes(image.read_bytes()[:-30])
        case "no image":
            image.write_text("hello")
        case "another size":
            picture(0, size=(6, 5)).save(image)
        case "no train":
            (root / "train").rename(root / "training")
            return root / "train"
        case "empty class":
            (root / "train" / "wasp").mkdir()
            return root / "train" / "wasp"
        case "no classes":
            for file in sorted((root / "train").rglob("*"), reverse=True):
                file.unlink() if file.is_file() else file.rmdir()
            return root / "train"
        case "unknown class":
            (root / "test" / "bee").rename(root / "test" / "beee")
            return root / "test"
    return image


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("truncated image", "cannot be decoded"),
        ("no image", "is not an image"),
        ("another size", "6×5 pixels and the first has 5×5: set the option size"),
        ("no train", "does not exist"),
        ("empty class", "contains no images"),
        ("no classes", "contains no folders"),
        ("unknown class", '"beee" has no folder'),
    ],
)
def test_damage_is_said_in_one_sentence_with_the_file(tmp_path: Path, how: str, words: str) -> None:
    named = damage(write_folder(tmp_path), how)
    with pytest.raises(DataError) as caught:
        load("folder", tmp_path, options={"path": "."})
    assert words in sentence(caught.value)
    assert str(named) in str(caught.value)


def test_a_folder_that_does_not_exist_gets_the_nearest_name(tmp_path: Path) -> None:
    write_folder(tmp_path / "insects")
    with pytest.raises(DataError, match=r'insect does not exist .*did you mean "insects"') as caught:
        load("folder", tmp_path, options={"path": "insect"})
    sentence(caught.value)
    with pytest.raises(DataError, match="check the path"):
        load("folder", tmp_path, options={"path": "/no/such/folder"})
