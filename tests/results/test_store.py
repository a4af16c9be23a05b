"""The runs folder: what is stored comes back, what is damaged is quarantined, what is half-written is not there."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kdbench.errors import StoreError
from kdbench.results import files, json_files
from kdbench.results.store import Store
from tests.results import made

TRIAL = made.trial()
NOBODY = 2**22 + 1
"""A process number above the largest that Linux gives."""


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, warnings: list[str]) -> Store:
    found = Store(tmp_path / "runs", warn=warnings.append)
    found.open()
    return found


def save(store: Store, test: float = 0.9) -> None:
    store.save(
        made.record(TRIAL, test),
        history=[{"epoch": 1.0, "loss": 1 / 3}, {"epoch": 2.0, "loss": float("nan")}],
        predictions={"logits": np.arange(6, dtype=np.float32).reshape(3, 2), "targets": np.array([0, 1, 1])},
        student={"weight": torch.ones(2, 2)},
    )


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# What is stored comes back


def test_a_store_touches_nothing_before_it_is_opened(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    assert store.record(TRIAL.id) is None
    assert store.records() == {}
    assert store.plans() == []
    assert store.plan("made") is None
    assert store.profile("none") is None
    assert not (tmp_path / "runs").exists()


def test_a_record_comes_back_with_its_companions(store: Store) -> None:
    save(store)
    found = Store(store.root).record(TRIAL.id)
    assert found is not None
    assert found.metrics["test"]["accuracy"] == 0.9
    assert set(found.files) == {"trial.json", "history.csv", "predictions.npz", "student.safetensors"}
    history = store.history(TRIAL.id)
    assert history["loss"][0] == 1 / 3  # to the last bit
    assert np.isnan(history["loss"][1])
    predictions = store.predictions(TRIAL.id)
    assert set(predictions) == {"logits", "targets"}
    assert predictions["logits"].dtype == np.float32
    assert predictions["targets"].tolist() == [0, 1, 1]
    assert torch.equal(store.student(TRIAL.id)["weight"], torch.ones(2, 2))
    assert list(store.records()) == [TRIAL.id]
    assert store.records(["another"]) == {}


def test_saving_the_same_twice_gives_the_same_bytes(store: Store) -> None:
    save(store)
    before = content(store.root)
    save(store)
    assert content(store.root) == before


@pytest.mark.parametrize("layout", ["channels_last", "transposed", "slice", "expanded"])
def test_students_in_any_memory_layout_come_back_to_the_bit(store: Store, layout: str) -> None:
    base = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    tensor = {
        "channels_last": base.to(memory_format=torch.channels_last),
        "transposed": base.transpose(0, 1),
        "slice": base[1:, :2],
        "expanded": base[:1].expand(5, 3, 3, 3),
    }[layout]
    store.save(made.record(TRIAL), student={"w": tensor})
    found = store.student(TRIAL.id)["w"]
    assert torch.equal(found, tensor)
    assert found.is_contiguous()


def test_tensors_that_share_memory_are_stored_each_for_itself(store: Store) -> None:
    shared = torch.nn.Parameter(torch.arange(4.0))
    store.save(made.record(TRIAL), student={"a": shared, "b": shared, "steps": torch.tensor(3), "none": torch.empty(0)})
    found = store.student(TRIAL.id)
    assert torch.equal(found["a"], found["b"])
    assert found["steps"].item() == 3
    assert found["none"].shape == (0,)


def test_the_source_of_a_method_without_a_package_is_kept_and_guarded(store: Store, warnings: list[str]) -> None:
    source = "class Mine(Method):\n    name = 'größer'\r\n"
    found = store.save(made.record(TRIAL), source=source)
    path = store.folder(TRIAL.id) / "method.py"
    assert path.read_bytes() == source.encode()
    assert "method.py" in found.files
    path.write_text("other")
    assert Store(store.root, warn=warnings.append).record(TRIAL.id) is None
    assert "method.py is not what it was when it was written" in warnings[0]


def test_a_failed_record_has_no_companions_and_an_empty_history(store: Store) -> None:
    store.save(made.record(TRIAL, error="loss is NaN"))
    found = store.record(TRIAL.id)
    assert found is not None
    assert found.failure is not None
    assert found.failure.message == "loss is NaN"
    assert store.history(TRIAL.id).empty


def test_a_newer_record_takes_the_place_of_a_failed_one_and_of_all_its_files(store: Store) -> None:
    save(store)
    assert store.record(TRIAL.id) is not None
    store.save(made.record(TRIAL, error="loss is NaN"))
    found = store.record(TRIAL.id)
    assert found is not None
    assert found.status == "failed"
    assert sorted(p.name for p in (store.root / "trials" / TRIAL.id).iterdir()) == ["record.json", "trial.json"]
    assert len(list((store.root / "trials").iterdir())) == 1


def test_predictions_are_never_pickled(store: Store) -> None:
    with pytest.raises(TypeError, match="pickled"):
        store.save(made.record(TRIAL), predictions={"logits": np.array([{}], dtype=object)})
    assert store.record(TRIAL.id) is None
    assert list((store.root / "trials").iterdir()) == []


def test_what_cannot_be_read_is_explained_in_a_sentence(store: Store) -> None:
    with pytest.raises(StoreError, match=f"the predictions.npz of trial {TRIAL.id} in .* cannot be read"):
        store.predictions(TRIAL.id)
    with pytest.raises(StoreError, match=f"the student.safetensors of trial {TRIAL.id} in .* cannot be read"):
        store.student(TRIAL.id)
    save(store)
    folder = store.root / "trials" / TRIAL.id
    for path in folder.iterdir():
        path.write_bytes(b"")
    for read in (store.predictions, store.student, store.history):
        with pytest.raises(StoreError, match="cannot be read"):
            read(TRIAL.id)


def test_discarding_forgets_record_and_checkpoint(store: Store) -> None:
    save(store)
    store.checkpoint_path(TRIAL.id).write_bytes(b"half-way")
    store.discard(TRIAL.id)
    assert store.record(TRIAL.id) is None
    assert not store.checkpoint_path(TRIAL.id).exists()
    assert list((store.root / "trials").iterdir()) == []
    store.discard(TRIAL.id)  # once more is no error


def test_profiles_and_plans_come_back(store: Store) -> None:
    profile, plan = made.profile(), made.plan((TRIAL, made.entry(TRIAL, "supervised")))
    store.save_profile(profile)
    store.save_plan(plan)
    assert store.profile(profile.id) == profile
    assert store.plan("made") == plan
    assert store.plans() == ["made"]


def test_a_suite_s_name_cannot_lead_out_of_the_folder(store: Store) -> None:
    with pytest.raises(StoreError, match=r'cannot be called "\.\./made"'):
        store.save_plan(made.plan(suite="../made"))


# What is damaged is quarantined


def spoil_record(folder: Path) -> None:
    path = folder / "record.json"
    path.write_bytes(path.read_bytes()[:100])


def spoil_bytes(folder: Path) -> None:
    (folder / "record.json").write_bytes(b"\xff\xfe\x00")


def remove_record(folder: Path) -> None:
    (folder / "record.json").unlink()


def spoil_weights(folder: Path) -> None:
    path = folder / "student.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")


def remove_predictions(folder: Path) -> None:
    (folder / "predictions.npz").unlink()


def another_trial(folder: Path) -> None:
    path = folder / "record.json"
    found = json.loads(path.read_text())
    del found["digest"]  # as whoever forges one would
    found["trial"]["seed"] = 1
    path.write_text(json.dumps(found))


def a_number(folder: Path) -> None:
    path = folder / "record.json"
    path.write_text(path.read_text().replace('"wall_seconds": 15.5', '"wall_seconds": 1.5'))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (spoil_record, "record.json is not valid"),
        (spoil_bytes, "record.json is not valid"),
        (remove_record, "record.json is missing"),
        (spoil_weights, "student.safetensors is not what it was"),
        (remove_predictions, "predictions.npz is missing"),
        (another_trial, "another trial"),
        (a_number, "record.json is not what it was"),
    ],
)
def test_a_damaged_record_is_quarantined_whole_with_one_warning(store: Store, warnings: list[str], spoil, reason) -> None:
    save(store)
    folder = store.root / "trials" / TRIAL.id
    spoil(folder)
    left = content(folder)
    with store.lock():
        assert store.record(TRIAL.id) is None
        assert store.record(TRIAL.id) is None
    (warning,) = warnings
    assert TRIAL.id in warning
    assert reason in warning
    assert "\n" not in warning
    aside = store.root / "quarantine" / f"{TRIAL.id}-1"
    assert content(aside) == left
    assert str(aside) in warning


def test_quarantine_never_overwrites_what_was_there_before(store: Store) -> None:
    for _ in range(2):
        save(store)
        remove_record(store.root / "trials" / TRIAL.id)
        with store.lock():
            assert store.record(TRIAL.id) is None
    assert len(list((store.root / "quarantine").iterdir())) == 2


def test_damaged_profiles_and_plans_are_quarantined(store: Store, warnings: list[str]) -> None:
    store.save_profile(made.profile())
    store.save_plan(made.plan())
    profile = made.profile().id
    (store.root / "profiles" / f"{profile}.json").write_text("{")
    (store.root / "suites" / "made.json").write_text('{"suite": "made"}')
    with store.lock():
        assert store.profile(profile) is None
        assert store.plan("made") is None
    assert [w.split(" is damaged")[0] for w in warnings] == [f"the profile {profile}", "the plan of suite made"]
    assert store.plans() == []


def test_a_record_that_may_not_be_read_is_not_taken_for_damaged(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    save(store)
    folder = store.root / "trials" / TRIAL.id

    def refuse(path: Path, *_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        store.owned = True  # as in a run
        with pytest.raises(StoreError, match=r"cannot be read: .*record.json: Permission denied"):
            store.record(TRIAL.id)
        said: list[str] = []
        assert Store(store.root, warn=said.append).record(TRIAL.id) is None
        assert "record.json: Permission denied" in said[0]
    assert folder.is_dir()
    assert store.record(TRIAL.id) is not None


def test_damage_in_a_folder_that_is_only_to_be_read_is_passed_over(
    store: Store, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save(store)
    remove_record(store.root / "trials" / TRIAL.id)

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with store.lock():
        monkeypatch.setattr(os, "replace", refuse)
        assert store.record(TRIAL.id) is None
    assert "ignored; it cannot be quarantined: Read-only file system" in warnings[0]


def test_a_record_replaced_while_it_is_read_is_not_taken_for_damaged(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    save(store)
    reader, whole = Store(store.root), json_files.read_bytes

    def replaced_meanwhile(*names: Any, limit: int) -> bytes:
        found = whole(*names, limit=limit)
        monkeypatch.undo()
        store.save(made.record(TRIAL, error="loss is NaN"))
        return found

    monkeypatch.setattr(json_files, "read_bytes", replaced_meanwhile)
    found = reader.record(TRIAL.id)
    assert found is not None
    assert found.status == "failed"


# What is half-written is not there


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("function", ["mkdir", "replace", "fsync"])
def test_a_full_disk_costs_nothing_that_was_finished(
    store: Store, monkeypatch: pytest.MonkeyPatch, function: str, number: int
) -> None:
    save(store, 0.8)
    before = content(store.root)

    def full(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, function, full)
        with pytest.raises(StoreError, match=r"no space left .* run the same command again: nothing finished is lost$"):
            save(store, 0.9)
        with pytest.raises(StoreError, match="no space left"):
            store.save_plan(made.plan()) if function != "mkdir" else save(store)
    assert content(store.root) == before
    assert store.records()[TRIAL.id].metrics["test"]["accuracy"] == 0.8


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files as Linux does")
def test_a_disk_that_fills_up_in_the_middle_of_the_weights(tmp_path: Path) -> None:
    """A real limit: files of this process cannot grow beyond 64 kB."""
    script = f"""
