"""Latencies of a suite's networks, as rows of the leaderboard show them."""

from __future__ import annotations

from typing import Any

from kdbench.analysis.frame import SuiteFrame
from kdbench.results.record import LatencyReport, LatencyResult, Speedup

NAN = float("nan")
UNKNOWN: dict[str, Any] = {
    "latency_ms": NAN,
    "latency_note": "",
    "latency_setting": "",
    "speedup": NAN,
    "speedup_low": NAN,
    "speedup_high": NAN,
}


def speed(frame: SuiteFrame, profile: str, reference: str) -> dict[str, Any]:
    """Return a network's latency, and its speed-up over one timed in turns with it.

    They are of the first setting that gave a number, with devices, runtimes and batch sizes in the
    suite's order. Of several measurements, the one with the most of the suite's networks counts; of
    these, the latest. An unstable result gives a note instead of a number.

    Args:
        frame: the records.
        profile: id of the network's profile.
        reference: id of the other network's profile; "" for none.
    """
    for report in _by_fit(frame):
        own = [r for r in report.results if r.profile == profile]
        measured = next((r for r in own if not r.skipped), None)
        if measured is not None:
            return _columns(report, measured, reference)
    return UNKNOWN


def whole_set(frame: SuiteFrame, profile: str, samples: int) -> dict[str, float]:
    """Return the seconds that a network takes for a whole test set.

    They are of the largest batch size that was measured, on the first device and runtime.

    Args:
        frame: the records.
        profile: id of the network's profile.
        samples: number of samples of the test set.

    Returns:
        ``test_set_seconds``, from the median latency, and ``test_set_spread``, half of the
        interquartile range; NaN if unknown.
    """
    for report in _by_fit(frame):
        stable = [r for r in report.results if r.profile == profile and r.stable and r.median_ms and r.iqr_ms is not None]
        if stable and samples:
            first = [r for r in stable if (r.device, r.runtime) == (stable[0].device, stable[0].runtime)]
            best = max(first, key=lambda r: r.batch_size)
            passes = samples / best.batch_size / 1000
            return {"test_set_seconds": (best.median_ms or NAN) * passes, "test_set_spread": (best.iqr_ms or 0.0) / 2 * passes}
    return {"test_set_seconds": NAN, "test_set_spread": NAN}


def _by_fit(frame: SuiteFrame) -> list[LatencyReport]:
    def fit(item: tuple[int, LatencyReport]) -> tuple[int, int]:
        return len({r.profile for r in item[1].results if r.profile in frame.profiles and not r.skipped}), item[0]

    return [report for _, report in sorted(enumerate(frame.latencies), key=fit, reverse=True)]


def _columns(report: LatencyReport, result: LatencyResult, reference: str) -> dict[str, Any]:
    ratio = next((s for s in report.speedups if s.reference == reference and _same(s, result)), None)
    reliable = result.stable and ratio is not None
    return {
        "latency_ms": result.median_ms if result.stable else NAN,
        "latency_note": result.note,
        "latency_setting": setting(result),
        "speedup": ratio.ratio if ratio and reliable else NAN,
        "speedup_low": ratio.low if ratio and reliable else NAN,
        "speedup_high": ratio.high if ratio and reliable else NAN,
    }


def setting(result: LatencyResult) -> str:
    """Describe how a latency was measured: device, runtime, batch size, threads."""
    threads = f", {result.threads} thread{'s' if result.threads != 1 else ''}" if result.device == "cpu" else ""
    return f"{result.device_name or result.device}, {result.runtime}, batch {result.batch_size}{threads}"


def _same(ratio: Speedup, result: LatencyResult) -> bool:
    keys = ("profile", "device", "runtime", "batch_size")
    return all(getattr(ratio, key) == getattr(result, key) for key in keys)
