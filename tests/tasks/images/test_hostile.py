"""Image files and labels that a stranger made: one sentence with the file, no other program, bounded memory."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import EpsImagePlugin, Image

from kdbench.data.types import RawData, Split
from kdbench.errors import DataError
from tests.support.images import TASK
from tests.tasks.images.samples import load, png, sentence, write_folder, write_parquet

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 5\n%%EndComments\n(canary) (w) file closefile\nshowpage\n%%EOF\n"


def png_header(width: int, height: int) -> bytes:
    """A PNG of a claimed size whose pixels are missing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def refused(root: Path, name: str = "folder", **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        load(name, root, options={"path": ".", **options})
    return sentence(caught.value)


@pytest.mark.parametrize("size", [None, 8])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (EPS, "is not an image of a known format"),
        (b"", "is not an image of a known format"),
        (b"BM" + b"\xff" * 60, "0.png"),
        (png_header(100_000, 100_000), "0.png"),
        (png_header(9000, 9000), "9000×9000 pixels, more than 64 million"),
        (png_header(0, 0), "0.png"),
        (png_header(5, 5)[:-30], "0.png"),
        (b"GIF89a\0\0\0\0\0\0\0;", "0.png"),
        (b"P6 999999999 999999999 255\n" + b"x" * 50, "0.png"),
    ],
)
def test_a_strange_image_file_is_named(content: bytes, said: str, size: int | None, tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / "train" / "ant" / "0.png").write_bytes(content)
    message = refused(tmp_path, size=size)
    assert said in message
    assert str(tmp_path / "train" / "ant" / "0.png") in message


def test_ghostscript_is_never_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def called(*_: object, **__: object) -> None:
        raise AssertionError("Ghostscript")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", called)
    write_folder(tmp_path)
    (tmp_path / "train" / "bee" / "1.png").write_bytes(EPS)
    refused(tmp_path)
    write_parquet(tmp_path / "train.parquet", [EPS] * 4, [0, 1] * 2)
    write_parquet(tmp_path / "test.parquet", [EPS] * 4, [0, 1] * 2)
    assert "row 0" in refused(tmp_path, "parquet")


def test_a_thin_image_is_not_blown_up(tmp_path: Path) -> None:
    write_folder(tmp_path, size=(5, 5))
    Image.new("RGB", (1, 60_000)).save(tmp_path / "train" / "ant" / "0.png")
    assert "resized, has" in refused(tmp_path, size=512)


@pytest.mark.parametrize("label", [10**9, 100_000, 2**62])
def test_a_label_far_beyond_the_samples_is_named_with_its_row(label: int, tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", [png(i) for i in range(4)], [0, 1, label, 1])
    write_parquet(tmp_path / "test.parquet", [png(i) for i in range(4)], [0, 1, 0, 1])
    message = refused(tmp_path, "parquet")
    assert message.startswith(f"{tmp_path / 'train.parquet'}: row 2 has the label {label}, ")


def test_negative_labels_are_named_with_their_row(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write_parquet(tmp_path / f"{part}.parquet", [png(i) for i in range(4)], [0, 1, -3, 1])
    assert "train.parquet: row 2 has the label -3" in refused(tmp_path, "parquet")


def test_more_class_names_than_samples(tmp_path: Path) -> None:
    names = [f"c{i}" for i in range(5000)]
    for part in ("train", "test"):
        write_parquet(tmp_path / f"{part}.parquet", [png(i) for i in range(4)], [0, 1, 2, 3], names=names)
    assert "5,000 classes and 4 training samples" in refused(tmp_path, "parquet")


def test_a_label_is_not_a_long_text_however_often_a_small_file_repeats_it(tmp_path: Path) -> None:
    cells = pa.array([{"bytes": png(0)}] * 3_000, pa.struct([("bytes", pa.binary())]))
    labels = pa.DictionaryArray.from_arrays(pa.array([0] * 3_000, pa.int32()), pa.array(["x" * 1_000_000]))
    for part in ("train", "test"):
        pq.write_table(pa.table({"img": cells, "label": labels}), tmp_path / f"{part}.parquet")
    assert "a label of 1,000,000 characters" in refused(tmp_path, "parquet")


def test_a_small_file_of_very_many_rows_is_not_expanded(tmp_path: Path) -> None:
    cell = pa.array([{"bytes": b"x"}], pa.struct([("bytes", pa.binary())]))
    many = pa.DictionaryArray.from_arrays(pa.array([0] * 300_000, pa.int32()), cell.field("bytes"))
    for part in ("train", "test"):
        table = pa.table({"img": many.cast(pa.binary()), "label": pa.array([0] * 300_000, pa.int64())})
        pq.write_table(table, tmp_path / f"{part}.parquet", compression="zstd")
    assert "claims to hold 300,000 images in" in refused(tmp_path, "parquet")


@pytest.mark.parametrize("path", ["/dev/zero", "pipe", "loop", "a" * 300, "a/" * 900, "~nobody-of-this-name/x"])
@pytest.mark.parametrize("name", ["folder", "parquet"])
def test_a_path_that_leads_nowhere_good(path: str, name: str, tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(DataError):
        load(name, tmp_path, options={"path": path})
    if name == "parquet":
        with pytest.raises(DataError):
            load(name, tmp_path, options={"train": path, "test": path})


def test_images_without_pixels_break_the_contract_of_data() -> None:
    empty = Split(torch.zeros(3, 1, 0, 0, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(DataError, match="no pixels"):
        TASK.check("x", RawData(empty, empty, ("a",)))


def test_a_good_image_of_every_format_is_read(tmp_path: Path) -> None:
    write_folder(tmp_path, each=6)
    kinds = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
    for index, kind in enumerate(kinds):
        buffer = io.BytesIO()
        Image.new("RGB", (5, 5), (index, 0, 0)).save(buffer, kind)
        (tmp_path / "train" / "ant" / f"{index}.png").write_bytes(buffer.getvalue())
    assert len(load("folder", tmp_path, options={"path": "."}, validation=0.0).train) == 12
