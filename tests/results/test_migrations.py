"""Files of version 1, as kdbench 0.1.0 wrote them, are read; files of newer versions are left alone, with a sentence."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import save_file

from kdbench.errors import StoreError
from kdbench.plan.trial import Plan, Trial
from kdbench.results import migrations
from kdbench.results.checkpoints import read_checkpoint, write_checkpoint
from kdbench.results.merge import merge_stores
from kdbench.results.migrations import VERSIONS, Kind, NewerFormat, renamed_trials, upgrade
from kdbench.results.record import LatencyReport, Profile, Record
from kdbench.results.store import Store
from tests.results import made
from tests.results.test_store import content
from tests.support import small

V1 = Path(__file__).with_name("v1")


def load(name: str) -> Any:
    return json.loads((V1 / f"{name}.json").read_text(encoding="utf-8"))


PLAN: dict[str, Any] = load("plan")
RECORDS: dict[str, Any] = load("records")
PROFILE = made.profile().id
RENAMED = renamed_trials(PLAN["trials"])


def old_runs(folder: Path, plan: bool = True) -> Store:
    """A runs folder of version 1."""
    for old, record in RECORDS.items():
        trial = folder / "trials" / old
        trial.mkdir(parents=True)
        (trial / "trial.json").write_text(json.dumps(record["trial"]))
        (trial / "student.safetensors").write_bytes(old.encode())
        sums = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in trial.iterdir()}
        (trial / "record.json").write_text(json.dumps({**record, "files": sums}))
    for part in ("suites", "profiles", "latency", "checkpoints"):
        (folder / part).mkdir()
    if plan:
        (folder / "suites" / f"{PLAN['suite']}.json").write_text(json.dumps(PLAN))
    (folder / "profiles" / f"{load('profiles')[0]['id']}.json").write_text(json.dumps(load("profiles")[0]))
    (folder / "latency" / f"{load('latencies')[0]['id']}.json").write_text(json.dumps(load("latencies")[0]))
    return Store(folder, warn=pytest.fail)


def test_every_kind_is_written_in_the_version_that_its_migrations_lead_to() -> None:
    assert set(VERSIONS) == set(get_args(Kind))
    for kind, model in (("record", Record), ("plan", Plan), ("profile", Profile), ("latency", LatencyReport)):
        assert model.model_fields["version"].default == VERSIONS[kind]  # type: ignore[index]


# Ids


def test_a_label_no_longer_counts_and_renames_teachers_and_students_alike() -> None:
    assert set(RENAMED) == set(PLAN["trials"])  # this data set has a label
    plan = Plan.model_validate(upgrade("plan", PLAN, "plan.json"))
    assert all(trial.id == i for i, trial in plan.trials.items())
    assert list(plan.trials) == list(RENAMED.values())
    assert {e.trial for e in plan.entries} == set(plan.trials)
    for entry in plan.entries:
        assert entry.teachers == plan.trials[entry.trial].teachers
    assert {t for c in plan.cohorts for t in c.trials} == set(plan.trials)
    assert all(set(c.teachers) <= set(plan.trials) for c in plan.cohorts)


def test_a_trial_without_a_label_keeps_its_id() -> None:
    plain = {i: copy.deepcopy(t) for i, t in PLAN["trials"].items()}
    for trial in plain.values():
        trial["data"]["spec"]["label"] = None
        trial["teachers"] = []
    known = {Trial.model_validate(t).id: t for t in plain.values()}
    assert renamed_trials(known) == {}


def test_an_id_that_does_not_follow_from_its_trial_is_no_reason_to_rename() -> None:
    (first, trial), *_ = PLAN["trials"].items()
    assert renamed_trials({first: {**trial, "seed": trial["seed"] + 1}}) == {}
    assert renamed_trials({first: {}}) == {}


# Content


def test_metrics_are_sorted_by_split_and_those_of_plugins_are_of_the_test_split() -> None:
    old = next(iter(RECORDS.values()))
    plugins = {"f1": 0.5, "test_f1": 0.25, "train_loss_2": 1.0, "odd": "NaN"}
    new = Record.model_validate(upgrade("record", {**old, "metrics": {**old["metrics"], **plugins}}, "x", RENAMED))
    assert new.metrics["train"] == {"accuracy": old["metrics"]["train_accuracy"]}
    assert new.metrics["validation"] == {n: old["metrics"][f"validation_{n}"] for n in ("accuracy", "loss")}
    assert new.metrics["test"].pop("odd") != 0
    assert new.metrics["test"] == {
        **{n: old["metrics"][f"test_{n}"] for n in ("accuracy", "loss")},
        **{"f1": 0.5, "test_f1": 0.25, "train_loss_2": 1.0},
    }


def test_samples_have_the_place_of_images() -> None:
    old = next(iter(RECORDS.values()))
    new = Record.model_validate(upgrade("record", old, "x", RENAMED))
    assert new.costs.samples_per_second == old["costs"]["images_per_second"]
    (latency,) = (LatencyReport.model_validate(upgrade("latency", r, "x")) for r in load("latencies"))
    assert [r.samples_per_second for r in latency.results] == [r["images_per_second"] for r in load("latencies")[0]["results"]]
    assert latency.id == load("latencies")[0]["id"]


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("data", [None, [], "x", 3, {"version": "2"}, {"version": 0}, {"version": True}, {"metrics": 3}])
def test_what_is_not_such_a_file_is_a_value_error(kind: Kind, data: Any) -> None:
    if kind == "profile" and isinstance(data, dict) and data.get("version", 1) == 1:
        return  # nothing to migrate: pydantic finds out
    with pytest.raises(ValueError, match=kind):
        upgrade(kind, data, "x")


def test_migration_changes_none_of_its_input() -> None:
    before = copy.deepcopy((PLAN, RECORDS))
    upgrade("plan", PLAN, "x")
    for record in RECORDS.values():
        upgrade("record", record, "x", RENAMED)
    assert before == (PLAN, RECORDS)


# A runs folder of version 1


@pytest.mark.parametrize("plan", [True, False])
def test_old_records_are_found_under_their_new_ids_and_nothing_is_written(tmp_path: Path, plan: bool) -> None:
    store = old_runs(tmp_path, plan)
    before = content(tmp_path)
    records = store.records()
    assert set(records) == store.recorded() == set(RENAMED.values())
    for old, new in RENAMED.items():
        found = store.record(new)
        assert found is not None
        assert found.trial.id == new
        assert found == records[new] == store.record(old)
        assert store.folder(new).name == old
    if plan:
        known = store.plan(PLAN["suite"])
        assert known is not None
        assert set(known.trials) == set(records)
    assert store.profile(load("profiles")[0]["id"]) is not None
    assert [r.id for r in store.latencies()] == [load("latencies")[0]["id"]]
    assert content(tmp_path) == before


def test_a_run_gives_old_records_and_checkpoints_their_new_names(tmp_path: Path) -> None:
    store = old_runs(tmp_path)
    old, new = next(iter(RENAMED.items()))
    (tmp_path / "trials" / old).rename(tmp_path / "gone")
    meta = {"format": "kdbench-checkpoint-1", "trial": old, "epoch": 1, "history": [{"epoch": 1.0, "images_per_second": 2.0}]}
    save_file(
        {"student.w": torch.ones(2)}, tmp_path / "checkpoints" / f"{old}.safetensors", metadata={"kdbench": json.dumps(meta)}
    )
    before = store.records()
    assert new not in before
    store.bring_up_to_date(RENAMED.values())
    assert {p.name for p in (tmp_path / "trials").iterdir()} == set(RENAMED.values()) - {new}
    again = Store(tmp_path, warn=pytest.fail)
    files = {i: {k: v for k, v in r.files.items() if k != "trial.json"} for i, r in before.items()}
    assert {i: r.model_copy(update={"files": files[i]}) for i, r in again.records().items()} == {
        i: r.model_copy(update={"files": files[i]}) for i, r in before.items()
    }
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == [f"{new}.safetensors"]
    found, tensors = read_checkpoint(store.checkpoint_path(new))
    assert torch.equal(tensors["student.w"], torch.ones(2))
    assert found.pop("digested")
    assert found == {"version": 2, "trial": new, "epoch": 1, "history": [{"epoch": 1.0, "samples_per_second": 2.0}]}
    store.bring_up_to_date(RENAMED.values())  # once more changes nothing


def test_an_old_record_that_is_damaged_is_quarantined_as_ever(tmp_path: Path) -> None:
    store, warnings = old_runs(tmp_path), []
    store.warn = warnings.append
    old, new = next(iter(RENAMED.items()))
    (tmp_path / "trials" / old / "student.safetensors").write_bytes(b"other")
    with store.lock():
        assert store.record(new) is None
    assert new in warnings[0]
    assert [p.name for p in (tmp_path / "quarantine").iterdir()] == [f"{old}-1"]


def test_a_new_record_takes_the_place_of_an_old_one(tmp_path: Path) -> None:
    store = old_runs(tmp_path)
    new = next(iter(RENAMED.values()))
    record = store.record(new)
    assert record is not None
    store.save(record.model_copy(update={"status": "failed"}))
    found = Store(tmp_path).records()
    assert set(found) == set(RENAMED.values())
    assert found[new].status == "failed"


def test_old_and_new_folders_merge(tmp_path: Path) -> None:
    old_runs(tmp_path / "old")
    into = Store(tmp_path / "into", warn=pytest.fail)
    for copied in (len(RECORDS), 0):
        merged = merge_stores([Store(tmp_path / "old", warn=pytest.fail)], into)
        assert (merged.copied, merged.conflicts) == (copied, [])
    assert set(into.records()) == {p.name for p in (tmp_path / "into" / "trials").iterdir()} == set(RENAMED.values())
    plan = into.plan(PLAN["suite"])
    assert plan is not None
    assert set(plan.trials) == set(RENAMED.values())


# Files of a newer version


def newer(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 3, "a_new_key": 1}))


def fill(folder: Path) -> tuple[Store, Trial]:
    store = Store(folder, warn=pytest.fail)
    store.open()
    trial = made.trial()
    store.save(made.record(trial))
    store.save_plan(made.plan((trial, made.entry(trial, "supervised"))))
    store.save_profile(made.profile())
    return store, trial


def test_newer_files_are_named_left_alone_and_never_overwritten(tmp_path: Path) -> None:
    store, trial = fill(tmp_path)
    plan, profile = store.plan("made"), store.profile(PROFILE)
    assert plan is not None
    assert profile is not None
    paths = [
        tmp_path / "trials" / trial.id / "record.json", tmp_path / "suites" / "made.json", tmp_path / "profiles" / f"{PROFILE}.json"
    ]  # fmt: skip
    for path in paths:
        newer(path)
    before = content(tmp_path)
    for path, attempts in zip(
        paths,
        [
            [lambda: store.record(trial.id), store.records, lambda: store.bring_up_to_date([trial.id])],
            [lambda: store.plan("made"), lambda: store.save_plan(plan), lambda: store.save_plan(plan, keep=())],
            [lambda: store.profile(PROFILE), lambda: store.save_profile(profile)],
        ],
        strict=True,
    ):
        for attempt in attempts:
            with pytest.raises(StoreError) as raised:
                attempt()
            message = str(raised.value)
            assert message.startswith(str(path))
            assert "format version 3" in message
            assert "reads versions up to 2" in message
            assert "update kdbench" in message
            assert "\n" not in message
    assert content(tmp_path) == before


def test_a_newer_checkpoint_stops_a_run_before_anything_trains(tmp_path: Path) -> None:
    store, trial = fill(tmp_path)
    path = store.checkpoint_path(trial.id)
    write_checkpoint(path, {"version": 3}, {"x": torch.ones(1)})
    with pytest.raises(NewerFormat, match=rf"{trial.id}\.safetensors is a checkpoint of format version 3"):
        store.bring_up_to_date([trial.id])


def test_a_checkpoint_whose_version_was_damaged_stops_no_run(tmp_path: Path) -> None:
    store, trial = fill(tmp_path)
    path = store.checkpoint_path(trial.id)
    write_checkpoint(path, {"version": 2}, {"x": torch.ones(1)})
    path.write_bytes(path.read_bytes().replace(rb"\"version\": 2", rb"\"version\": 3"))
    store.bring_up_to_date([trial.id])


@pytest.mark.parametrize("fresh", [False, True])
def test_a_run_stops_at_a_newer_record_before_anything_trains_or_is_forgotten(tmp_path: Path, fresh: bool) -> None:
    path = small.write_suite(tmp_path)
    small.run(path, tmp_path / "runs")
    newer(sorted((tmp_path / "runs" / "trials").glob("*/record.json"))[-1])
    before = content(tmp_path / "runs" / "trials")
    with pytest.raises(NewerFormat, match=r"record\.json is a record of format version 3"):
        small.run(path, tmp_path / "runs", fresh=fresh)
    assert content(tmp_path / "runs" / "trials") == before


def test_a_newer_latency_report_of_another_suite_does_not_matter(tmp_path: Path) -> None:
    store = old_runs(tmp_path)
    warnings: list[str] = []
    store.warn = warnings.append
    path = next((tmp_path / "latency").iterdir())
    newer(path)
    assert store.latencies() == []
    assert "format version 3" in warnings[0]
    assert path.exists()


def test_a_further_step_is_taken_after_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def second(data: migrations.Json, _: migrations.Renamed) -> migrations.Json:
        assert data["version"] == 2
        return {**data, "weight": data["size_mb"]}

    steps = {**migrations.MIGRATIONS, "profile": (*migrations.MIGRATIONS["profile"], second)}
    monkeypatch.setattr(migrations, "MIGRATIONS", steps)
    for version in ({}, {"version": 2}):
        found = upgrade("profile", {**load("profiles")[0], **version}, "x")
        assert (found["version"], found["weight"]) == (3, load("profiles")[0]["size_mb"])
