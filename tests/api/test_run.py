"""``kdbench.run``: the bits of the command line, objects where names stand, and no surprises for the process that calls it."""

from __future__ import annotations

import _thread
import json
import signal
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import kdbench
from kdbench import Dataset, KdbenchError, RawData, Suite
from kdbench.engine.progress import Progress
from kdbench.suite.load import load_suite
from kdbench.tasks.images.classification import ImageClassification
from kdbench.tasks.images.embedded import Digits
from tests.api import made
from tests.support import small

METHODS = ["supervised", "kd", "byot"]


class FewDigits(Dataset):
    """Half of the digits."""

    name = "few_digits"

    def load(self, root: Path) -> RawData:
        return Digits().load(root)


class Renamed(ImageClassification):
    """Classification under another name."""

    name = "renamed"


def little_net(num_classes: int, in_chans: int, width: int = 2) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(in_chans, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes)
    )


def run(suite: Any, folder: Path, **options: Any) -> kdbench.Results:
    return kdbench.run(suite, runs=folder, **{"device": "cpu", "data_root": folder, "progress": False, **options})


class Log(Progress):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def warn(self, message: str) -> None:
        self.said.append(message)

    def suite_finished(self) -> None:
        self.said.append("finished")


def test_the_bits_are_those_of_the_command_line(tmp_path: Path, kdbench_command: Any) -> None:
    path = small.write_suite(tmp_path, methods=METHODS)
    kdbench_command("run", path, "--runs", tmp_path / "command", "--data-root", tmp_path)
    expected = small.bits(tmp_path / "command")
    assert len(expected) == 5
    run(path, tmp_path / "path")
    run(load_suite(path), tmp_path / "loaded")
    run(kdbench.load_suite(str(path)), tmp_path / "suite")
    run(made.suite(tmp_path), tmp_path / "dict", methods=METHODS)
    for name in ("path", "loaded", "suite", "dict"):
        assert small.bits(tmp_path / name) == expected, name


