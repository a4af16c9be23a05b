"""The size of a suite, counted before anything is built."""

from __future__ import annotations

import math
from collections.abc import Callable

from kdbench.errors import Location, SuiteError, cut
from kdbench.suite.schema import MethodEntry, Network, Pair, Suite

MAX_TRIALS = 25_000
"""Maximum number of trials, planned within seconds and a gigabyte."""

MAX_CHAIN = 50
"""Maximum number of networks that teach one another in a row."""


def check_size(suite: Suite, indices: Callable[[MethodEntry], int], at: Callable[..., Location]) -> None:
    """Check that a suite asks for a number of trials that can be planned.

    Args:
        suite: the suite.
        indices: returns the index of a method entry as it was written.
        at: returns the location of a path of keys.

    Raises:
        SuiteError: there are too many; the location is that of whatever multiplies them most.
    """
    seeds, pairs = len(suite.seeds), len(suite.pairs)
    tuning = suite.tuning
    runs = seeds if tuning is None else seeds * (1 + tuning.default) + tuning.draws
    rows = {id(entry): _each(entry) * runs * (len(entry.pairs) or pairs) for entry in suite.methods}
    networks = len(suite.networks) + sum(map(_written_out, suite.pairs))
    total = sum(rows.values()) + networks * seeds
    if total <= MAX_TRIALS:
        return
    most = max(suite.methods, key=lambda entry: rows[id(entry)])
    each, on = _each(most), len(most.pairs) or pairs
    repeated = ("seeds",) if tuning is None or tuning.draws <= seeds else ("tuning", "draws")
    factors = [(each, ("methods", indices(most), _multiplier(most))), (runs, repeated), (on, ("pairs",))]
    _, path = max(factors, key=lambda factor: factor[0])
    raise SuiteError(
        f'the suite asks for {total:,} trials, and {MAX_TRIALS:,} is the most that can be planned; "{cut(most.name or most.method)}" '
        f"alone takes {each:,} × {runs:,} {'seeds' if tuning is None else 'draws and seeds'} × {on:,} pairs",
        at(*path),
    )


def _each(entry: MethodEntry) -> int:
    """Count the trials of an entry for each pair and seed."""
    points = math.prod(map(len, entry.grid.values()))
    return points * (entry.generations or 1 + len(entry.assistants))


def _multiplier(entry: MethodEntry) -> str:
    """Return the key of an entry that multiplies its trials most."""
    points = math.prod(map(len, entry.grid.values()))
    return "grid" if points >= (entry.generations or 1) else "generations"


def _written_out(pair: Pair) -> int:
    return sum(isinstance(reference, Network) for reference in (pair.teacher, *pair.teachers))


def check_chains(suite: Suite, at: Callable[..., Location]) -> None:
    """Check that teachers of teachers form no cycle, and no chain that is too long.

    Args:
        suite: a suite whose networks name existing teachers.
        at: returns the location of a path of keys.

    Raises:
        SuiteError: they do.
    """
    heights: dict[str, int] = {}

    def height(name: str, chain: tuple[str, ...]) -> int:
        if name in chain:
            cycle = " ← ".join(map(cut, [*chain[chain.index(name) :], name]))
            raise SuiteError(f"a cycle among teachers: {cycle}", at("networks", chain[-1], "teachers"))
        if name not in heights:
            if len(chain) >= MAX_CHAIN:
                raise SuiteError(f"more than {MAX_CHAIN} networks teach one another in a row", at("networks", name, "teachers"))
            heights[name] = 1 + max((height(t, (*chain, name)) for t in suite.networks[name].teachers), default=0)
        if len(chain) + heights[name] > MAX_CHAIN:
            raise SuiteError(f"more than {MAX_CHAIN} networks teach one another in a row", at("networks", name, "teachers"))
        return heights[name]

    for name in suite.networks:
        height(name, ())
