"""Latencies of a suite's networks, as rows of the leaderboard show them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import pandas as pd

from kdbench.analysis.frame import SuiteFrame
from kdbench.results.record import LatencyReport, LatencyResult, Speedup

NAN = float("nan")
UNSTABLE = "unstable"
"""First word of the note of a result whose passes vary too much."""


class Setting(NamedTuple):
    """How networks were run; only results of the same setting can be compared.

    Args:
        device: ``cpu`` or ``cuda``.
        runtime: how the network was run, as the suite names it.
        batch_size: samples per pass.
    """

    device: str
    runtime: str
    batch_size: int

    @classmethod
    def of(cls, result: LatencyResult | Speedup) -> Setting:
        """Return the setting of a result."""
        return cls(result.device, result.runtime, result.batch_size)

    @property
    def name(self) -> str:
        """Its name in suites and on the command line: ``cpu/onnxruntime@1``."""
        return f"{self.device}/{self.runtime}@{self.batch_size}"

    @property
    def column(self) -> str:
        """Its column in the standings: ms of one sample, or samples per second."""
        kind = "latency_ms" if self.batch_size == 1 else "throughput"
        return f"{kind}_{self.device}_{self.runtime}_{self.batch_size}"

    def is_called(self, name: str) -> bool:
        """Whether a name is the setting's; it may leave out the device."""
        return name in (self.name, self.name.partition("/")[2])


def measured_settings(frame: SuiteFrame) -> list[Setting]:
    """Return the settings in which the suite's networks were timed, in its order."""
    results = (r for report in _by_fit(frame) for r in report.results if r.profile in frame.networks)
    return list(dict.fromkeys(Setting.of(r) for r in results if r.median_ms is not None))


def find_setting(settings: Iterable[Setting], name: str) -> Setting | None:
    """Return the first setting of a name; ``None`` if there is none."""
    return next((s for s in settings if s.is_called(name)), None)


def speed(frame: SuiteFrame, profile: str, reference: str, samples: int, choice: str | None = None) -> dict[str, Any]:
    """Return the latency columns of a network's row.

    ``latency_ms`` is of the chosen setting; by default of the first that gave a number, with devices,
    runtimes and batch sizes in the suite's order. ``throughput`` (samples per second) and
    ``test_set_seconds`` are of the largest batch on the same device and runtime. Then each setting has its
    own columns. An ``_iqr`` (interquartile range, in the unit of the number) and a ``_note`` stand beside
    each number; a note that starts with ``unstable`` says that it is only approximate. Of several
    measurements of a setting, the one with the most of the suite's networks counts; of these, the latest.

    Args:
        frame: the records.
        profile: id of the network's profile.
        reference: id of the profile that speed-ups are relative to; "" for none.
        samples: number of samples of the test set.
        choice: name of the setting of ``latency_ms``.
    """
    found: dict[Setting, tuple[LatencyReport, LatencyResult]] = {}
    for report in _by_fit(frame):
        for result in report.results:
            if result.profile == profile and result.median_ms is not None:
                found.setdefault(Setting.of(result), (report, result))
    chosen = next(iter(found), None) if choice is None else find_setting(found, choice)
    columns = _chosen(*found[chosen], reference) if chosen else _chosen(None, None, reference)
    alike = [s for s in found if chosen and s[:2] == chosen[:2]]
    largest = max(alike, key=lambda s: s.batch_size) if alike else None
    columns |= _throughput(found[largest][1] if largest else None, samples)
    for setting in measured_settings(frame):
        reading = found[setting][1] if setting in found else None
        columns |= _reading(setting.column, reading, per_second=setting.batch_size > 1)
    return columns


def latency_table(frame: SuiteFrame) -> pd.DataFrame:
    """Return a row for each network and setting, with the reasons for gaps.

    ``ratio``, ``low`` and ``high`` are the speed-up over ``reference`` (a model's name) and its interval.
    """
    lines = []
    for report in reversed(list(_by_fit(frame))):
        names = {r.profile: r.model for r in report.results}
        for result in report.results:
            if result.profile in frame.networks:
                ratio = next((s for s in report.speedups if s.profile == result.profile and _same(s, result)), None)
                more = {"reference": "", "ratio": NAN, "low": NAN, "high": NAN}
                if ratio is not None:
                    more = {"reference": names[ratio.reference], **ratio.model_dump(include={"ratio", "low", "high"})}
                lines.append({"measured": report.started, **result.model_dump(), **more})
    return pd.DataFrame(lines)


def setting(result: LatencyResult) -> str:
    """Describe how a latency was measured: device, runtime, batch size, threads."""
    threads = f", {result.threads} thread{'s' if result.threads != 1 else ''}" if result.device == "cpu" else ""
    return f"{result.device_name or result.device}, {result.runtime}, batch {result.batch_size}{threads}"


def _by_fit(frame: SuiteFrame) -> Iterator[LatencyReport]:
    def fit(item: tuple[int, LatencyReport]) -> tuple[int, int]:
        return len({r.profile for r in item[1].results if r.profile in frame.networks and not r.skipped}), item[0]

    yield from (report for _, report in sorted(enumerate(frame.latencies), key=fit, reverse=True))


def _chosen(report: LatencyReport | None, result: LatencyResult | None, reference: str) -> dict[str, Any]:
    ratio = None
    if report is not None and result is not None:
        ratio = next(
            (s for s in report.speedups if (s.profile, s.reference) == (result.profile, reference) and _same(s, result)), None
        )
    return {
        **_reading("latency_ms", result, per_second=False),
        "latency_name": Setting.of(result).name if result else "",
        "latency_setting": setting(result) if result else "",
        "speedup": ratio.ratio if ratio else NAN,
        "speedup_low": ratio.low if ratio else NAN,
        "speedup_high": ratio.high if ratio else NAN,
    }


def _throughput(result: LatencyResult | None, samples: int) -> dict[str, Any]:
    found = _reading("throughput", result, per_second=True)
    rate, spread = found["throughput"], found["throughput_iqr"]
    seconds = samples / rate if samples else NAN
    return {
        **found,
        "throughput_name": Setting.of(result).name if result else "",
        "test_set_seconds": seconds,
        "test_set_spread": seconds * spread / rate / 2,
    }


def _reading(name: str, result: LatencyResult | None, *, per_second: bool) -> dict[str, Any]:
    """Return a number with its interquartile range and note."""
    if result is None or not result.median_ms:
        return {name: NAN, f"{name}_iqr": NAN, f"{name}_note": ""}
    spread = NAN if result.iqr_ms is None else result.iqr_ms
    value = 1000 * result.batch_size / result.median_ms if per_second else result.median_ms
    note = result.note or ("" if result.stable else UNSTABLE)
    return {name: value, f"{name}_iqr": value * spread / result.median_ms, f"{name}_note": note}


def _same(ratio: Speedup, result: LatencyResult) -> bool:
    return Setting.of(ratio) == Setting.of(result)
