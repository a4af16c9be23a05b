from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from kdbench.data import cache
from kdbench.data.cache import cache_folder, cached
from kdbench.data.types import RawData
from tests.tasks.images.samples import task


class Builder:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> RawData:
        self.calls += 1
        data = task(6)
        return RawData(data.train, task(4, seed=1).test, data.class_names)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "root" / "train.bin"
    path.parent.mkdir()
    path.write_bytes(b"12345")
    return path


def ask(source: Path, build: Builder, **options: object) -> RawData:
    return cached(source.parent, "mine", options, [source], build)


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*"))


def test_the_second_reading_comes_from_the_cache_and_is_the_same(source: Path) -> None:
    build = Builder()
    first, second = ask(source, build), ask(source, build)
    assert build.calls == 1
    assert first.class_names == second.class_names
    for a, b in ((first.train, second.train), (first.test, second.test)):
        assert torch.equal(a.inputs, b.inputs)
        assert torch.equal(a.targets, b.targets)
    assert [p.suffix for p in files(source.parent / cache.FOLDER)] == [".safetensors"]


@pytest.mark.parametrize("change", ["size", "time", "name", "options"])
def test_another_file_or_option_is_another_cache(source: Path, change: str) -> None:
    build = Builder()
    ask(source, build)
    match change:
        case "size":
            state = source.stat()
            source.write_bytes(b"123456")
            os.utime(source, ns=(state.st_atime_ns, state.st_mtime_ns))
        case "time":
            os.utime(source, ns=(0, 10**9))
        case "name":
            source = source.rename(source.with_name("other.bin"))
    ask(source, build, **({"size": 8} if change == "options" else {}))
    assert build.calls == 2


def test_a_cache_moves_with_its_data_root(source: Path, tmp_path: Path) -> None:
    build = Builder()
    ask(source, build)
    source.parent.rename(tmp_path / "moved")
    ask(tmp_path / "moved" / source.name, build)
    assert build.calls == 1


@pytest.mark.parametrize("damage", ["flipped bit", "truncated", "empty", "no header"])
def test_a_damaged_cache_is_rebuilt_and_logged(source: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    build = Builder()
    expected = ask(source, build)
    (path,) = files(source.parent / cache.FOLDER)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes({"flipped bit": content, "truncated": content[:-40], "empty": b"", "no header": b"\xff" * 64}[damage])
    with caplog.at_level(logging.WARNING, "kdbench"):
        again = ask(source, build)
    assert build.calls == 2
    assert torch.equal(again.train.inputs, expected.train.inputs)
    assert "will be rebuilt" in caplog.text
    ask(source, build)
    assert build.calls == 2  # mended


def test_a_read_only_root_is_left_alone(source: Path, user_folders: Path) -> None:
    build = Builder()
    source.parent.chmod(0o555)  # no write bit at all: the superuser, too, must leave it as it is
    try:
        ask(source, build)
        ask(source, build)
        assert files(source.parent) == [source]
    finally:
        source.parent.chmod(0o755)
    assert build.calls == 1
    assert len(files(user_folders / "cache" / "kdbench")) == 1


def test_the_environment_names_the_folder(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDBENCH_CACHE", str(tmp_path / "mine"))
    assert cache_folder(source.parent) == tmp_path / "mine"
    ask(source, Builder())
    assert len(files(tmp_path / "mine")) == 1
    assert files(source.parent) == [source]


def test_a_root_that_does_not_exist_yet_counts_by_its_parent(tmp_path: Path) -> None:
    assert cache_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b" / cache.FOLDER


def test_a_full_disk_costs_the_cache_and_nothing_else(
    source: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "save_file", full)
    with caplog.at_level(logging.WARNING, "kdbench"):
        assert len(ask(source, Builder()).train) == 6
    assert "No space left" in caplog.text
    assert files(source.parent / cache.FOLDER) == []


def of_an_older_version(source: Path, build: Builder) -> Path:
    """Write a cache as version 1 did: without its version, notes and validation split."""
    ask(source, build)
    (path,) = files(source.parent / cache.FOLDER)
    with safe_open(path, framework="pt") as file:
        arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        metadata = {key: file.metadata()[key] for key in ("class_names", "digest")}
    save_file(arrays, path, metadata)
    return path


def test_an_older_cache_that_holds_what_is_read_now_is_used_and_brought_up_to_date(source: Path) -> None:
    build = Builder()
    of_an_older_version(source, build)
    asked: list[RawData] = []

    def renew(old: RawData) -> RawData:
        asked.append(old)
        return old.with_notes(["new"])

    for _ in range(2):
        assert cached(source.parent, "mine", {}, [source], build, renew).notes == ("new",)
    assert (build.calls, len(asked)) == (1, 1)


def test_an_older_cache_that_was_read_wrongly_is_rebuilt(source: Path) -> None:
    build = Builder()
    of_an_older_version(source, build)
    cached(source.parent, "mine", {}, [source], build, lambda old: None)
    assert build.calls == 2


def test_notes_preparation_and_validation_are_kept(source: Path) -> None:
    data = task(6)
    whole = RawData(
        data.train, task(5, seed=2).test, data.class_names, task(4, seed=1).test, ("a note",), {"crop_mode": "center"}
    )
    for build in (lambda: whole, Builder()):
        found = cached(source.parent, "mine", {}, [source], build)
        assert (found.notes, found.preparation) == (("a note",), {"crop_mode": "center"})
        assert found.validation is not None
        assert torch.equal(found.validation.inputs, task(4, seed=1).test.inputs)
