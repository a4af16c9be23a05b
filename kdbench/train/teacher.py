"""Teachers: one forward pass per batch, shared by all members of a cohort."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from kdbench.data.types import Batch
from kdbench.method import Needs, Outputs, pick_stages
from kdbench.models import observe
from kdbench.train.presentation import Presentation


class Teacher:
    """A trained network that teaches the members of one cohort.

    Args:
        trial: id of the trial that trained it.
        model: the network; set to evaluation mode.
        needs: what each member that it teaches reads.
        num_stages: number of its feature stages.
        presentation: preprocessing of its inputs.
        precision: precision of the forward pass, ``fp32`` or ``bf16``.
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
        """Compute everything that any member needs of a batch, in float32.

        The batch must be in this teacher's presentation. The outputs are ordinary tensors (not inference
        tensors).
        """
        with torch.inference_mode(), torch.autocast(batch.targets.device.type, torch.bfloat16, enabled=self._bf16):
            outputs = self._observe(batch.inputs).units(batch.mask)
        # Inference tensors cannot be saved for the backward pass of a loss; copies made outside the mode are
        # ordinary.
        return outputs.map(lambda t: t.clone().float())

    @property
    def label(self) -> str:
        """What messages call it."""
        return f"the teacher {type(self.model).__name__} (trial {self.trial})"

    def state(self) -> list[Tensor]:
        """Its parameters and buffers, without those that have no bytes to compare."""
        every = (*self.model.parameters(), *self.model.buffers())
        return [t for t in every if t.layout is torch.strided and not t.is_quantized and not t.is_meta]

    def select(self, outputs: Outputs, needs: Needs) -> Outputs:
        """Select the part of ``outputs`` that one member needs."""
        wanted = pick_stages(needs.teacher_features, self._num_stages)
        features: tuple[Tensor, ...] | None = None
        if needs.teacher_features != ():
            features = tuple(outputs.features[self._union.index(i)] for i in wanted)
        return Outputs(
            outputs.logits if needs.teacher_logits else None,
            features,
            outputs.embedding if needs.teacher_embedding else None,
        )
