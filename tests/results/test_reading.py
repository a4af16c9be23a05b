"""What a stranger's folder holds is checked before it is believed, and never changed by reading it."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdbench.analysis.frame import frame_of_archive
from kdbench.analysis.source import gather
from kdbench.errors import KdbenchError, StoreError, flat, printable
from kdbench.report.text import csv_bytes
from kdbench.results.archive import load_archive
from kdbench.results.arrays import read_arrays, read_table
from kdbench.results.merge import merge_stores
from kdbench.results.migrations import renamed_trials
from kdbench.results.plan_check import plan_of
from kdbench.results.reading import Unreadable, inside, is_id, is_plain_name, parse_json, read_bytes
from kdbench.results.seal import seal, unseal
from kdbench.results.store import Store
from tests.faults.base import make_runs, originals, rewrite, state
from tests.results import made


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a\\b", "a\0b", ".a", "a\x1b[m", "\u202eb", " a", "x" * 201])
def test_such_names_are_no_files_names(tmp_path: Path, name: str) -> None:
    assert not is_plain_name(name)
    with pytest.raises(StoreError, match="cannot be the name of a file"):
        inside(tmp_path, "trials", name)


def test_ids_are_16_hexadecimal_digits() -> None:
    assert is_id("0123456789abcdef")
    assert not any(map(is_id, ("0123456789abcdeF", "0123456789abcdef\n", "0123456789abcde", "../../../../../x")))


def test_only_regular_files_within_the_folder_are_read(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "real").mkdir(parents=True)
    (root / "real" / "file").write_bytes(b"12345")
    (tmp_path / "secret").write_bytes(b"s")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "folder").symlink_to(tmp_path)
    os.mkfifo(root / "pipe")
    assert read_bytes(root, "real", "file", limit=5) == b"12345"
    for names, why in (
        (("link",), "is a symbolic link"),
        (("folder", "secret"), "behind the symbolic link folder"),
        (("pipe",), "not a regular file"),
        (("real",), "not a regular file"),
    ):
        with pytest.raises(Unreadable, match=why):
            read_bytes(root, *names, limit=5)
    with pytest.raises(Unreadable, match="more than"):
        read_bytes(root, "real", "file", limit=4)


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b"[" + b"1," * 5_000_000 + b"1]", b"{", b"\xff", b'"\\ud800"', b"9" * 5000]
)
def test_json_has_bounds(content: bytes) -> None:
    with pytest.raises(Unreadable):
        parse_json(content)


def npz(**members: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return content.getvalue()


def header(shape: str, dtype: str) -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def test_arrays_are_numbers_of_the_size_that_they_say() -> None:
    content = io.BytesIO()
    np.savez_compressed(content, a=np.arange(6.0).reshape(2, 3), b=np.asfortranarray(np.arange(6).reshape(2, 3)))
    found = read_arrays(content.getvalue())
    assert found["a"].tolist() == [[0, 1, 2], [3, 4, 5]] == found["b"].tolist()
    for bad in (
        npz(a=header("(1000000000000,)", "<f4")),
        npz(a=header("(-1,)", "<f4")),
        npz(a=header("(1,)", "|O") + bytes(8)),
        npz(a=header("(600000000,)", "|u1") + bytes(600_000_000)),
        b"PK",
    ):
        with pytest.raises(Unreadable):
            read_arrays(bad)


def test_tables_hold_numbers_exact_to_the_last_bit() -> None:
    table = read_table(b"trial,epoch,loss\nx,1,0.30000000000000004\nx,2,\n", "trial")
    assert table["loss"][0] == 0.1 + 0.2
    assert np.isnan(table["loss"][1])
    for bad in (b"a,b\n1,x\n", b"=a\n1\n", b"a\n1,2\n", b"a,a\n1,2\n", b"a" + b",b" * 2000):
        with pytest.raises(Unreadable):
            read_table(bad)


def test_an_edit_is_noticed_and_an_older_file_has_no_digest() -> None:
    content = {"a": 1.5, "b": ["x"]}
    assert unseal(json.loads(json.dumps(seal(content)))) == (content, True)
    assert unseal(content) == (content, False)
    with pytest.raises(Unreadable, match="not what it was"):
        unseal({**seal(content), "a": 1.25})


def test_a_plan_whose_ids_do_not_follow_from_its_trials_is_refused() -> None:
    trial = made.trial()
    plan = made.plan((trial, made.entry(trial, "supervised"))).model_dump(mode="json")
    assert plan_of(plan).suite == "made"
    key = next(iter(plan["trials"]))
    for bad in ("../../x", "/etc", "f" * 16):
        with pytest.raises(Unreadable):
            plan_of({**plan, "trials": {bad: plan["trials"][key]}})
    for change in ({"suite": "../x"}, {"entries": [{**plan["entries"][0], "trial": "f" * 16}]}, {"trials": {}}):
        with pytest.raises(Unreadable):
            plan_of({**plan, **change})


@pytest.mark.parametrize(
    "change",
    [
        {"label": "x" * 1001},
        {"pair": "x" * 1001},
        {"family": "x" * 10**6},
        {"grid_point": {"t": "x" * 10_000}},
        {"teachers": ["0123456789abcdef"]},
    ],
)
def test_a_row_that_cannot_be_shown_is_refused(change: dict[str, Any]) -> None:
    trial = made.trial("kd")
    content = made.plan((trial, made.entry(trial, "kd"))).model_dump(mode="json")
    assert plan_of(content).entries
    with pytest.raises(Unreadable, match="has no rows"):
        plan_of({**content, "entries": []})
    content["entries"][0] |= change
    with pytest.raises(Unreadable):
        plan_of(content)


def test_records_share_equal_parts(tmp_path: Path) -> None:
    store = make_runs(tmp_path, seeds=2)
    first, second, *_ = Store(tmp_path).records().values()
    assert first.provenance.machine is second.provenance.machine
    assert first.trial.recipe is second.trial.recipe
    assert {first.trial.id: first, second.trial.id: second}.items() <= store.records().items()


def test_a_long_chain_of_old_teachers_and_a_circle_end() -> None:
    chain = {f"{i:016x}": {"teachers": [f"{i + 1:016x}"]} for i in range(5000)}
    assert renamed_trials(chain) == {}
    assert renamed_trials({"a": {"teachers": ["b"]}, "b": {"teachers": ["a"]}}) == {}


# Reading never writes


def test_a_forged_metric_is_left_out_and_named(tmp_path: Path) -> None:
    store = make_runs(tmp_path / "runs", seeds=1)
    path = sorted((tmp_path / "runs" / "trials").iterdir())[0] / "record.json"
    content = json.loads(path.read_text())
    content["metrics"]["test"]["accuracy"] = 0.123
    rewrite(path, content)
    before, said = state(tmp_path), list[str]()
    rows = gather(Store(store.root, warn=said.append), "made").rows
    assert "its test accuracy is 0.123, but its predictions give" in said[0]
    damaged = rows[rows["trial"] == path.parent.name]
    assert set(damaged["status"]) == {"damaged"}
    assert damaged["test_accuracy"].isna().all()
    assert state(tmp_path) == before


def test_a_forged_loss_of_a_report_without_digests_is_held_against_its_log_likelihood(tmp_path: Path) -> None:
    shutil.copytree(originals() / "report", tmp_path / "report")
    (tmp_path / "report/records/digests.json").unlink()
    path = tmp_path / "report/records/records.json"
    content = json.loads(path.read_text())
    trial, record = next(iter(content.items()))
    record["metrics"]["test"]["loss"] *= 1.001
    path.write_text(json.dumps(content))
    frame = frame_of_archive(load_archive(tmp_path / "report"), (said := list[str]()).append)
    assert "its test loss is" in frame.damaged[trial]
    assert any(trial in sentence for sentence in said)


def test_reading_moves_nothing(tmp_path: Path) -> None:
    store = make_runs(tmp_path / "runs", seeds=1)
    for path in (tmp_path / "runs").glob("*/*/record.json"):
        path.write_bytes(path.read_bytes()[:-9])
    before, said = state(tmp_path), list[str]()
    reader = Store(store.root, warn=said.append)
    assert reader.records() == reader.records() == {}
    assert all("left out" in sentence for sentence in said)
    assert len(said) == 3
    assert state(tmp_path) == before


def test_a_merge_copies_nothing_through_links_and_replaces_no_other_suite_s_plan(tmp_path: Path) -> None:
    source = make_runs(tmp_path / "source", seeds=1)
    victim = next((source.root / "trials").iterdir())
    (victim / "student.safetensors").rename(tmp_path / "secret")
    (victim / "student.safetensors").symlink_to(tmp_path / "secret")
    into = Store(tmp_path / "into")
    into.open()
    trial = made.trial("kd")
    other = made.plan((trial, made.entry(trial, "kd")), suite="other")
    into.save_plan(other)
    (into.root / "suites" / "other.json").rename(into.root / "suites" / "made.json")
    merged = merge_stores([source], into)
    assert merged.copied == 2
    assert not (into.root / "trials" / victim.name).exists()
    assert "is the plan of the suite other; it stays" in merged.conflicts[0]
    assert json.loads((into.root / "suites" / "made.json").read_text())["suite"] == "other"


def test_a_runs_folder_whose_parts_are_links_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "trials").symlink_to(tmp_path)
    with pytest.raises(StoreError, match="trials in the runs folder .* is a symbolic link"):
        Store(tmp_path / "runs").open()


# What is shown


@pytest.mark.parametrize("text", ["a\x1b[31mb", "a\u202eb", "a\0b", "\x9b1m"])
def test_errors_and_names_do_nothing_to_a_terminal(text: str) -> None:
    assert printable(text).isprintable()
    assert str(KdbenchError(text)).isprintable()
    assert flat(text).isprintable()


def test_no_cell_is_a_formula_and_numbers_stay_numbers() -> None:
    import pandas as pd

    table: Any = pd.DataFrame(
        {"=x": ["=1+1", "+a", "-b", "@c", "d"], "n": [-1.5, 2, -3, 0.1, 5], "o": [-1, "-1", None, 2.5, "e"]}
    )
    lines = csv_bytes(table).decode().splitlines()
    assert lines[0] == "'=x,n,o"
    assert lines[1:3] == ["'=1+1,-1.5,-1", "'+a,2.0,'-1"]
