"""Preprocessed batches, computed once for networks with equal preprocessing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import torch

from kdbench.data.inputs import Inputs
from kdbench.data.types import Batch, TaskData
from kdbench.plan.trial import Trial
from kdbench.seeding import canonical_json
from kdbench.tasks.task import Preprocess, Task


@dataclass(frozen=True)
class Presentation:
    """A network's preprocessing of the stream's batches.

    Args:
        key: the same for networks with the same preprocessing.
        preprocess: the function from the stream's inputs to the network's.
    """

    key: str
    preprocess: Preprocess = field(compare=False, repr=False)

    @classmethod
    def of(cls, trial: Trial, task: Task, data: TaskData, device: torch.device) -> Presentation:
        """Return the presentation of a trial's network, for training and later use."""
        layout = trial.recipe.channels_last
        preprocess = task.preprocess(data, trial.preprocessing, device=device, channels_last=layout)
        return cls(canonical_json([trial.preprocessing, layout]), preprocess)


def present(batch: Batch, wanted: Iterable[Presentation]) -> dict[str, Batch]:
    """Preprocess a batch for every requested presentation; return batches by key."""
    inputs: dict[str, Inputs] = {}
    for presentation in wanted:
        if presentation.key not in inputs:
            inputs[presentation.key] = presentation.preprocess(batch.inputs)
    return {key: replace(batch, inputs=made) for key, made in inputs.items()}
