"""What glibc's allocator costs in training, and what kdbench.engine.allocator gains: for 1, 4 and 12 members, with one thread.

Run with ``pytest benchmarks/bench_allocator.py --benchmark-enable -s``. Each measurement is a process of its own, with
and without in turns, so that a busy machine is unfair to neither. ResNet-20 teaches ``lightcnn`` on input of CIFAR-10's shape, in fp32.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys

import pytest

ROUNDS = 3
"""Pairs of processes."""


@pytest.mark.parametrize("members", [1, 4, 12])
def test_time_of_a_step(benchmark, members: int) -> None:  # type: ignore[no-untyped-def]
    """Milliseconds a batch and member, the least and the median of all rounds, and page faults."""
    rounds = [tuple(measure(members, kept) for kept in (False, True)) for _ in range(ROUNDS)]
    before, after = ([pair[i] for pair in rounds] for i in (0, 1))
    ratio = statistics.median(b["ms"] / a["ms"] for b, a in rounds)
    benchmark.extra_info["times_faster"] = ratio
    benchmark.pedantic(lambda: None, rounds=1)
    assert all(b["loss"] == a["loss"] for b, a in rounds)
    print(f"\n{members} members: {ratio:.2f} times faster (median of {ROUNDS} pairs)")
    for name, found in (("default", before), ("kept", after)):
        times = [f["ms"] for f in found]
        faults, memory = (statistics.median(f[key] for f in found) for key in ("faults", "mb"))
        print(
            f"  {name:8} {min(times):6.1f} least, {statistics.median(times):6.1f} median ms a batch and member,"
            f" {faults:,.0f} page faults a batch, {memory:,.0f} MB at most"
        )


def measure(members: int, kept: bool) -> dict[str, float]:
    """Measure in a new process."""
    command = [sys.executable, __file__, str(members), str(int(kept))]
    found: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found


def child() -> None:
    """Train three epochs, of which the first does not count, and print what they took."""
    members, kept = int(sys.argv[1]), sys.argv[2] == "1"
    if kept:
        from kdbench.engine.allocator import keep_freed_memory

        keep_freed_memory()
    import torch
    from bench_cohort import STEPS, cohort, noise

    from kdbench.plugins.manager import load_registry
    from kdbench.train.cohort import train_cohort
    from kdbench.train.events import EpochEnd

    torch.set_num_threads(1)
    made, teachers, stream = cohort(members, noise(), load_registry(), teacher="resnet20", epochs=3)
    marks = [
        (event.seconds, resource.getrusage(resource.RUSAGE_SELF).ru_minflt, event.members[0][1]["loss"])
        for event in train_cohort(made, teachers, stream, torch.device("cpu"))
        if isinstance(event, EpochEnd)
    ]
    spent = [s.shared + sum(s.own.values()) for s, _, _ in marks[1:]]
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "ms": 1000 * min(spent) / STEPS / members,
                "faults": (marks[-1][1] - marks[0][1]) / STEPS / len(spent),
                "mb": usage.ru_maxrss * 1024 / 1e6,
                "loss": marks[-1][2],
            }
        )
    )


if __name__ == "__main__":
    child()
