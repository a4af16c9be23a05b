"""The compact copy of records: whole, small, and free of what only one machine understands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kdbench.analysis.frame import frame_of_archive
from kdbench.errors import KdbenchError
from kdbench.results.archive import Archive, is_archive, load_archive, save_archive
from kdbench.results.evidence import Evidence, condense, softmax
from kdbench.results.record import Failure
from tests.results import made
from tests.results.made import frame, row


def full() -> Archive:
    kd, failed = row("kd", 0.9), row("at", error="loss is NaN")
    plain = frame(row("supervised", 0.8), kd, failed, profiles=[made.profile()])
    traced = failed[2].model_copy(update={"failure": Failure(kind="ValueError", message="bad", traceback="/home/me/x.py")})
    records = {**plain.records, failed[0].id: traced}
    rng = np.random.default_rng(0)
    classes, confidences = condense(rng.normal(size=(50, 10)))
    evidence = Evidence(
        {made.FINGERPRINT: rng.integers(0, 10, 50)},
        {kd[0].id: classes},
        {kd[0].id: confidences},
        {kd[0].id: pd.DataFrame({"epoch": [1.0, 2.0], "loss": [1 / 3, 0.1]})},
        {kd[0].id: {"nll": 1 / 3}},
    )
    return Archive(plain.plan, records, plain.profiles, evidence, ())


def test_what_is_read_back_is_what_was_written(tmp_path: Path) -> None:
    before = full()
    save_archive(before, tmp_path)
    assert is_archive(tmp_path)
    after = load_archive(tmp_path)
    assert after.plan == before.plan
    assert list(after.records) == list(before.plan.trials)
    assert after.profiles == before.profiles
    (trial,) = before.evidence.classes
    for part in ("classes", "confidences"):
        assert np.array_equal(getattr(after.evidence, part)[trial], getattr(before.evidence, part)[trial])
    assert np.array_equal(after.evidence.targets[made.FINGERPRINT], before.evidence.targets[made.FINGERPRINT])
    pd.testing.assert_frame_equal(after.evidence.histories[trial], before.evidence.histories[trial], check_exact=True)
    assert after.evidence.scores == before.evidence.scores


def test_the_copy_of_a_copy_is_the_same_bytes(tmp_path: Path) -> None:
    one = save_archive(full(), tmp_path / "one")
    two = save_archive(load_archive(tmp_path / "one"), tmp_path / "two")
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]


def test_tracebacks_with_the_machine_s_paths_stay_behind(tmp_path: Path) -> None:
    files = save_archive(full(), tmp_path)
    assert all(b"/home/me" not in path.read_bytes() for path in files)
    assert "loss is NaN" not in str(load_archive(tmp_path).records)
    assert any(r.failure and r.failure.message == "bad" for r in load_archive(tmp_path).records.values())


@pytest.mark.parametrize("name", ["plan.json", "records.json", "predictions.npz", "scores.json"])
def test_a_damaged_copy_is_reported_in_one_sentence(tmp_path: Path, name: str) -> None:
    save_archive(full(), tmp_path)
    path = tmp_path / "records" / name
    path.write_bytes(path.read_bytes()[:20])
    if name != "plan.json":
        path.with_name("plan.json").touch()
    with pytest.raises(KdbenchError, match="the records of the report .* are damaged"):
        load_archive(tmp_path)


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    save_archive(full(), tmp_path)
    (tmp_path / "records" / "scores.json").unlink()
    with pytest.raises(KdbenchError, match=r"cannot be read: scores\.json: No such file"):
        load_archive(tmp_path)


def test_a_copy_of_a_newer_version_is_named_and_not_called_damaged(tmp_path: Path) -> None:
    save_archive(full(), tmp_path)
    path = tmp_path / "records" / "plan.json"
    path.write_text(path.read_text().replace('"version": 2', '"version": 3', 1))
    with pytest.raises(
        KdbenchError, match=r"plan\.json is a plan of format version 3, but this kdbench reads versions up to 2"
    ):
        load_archive(tmp_path)


def test_a_copy_of_version_1_is_read_with_the_ids_of_today() -> None:
    """The label of this report's data set counted in version 1; everything keyed by trial follows the new ids."""
    report = Path(__file__).resolve().parents[2] / "reports" / "cifar10-jpeg"
    found = load_archive(report)
    assert all(trial.id == i for i, trial in found.plan.trials.items())
    assert set(found.records) == set(found.plan.trials) == {e.trial for e in found.plan.entries}
    assert all(r.trial.id == i for i, r in found.records.items())
    for part in (found.evidence.classes, found.evidence.confidences, found.evidence.scores, found.evidence.histories):
        assert set(part) == set(found.plan.trials)
    trials = pd.read_csv(report / "trials.csv")
    rows = frame_of_archive(found).rows
    for name in ("test_accuracy", "images_per_second"):
        assert rows[name].tolist() == trials[name].tolist()


def test_softmax_by_hand_and_without_overflow() -> None:
    assert softmax(np.array([[0.0, np.log(3.0)]])).tolist() == [pytest.approx([0.25, 0.75])]
    assert softmax(np.array([[1000.0, 0.0]])).tolist() == [[1.0, 0.0]]


def test_condensed_predictions_are_the_highest_class_and_its_probability() -> None:
    classes, confidences = condense(np.array([[0.0, np.log(3.0)], [0.0, -1000.0]]))
    assert classes.tolist() == [1, 0]
    assert confidences.tolist() == [round(0.75 * 255), 255]
    assert (classes.dtype, confidences.dtype) == (np.uint8, np.uint8)
    assert condense(np.zeros((1, 300)))[0].dtype == np.uint16