import resource, signal, sys, torch
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from kdbench.errors import StoreError
from kdbench.results.store import Store
from tests.results import made
store = Store(Path({str(tmp_path)!r}))
store.open()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
try:
    store.save(made.record(made.trial()), student={{"w": torch.ones(100_000)}})
except StoreError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == f"the runs folder {tmp_path} cannot be written: File too large\n"
    assert list((tmp_path / "trials").iterdir()) == []


def test_a_replacement_that_fails_half_way_gives_the_old_record_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    save(store, 0.8)
    before, replace = content(store.root), os.replace

    def second_fails(old: Path, new: Path) -> None:
        if Path(new).name == TRIAL.id and ".old" not in Path(old).name:
            raise PermissionError(errno.EACCES, "Permission denied")
        replace(old, new)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", second_fails)
        with pytest.raises(StoreError, match="cannot be written: Permission denied"):
            save(store, 0.9)
    assert content(store.root) == before


def test_opening_clears_what_dead_processes_left_and_nothing_else(store: Store) -> None:
    save(store)
    before = content(store.root)
    (store.root / "trials" / f"abc.tmp-{NOBODY}").mkdir()
    (store.root / "trials" / f"abc.tmp-{NOBODY}" / "student.safetensors").write_bytes(b"half")
    (store.root / "checkpoints" / f"abc.safetensors.tmp-{NOBODY}").write_bytes(b"half")
    (store.root / f".probe.tmp-{NOBODY}").write_bytes(b"half")
    (store.root / "suites" / "made.json.tmp-x").write_bytes(b"half")
    alive = store.root / "profiles" / f"a.json.tmp-{os.getppid()}"
    alive.write_bytes(b"half")
    Store(store.root).open()
    assert alive.exists()
    alive.unlink()
    assert content(store.root) == before


