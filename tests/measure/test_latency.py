"""Latency: statistics by hand, networks in turns in a process of their own, once an architecture. No test asserts a time."""

from __future__ import annotations

import json
import math
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from kdbench.engine import latency as run_latency
from kdbench.engine.progress import Progress
from kdbench.errors import KdbenchError
from kdbench.measure import latency_bench, latency_process, latency_statistics
from kdbench.measure.latency import latency_id, measure_latency
from kdbench.measure.latency_process import TimedModel, settings_of
from kdbench.measure.latency_statistics import Rounds, Setting, ratio_interval, rounds_of, speedups
from kdbench.measure.runtimes import DeviceConfig, forward_pass
from kdbench.models.factory import create_model
from kdbench.models.small import kdbench_models
from kdbench.results.record import LatencyReport, LatencyResult
from kdbench.results.store import Store
from kdbench.seeding import digest
from kdbench.suite.schema import Latency, ModelSpec
from tests.support import small
from tests.support.images import arguments

SETTING = Setting("cpu", "eager", 8)
QUICK = {"devices": ["cpu"], "batch_sizes": [2], "min_seconds": 0.001, "min_rounds": 4, "blocks": 2, "processes": 1}
ON_POSIX = pytest.mark.skipif(os.name != "posix", reason="processes end otherwise there")


def ident(name: str) -> str:
    """The id of a profile."""
    return digest(name)


def timed(model: str, **kwargs: Any) -> TimedModel:
    return TimedModel(ident(model), model, ModelSpec(model=model, kwargs=kwargs), "classification", [1, 8, 8], 10)


def benchmark(name: str, block: int, data: list[float], setting: Setting = SETTING, **info: Any) -> dict[str, Any]:
    """A turn as pytest-benchmark writes it, in as far as it is read."""
    known = {"profile": ident(name), "model": name, "device_name": "a CPU", "threads": 2, "block": block, "settled": True}
    return {"extra_info": {**known, **setting._asdict(), **info}, "stats": {"data": data}}


def result(data: list[list[float]], *, max_spread: float = 0.5, skipped: str | None = None, **info: Any) -> LatencyResult:
    raw = {"benchmarks": [benchmark("net", i, d, **info) for i, d in enumerate(data)]}
    why = {} if skipped is None else {(SETTING, ident("net")): skipped}
    (only,) = latency_statistics.results(
        [(SETTING, ident("net"), "Net")], rounds_of(raw), why, Latency(batch_sizes=(8,), max_spread=max_spread)
    )
    return only


class TestStatistics:
    def test_are_over_the_passes_of_all_blocks(self) -> None:
        found = result([[0.001, 0.002, 0.003, 0.004], [0.005, 0.006, 0.007, 0.008, 0.009, 0.010, 0.011]])
        assert found.median_ms == pytest.approx(6.0)
        assert found.iqr_ms == pytest.approx(8.5 - 3.5)
        assert found.p90_ms == pytest.approx(10.0)
        assert found.p99_ms == pytest.approx(10.9)
        assert found.min_ms == pytest.approx(1.0)
        assert found.mean_ms == pytest.approx(6.0)
        assert found.rounds == 11
        assert found.samples_per_second == pytest.approx(8 / 0.006)
        assert (found.model, found.device_name, found.threads) == ("Net", "a CPU", 2)

    def test_quantiles_are_those_of_scipy(self) -> None:
        times = np.random.default_rng(0).lognormal(-6, 0.3, 500)
        found = result([times[:200].tolist(), times[200:].tolist()])
        assert found.iqr_ms == pytest.approx(1e3 * stats.iqr(times))
        assert found.p99_ms == pytest.approx(1e3 * stats.scoreatpercentile(times, 99))

    def test_a_spread_that_is_too_wide_is_said(self) -> None:
        data = [[0.010, 0.010, 0.020], [0.020, 0.030]]  # quartiles 10, 20, 20 ms
        assert result(data, max_spread=0.5).stable
        assert result(data, max_spread=0.5).note == ""
        wide = result(data, max_spread=0.49)
        assert not wide.stable
        assert wide.note == "unstable (IQR 50 % of the median)"

    def test_a_warm_up_without_an_end_is_said(self) -> None:
        found = result([[0.01] * 4], settled=False)
        assert found.stable
        assert "not settled" in found.note

    def test_what_was_skipped_has_a_reason_and_no_number(self) -> None:
        for found in (result([], skipped="it is ill"), result([[0.01] * 3], skipped="it is ill")):
            assert found.skipped
            assert found.note == "skipped: it is ill"
            assert not found.stable
            assert found.median_ms is found.p90_ms is found.p99_ms is found.iqr_ms is found.min_ms is found.mean_ms is None
            assert found.rounds == 0
        assert "not reached" in result([]).note


