"""``kdbench profile``: a table for people, one sentence for bad input. No test asserts a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kdbench.measure import latency
from kdbench.results.record import LatencyReport, LatencyResult, Speedup
from kdbench.suite.schema import Latency
from tests.results.made import profile_id

QUICK = ("--min-seconds", "0.001", "--min-rounds", "2", "--blocks", "2", "--input-size", "1x8x8", "--classes", "10")


def result(model: str, **changes: Any) -> LatencyResult:
    known: dict[str, Any] = {
        "profile": profile_id(model), "model": model, "device": "cpu", "device_name": "a CPU", "runtime": "eager", "batch_size": 4,
        "threads": 2, "median_ms": 2.0, "p90_ms": 3.0, "p99_ms": 4.0, "iqr_ms": 0.25, "min_ms": 1.0, "mean_ms": 2.5,
        "rounds": 100, "samples_per_second": 2000.0, "stable": True,
    }  # fmt: skip
    return LatencyResult(**{**known, **changes})


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> LatencyReport:
    """What is measured, whatever is asked for."""
    wide = "unstable (IQR 63 % of the median)"
    made = LatencyReport(
        id="0" * 16,
        settings=Latency(threads=2),
        results=(
            result("big"),
            result("small", median_ms=0.5),
            result("shaky", median_ms=77.7, iqr_ms=48.9, stable=False, note=wide),
            LatencyResult(
                profile=profile_id("ill"),
                model="ill",
                device="cpu",
                runtime="eager",
                batch_size=4,
                note="skipped: it cannot be exported",
            ),
        ),
        speedups=(
            Speedup(
                profile=profile_id("small"),
                reference=profile_id("big"),
                device="cpu",
                runtime="eager",
                batch_size=4,
                ratio=4,
                low=3.5,
                high=4.25,
                blocks=10,
            ),
        ),
        machine={"processor": "a CPU"},
        clock="a clock",
        load_before=0.5,
        load_after=None,
        started="",
    )
    monkeypatch.setattr(latency, "measure_latency", lambda *_, **__: made)
    return made


def line(text: str, *words: str) -> str:
    return next(row for row in text.splitlines() if all(word in row for word in words))


def test_prints_costs_and_times_and_keeps_them(kdbench_command: Any, tmp_path: Path) -> None:
    kept = tmp_path / "out.json"
    outcome = kdbench_command(
        "profile", "mnist_mlp", "tiny_cnn", *QUICK, "--batch-size", "1,2", "--device", "cpu", "--json", kept
    )
    assert outcome.status == 0, outcome.err
    for name in ("parameters", "MACs", "size MB", "activations MB", "median ms", "p99", "images/s", "speed-up"):
        assert name in outcome.out
    content = json.loads(kept.read_bytes())
    parameters = {p["model"]: f"{p['parameters']:,}" for p in content["profiles"]}
    assert set(parameters) == {"mnist_mlp", "tiny_cnn"}
    assert parameters["tiny_cnn"] in line(outcome.out, "tiny_cnn")
    found = LatencyReport.model_validate(content["latency"])
    assert [(r.model, r.batch_size) for r in found.results] == [(m, b) for b in (1, 2) for m in ("mnist_mlp", "tiny_cnn")]
    assert {(s.profile, s.reference) for s in found.speedups} == {(found.results[1].profile, found.results[0].profile)}
    data = tmp_path / "out.pytest-benchmark.json"
    assert len(json.loads(data.read_bytes())["benchmarks"]) == 2 * 2 * 2


def test_an_unstable_time_is_not_given(kdbench_command: Any, report: LatencyReport) -> None:
    out = kdbench_command("profile", "mnist_mlp", *QUICK).out
    assert "unstable (IQR 63 % of the median)" in line(out, "shaky")
    assert "77.7" not in out
    assert "skipped: it cannot be exported" in line(out, "ill")


def test_a_speed_up_has_its_interval(kdbench_command: Any, report: LatencyReport) -> None:
    out = kdbench_command("profile", "mnist_mlp", *QUICK).out
    assert "4.00 [3.50, 4.25]" in line(out, "small")
    assert "2 threads" in out
    assert "load 0.50 before, – after" in out


def test_the_small_stem_is_for_models_that_have_one(kdbench_command: Any, report: LatencyReport) -> None:
    out = kdbench_command("profile", "resnet10t", "tiny_cnn", "--input-size", "3x16x16", "--stem", "small").out
    assert line(out, "resnet10t (small stem)")
    assert line(out, "tiny_cnn")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["resnt18"], '"resnet18"'),
        (["tiny_cnn", "--runtime", "eager,onnx_runtime"], '"onnxruntime"'),
        (["tiny_cnn", "--runtime", "xyz"], "known are eager, "),
        (["tiny_cnn", "--device", "cudda"], '"cuda"'),
        (["tiny_cnn", "--batch-size", "1,x"], '"x"'),
        (["tiny_cnn", "--batch-size", "0"], "--batch-size"),
        (["tiny_cnn", "--input-size", "32"], "3x32x32"),
        (["tiny_cnn", "--stem", "smal"], '"small"'),
        (["tiny_cnn", "--min-seconds", "0"], "--min-seconds"),
        (["lightcnn", "--input-size", "3x32x32", "--plugin", "absent.py"], "absent.py"),
    ],
)
def test_bad_input_is_one_sentence_before_anything_is_timed(
    kdbench_command: Any, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("it was timed")

    monkeypatch.setattr(latency, "measure_latency", never)
    outcome = kdbench_command("profile", *arguments)
    assert outcome.status == 2, outcome
    (sentence,) = [row for row in outcome.err.splitlines() if row.startswith("error: ")]
    assert said in sentence
    assert "Traceback" not in outcome.err


def test_a_model_of_a_plugin(kdbench_command: Any, report: LatencyReport, tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "import kdbench\nfrom torch import nn\n\n@kdbench.hookimpl\ndef kdbench_models():\n"
        "    return {'mine': lambda num_classes, in_chans: nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))}\n"
    )
    outcome = kdbench_command("profile", "mine", *QUICK, "--plugin", plugin)
    assert outcome.status == 0, outcome.err
    assert line(outcome.out, "mine", "650", "640")