def test_a_record_that_was_about_to_be_replaced_when_its_process_died_is_there_again(store: Store) -> None:
    save(store)
    folder = store.root / "trials" / TRIAL.id
    before = content(store.root)
    folder.rename(folder.with_name(f"{TRIAL.id}.old.tmp-{NOBODY}"))
    folder.with_name(f"{TRIAL.id}.tmp-{NOBODY}").mkdir()
    store.open()
    assert content(store.root) == before


def test_unfinished_folders_are_no_records(store: Store) -> None:
    (store.root / "trials" / f"abc.tmp-{os.getppid()}").mkdir()
    assert store.records() == {}


def test_a_runs_folder_that_cannot_be_created_is_explained_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"the runs folder .*file.* cannot be written: .*"):
        Store(tmp_path / "file" / "runs").open()
    with pytest.raises(StoreError, match=r"the runs folder .*file cannot be written: .*"):
        Store(tmp_path / "file").open()


# One run at a time

HOLDER = """
import sys
from pathlib import Path
from kdbench.results.store import Store
with Store(Path(sys.argv[1])).lock():
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_another_process_in_the_same_folder_is_named_and_a_killed_one_forgotten(store: Store) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(store.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        with (
            pytest.raises(StoreError, match=rf"another kdbench run works in {store.root} \(process {holder.pid}\)"),
            store.lock(),
        ):
            pass
        half = store.root / "trials" / f"abc.tmp-{NOBODY}"  # of a process on another machine, perhaps
        half.mkdir()
        store.open()
        assert half.exists()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with store.lock():
            assert (store.root / ".lock-holder").read_text() == str(os.getpid())
        store.open()
        assert not half.exists()
    finally:
        holder.kill()
        holder.communicate()


def test_the_lock_is_given_back_even_after_an_error(store: Store) -> None:
    with pytest.raises(KeyboardInterrupt), store.lock():
        raise KeyboardInterrupt
    with store.lock():
        pass


def test_a_file_system_without_locks_is_worked_on_with_a_warning(
    store: Store, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from filelock import FileLock

    def no_locks(self: FileLock, **_: object) -> None:
        raise NotImplementedError("no flock")

    monkeypatch.setattr(FileLock, "acquire", no_locks)
    store.open()
    with store.lock():
        pass
    assert "does not support locks" in warnings[0]


def test_file_systems_that_cannot_flush_are_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(_: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", cannot)
    files.write_whole(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"
