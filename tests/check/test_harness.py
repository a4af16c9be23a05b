"""The harness trains with the real trainer: what it logs changes nothing, and the pieces of a step make up the step."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kdbench import Method, MethodError, Needs, Step
from kdbench.check.harness import EPOCHS, STEPS_PER_EPOCH, Harness
from kdbench.check.networks import COMMON, OTHERS, TOKENS, Geometry
from kdbench.data.types import PADDING
from kdbench.models import observe
from kdbench.train.member import Member
from tests.check.broken import BROKEN, SoundKD


class Reader(Method):
    """Reads all there is, and draws."""

    needs = Needs(
        teachers=1,
        teacher_features="all",
        student_features="all",
        teacher_embedding=True,
        student_embedding=True,
        indices=True,
        past_logits=True,
        sampler="class_pairs",
    )

    def loss(self, step: Step) -> dict[str, Tensor]:
        student, teacher = step.student, step.teacher
        features = torch.stack([f.mean() for f in (*student.features, *teacher.features)]).sum()
        embedding = student.embedding.mean() - teacher.embedding.mean()
        past = (student.logits - step.past_logits.nan_to_num()).square().mean()
        noise = torch.rand(()) * (step.indices.float().mean() + teacher.logits.mean())
        return {"ce": F.cross_entropy(student.logits, step.targets), "rest": 0.01 * (features + embedding + past + noise)}


def weights(member: Member) -> list[Tensor]:
    return [p.detach() for p in (*member.student.parameters(), *member.method.parameters())]


def test_logging_changes_no_bits() -> None:
    logged, plain = Harness(Reader), Harness(Reader, member=Member)  # type: ignore[arg-type]
    assert type(plain.member) is Member
    before = [w.clone() for w in weights(plain.member)]
    for harness in (logged, plain):
        harness.train()
    assert all(torch.equal(a, b) for a, b in zip(weights(logged.member), weights(plain.member), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(weights(plain.member), before, strict=True))
    assert len(logged.member.log) == EPOCHS * STEPS_PER_EPOCH
    assert logged.member.read == {
        *("student_logits", "student_features", "student_embedding", "indices", "past_logits"),
        *("teacher_logits", "teacher_features", "teacher_embedding"),
    }


def test_the_pieces_of_a_step_make_up_the_step() -> None:
    whole, pieces = Harness(SoundKD, member=Member).member, Harness(SoundKD, member=Member)  # type: ignore[arg-type]
    batch = next(pieces.stream.epoch(0))
    teachers = tuple(t.select(t(batch), pieces.member.needs) for t in pieces.teachers.values())
    whole.begin_epoch()
    whole.train_step(batch, teachers, 0)
    member = pieces.member
    member.begin_epoch()
    with member.random:
        member.schedule.set(0)
        terms, total = member.loss(member.step(batch, member.observe(batch), teachers, taken=0))
        member.update(total)
    assert set(terms) == {"ce", "kd"}
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(member), strict=True))


def test_a_loss_without_a_gradient_is_a_methods_error() -> None:
    (detached, _) = BROKEN["gradient_reaches_the_student"]
    with pytest.raises(MethodError, match="its loss has no gradient: use step.student"):
        Harness(detached, member=Member).train()  # type: ignore[arg-type]


@pytest.mark.parametrize("geometry", [COMMON, *OTHERS], ids=lambda g: g.name)
def test_networks_have_the_shapes_that_they_are_made_for(geometry: Geometry) -> None:
    harness = Harness(SoundKD, geometry)
    shapes = observe.shapes(harness.member.student, torch.zeros(1, 3, 8, 8), features="all", embedding=True)
    assert shapes.features == geometry.student
    (teacher,) = harness.teachers.values()
    assert observe.shapes(teacher.model, torch.zeros(1, 3, 8, 8), features="all").features == geometry.teacher


def test_tokens_have_units_and_padding() -> None:
    harness = Harness(SoundKD, TOKENS)
    batch = next(harness.stream.epoch(0))
    assert batch.mask is not None
    assert batch.mask.shape == (10, 6)
    assert 0 < len(batch.targets) == int(batch.mask.sum()) < 60
    assert PADDING not in batch.targets
    assert harness.member.observe(batch).logits.shape == (len(batch.targets), 10)
