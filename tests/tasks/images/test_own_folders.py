"""Image folders as people keep them: hidden files, links, scans, and no two alike."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from kdbench.data.types import TaskData
from kdbench.errors import DataError
from tests.tasks.images.samples import load, picture, sentence, shape_of, write_folder


def read(root: Path, validation: float = 0.0, size: int | None = None, **spec: Any) -> TaskData:
    return load("folder", root, options={"path": ".", "size": size}, validation=validation, **spec)


def told(data: TaskData) -> str:
    return "\n".join(data.notes)


@pytest.mark.parametrize("name", ["val", "validation", "valid", "Val"])
def test_val_beside_test_is_the_validation_split(tmp_path: Path, name: str) -> None:
    write_folder(tmp_path)
    for c, cls in enumerate(("ant", "bee")):
        (tmp_path / name / cls).mkdir(parents=True)
        picture(100 + c).save(tmp_path / name / cls / "0.png")
    data = read(tmp_path, validation=0.25)
    assert data.validation.inputs[:, 0, 0, 0].tolist() == [100, 101]
    assert data.validation.targets.tolist() == [0, 1]
    assert len(data.train) == 8
    assert "the data set's own 2 validation samples are used" in told(data)


def test_subsets_reach_the_validation_split(tmp_path: Path) -> None:
    write_folder(tmp_path)
    shutil.copytree(tmp_path / "train", tmp_path / "val")
    data = read(tmp_path, classes=(1,), limit=3)
    assert data.class_names == ("bee",)
    assert (len(data.train), len(data.validation), len(data.test)) == (3, 3, 2)


def test_val_alone_is_the_test_set_and_that_is_said(tmp_path: Path) -> None:
    data = read(write_folder(tmp_path, test="val"), validation=0.25)
    assert (len(data.train), len(data.validation), len(data.test)) == (6, 2, 4)
    assert "val/ is the test set" in told(data)


def test_folders_of_classes_need_no_more_than_a_share_to_test_on(tmp_path: Path) -> None:
    write_folder(tmp_path / "all")
    (tmp_path / "all" / "train").rename(tmp_path / "classes")
    data = load("folder", tmp_path, options={"path": "classes"}, test=0.25, validation=0.0)
    assert data.class_names == ("ant", "bee")
    assert (len(data.train), len(data.test)) == (6, 2)
    assert "each of its folders is a class" in told(data)
    with pytest.raises(DataError, match=r"no test samples: .*test: 0\.2"):
        load("folder", tmp_path, options={"path": "classes"})


def test_train_alone_needs_a_share_to_test_on(tmp_path: Path) -> None:
    shutil.rmtree(write_folder(tmp_path) / "test")
    assert len(read(tmp_path, test=0.5).test) == 4
    with pytest.raises(DataError, match=r"no test samples: .*test: 0\.2"):
        read(tmp_path)


def test_a_folder_too_high_up_is_not_one_class(tmp_path: Path) -> None:
    write_folder(tmp_path / "images")
    with pytest.raises(DataError, match="images has one: set the option path to it"):
        read(tmp_path, test=0.2)


@pytest.mark.parametrize("first", [0, 7])
def test_colour_is_decided_by_all_images(tmp_path: Path, first: int) -> None:
    write_folder(tmp_path)
    grey = sorted((tmp_path / "train").rglob("*.png"))[first]
    picture(3, mode="L").save(grey)
    data = read(tmp_path)
    assert shape_of(data)[0] == 3
    assert "1 of 12 images converted to RGB (1 grey)" in told(data)
    chosen = load("folder", tmp_path, options={"path": ".", "channels": 1})
    assert shape_of(chosen)[0] == 1
    assert "11 of 12 images converted to grey (11 RGB)" in told(chosen)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [None, 8])
def test_images_are_turned_upright_as_exif_says(tmp_path: Path, orientation: int, size: int | None) -> None:
    write_folder(tmp_path, size=(8, 8))
    upright = np.zeros((8, 8, 3), dtype=np.uint8)
    upright[:4, :4] = (200, 0, 0)  # each corner has another colour
    upright[:4, 4:] = (0, 200, 0)
    upright[4:, :4] = (0, 0, 200)
    stored = {  # what a camera stores that is held so, by the definition of the tag
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.swapaxes(0, 1), 6: np.rot90(upright), 7: np.rot90(upright.swapaxes(0, 1), 2), 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    image = Image.fromarray(np.ascontiguousarray(stored))
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / "train" / "ant" / "0.tif", exif=exif)
    data = read(tmp_path, size=size)
    turned = data.train.inputs[data.train.inputs[:, 0, 0, 0] == 200]
    assert torch.equal(turned[0], torch.from_numpy(upright.transpose(2, 0, 1).copy()))
    assert ("1 image turned upright" in told(data)) == (orientation > 1)


def test_hidden_files_and_folders_are_left_out_and_counted(tmp_path: Path) -> None:
    write_folder(tmp_path)
    before = read(tmp_path).fingerprint
    for folder in (".ipynb_checkpoints", "@eaDir", "__MACOSX"):
        for place in (tmp_path / "train", tmp_path / "train" / "ant", tmp_path / "test" / "bee"):
            (place / folder).mkdir()
            picture(9).save(place / folder / "0.png")
    (tmp_path / "train" / "ant" / "._0.png").write_bytes(b"\0\5\26\7")
    (tmp_path / "train" / "ant" / "notes.txt").write_text("x")
    picture(9).save(tmp_path / "train" / "loose.png")
    data = read(tmp_path)
    assert data.fingerprint == before
    assert "1 hidden file, 9 folders (.ipynb_checkpoints, @eaDir, __MACOSX)" in told(data)
    assert "1 file not taken for images (1 .txt)" in told(data)
    assert "1 image in train/ outside of the folders of the classes" in told(data)


def test_jfif_is_jpeg(tmp_path: Path) -> None:
    write_folder(tmp_path)
    picture(5).save(tmp_path / "train" / "ant" / "photo.jfif", "JPEG")
    assert len(read(tmp_path).train) == 9


def test_linked_folders_are_followed_and_counted_each_once(tmp_path: Path) -> None:
    write_folder(tmp_path / "set")
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "more").mkdir(parents=True)
    picture(77).save(elsewhere / "more" / "0.png")
    (tmp_path / "set" / "train" / "ant" / "link").symlink_to(elsewhere, target_is_directory=True)
    (elsewhere / "again").symlink_to(elsewhere / "more", target_is_directory=True)
    (elsewhere / "round").symlink_to(tmp_path / "set" / "train" / "ant", target_is_directory=True)
    data = load("folder", tmp_path, options={"path": "set"}, validation=0.0)
    assert data.train.inputs[:, 0, 0, 0].tolist().count(77) == 1
    assert len(data.train) == 9
    assert "3 linked folders followed" in told(data)


def test_classes_without_test_images_are_named(tmp_path: Path) -> None:
    write_folder(tmp_path, classes=["ant", "bee", "fly"])
    shutil.rmtree(tmp_path / "test" / "fly")
    for file in (tmp_path / "test" / "bee").iterdir():
        file.unlink()
    assert "no test images of 2 classes: bee, fly" in told(read(tmp_path))


def test_all_damaged_images_are_named_at_once(tmp_path: Path) -> None:
    write_folder(tmp_path)
    for i in (1, 2, 3):
        (tmp_path / "train" / "ant" / f"{i}.png").write_text("no image")
    with pytest.raises(
        DataError, match=r"1\.png is not an image .*; 2 others cannot be used either .*2\.png.*3\.png"
    ) as caught:
        read(tmp_path)
    sentence(caught.value)
    for i in (1, 2, 3):
        file = tmp_path / "train" / "ant" / f"{i}.png"
        picture(i).save(file)
        file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"1\.png cannot be decoded .*; 2 others"):
        read(tmp_path)
