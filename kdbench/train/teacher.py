"""One pass of each teacher a batch, shared by all members of a cohort."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from kdbench.data.types import Batch
from kdbench.method import Needs, Outputs, pick_stages
from kdbench.models import observe
from kdbench.train.presentation import Presentation


class Teacher:
    """A trained network that teaches the members of one cohort.

    Args:
        trial: id of the trial that it comes from.
        model: the network; put in evaluation mode.
        needs: what each member that it teaches reads.
        num_stages: how many feature stages it has.
        presentation: how it wants its inputs.
        precision: ``fp32`` or ``bf16``, of the forward pass.
    """

    def __init__(
        self,
        trial: str,
        model: nn.Module,
        needs: Iterable[Needs],
        num_stages: int,
        presentation: Presentation,
        precision: str,
    ) -> None:
        needs = list(needs)
        self.presentation = presentation
        self.trial = trial
        self.model = model.eval().requires_grad_(False)
        self._num_stages = num_stages
        self._union = tuple(sorted({i for n in needs for i in pick_stages(n.teacher_features, num_stages)}))
        self._bf16 = precision == "bf16"
        self._observe = observe.Observer(
            self.model,
            logits=any(n.teacher_logits for n in needs),
            features=tuple(i - num_stages for i in self._union),
            embedding=any(n.teacher_embedding for n in needs),
        )

    def __call__(self, batch: Batch) -> Outputs:
        """Outputs for the units of a batch (in this teacher's presentation), in float32, with all that any member needs.

        They are ordinary tensors (not inference tensors).
        """
        with torch.inference_mode(), torch.autocast(batch.targets.device.type, torch.bfloat16, enabled=self._bf16):
            outputs = self._observe(batch.inputs).units(batch.mask)
        # An inference tensor cannot be saved for backward, so a loss could not use it: copies made outside are ordinary.
        return outputs.map(lambda t: t.clone().float())

    def select(self, outputs: Outputs, needs: Needs) -> Outputs:
        """The part of ``outputs`` that one member asked for."""
        wanted = pick_stages(needs.teacher_features, self._num_stages)
        features: tuple[Tensor, ...] | None = None
        if needs.teacher_features != ():
            features = tuple(outputs.features[self._union.index(i)] for i in wanted)
        return Outputs(
            outputs.logits if needs.teacher_logits else None,
            features,
            outputs.embedding if needs.teacher_embedding else None,
        )


def versions(tensors: Sequence[Tensor]) -> tuple[int, ...]:
    """How often each tensor was changed in place."""
    return tuple(t._version for t in tensors)
