"""Statistics of timed passes: quantiles, samples per second, speed-ups."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from kdbench.results.record import LatencyResult, Speedup
from kdbench.suite.schema import DeviceKind, Latency, Runtime

CONFIDENCE = 0.95


class Setting(NamedTuple):
    """How networks are run; those with the same setting are timed in turns."""

    device: DeviceKind
    runtime: Runtime
    batch_size: int

    def __str__(self) -> str:
        """Format for people: ``cpu eager batch 64``."""
        return f"{self.device} {self.runtime} batch {self.batch_size}"


@dataclass
class Rounds:
    """Timed passes of one network in one setting.

    Args:
        blocks: block → seconds of each pass.
        processes: block → number of the process that timed it.
        device_name: name of the processor or the GPU.
        threads: CPU threads.
        settled: whether the warm-up ended because times were steady.
    """

    blocks: dict[int, list[float]] = field(default_factory=dict)
    device_name: str = ""
    threads: int | None = None
    settled: bool = True
    processes: dict[int, int] = field(default_factory=dict)


Key = tuple[Setting, str]
"""Setting and profile."""


def rounds_of(raw: Mapping[str, Any]) -> dict[Key, Rounds]:
    """Group the timed passes in pytest-benchmark's JSON by setting and profile.

    Args:
        raw: the JSON, with the labels of :mod:`kdbench.measure.latency_bench`; may be empty.
    """
    found: dict[Key, Rounds] = {}
    for benchmark in raw.get("benchmarks", ()):
        info = benchmark["extra_info"]
        setting = Setting(info["device"], info["runtime"], info["batch_size"])
        rounds = found.setdefault((setting, info["profile"]), Rounds({}, info["device_name"], info["threads"], info["settled"]))
        rounds.blocks.setdefault(info["block"], []).extend(benchmark["stats"]["data"])
        rounds.processes[info["block"]] = info.get("process", 0)
        rounds.settled = rounds.settled and info["settled"]
    return found


def results(
    cases: Iterable[tuple[Setting, str, str]],
    rounds: Mapping[Key, Rounds],
    skipped: Mapping[Key, str],
    settings: Latency,
) -> tuple[LatencyResult, ...]:
    """Compute a result for each case.

    Args:
        cases: setting, profile and label of every case that was requested.
        rounds: the timed passes.
        skipped: the cases that were skipped, and why; a case that was timed in part is skipped too.
        settings: give the largest spread of a stable result.
    """
    return tuple(
        _result(setting, profile, label, rounds.get((setting, profile)), skipped.get((setting, profile)), settings.max_spread)
        for setting, profile, label in cases
    )


def _result(
    setting: Setting, profile: str, label: str, rounds: Rounds | None, skipped: str | None, max_spread: float
) -> LatencyResult:
    known: dict[str, Any] = {"profile": profile, "model": label, **setting._asdict()}
    if rounds is None or skipped is not None:
        return LatencyResult(**known, note=f"skipped: {skipped or 'it was not reached'}")
    times = 1e3 * np.concatenate([np.asarray(b) for b in rounds.blocks.values()])  # ms
    q1, median, q3, p90, p99 = (float(q) for q in np.percentile(times, [25, 50, 75, 90, 99]))
    spread = (q3 - q1) / median if median > 0 else math.inf
    notes = [] if spread <= max_spread else [f"unstable (IQR {100 * spread:.0f} % of the median)"]
    if not rounds.settled:
        notes.append("times had not settled when the warm-up ended")
    return LatencyResult(
        **known,
        device_name=rounds.device_name,
        threads=rounds.threads,
        median_ms=median,
        p90_ms=p90,
        p99_ms=p99,
        iqr_ms=q3 - q1,
        min_ms=float(times.min()),
        mean_ms=float(times.mean()),
        rounds=len(times),
        samples_per_second=1e3 * setting.batch_size / median if median > 0 else None,
        stable=spread <= max_spread,
        note="; ".join(notes),
    )


def speedups(rounds: Mapping[Key, Rounds], references: Sequence[str]) -> tuple[Speedup, ...]:
    """Compute how many times faster each network is than each reference.

    Args:
        rounds: the timed passes; only networks that were timed in turns are compared.
        references: profiles of the references.
    """
    found = []
    for (setting, profile), own in rounds.items():
        for reference in references:
            other = rounds.get((setting, reference))
            if other is None or reference == profile:
                continue
            both = sorted(own.blocks.keys() & other.blocks.keys())
            if len(both) < 2:
                continue
            ratios = [float(np.median(other.blocks[b]) / np.median(own.blocks[b])) for b in both]
            processes = [own.processes.get(b, 0) for b in both]
            ratio, low, high = ratio_interval(_by_process(ratios, processes))
            found.append(
                Speedup(
                    profile=profile,
                    reference=reference,
                    **setting._asdict(),
                    ratio=ratio,
                    low=low,
                    high=high,
                    blocks=len(both),
                    processes=len(set(processes)),
                )
            )
    return tuple(found)


def _by_process(ratios: Sequence[float], processes: Sequence[int]) -> list[float]:
    """Average the ratios of each process, if there are at least three processes.

    The mean is geometric. With fewer processes the ratios are returned unchanged.
    """
    names = sorted(set(processes))
    if len(names) < 3:
        return list(ratios)
    return [math.exp(np.mean([math.log(r) for r, p in zip(ratios, processes, strict=True) if p == name])) for name in names]


def ratio_interval(ratios: Sequence[float]) -> tuple[float, float, float]:
    """Compute the geometric mean of positive ratios and its 95 % interval.

    The interval is Student's t over their logarithms. Networks take turns, so a slowdown of the machine that
    lasts longer than a turn affects both and leaves their ratio unchanged.

    Args:
        ratios: one per block, or one per process; at least two.

    Returns:
        The mean, and the lower and upper end of the interval.
    """
    logs = np.log(ratios)
    mean = float(logs.mean())
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(logs) - 1) * logs.std(ddof=1) / math.sqrt(len(logs)))
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)
