"""`kdbench report`, `compare` and `merge` on two runs of a small suite."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdbench.results.store import Store
from tests.support import small

MARKERS = "# Mine\r\n\r\n<!-- kdbench:leaderboard small -->\r\n<!-- /kdbench:leaderboard small -->\r\ntail\r\n"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs of a suite: ``a`` (two seeds), ``b`` (the second seed and a third)."""
    folder = tmp_path_factory.mktemp("ran")
    path = small.write_suite(folder, seeds=2, methods=["supervised", "kd", "mean_teachers"])
    small.run(path, folder / "a")
    small.run(path, folder / "b", seeds="1,2")
    return folder


@pytest.fixture
def here(ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a", "b"):
        shutil.copytree(ran / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_report_folder_makes_itself_again_byte_for_byte(kdbench_command: Any, here: Path) -> None:
    assert kdbench_command("report", "small", "--runs", "a", "--out", "one", "--format", "md,csv,json,latex").status == 0
    first = files(here / "one")
    shutil.rmtree("a")  # no weights, no logits
    assert kdbench_command("report", "one", "--out", "two", "--format", "md,csv,json,latex").status == 0
    assert files(here / "two") == first
    assert kdbench_command("report", "one", "--format", "md,csv,json,latex").status == 0
    assert files(here / "one") == first
    assert "agreement %" in (here / "one" / "leaderboard.md").read_text()


def test_a_runs_folder_can_be_named_instead_of_a_suite(kdbench_command: Any, here: Path) -> None:
    said = kdbench_command("report", "a", "--format", "md")
    assert said.status == 0, said.err
    assert "a/reports/small/leaderboard.md" in said.out


def test_columns_and_order_can_be_chosen(kdbench_command: Any, here: Path) -> None:
    assert kdbench_command("report", "a", "--columns", "method,nll", "--sort=-method", "--format", "md").status == 0
    text = (here / "a/reports/small/leaderboard.md").read_text().split("## All columns")[0]
    table = [r for r in text.splitlines() if r.startswith("|")]
    assert [c.strip() for c in table[0].split("|")[1:-1]] == ["method", "NLL"]
    assert [r.split("|")[1].strip() for r in table[2:]] == [
        "big (teacher)",
        "other (teacher)",
        "supervised",
        "mean_teachers",
        "kd",
    ]
    wrong = kdbench_command("report", "a", "--columns", "metod")
    assert wrong.status == 2
    assert 'in --columns: unknown column "metod"; did you mean "method"?' in wrong.err


def test_a_suite_s_own_columns_are_checked_before_anything_trains(kdbench_command: Any, here: Path) -> None:
    small.write_suite(here, name="wrong", report={"columns": ["method", "acuracy"]})
    said = kdbench_command("run", "wrong.yaml")
    assert said.status == 2
    assert 'wrong.yaml:34: unknown column "acuracy"; did you mean "accuracy"?' in said.err.replace("\n", " ")
    small.write_suite(here, name="wrong", report={"sort": "sice"})
    assert 'unknown column "sice"; did you mean "size"?' in kdbench_command("plan", "wrong.yaml").err


def test_a_readme_is_renewed_between_its_markers_and_checked(kdbench_command: Any, here: Path) -> None:
    readme = here / "README.md"
    readme.write_bytes(MARKERS.encode())
    check = ("report", "a", "--readme", "README.md", "--check")
    assert kdbench_command(*check).status == 1
    assert readme.read_bytes() == MARKERS.encode()
    assert kdbench_command("report", "a", "--readme", "README.md").status == 0
    assert kdbench_command(*check).status == 0
    content = readme.read_bytes()
    assert content.startswith(b"# Mine\r\n\r\n<!-- kdbench:leaderboard small -->\r\nStudent `tiny_cnn`: ")
    assert b"](<a/reports/small/figures/accuracy-methods-pair.svg>)" in content
    assert (here / "a/reports/small/figures/accuracy-methods-pair.svg").exists()
    assert content.endswith(b"\r\n<!-- /kdbench:leaderboard small -->\r\ntail\r\n")
    assert kdbench_command("report", "a", "--check").status == 2


def test_nothing_to_report_is_one_sentence(kdbench_command: Any, here: Path) -> None:
    said = kdbench_command("report", "--runs", "nowhere")
    assert said.status == 2
    assert "no suite was run in nowhere yet: kdbench run SUITE --runs nowhere" in said.err
    said = kdbench_command("report", "smal", "--runs", "a")
    assert said.status == 2
    assert 'name one of the suites that were run in a: small; did you mean "small"?' in said.err


def test_merged_records_are_all_there_and_a_second_merge_adds_nothing(kdbench_command: Any, here: Path) -> None:
    said = kdbench_command("merge", "a", "b", "--into", "both")
    assert said.status == 0, said.err
    both = Store(here / "both")
    assert set(both.records()) == set(Store(here / "a").records()) | set(Store(here / "b").records())
    plan = both.plan("small")
    assert plan is not None
    assert {e.seed for e in plan.entries if e.label == "kd"} == {0, 1, 2}
    assert kdbench_command("report", "both", "--format", "csv").status == 0
    again = kdbench_command("merge", "a", "b", "--into", "both")
    assert "0 records copied" in again.out


def test_a_merge_names_conflicts_and_overwrites_nothing(kdbench_command: Any, here: Path) -> None:
    kdbench_command("merge", "a", "--into", "both")
    store = Store(here / "b")
    trial = next(i for i, r in store.records().items() if i in Store(here / "a").records() and r.trial.method == "kd")
    record = store.record(trial)
    assert record is not None
    weights = {k: v + 1 for k, v in store.student(trial).items()}
    store.save(record, predictions=store.predictions(trial), student=weights, history=store.history(trial).to_dict("records"))
    before = files(here / "both" / "trials")
    said = kdbench_command("merge", "b", "--into", "both")
    assert said.status == 1
    assert f"conflict: trial {trial} (kd on tiny_cnn, seed 1): student.safetensors of b differ from what both holds" in said.err
    after = files(here / "both" / "trials")
    assert {k: after[k] for k in before} == before


def test_a_merge_of_what_is_not_a_runs_folder(kdbench_command: Any, here: Path) -> None:
    (here / "empty").mkdir()
    said = kdbench_command("merge", "empty", "--into", "both")
    assert said.status == 2
    assert "empty is not a runs folder" in said.err


def test_a_run_compared_with_itself_has_not_changed(kdbench_command: Any, here: Path) -> None:
    said = kdbench_command("compare", "a", "a", "--fail-on-regression")
    assert said.status == 0
    assert "data, code, libraries and machine are the same" in said.out
    row = next(line for line in said.out.splitlines() if line.startswith("kd · pair"))
    assert " 0.00 " in row
    assert "[" not in row, "the same runs are no comparison"


def test_a_loss_of_accuracy_is_named_and_can_fail(kdbench_command: Any, here: Path) -> None:
    """Two copies with accuracies that vary by an image; in one kd is better by 30 points, and made with another torch."""
    random = np.random.default_rng(0)
    for name, gain in (("better", 0.3), ("worse", 0.0)):
        kdbench_command("merge", "a", "--into", name)
        store = Store(here / name)
        for trial, record in sorted(store.records().items()):
            kd = record.trial.method == "kd"
            torch = "9.9" if kd and gain else record.provenance.libraries["torch"]
            provenance = record.provenance.model_copy(update={"libraries": {**record.provenance.libraries, "torch": torch}})
            kept = store.predictions(trial)
            count, classes = kept["logits"].shape
            right = int(count * (0.5 + gain * kd)) + int(random.integers(0, 2))
            said_to_be = np.where(np.arange(count) < right, kept["targets"], (kept["targets"] + 1) % classes)
            metrics = {**record.metrics, "test": {"accuracy": right / count}}
            changed = record.model_copy(update={"metrics": metrics, "provenance": provenance})
            logits = np.eye(classes, dtype=np.float32)[said_to_be]
            store.save(changed, predictions={**kept, "logits": logits}, student=store.student(trial))
    said = kdbench_command("compare", "better", "worse")
    assert said.status == 0
    assert "significant losses of accuracy: kd" in said.out
    assert "torch: " in said.out
    assert "9.9" in said.out
    assert kdbench_command("compare", "better", "worse", "--fail-on-regression").status == 1
    assert kdbench_command("compare", "worse", "better", "--fail-on-regression").status == 0


def test_runs_of_other_seeds_are_compared_over_those_that_both_have(kdbench_command: Any, here: Path) -> None:
    said = kdbench_command("compare", "a", "b")
    assert said.status == 0
    assert "1 of 2 seeds in common" in said.out


def test_records_of_a_report_are_plain_json(kdbench_command: Any, here: Path) -> None:
    kdbench_command("report", "a", "--out", "one", "--format", "md")
    records = json.loads((here / "one/records/records.json").read_text())
    assert {r["trial"]["method"] for r in records.values()} == {"supervised", "kd", "mean_teachers"}
    assert not list((here / "one").rglob("*.safetensors"))


def test_a_merge_keeps_another_experiment_out_of_the_same_row(kdbench_command: Any, ran: Path, here: Path) -> None:
    small.run(ran / "small.yaml", here / "longer", epochs=3, seeds="0,")
    kdbench_command("merge", "a", "--into", "both")
    said = kdbench_command("merge", "longer", "--into", "both")
    assert said.status == 1
    assert "suite small of longer means other trials than that of both" in said.err
    assert "kd" in said.err
    plan = Store(here / "both").plan("small")
    assert plan is not None
    assert [e.seed for e in plan.entries if e.label == "kd"] == [0, 1]


def test_a_record_without_predictions_costs_no_report(kdbench_command: Any, here: Path) -> None:
    store = Store(here / "a")
    trial, record = next((i, r) for i, r in store.records().items() if r.trial.method == "kd")
    store.save(record, history=store.history(trial).to_dict("records"), student=store.student(trial))
    said = kdbench_command("report", "a", "--format", "md,csv")
    assert said.status == 0, said.err


def test_a_report_prints_its_table_and_one_line_of_files(kdbench_command: Any, here: Path) -> None:
    said = kdbench_command("report", "a", "--format", "md,csv,html,svg")
    assert said.status == 0, said.err
    lines = said.out.splitlines()
    assert lines[1].split()[:2] == ["method", "accuracy"]
    assert max(map(len, lines[:-1])) <= 80
    assert [one.split(",")[0] for one in lines if one.startswith("report: ")] == ["report: a/reports/small/index.html"]
    assert "more files in a/reports/small" in lines[-1]


def test_a_page_is_renewed_with_the_tables(kdbench_command: Any, here: Path) -> None:
    assert kdbench_command("report", "a", "--format", "html,png").status == 0
    page = here / "a/reports/small/index.html"
    page.write_text("old")
    figure = next((here / "a/reports/small/figures").glob("*.png"))
    figure.write_bytes(b"old")
    assert kdbench_command("report", "a", "--format", "md,csv").status == 0
    assert page.read_text() != "old"
    assert figure.read_bytes() != b"old"


def test_a_latency_setting_that_is_not_measured_is_found_before_anything_trains(kdbench_command: Any, here: Path) -> None:
    timed = {"devices": ["cpu"], "runtimes": ["eager", "onnxruntime"], "batch_sizes": [1]}
    small.write_suite(here, name="wrong", measure={"latency": timed}, report={"latency": "onnxruntim@1"})
    said = kdbench_command("plan", "wrong.yaml")
    assert said.status == 2
    assert 'latency "onnxruntim@1" is not measured; did you mean "onnxruntime@1"?' in said.err.replace("\n", " ")
    small.write_suite(here, name="right", measure={"latency": timed}, report={"latency": "eager@1", "columns": ["cpu/eager@1"]})
    assert kdbench_command("plan", "right.yaml").status == 0
