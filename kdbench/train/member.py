"""One trial in training: its networks, optimiser and random numbers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from kdbench.data.inputs import halves, map_inputs
from kdbench.data.types import Batch
from kdbench.errors import MethodError
from kdbench.method import BuildContext, Method, Needs, Outputs, Step, checked_terms, total_of
from kdbench.method.create import needs_of
from kdbench.method.guard import Call, Guard, described
from kdbench.method.step import concatenated
from kdbench.models import observe
from kdbench.plan.trial import Trial
from kdbench.seeding import named_seed
from kdbench.tasks.metrics import Metric
from kdbench.train.generators import GeneratorState
from kdbench.train.optim import Schedule, make_optimizer
from kdbench.train.presentation import Presentation
from kdbench.train.state import check_state
from kdbench.train.timing import Stopwatch
from kdbench.train.totals import Totals


class NonFiniteLoss(Exception):
    """The loss is NaN or infinite."""


class Member:
    """A trial that is being trained.

    Args:
        trial: the trial.
        method: its method, not built yet.
        student: its student, with initial weights.
        context: the argument of the method's ``build``.
        presentation: preprocessing of the student's inputs.
        metrics: metrics of the training batches.
        device: device that it trains on.
        seed: seed of its random streams; derived from the trial's id by default.
        guard: calls its method and its student.

    Raises:
        MethodError: the method cannot be built for these networks.
    """

    def __init__(
        self,
        trial: Trial,
        method: Method,
        student: nn.Module,
        context: BuildContext,
        presentation: Presentation,
        metrics: Mapping[str, Metric],
        device: torch.device,
        seed: int | None = None,
        guard: Guard | None = None,
    ) -> None:
        self.guard = guard or Guard()
        self.labels = (f'method "{trial.method}"', f'model "{trial.model.model}"')
        self.presentation = presentation
        self._metrics = metrics
        self.trial = trial
        self.method = method
        self.needs: Needs = needs_of(method, self.guard)
        self.device = device
        self.steps_per_epoch = context.steps_per_epoch
        self.random = GeneratorState(named_seed("member", trial.id) if seed is None else seed, device)
        self.student = student
        recipe = trial.recipe
        with self.random, self.calling("build(context)"):
            method.build(context)
        layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
        for module, label in zip((self.student, self.method), reversed(self.labels), strict=True):
            with self.guard.calling(label, "to(device)"):
                module.to(device)
                module.to(memory_format=layout)
        self.observer = observe.Observer(
            self.student, logits=True, features=self.needs.student_features, embedding=self.needs.student_embedding
        )
        with self.calling("its parameters"):
            self.optimizer: Optimizer = make_optimizer(self.student, self.method, recipe)
        self.check_state()
        self.schedule = Schedule(self.optimizer, recipe, context.steps_per_epoch)
        self.past_logits: Tensor | None = None
        self._next_past: Tensor | None = None
        if self.needs.past_logits:
            if context.labels.dim() != 1:
                raise MethodError(f'method "{method.name}" reads past_logits, which are kept only where a sample is one unit')
            self.past_logits = torch.full((context.num_samples, context.num_classes), float("nan"), device=device)
        self.epoch = 0
        self.history: list[dict[str, float]] = []
        self.stopwatch = Stopwatch(device)
        self.totals = Totals()
        self.learning_rate = recipe.lr  # of the first step of the epoch, for the history
        self.check_every = 1 if device.type == "cpu" else 50  # reading a number makes the CPU wait for a GPU

    @property
    def method_parameters(self) -> int:
        """Number of trainable parameters that the method adds."""
        return sum(p.numel() for p in self.method.parameters() if p.requires_grad)

    def deployed(self) -> nn.Module:
        """Return the network that is evaluated, profiled and stored."""
        with self.calling("deploy(student)"):
            network = self.method.deploy(self.student)
        if not isinstance(network, nn.Module):
            raise MethodError(f"{self.labels[0]}: deploy(student) must return an nn.Module, not {described(network)}")
        return network

    def calling(self, what: str, *, passing: tuple[type[Exception], ...] = ()) -> Call:
        """Guard a call of the method, see :meth:`kdbench.method.guard.Guard.calling`."""
        return self.guard.calling(self.labels[0], what, passing=passing)

    def check_state(self) -> None:
        """Raise :class:`MethodError` if the member's state cannot be stored."""
        for module, label in ((self.method, self.labels[0]), (self.student, self.labels[1])):
            with self.guard.calling(label, "state_dict()"):
                check_state(module, label)

    def begin_epoch(self) -> None:
        """Switch to training mode and reset the sums."""
        with self.calling("train()"):
            self.student.train()
            self.method.train()
        self.totals = Totals(self._metrics)
        self._next_past = None if self.past_logits is None else self.past_logits.clone()

    def train_step(self, batch: Batch, teachers: tuple[Outputs, ...], step: int) -> None:
        """Train on one batch: forward pass, loss, backward pass, optimiser step.

        Args:
            batch: the batch in this member's presentation, shared with the other members.
            teachers: outputs of this member's teachers, shared with the other members.
            step: number of the batch in the epoch, from 0.

        Raises:
            NonFiniteLoss: the loss is NaN or infinite.
            MethodError: the method breaks its contract.
        """
        taken = self.epoch * self.steps_per_epoch + step
        with self.random, self.stopwatch.running():
            self.schedule.set(taken)
            if step == 0:
                self.learning_rate = float(self.optimizer.param_groups[0]["lr"])
            self.optimizer.zero_grad(set_to_none=True)
            with self.guard.calling(self.labels[1], "its forward pass"):
                outputs = self.observe(batch)
            with self.calling("loss(step)"):
                terms, total = self.loss(self.step(batch, outputs, teachers, taken))
            self.totals.add(terms, outputs.logits, batch.targets)
            if (step + 1) % self.check_every == 0:
                self.check_finite(total, terms)
            with self.calling("the backward pass"):
                self.update(total)
        if self._next_past is not None:
            self._next_past[batch.indices] = outputs.logits.detach()

    def observe(self, batch: Batch) -> Outputs:
        """Run the student on a batch.

        Anchors and partners of ``class_pairs`` pass one after the other, so that batch norm sees each half
        apart, as in CS-KD's reference code.

        Returns:
            Outputs for the units of the batch, float32.
        """
        parts = halves(batch.inputs) if self.needs.sampler == "class_pairs" else (batch.inputs,)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.trial.recipe.precision == "bf16"):
            outputs = concatenated([self.observer(part) for part in parts]).units(batch.mask)
        return outputs.map(Tensor.float)

    def step(self, batch: Batch, student: Outputs, teachers: tuple[Outputs, ...], taken: int) -> Step:
        """Return what the method sees of a batch after ``taken`` training steps."""
        extras = {"indices": batch.indices} if self.needs.indices else {}
        if self.past_logits is not None:
            extras["past_logits"] = self.past_logits[batch.indices]
        return Step(
            student=student,
            teachers=teachers,
            inputs=map_inputs(lambda t: t, batch.inputs),  # a mapping of its own, where it is one
            targets=batch.targets,
            epoch=self.epoch,
            progress=taken / (self.steps_per_epoch * self.trial.recipe.epochs),
            mask=batch.mask,
            extras=extras,
        )

    def loss(self, step: Step) -> tuple[Mapping[str, Tensor], Tensor]:
        """Return the method's terms and their sum.

        Raises:
            MethodError: the terms are not a non-empty dict of scalar tensors.
        """
        terms = checked_terms(self.method.loss(step), self.method.name)
        return terms, total_of(terms, self.method.name)

    def update(self, total: Tensor) -> None:
        """Run the backward pass and the optimiser step.

        Raises:
            MethodError: the loss depends on nothing that is trained.
        """
        if not total.requires_grad:
            raise MethodError(f'method "{self.method.name}": its loss has no gradient: use step.student, and do not detach it')
        total.backward()  # type: ignore[no-untyped-call]
        if self.trial.recipe.clip_grad is not None:
            parameters = [p for g in self.optimizer.param_groups for p in g["params"]]
            nn.utils.clip_grad_norm_(parameters, self.trial.recipe.clip_grad)
        self.optimizer.step()

    def check_finite(self, total: Tensor, terms: Mapping[str, Tensor]) -> None:
        """Raise :class:`NonFiniteLoss`, which shows all terms, if the loss is not finite."""
        if not bool(torch.isfinite(total)):
            values = ", ".join(f"{name} = {float(value.detach()):g}" for name, value in terms.items())
            raise NonFiniteLoss(f"the loss is not finite in epoch {self.epoch + 1}: {values}")

    def finish_training_epoch(self) -> dict[str, float]:
        """Finish the training part of an epoch, and return its means.

        They are the means of the loss terms and of the metrics of the training batches.

        Raises:
            NonFiniteLoss: a loss was NaN or infinite, and no earlier check found it.
        """
        means = self.totals.means()
        if not torch.isfinite(torch.tensor(means["loss"])):
            raise NonFiniteLoss(f"the loss is not finite in epoch {self.epoch + 1}")
        self.past_logits, self._next_past = self._next_past, None
        return means
