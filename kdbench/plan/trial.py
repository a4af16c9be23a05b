"""Trial, Entry, Cohort, Plan: what a suite is expanded into."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, StringConstraints

from kdbench.method.needs import Sampler
from kdbench.plan.identity import trial_identity
from kdbench.seeding import digest
from kdbench.suite.schema import LONGEST_NAME, DatasetSpec, Frozen, ModelSpec, Recipe, ReportSpec

Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
"""Id of a trial, a profile or a latency report: 16 hexadecimal digits."""


class DataKey(Frozen):
    """Identity of the data of a trial, independent of where they are stored.

    Args:
        spec: the data set as the suite describes it, without ``options`` (paths differ between machines).
        fingerprint: digest of the content of all splits.
    """

    spec: DatasetSpec
    fingerprint: str


class Trial(Frozen):
    """One network trained once.

    Args:
        task: name of the task.
        data: the data that it learns from.
        model: the architecture and its initial weights.
        weights_digest: SHA-256 of the weights file, if ``model.weights`` names one.
        preprocessing: preprocessing of its inputs, as the task describes it; ``None`` for that of the data.
        method: name of the method.
        params: all hyper-parameters of the method, defaults included, as JSON.
        teachers: ids of the trials that its teachers come from, in order.
        recipe: how it is trained.
        seed: the seed.
    """

    model_config = ConfigDict(str_max_length=LONGEST_NAME)

    task: str = "classification"
    data: DataKey
    model: ModelSpec
    weights_digest: str | None = None
    preprocessing: dict[str, Any] | None = None
    method: str
    params: dict[str, Any] = {}
    teachers: tuple[Id, ...] = ()
    recipe: Recipe
    seed: int

    @cached_property
    def id(self) -> str:
        """Digest of what identifies the trial, 16 hexadecimal digits.

        See :mod:`kdbench.plan.identity` for what counts.
        """
        return digest(trial_identity(self))


Role = Literal["student", "teacher", "assistant", "generation", "draw", "default"]


class Entry(Frozen):
    """Why a trial is in the suite; one trial may have several reasons.

    Args:
        pair: name of the pair.
        label: name of the row in reports: the name of a method entry, or of a teacher's network.
        method: the method's name.
        family: the method's family.
        grid_point: the parameters that the entry's grid, or tuning, varies, with the values of this trial;
            empty for a method's own values.
        role: what the trial is for; only ``student`` entries are compared. A ``draw`` is one of tuning, in
            the order of drawing; ``default`` is a tuned method with its own values.
        seed: the seed of the row.
        trial: the trial's id.
        teachers: ids of the trials whose networks taught its student.
    """

    model_config = ConfigDict(str_max_length=LONGEST_NAME)

    pair: str
    label: str
    method: str
    family: str
    grid_point: dict[str, Any] = {}
    role: Role
    seed: int
    trial: Id
    teachers: tuple[Id, ...] = ()

    @property
    def title(self) -> str:
        """Label, grid point, and whether it is a draw: ``kd draw[alpha=0.5]``."""
        point = ",".join(f"{k}={v}" for k, v in self.grid_point.items())
        return self.label + (" draw" if self.role == "draw" else "") + (f"[{point}]" if point else "")


class Cohort(Frozen):
    """Trials trained in lock-step on one batch stream.

    Args:
        trials: ids of the members.
        teachers: ids of the trials whose networks teach here; each network runs once per batch.
        sampler: how batches are drawn.
    """

    trials: tuple[Id, ...]
    teachers: tuple[Id, ...]
    sampler: Sampler


class MetricInfo(Frozen):
    """How reports show a metric.

    Args:
        label: its heading, for example ``"accuracy"``.
        higher_is_better: whether a higher value is better.
        percent: whether it is a share in [0, 1], shown as a percentage.
    """

    label: str
    higher_is_better: bool = True
    percent: bool = True


class TaskInfo(Frozen):
    """Description of a task for reports.

    It lets a report be rendered where the task's plugin is not installed.

    Args:
        name: name of the task.
        unit: what one prediction is about, in the singular: ``"image"``, ``"sentence"``, ``"token"``.
        metrics: metrics that are computed on every split, by name.
        primary: the metric that methods are compared by.
    """

    name: str = "classification"
    unit: str = "image"
    metrics: dict[str, MetricInfo] = {"accuracy": MetricInfo(label="accuracy")}
    primary: str = "accuracy"


class TuningInfo(Frozen):
    """How the methods of a plan were tuned, for reports.

    Args:
        draws: draws of each method and pair.
        epochs: epochs of a draw, as a share of the recipe's.
        seed: seed of the draws.
        default: whether methods were also trained with their own values and all seeds.
        spaces: ranges as text, by name, label and pair.
    """

    draws: int
    epochs: float
    seed: int
    default: bool = True
    spaces: dict[str, dict[str, dict[str, str]]] = {}


class Plan(Frozen):
    """Everything that a suite requests, in an order that can be run.

    Args:
        version: version of this format.
        suite: the suite's name.
        trials: id → trial, teachers before their students.
        entries: the rows of the report.
        cohorts: in order of execution.
        report: the suite's settings of its leaderboard.
        task: description of the task for reports; plans of version 1 are for image classification.
        tuning: how methods were tuned; ``None`` if they were not.
    """

    version: Literal[2] = 2
    suite: str
    title: str | None = None
    description: str | None = None
    report: ReportSpec = ReportSpec()
    task: TaskInfo = TaskInfo()
    tuning: TuningInfo | None = None
    trials: dict[Id, Trial]
    entries: tuple[Entry, ...]
    cohorts: tuple[Cohort, ...]

    def names(self) -> dict[str, str]:
        """Return readable names of trials, by id.

        A name is the label and grid point of the first row that the trial is in, or else its method.
        Trials of one seed that would have the same name also get the name of their network, or that of
        their pair if the networks are the same.
        """
        found: dict[str, str] = {i: trial.method for i, trial in self.trials.items()}
        rows: dict[str, Entry] = {}
        for entry in self.entries:
            rows.setdefault(entry.trial, entry)
        alike: dict[tuple[str, int], list[Entry]] = {}
        for row in rows.values():
            alike.setdefault((row.title, row.seed), []).append(row)
        for group in alike.values():
            networks = [self.trials[row.trial].model.model for row in group]
            further = networks if len(set(networks)) == len(group) else [row.pair for row in group]
            for row, more in zip(group, further, strict=True):
                label = row.label + (f" · {more}" if len(group) > 1 else "")
                found[row.trial] = row.model_copy(update={"label": label}).title
        return found