class TestSpeedups:
    def test_with_three_processes_the_interval_is_over_their_means(self) -> None:
        """Within each process the ratio is steady, and the processes differ: 2, 2.2 and 2.5 times."""
        own, other = Rounds(), Rounds()
        for block in range(6):
            process = block // 2
            own.blocks[block], own.processes[block] = [1.0], process
            other.blocks[block], other.processes[block] = [(2.0, 2.2, 2.5)[process]], process
        setting = Setting("cpu", "eager", 1)
        (found,) = speedups({(setting, ident("s")): own, (setting, ident("t")): other}, [ident("t")])
        assert (found.blocks, found.processes) == (6, 3)
        logs = np.log([2.0, 2.2, 2.5])
        expected = stats.ttest_1samp(logs, 0).confidence_interval(0.95)
        assert (found.ratio, found.low, found.high) == pytest.approx(tuple(np.exp([logs.mean(), expected.low, expected.high])))

    def test_turns_are_shared_out_among_processes(self, tmp_path: Path) -> None:
        models = [timed("tiny_cnn", width=2)]
        settings = Latency.model_validate({**QUICK, "blocks": 4, "processes": 2})
        report = measure_latency(models, settings, tmp_path / "raw.json", threads=1)
        raw = json.loads((tmp_path / "raw.json").read_text())["benchmarks"]
        assert [(b["extra_info"]["process"], b["extra_info"]["block"]) for b in raw] == [(0, 0), (0, 1), (1, 2), (1, 3)]
        assert len({b["fullname"] for b in raw}) == 4
        assert report.results[0].rounds == sum(len(b["stats"]["data"]) for b in raw)

    def test_intervals_are_those_of_scipy(self) -> None:
        ratios = np.random.default_rng(1).lognormal(1, 0.2, 10)
        ratio, low, high = ratio_interval(ratios.tolist())
        interval = stats.ttest_1samp(np.log(ratios), 0).confidence_interval(0.95)
        assert ratio == pytest.approx(stats.gmean(ratios))
        assert (low, high) == (pytest.approx(math.exp(interval.low)), pytest.approx(math.exp(interval.high)))

    def test_hold_while_the_machine_slows_down(self) -> None:
        """Both networks take five times as long in some blocks: their ratio is what it was."""
        load = [1.0, 5.0, 1.0, 3.0]
        raw = {
            "benchmarks": [
                benchmark(name, block, [seconds * slow] * 3)
                for block, slow in enumerate(load)
                for name, seconds in (("teacher", 0.08), ("student", 0.01))
            ]
        }
        (found,) = speedups(rounds_of(raw), [ident("teacher")])
        assert (found.profile, found.reference, found.blocks) == (ident("student"), ident("teacher"), 4)
        assert found.ratio == pytest.approx(8.0)
        assert (found.low, found.high) == (pytest.approx(8.0), pytest.approx(8.0))

    def test_are_between_networks_that_were_timed_in_turns(self) -> None:
        other = Setting("cpu", "bf16", 8)
        raw = {
            "benchmarks": [
                *(benchmark("teacher", b, [0.02]) for b in (0, 1, 2)),
                *(benchmark("student", b, [0.01]) for b in (1, 2, 3)),
                *(benchmark("student", b, [0.01], other) for b in (0, 1, 2)),
                benchmark("late", 2, [0.01]),
            ]
        }
        (found,) = speedups(rounds_of(raw), [ident("teacher")])
        assert (found.profile, found.runtime, found.blocks) == (ident("student"), "eager", 2)


