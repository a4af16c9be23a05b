"""Cohorts: trials that share their batch stream are trained in lock-step."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from kdbench.method import Needs, create
from kdbench.plan import identity
from kdbench.plan.trial import Cohort, Trial
from kdbench.plugins.manager import Registry
from kdbench.seeding import canonical_json


def needs_of(method: str, params: Mapping[str, Any], registry: Registry) -> Needs:
    """Return what a method with these parameters reads."""
    return create.needs_of(create.new_method(registry.methods[method], params))


def _needs(trials: Mapping[str, Trial], registry: Registry) -> dict[str, Needs]:
    """Return what the methods of trials read, asking each set of parameters once."""
    known: dict[str, Needs] = {}
    found: dict[str, Needs] = {}
    for i, trial in trials.items():
        key = f"{trial.method} {trial.params!r}"
        if key not in known:
            known[key] = needs_of(trial.method, trial.params, registry)
        found[i] = known[key]
    return found


def _streams(trials: Mapping[str, Trial], needs: Mapping[str, Needs]) -> dict[str, str]:
    """Return what decides the batches and the precision of the teachers' pass."""
    known: dict[tuple[Any, ...], str] = {}  # by identity: the trials of a plan share these objects
    found: dict[str, str] = {}
    for i, trial in trials.items():
        sampler = needs[i].sampler
        key = (trial.task, id(trial.data), id(trial.recipe), trial.seed, sampler)
        if key not in known:
            recipe = trial.recipe
            data, side = identity.canonical(trial.data), identity.data_side(recipe)
            stream = [trial.task, data, trial.seed, side, recipe.epochs, sampler, recipe.precision, recipe.channels_last]
            known[key] = canonical_json(stream)
        found[i] = known[key]
    return found


def group(trials: Mapping[str, Trial], registry: Registry, max_members: int) -> tuple[Cohort, ...]:
    """Group trials that share their batch stream and do not wait for each other."""
    needs = _needs(trials, registry)
    streams = _streams(trials, needs)
    level: dict[str, int] = {}
    for i, trial in trials.items():  # teachers come first
        level[i] = 1 + max((level[t] for t in trial.teachers), default=-1)
    lowest: dict[str, int] = {}  # of those that are taught, by stream
    for i, trial in trials.items():
        if trial.teachers:
            lowest[streams[i]] = min(level[i], lowest.get(streams[i], level[i]))
    teaching = {t for trial in trials.values() for t in trial.teachers}
    for i, trial in trials.items():
        if not trial.teachers and i not in teaching:
            # No trial waits for it, so it can train beside those that have teachers.
            level[i] = lowest.get(streams[i], 0)
    groups: dict[tuple[int, str], list[str]] = {}
    for i in trials:
        groups.setdefault((level[i], streams[i]), []).append(i)
    ordered = sorted(groups.items(), key=lambda item: item[0][0])  # stable: first appearance decides within a level
    return tuple(_cohort(part, trials, needs[part[0]]) for _, members in ordered for part in _split(members, max_members))


def _split(members: list[str], most: int) -> list[list[str]]:
    parts = -(-len(members) // most)
    size, rest = divmod(len(members), parts)
    cuts = [0, *itertools.accumulate(size + (n < rest) for n in range(parts))]
    return [members[a:b] for a, b in itertools.pairwise(cuts)]


def _cohort(members: Sequence[str], trials: Mapping[str, Trial], needs: Needs) -> Cohort:
    teachers = dict.fromkeys(t for i in members for t in trials[i].teachers)
    return Cohort(trials=tuple(members), teachers=tuple(teachers), sampler=needs.sampler)


def one_by_one(trials: Mapping[str, Trial], registry: Registry) -> tuple[Cohort, ...]:
    """Return a cohort for each trial."""
    needs = _needs(trials, registry)
    return tuple(_cohort([i], trials, needs[i]) for i in trials)
