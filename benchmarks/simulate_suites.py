"""Error rates, coverage and power of the model of ``kdbench/analysis/model.py``, in simulated suites.

Usage: ``python benchmarks/simulate_suites.py [--suites 4000]``, from the root of the repository; prints
a markdown table (the one of ``docs/statistics.md``).
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.analysis.simulate import Suite, rates

HEADINGS = (
    "| seeds | methods | variances | any false mark % | any false place % | coverage % | power % "
    "| block design's power % | its false marks % |"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suites", type=int, default=4000, help="simulated suites of each kind")
    parser.add_argument("--items", type=int, default=100, help="suites simulated item by item, of each kind; 0 for none")
    arguments = parser.parse_args()
    print(HEADINGS)
    print("|---|---|---|---|---|---|---|---|---|")
    for seeds, methods, kind in itertools.product((2, 3, 5, 10), (7, 20), ("equal", "a method ×10", "alone ×10")):
        suite = Suite(methods, seeds, wild={"equal": None, "a method ×10": methods // 2, "alone ×10": 0}[kind])
        null = rates(suite, arguments.suites)
        gain = rates(dataclasses.replace(suite, gain=1.0), arguments.suites)
        shares = (null.marked, null.placed, null.covered, gain.power, gain.block, null.block_marked)
        print(f"| {seeds} | {methods} | {kind} | " + " | ".join(f"{100 * share:.1f}" for share in shares) + " |", flush=True)
    if not arguments.items:
        return
    print("\n| item by item: accuracy % | run sd | seeds | methods | any false mark % | any false place % | coverage % |")
    print("|---|---|---|---|---|---|---|")
    for (accuracy, deviation, methods), seeds, scatter in itertools.product(
        ((0.75, 0.55, 7), (0.975, 0.14, 20), (0.975, 0.3, 20)), (2, 3), (0.0, 1.0)
    ):
        suite = Suite(methods, seeds, deviation, accuracy=accuracy, units=10_000, scatter=scatter)
        found = rates(suite, arguments.items)
        name = f"{100 * accuracy:g}{', methods find other images hard' if scatter else ''}"
        numbers = f"{100 * found.marked:.1f} | {100 * found.placed:.1f} | {100 * found.covered:.1f}"
        print(f"| {name} | {deviation} | {seeds} | {methods} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