class TestWarmUp:
    @staticmethod
    def passes(seconds: Iterator[float]) -> tuple[Any, Any, list[float]]:
        """A pass that takes what it is told to, on a clock of its own."""
        now = [0.0]
        taken: list[float] = []

        def run() -> None:
            taken.append(next(seconds))
            now[0] += taken[-1]

        return run, lambda: now[0], taken

    def test_ends_when_two_windows_agree(self) -> None:
        run, clock, taken = self.passes(iter([9.0, *[0.4] * 3, *[0.2] * 5, *[0.1] * 5, *[0.105] * 5]))
        fastest, settled = latency_bench.warm_up(run, clock)
        assert settled
        assert fastest == pytest.approx(0.105)
        assert len(taken) == 19

    def test_ends_after_a_while_whatever_happens(self) -> None:
        run, clock, _ = self.passes(2.0 ** (i // 5 % 2) / 10 for i in range(10**6))
        _, settled = latency_bench.warm_up(run, clock)
        assert not settled
        assert clock() < latency_bench.WARM_UP_SECONDS + 2


class TestRuntimes:
    @staticmethod
    def logits(runtime: Any, seed: int = 0) -> tuple[Any, Any]:
        model = create_model(ModelSpec(model="tiny_cnn"), arguments=arguments((1, 8, 8)), seed=seed, factories=kdbench_models())
        batch = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            expected = model.eval()(batch)
        return forward_pass(model, (batch,), runtime, DeviceConfig("cpu", 1))(), expected

    @pytest.mark.parametrize(
        ("runtime", "tolerance"), [("eager", 0.0), ("channels_last", 1e-5), ("bf16", 0.05), ("compile", 1e-5)]
    )
    def test_give_the_same_logits(self, runtime: str, tolerance: float, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = torch.compile
        monkeypatch.setattr(torch, "compile", lambda *a, **k: whole(*a, backend="eager", **k))  # needs no C++ compiler
        found, expected = self.logits(runtime)
        assert not found.requires_grad
        torch.testing.assert_close(found.float(), expected, rtol=0, atol=tolerance)

    def test_onnxruntime_gives_the_same_logits(self) -> None:
        for name in ("onnx", "onnxruntime", "onnxscript"):
            pytest.importorskip(name)
        binding, expected = self.logits("onnxruntime")
        np.testing.assert_allclose(binding.copy_outputs_to_cpu()[0], expected.numpy(), atol=1e-5)

    def test_that_are_not_installed_say_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "onnx", None)
        with pytest.raises(KdbenchError, match="onnx is not installed: pip install onnx onnxruntime onnxscript"):
            self.logits("onnxruntime")

    def test_that_do_not_fit_say_so(self) -> None:
        with pytest.raises(KdbenchError, match="channels, height and width"):
            forward_pass(torch.nn.Linear(4, 2), (torch.zeros(3, 4),), "channels_last", DeviceConfig("cpu", 1))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[LatencyReport, Path]:
    """Two networks and one that cannot be made, timed from a folder with a pytest configuration that nobody could work with."""
    folder = tmp_path_factory.mktemp("latency")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --nonsense\n")
    (folder / "conftest.py").write_text("raise RuntimeError('not mine')\n")
    models = [timed("mnist_mlp"), timed("tiny_cnn", width=4), timed("lightcnn", widht=4)]
    settings = Latency.model_validate({**QUICK, "devices": ["cpu", "cuda"], "batch_sizes": [1, 2], "threads": 1})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PYTEST_ADDOPTS", "--nonsense")
        out = folder / "kept" / "data.json"
        return measure_latency(models, settings, out, references=[ident("mnist_mlp")]), out


class TestTheProcess:
    def test_times_every_network_in_every_setting(self, measured: tuple[LatencyReport, Path]) -> None:
        report, _ = measured
        found = {(r.model, r.batch_size): r for r in report.results if r.device == "cpu" and not r.skipped}
        assert set(found) == {(m, b) for m in ("mnist_mlp", "tiny_cnn") for b in (1, 2)}
        for one in found.values():
            assert one.rounds >= 4
            assert one.threads == 1
            assert one.device_name
            assert one.min_ms is not None
            assert one.median_ms is not None
            assert one.p90_ms is not None
            assert one.p99_ms is not None
            assert 0 < one.min_ms <= one.median_ms <= one.p90_ms <= one.p99_ms

    def test_says_where_and_how(self, measured: tuple[LatencyReport, Path]) -> None:
        report, _ = measured
        assert report.machine["processor"]
        assert report.machine["torch"] == torch.__version__
        assert "resolution" in report.clock
        assert report.settings.threads == 1
        assert (report.load_before is None) == (report.load_after is None)

    def test_skips_what_cannot_be_made_with_the_reason(self, measured: tuple[LatencyReport, Path]) -> None:
        report, _ = measured
        notes = {r.note for r in report.results if r.model == "lightcnn" and r.device == "cpu"}
        assert len(notes) == 1
        assert "widht" in notes.pop()

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
    def test_skips_a_device_that_is_not_there(self, measured: tuple[LatencyReport, Path]) -> None:
        report, _ = measured
        assert {r.note for r in report.results if r.device == "cuda"} == {"skipped: no CUDA device on this machine"}
        assert len([r for r in report.results if r.device == "cuda"]) == 6

    def test_gives_speed_ups_with_intervals(self, measured: tuple[LatencyReport, Path]) -> None:
        report, _ = measured
        found = {s.batch_size: s for s in report.speedups if s.device == "cpu"}
        assert set(found) == {1, 2}
        for one in found.values():
            assert (one.profile, one.reference, one.blocks) == (ident("tiny_cnn"), ident("mnist_mlp"), 2)
            assert 0 < one.low <= one.ratio <= one.high

    def test_lets_networks_take_turns(self, measured: tuple[LatencyReport, Path]) -> None:
        raw = json.loads(measured[1].read_bytes())
        infos = [b["extra_info"] for b in raw["benchmarks"] if b["extra_info"]["device"] == "cpu"]
        order = [(i["batch_size"], i["block"], i["model"]) for i in infos]
        assert order == [(n, b, p) for n in (1, 2) for b in (0, 1) for p in ("mnist_mlp", "tiny_cnn")]

    def test_keeps_what_pytest_benchmark_can_compare(self, measured: tuple[LatencyReport, Path], tmp_path: Path) -> None:
        path = measured[1]
        done = subprocess.run(
            [sys.executable, "-m", "pytest_benchmark", "compare", str(path)],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        assert "tiny_cnn-cpu-eager-batch-2-block-1" in done.stdout + done.stderr

    def test_keeps_no_name_of_the_machine(self, measured: tuple[LatencyReport, Path]) -> None:
        raw = json.loads(measured[1].read_bytes())
        assert raw["machine_info"]["node"] == ""
        assert raw["machine_info"]["system"] == platform.system()

    @ON_POSIX
    def test_that_a_network_kills_is_started_again_without_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        tries: list[tuple[str, ...]] = []

        def child(request: latency_process.TimingRequest, data: Path, folder: Path) -> int:
            tries.append(request.skip)
            cases = [latency_process.Case(SETTING, s) for s in request.models]
            left = [c for c in cases if c.key not in request.skip]
            for case in left:
                latency_bench.write_log(request, case)
                if case.model.label == "deadly":
                    return -signal.SIGKILL
            turns = [benchmark(c.model.label, b, [0.1]) for b in (0, 1) for c in left]
            data.write_text(json.dumps({"machine_info": {}, "commit_info": {}, "benchmarks": turns}))
            return 0

        monkeypatch.setattr(latency_process, "_child", child)
        settings = Latency(devices=("cpu",), batch_sizes=(8,), processes=1)
        report = measure_latency([timed("mnist_mlp"), timed("deadly")], settings, tmp_path / "data.json")
        other, deadly = report.results
        assert tries == [(), (f"{SETTING} {ident('deadly')}",)]
        assert deadly.note == "skipped: the process that ran it ended: killed by SIGKILL (out of memory?)"
        assert other.median_ms == pytest.approx(100.0)

    def test_that_fails_at_once_is_one_sentence(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(latency_process, "BENCH", tmp_path / "latency_bench.py")
        (tmp_path / "latency_bench.py").write_text("import nowhere\n")
        with pytest.raises(KdbenchError, match="latency could not be measured: .*nowhere"):
            measure_latency([timed("mnist_mlp")], Latency(**QUICK), tmp_path / "data.json")

    @ON_POSIX
    def test_dies_with_the_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        started: list[Any] = []

        class Interrupted(subprocess.Popen):  # type: ignore[type-arg]
            def wait(self, timeout: float | None = None) -> int:
                if not started:
                    started.append(self)
                    raise KeyboardInterrupt
                return super().wait(timeout)

        monkeypatch.setattr(latency_process.subprocess, "Popen", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            measure_latency([timed("mnist_mlp")], Latency(**QUICK), tmp_path / "data.json")
        assert started[0].returncode == -signal.SIGKILL
        assert not (tmp_path / "data.json").exists()


class TestTheId:
    def test_depends_on_networks_settings_and_threads(self) -> None:
        first, second = timed("tiny_cnn"), timed("mnist_mlp")
        ids = [
            latency_id([first, second], Latency(), 1),
            latency_id([second, first], Latency(), 1),
            latency_id([first], Latency(), 1),
            latency_id([first, second], Latency(), 2),
            latency_id([first, second], Latency(blocks=3), 1),
            latency_id([first, second], Latency(runtimes=("onnxruntime",)), 1),
        ]
        assert len(set(ids)) == len(ids)
        assert latency_id([first, second], Latency(threads=1), 7) == ids[0]

    def test_settings_are_all_combinations(self) -> None:
        found = settings_of(Latency(devices=("cpu",), runtimes=("eager", "bf16", "eager"), batch_sizes=(1, 8)))
        assert list(map(str, found)) == ["cpu eager batch 1", "cpu eager batch 8", "cpu bf16 batch 1", "cpu bf16 batch 8"]


class Watcher(Progress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.warnings: list[str] = []

    def preparing(self, what: str) -> None:
        self.said.append(what)

    def warn(self, message: str) -> None:
        self.warnings.append(message)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """In place of the measurement: what it was asked for."""
    asked: list[dict[str, Any]] = []

    def measure(models: list[TimedModel], settings: Latency, out: Path, *, threads: int, **more: Any) -> LatencyReport:
        asked.append({"models": models, **more})
        results = tuple(
            LatencyResult(profile=s.profile, model=s.label, device="cpu", runtime="eager", batch_size=1) for s in models
        )
        return LatencyReport(
            id=latency_id(models, settings, threads), settings=settings, results=results, machine={}, clock="", started=""
        )

    monkeypatch.setattr(run_latency, "measure_latency", measure)
    return asked


def suite(folder: Path, **changes: Any) -> Path:
    changes = {"measure": {"latency": QUICK}, "recipe": {"epochs": 1, "batch_size": 32, "lr": 0.05}, **changes}
    return small.write_suite(folder, **changes)


class TestARun:
    def test_measures_each_architecture_once_and_never_again(self, calls: list[dict[str, Any]], tmp_path: Path) -> None:
        path = suite(tmp_path, seeds=2)
        summary = small.run(path, tmp_path / "runs")
        (asked,) = calls
        assert sorted(s.label for s in asked["models"]) == ["mnist_mlp", "tiny_cnn", "tiny_cnn"]  # the student, and "big"
        profiles = {s.profile for s in asked["models"]}
        assert profiles == set(summary.prepared.profiles)
        plan = summary.prepared.plan
        students = [summary.prepared.profile_of(plan.trials[e.trial]) for e in plan.entries if e.role == "student"]
        assert set(asked["references"]) == profiles - {p.id for p in students if p is not None}
        assert len(Store(tmp_path / "runs").latencies()) == 1
        small.run(path, tmp_path / "runs")
        small.run(path, tmp_path / "runs", seeds="3")  # more trials, the same architectures
        assert len(calls) == 1
        again = small.run(path, tmp_path / "runs", remeasure=True)
        assert (len(calls), len(again.done_before)) == (2, len(plan.trials)), "and nothing is trained"
        small.run(path, tmp_path / "runs", fresh=True)
        assert len(calls) == 3

    def test_measures_again_what_is_damaged(self, calls: list[dict[str, Any]], tmp_path: Path) -> None:
        path = suite(tmp_path)
        small.run(path, tmp_path / "runs")
        (file,) = (tmp_path / "runs" / "latency").glob("*.json")
        file.write_text(file.read_text()[:-20])
        small.run(path, tmp_path / "runs")
        assert len(calls) == 2
        assert list((tmp_path / "runs" / "quarantine").glob(f"{file.name}*"))
        assert len(Store(tmp_path / "runs").latencies()) == 1

    def test_that_does_not_want_latency_measures_none(self, calls: list[dict[str, Any]], tmp_path: Path) -> None:
        small.run(suite(tmp_path, measure={"latency": False}), tmp_path / "runs")
        assert calls == []

    def test_does_not_fail_because_of_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: Any, **__: Any) -> None:
            raise RuntimeError("the clock stopped")

        monkeypatch.setattr(run_latency, "measure_latency", fail)
        watcher = Watcher()
        summary = small.run(suite(tmp_path), tmp_path / "runs", progress=watcher)
        assert not summary.failed
        assert [w for w in watcher.warnings if "near chance" not in w] == ["latency was not measured: the clock stopped"]

    def test_leaves_out_what_a_method_changes(self, calls: list[dict[str, Any]], tmp_path: Path) -> None:
        prepared = small.prepared(suite(tmp_path))
        assert {s.profile for s in run_latency.timed_models(prepared)} == set(prepared.profiles)

    def test_ends_with_a_report_of_real_times(self, tmp_path: Path) -> None:
        watcher = Watcher()
        small.run(suite(tmp_path), tmp_path / "runs", progress=watcher)
        assert not [w for w in watcher.warnings if "near chance" not in w]
        assert any("latency" in what for what in watcher.said)
        store = Store(tmp_path / "runs")
        (report,) = store.latencies()
        assert store.latency(report.id) == report
        assert len(report.results) == 3
        assert not any(r.skipped for r in report.results)
        assert {s.reference for s in report.speedups} == set(run_latency.references_of(small.prepared(suite(tmp_path))))
        assert json.loads(store.latency_data_path(report.id).read_bytes())["benchmarks"]
