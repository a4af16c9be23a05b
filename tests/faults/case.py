"""What a case of fault injection is, and how cases are run and counted."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 1.0
"""Factor of every limit of time: tests run beside others, on machines that may be slow, and measure nothing."""


@dataclass(frozen=True)
class Case:
    """One fault.

    Args:
        kind: what is done, in a few words; cases of one kind differ by chance only.
        inject: does it in an empty folder, and returns what went wrong, in a few words; empty if it was handled well.
        seconds: it must take at most this long.
    """

    kind: str
    inject: Callable[[Path], str]
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """What came of a case.

    Args:
        kind: the case's kind.
        problem: what went wrong; empty if nothing did.
        seconds: how long it took.
    """

    kind: str
    problem: str
    seconds: float


def run(cases: Iterable[Case]) -> Iterator[Outcome]:
    """Run cases, each in a folder of its own that is deleted afterwards."""
    for case in cases:
        folder = Path(tempfile.mkdtemp(prefix="kdbench-fault-"))
        begin = time.perf_counter()
        try:
            problem = case.inject(folder)
        except Exception as error:  # the harness itself failed, which must not look like success
            problem = f"the harness failed: {type(error).__name__}: {error}"
        finally:
            seconds = time.perf_counter() - begin
            shutil.rmtree(folder, ignore_errors=True)
        if not problem and seconds > PATIENCE * case.seconds:
            problem = f"took {seconds:.1f} s"
        yield Outcome(case.kind, problem, seconds)


def summary(outcomes: Iterable[Outcome]) -> tuple[Counter[str], dict[str, list[str]]]:
    """Number of cases, and problems, by kind."""
    count: Counter[str] = Counter()
    problems: dict[str, list[str]] = {}
    for outcome in outcomes:
        count[outcome.kind] += 1
        if outcome.problem:
            problems.setdefault(outcome.kind, []).append(outcome.problem)
    return count, problems
