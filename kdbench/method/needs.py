"""Declaration of what a method reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from kdbench.method.stages import Stages

UnitInterval = Annotated[float, Field(ge=0.0, le=1.0)]
"""A number in [0, 1]."""

Sampler = Literal["shuffle", "class_pairs"]
"""How training batches are drawn.

``shuffle`` draws an ordinary epoch without replacement. ``class_pairs`` appends N partners to the N
anchors of each batch, each partner from its anchor's class, so that batches have 2N samples.
"""


@dataclass(frozen=True)
class Needs:
    """What a method reads.

    Outputs that are not requested here are not computed, and reading them raises :class:`MethodError`.

    Args:
        teachers: number of teachers. If a pair lists more, the method gets the first ones.
        more_teachers: whether it takes every teacher that the pair lists; ``teachers`` is then the minimum.
        teacher_logits: whether teachers' logits are read; without them a teacher runs only as deep as its
            features need.
        teacher_features: stages read from each teacher.
        student_features: stages read from the student.
        teacher_embedding: whether teachers' embeddings (the classifier's input, N×D, see
            ``Outputs.embedding``) are read.
        student_embedding: whether the student's embedding is read.
        indices: whether ``step.indices`` (positions in the training set) are read.
        past_logits: whether ``step.past_logits``, the student's own logits of the previous epoch, are read.
        sampler: how batches are drawn; methods with different samplers never share a cohort.
    """

    teachers: int = 0
    more_teachers: bool = False
    teacher_logits: bool = True
    teacher_features: Stages = ()
    student_features: Stages = ()
    teacher_embedding: bool = False
    student_embedding: bool = False
    indices: bool = False
    past_logits: bool = False
    sampler: Sampler = "shuffle"