def test_nothing_is_printed_and_the_process_is_left_as_it_was(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    suite, threads, filters = made.suite(tmp_path), torch.get_num_threads(), list(warnings.filters)
    handler = signal.getsignal(signal.SIGINT)
    run(suite, tmp_path / "silent", threads=2)
    assert capfd.readouterr() == ("", "")
    assert (torch.get_num_threads(), warnings.filters, signal.getsignal(signal.SIGINT)) == (threads, filters, handler)
    run(suite, tmp_path / "told", progress=True)
    told = capfd.readouterr()
    assert told.out == ""
    assert "suite small: 4 trials" in told.err


def test_objects_may_stand_wherever_a_name_stands(tmp_path: Path) -> None:
    mine = made.cell()["Mine"]
    suite = {
        "name": "objects",
        "task": Renamed,
        "dataset": {"name": FewDigits, "limit": 100},
        "networks": {"big": {"model": little_net, "kwargs": {"width": 6}}},
        "pairs": [{"name": "pair", "student": little_net, "teacher": "big"}],
        "methods": [mine, {"method": mine, "name": "strong", "params": {"weight": 2.0}}],
        "recipe": {"epochs": 1, "batch_size": 32},
        "measure": {"latency": {"processes": 1, "min_seconds": 0.01, "min_rounds": 1, "blocks": 2, "devices": ["cpu"]}},
    }
    results = run(suite, tmp_path)
    assert not results.failed
    assert {t.task for t in results.plan.trials.values()} == {"renamed"}
    assert {t.model.model for t in results.plan.trials.values()} == {"little_net"}
    assert set(results.standings["label"]) == {"big", "supervised", "mine", "strong"}
    (report,) = results.analysis.frame.latencies  # measured in another process, which knows the network too
    assert len({r.profile for r in report.results}) == 2
    assert not [r.note for r in report.results if r.skipped]
    assert isinstance(results.student(method="strong"), nn.Sequential)


def test_objects_may_be_given_apart_from_the_suite_that_names_them(tmp_path: Path) -> None:
    changes = {"dataset": {"name": "few_digits", "limit": 100}, "methods": ["mine"]}
    pairs = [{"name": "pair", "student": "tiny", "teacher": "mnist_mlp"}]
    suite = made.suite(tmp_path, **changes, pairs=pairs, networks={}, recipe={"epochs": 1, "batch_size": 32})
    results = run(suite, tmp_path, models={"tiny": little_net}, datasets=[FewDigits], plugins=[made.cell()["Mine"]])
    assert len(results.records) == 3
    assert not results.failed


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_method_defined_in_a_cell_runs_and_its_source_is_kept(tmp_path: Path, jobs: int) -> None:
    results = run(made.suite(tmp_path), tmp_path / "runs", methods=["kd", made.cell()["Mine"]], jobs=jobs, threads=1)
    assert not results.failed
    (trial,) = (i for i, r in results.records.items() if r.trial.method == "mine")
    kept = (tmp_path / "runs" / "trials" / trial / "method.py").read_text()
    assert "class Mine(Method):" in kept
    assert "SCALE = 0.5" in kept
    assert results.records[trial].provenance.method_digest == made.cell()["Mine"].source_digest()
    assert results.records[trial].provenance.command == "kdbench.run('small')"
    texts = [p.read_text() for p in (tmp_path / "runs").rglob("*.json")]
    assert not any("objects" in json.loads(text) for text in texts)  # no pickle is ever stored
    assert not run(made.suite(tmp_path), tmp_path / "runs", methods=["kd", made.cell()["Mine"]]).stale


def test_workers_give_the_bits_of_one_process_to_a_method_that_exec_defined(tmp_path: Path) -> None:
    namespace: dict[str, Any] = {}
    exec(compile(made.CELL, "<string>", "exec", dont_inherit=True), namespace)  # no __name__, and no text anywhere
    for jobs in (1, 2):
        results = run(made.suite(tmp_path), tmp_path / str(jobs), methods=[namespace["Mine"]], jobs=jobs, threads=1)
        assert not results.failed
    assert small.bits(tmp_path / "1") == small.bits(tmp_path / "2")


def test_an_edited_cell_is_said_to_be_stale_and_fresh_runs_it_again(tmp_path: Path) -> None:
    suite, log = made.suite(tmp_path), Log()
    before = run(suite, tmp_path / "runs", methods=[made.cell()["Mine"]])
    edited = made.cell(made.CELL.replace("SCALE = 0.5", "SCALE = 2.0"), 2)["Mine"]
    again = run(suite, tmp_path / "runs", methods=[edited], progress=log)
    assert [r.trial.method for r in again.stale] == ["mine"]
    assert "1 records were made by other versions of mine; fresh=True runs them again" in log.said
    assert small.bits(tmp_path / "runs") == {i: small.bits(tmp_path / "runs")[i] for i in before.records}
    anew = run(suite, tmp_path / "runs", methods=[edited], fresh=True)
    assert not anew.stale
    (trial,) = (i for i, r in anew.records.items() if r.trial.method == "mine")
    assert anew.records[trial].files["student.safetensors"] != before.records[trial].files["student.safetensors"]


def test_a_failed_trial_does_not_raise(tmp_path: Path) -> None:
    broken = made.CELL.replace("def loss(self, step):", "def loss(self, step):\n        raise KeyError('no such thing')")
    results = run(made.suite(tmp_path), tmp_path / "runs", methods=["kd", made.cell(broken, 3)["Mine"]])
    (failed,) = results.failed
    assert failed.failure is not None
    assert (failed.trial.method, failed.failure.kind) == ("mine", "KeyError")
    assert "1 failed" in repr(results)
    with pytest.raises(
        KdbenchError, match=r"left no network: it failed with KeyError: .*loss\(step\): KeyError: 'no such thing'"
    ):
        results.student(method="mine")


def test_a_narrower_run_keeps_what_is_shown(tmp_path: Path) -> None:
    path = small.write_suite(tmp_path, methods=METHODS)
    run(path, tmp_path / "runs")
    results = run(path, tmp_path / "runs", methods=["kd", made.cell()["Mine"]])
    assert set(results.standings["label"]) == {*METHODS, "mine", "big", "other"}
    assert len(results.asked) == 5


def test_ctrl_c_raises_when_what_is_finished_is_stored(tmp_path: Path) -> None:
    class Stop(Progress):
        def trial_finished(self, trial: Any, record: Any) -> None:
            _thread.interrupt_main()

    with pytest.raises(KeyboardInterrupt):
        run(made.suite(tmp_path), tmp_path / "runs", progress=Stop())
    done = small.bits(tmp_path / "runs")
    assert 0 < len(done) < 4
    results = run(made.suite(tmp_path), tmp_path / "runs")
    assert set(results.done_before) == set(done)
    run(made.suite(tmp_path), tmp_path / "whole")
    assert small.bits(tmp_path / "runs") == small.bits(tmp_path / "whole")


def test_values_of_the_suite_can_be_replaced(tmp_path: Path) -> None:
    suite = kdbench.load_suite(made.suite(tmp_path), settings={"recipe.lr": 1e-5, "name": "other"}, seeds=[3, 5], epochs=7)
    assert isinstance(suite, Suite)
    assert (suite.recipe.lr, suite.recipe.epochs, suite.seeds, suite.name) == (1e-5, 7, (3, 5), "other")
    suite = kdbench.load_suite("digits", settings=["recipe.lr=0.5"], seeds=2, methods="kd")
    assert [m.method for m in suite.methods] == ["supervised", "kd"]
    assert (suite.recipe.lr, suite.seeds) == (0.5, (0, 1))


def test_paths_in_a_loaded_suite_mean_the_same_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [{"student": "tiny_cnn", "teacher": {"model": "tiny_cnn", "weights": "w.safetensors"}}]
    path = small.write_suite(tmp_path, plugins=["mine.py"], pairs=pairs, networks={})
    suite = kdbench.load_suite(path)
    assert suite.plugins == (str(tmp_path / "mine.py"),)
    teacher: Any = suite.pairs[0].teacher
    assert teacher.weights == str(tmp_path / "w.safetensors")
    assert kdbench.load_suite(suite) == suite


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "suite": ({"suite": 3}, "a suite is a name, a file, a dict or a Suite, not 3"),
    "name": ({"suite": "digts"}, 'there is no suite "digts"; did you mean "digits"?'),
    "method": ({"methods": ["kdd"]}, r'methods\.0.*: unknown method "kdd"; did you mean "kd"\?'),
    "entry": ({"methods": [{"method": "kd", "parms": {}}]}, r'methods\.0.*"parms".*did you mean "params"'),
    "device": ({"device": "cudda"}, 'device "cudda"'),
    "jobs": ({"jobs": 0}, "jobs is a number from 1, not 0"),
    "many jobs": ({"jobs": "many"}, "jobs is a number from 1, not 'many'"),
    "threads": ({"threads": 0}, "threads is a number from 1, not 0"),
    "plugin": ({"plugins": [3]}, "3 is not a plugin"),
    "lambda": ({"models": [lambda **_: None]}, "has no name"),
    "setting": ({"settings": {"recipe.lrr": 1}}, 'unknown key "lrr"; did you mean "lr"'),
    "settings": ({"settings": {"recipe.lr": object()}}, "values are plain data"),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_input_is_one_sentence_before_anything_trains(case: str, tmp_path: Path) -> None:
    given, said = WRONG[case]
    options = {"suite": made.suite(tmp_path), **given}
    with pytest.raises(KdbenchError, match=said) as caught:
        run(options.pop("suite"), tmp_path / "runs", **options)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "runs" / "trials").glob("*"))


def test_a_display_of_one_s_own_is_closed_when_nothing_could_start(tmp_path: Path) -> None:
    log = Log()
    with pytest.raises(KdbenchError):
        run(made.suite(tmp_path, methods=["kdd"]), tmp_path / "runs", progress=log)
    assert log.said == ["finished"]
