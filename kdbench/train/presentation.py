"""A batch as one network takes it: made once for all networks that want the same."""

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
    """How a network wants its inputs.

    Args:
        key: the same for networks that want the same.
        preprocess: makes them from what the stream gives.
    """

    key: str
    preprocess: Preprocess = field(compare=False, repr=False)

    @classmethod
    def of(cls, trial: Trial, task: Task, data: TaskData, device: torch.device) -> Presentation:
        """The presentation that a trial's network is trained with, and always used with afterwards."""
        layout = trial.recipe.channels_last
        preprocess = task.preprocess(data, trial.preprocessing, device=device, channels_last=layout)
        return cls(canonical_json([trial.preprocessing, layout]), preprocess)


def present(batch: Batch, wanted: Iterable[Presentation]) -> dict[str, Batch]:
    """The batch in every presentation that is wanted, by key."""
    inputs: dict[str, Inputs] = {}
    for presentation in wanted:
        if presentation.key not in inputs:
            inputs[presentation.key] = presentation.preprocess(batch.inputs)
    return {key: replace(batch, inputs=made) for key, made in inputs.items()}
