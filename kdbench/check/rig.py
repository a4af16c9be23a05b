"""A method, built for made-up networks, with steps to try it on."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from kdbench.check import fake
from kdbench.check.claim import Broken
from kdbench.errors import MethodError
from kdbench.method import BuildContext, Method, Needs, Outputs, checked_terms, total_of
from kdbench.seeding import named_seed

EPOCHS = 2
STEPS_PER_EPOCH = 2
RATE = 1e-3


class Rig:
    """A method with a student, its teachers and a training set.

    Args:
        cls: the method.
        geometry: shapes of the features.
        classes: number of classes.
        more: teachers beyond those that the method needs.
        seed: of the method's own random numbers; networks and data are the same for all seeds.
    """

    def __init__(
        self, cls: type[Method], geometry: fake.Geometry = fake.COMMON, *, classes: int = 10, more: int = 0, seed: int = 0
    ) -> None:
        self.method = cls()
        self.needs: Needs = self.method.needs
        self.classes = classes
        self.read: set[str] = set()
        count = max(48, 4 * classes)
        generator = torch.Generator().manual_seed(named_seed("check", "data"))
        self.labels = torch.arange(count)[torch.randperm(count, generator=generator)] % classes
        self.inputs = torch.randn((count, *fake.INPUT_SHAPE), generator=generator)
        self.past = torch.randn((count, classes), generator=generator)
        widths = [fake.WIDTH + 8 * (k + 1) for k in range(self.needs.teachers + more)]
        self.student = self._network("student", geometry.student, fake.WIDTH)
        self.teachers = [
            self._network(f"teacher {k}", geometry.teacher, w).eval().requires_grad_(False) for k, w in enumerate(widths)
        ]
        needs = self.needs
        torch.manual_seed(seed)
        self.method.build(
            BuildContext(
                student=fake.shapes(geometry.student, needs.student_features, fake.WIDTH, needs.student_embedding),
                teachers=tuple(
                    fake.shapes(geometry.teacher, needs.teacher_features, w, needs.teacher_embedding) for w in widths
                ),
                num_classes=classes,
                labels=self.labels,
                epochs=EPOCHS,
                steps_per_epoch=STEPS_PER_EPOCH,
                new_student=lambda: fake.FakeNet(geometry.student, fake.WIDTH, classes),
            )
        )
        self.method.train()

    def step(
        self, number: int = 0, size: int = 8, change: Callable[[Tensor, str], Tensor] = lambda t, _: t
    ) -> fake.WatchedStep:
        """One batch.

        Args:
            number: how many steps came before; the second epoch begins after :data:`STEPS_PER_EPOCH`.
            size: samples (anchors, where the sampler gives pairs).
            change: applied to each tensor that the networks gave, with ``"student"`` or ``"teacher"``.
        """
        needs, epoch = self.needs, number // STEPS_PER_EPOCH
        indices = (torch.arange(size) + number * size) % len(self.labels)
        if needs.sampler == "class_pairs":
            indices = torch.cat([indices, fake.pair_up(self.labels, indices)])
        inputs = self.inputs[indices]
        student = self.student.observe(inputs).map(lambda t: change(t, "student"))
        with torch.no_grad():
            teachers = [t.observe(inputs).map(lambda t: change(t, "teacher")) for t in self.teachers]
        past = self.past[indices] if epoch else torch.full_like(self.past[indices], float("nan"))
        extras = {"indices": indices} if needs.indices else {}
        if needs.past_logits:
            extras["past_logits"] = past
        step = fake.WatchedStep(
            student=fake.WatchedOutputs(
                student,
                "student",
                self.read,
                logits=True,
                stages=needs.student_features,
                embedding=needs.student_embedding,
            ),
            teachers=fake.Teachers(self._watch(t) for t in teachers),
            inputs=inputs,
            targets=self.labels[indices],
            epoch=epoch,
            progress=number / (EPOCHS * STEPS_PER_EPOCH),
            extras=extras,
        )
        object.__setattr__(step, "log", self.read)  # the step is frozen for methods, not for us
        return step

    def parameters(self) -> dict[str, Tensor]:
        """Trained parameters of the student and of the method, by name."""
        named = [*self.student.named_parameters(prefix="student"), *self.method.named_parameters(prefix="method")]
        return {n: p for n, p in named if p.requires_grad}

    def terms(self, step: fake.WatchedStep) -> dict[str, Tensor]:
        """``loss(step)``, if it is a non-empty dict of scalars."""
        terms = self.method.loss(step)
        try:
            return checked_terms(terms, self.method.name)
        except MethodError as error:
            raise Broken(str(error)) from error

    def backward(self, step: fake.WatchedStep) -> dict[str, Tensor]:
        """Loss and gradients; parameters without one have ``grad`` ``None``."""
        for p in self.parameters().values():
            p.grad = None
        terms = self.terms(step)
        total = total_of(terms, self.method.name)
        if total.requires_grad:
            total.backward()  # type: ignore[no-untyped-call]
        return {n: v.detach() for n, v in terms.items()}

    def train(self, first: int, last: int) -> list[dict[str, Tensor]]:
        """Take the steps ``first`` … ``last`` − 1 of a plain gradient descent; return the terms of each."""
        history = []
        for number in range(first, last):
            random.seed(number)  # what Python's and numpy's random numbers do to a method is a claim of its own
            np.random.seed(number)
            history.append(self.backward(self.step(number)))
            with torch.no_grad():
                for p in self.parameters().values():
                    if p.grad is not None:
                        p.sub_(RATE * p.grad)
        return history

    def _network(self, name: str, stages: tuple[fake.Shape, ...], width: int) -> fake.FakeNet:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(named_seed("check", name))
            return fake.FakeNet(stages, width, self.classes)

    def _watch(self, outputs: Outputs) -> fake.WatchedOutputs:
        needs = self.needs
        return fake.WatchedOutputs(
            outputs,
            "teacher",
            self.read,
            logits=needs.teacher_logits,
            stages=needs.teacher_features,
            embedding=needs.teacher_embedding,
        )


def bits(tensors: dict[str, Tensor]) -> dict[str, bytes]:
    """Contents of tensors, to be compared bit for bit."""
    return {n: t.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes() for n, t in tensors.items()}
