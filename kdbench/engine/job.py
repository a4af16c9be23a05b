"""A job: one cohort as JSON, with everything that a worker needs to train it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from kdbench.plan.trial import Cohort, Plan, Trial
from kdbench.suite.schema import DatasetSpec, Frozen


class Job(Frozen):
    """One cohort to be trained.

    Args:
        version: version of this format.
        suite: name of the suite, for provenance.
        trials: the cohort's trials and all their direct and indirect teachers, by id.
        cohort: the cohort to be trained; members that have a finished record are skipped.
        dataset: the data, with the options that say where they are.
        data_root: the data root.
        data_file: file of the data that :func:`kdbench.engine.resources.save_data` wrote; without it they are
            read from ``data_root``.
        runs: the runs folder that records and checkpoints go to.
        plugins: plugin files.
        objects: plugins that are objects, as text from :func:`kdbench.plugins.carry.pack`; an executor sets
            it for workers that it starts itself, and only these unpickle it.
        device: device that networks train on: ``cpu``, ``cuda``, ``cuda:1``.
        threads: number of torch's CPU threads; ``None`` leaves the worker's number unchanged.
        command: the command line, for provenance.
        started: when the run began, ISO 8601, for provenance.
        suspects: those of the cohort's trials whose code ended processes in an earlier run.
    """

    version: Literal[1] = 1
    suite: str
    trials: dict[str, Trial]
    cohort: Cohort
    dataset: DatasetSpec
    data_root: Path
    data_file: Path | None = None
    runs: Path
    plugins: tuple[Path, ...] = ()
    objects: str = ""
    device: str = "cpu"
    threads: int | None = None
    command: str = ""
    started: str = ""
    suspects: tuple[str, ...] = ()

    @property
    def members(self) -> list[Trial]:
        """The cohort's trials."""
        return [self.trials[t] for t in self.cohort.trials]


def part_of(cohort: Cohort, trials: Sequence[str], plan: Plan | Job) -> Cohort:
    """Create a part of a cohort, with only the teachers of its members.

    Trained separately, they get the same bits.
    """
    teachers = dict.fromkeys(t for i in trials for t in plan.trials[i].teachers)
    return cohort.model_copy(update={"trials": tuple(trials), "teachers": tuple(teachers)})


def lineage(trials: Sequence[str], known: Mapping[str, Trial]) -> dict[str, Trial]:
    """Collect trials and all their direct and indirect teachers, teachers first."""
    found: dict[str, Trial] = {}
    for name in trials:
        found.update(lineage(known[name].teachers, known))
        found[name] = known[name]
    return found
