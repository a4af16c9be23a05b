"""timm's optimizers and learning-rate schedules, by name."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from timm.optim import create_optimizer_v2
from timm.scheduler import MultiStepLRScheduler, create_scheduler_v2
from torch import nn
from torch.optim import Optimizer

from kdbench.errors import KdbenchError
from kdbench.suite.schema import Recipe
from kdbench.train.optimizer_state import pack, unpack

CURVES = ("cosine", "poly", "tanh")
"""Schedules that fall from the peak rate over a number of epochs.

The epochs of a warm-up are not among these.
"""

CUDA_ONLY = ("bnb", "fused")
"""Prefixes of timm's optimizers that train nothing on a CPU."""


class Schedule:
    """Sets the learning rate before each step.

    It depends only on the number of steps taken. The schedules are timm's, except in two places. A warm-up
    ends at the peak rate, and the curve takes the epochs that remain: in timm's default it begins below the
    peak, as if it had fallen since the first epoch. And ``multistep`` decays before the first step of a
    milestone's epoch, as PyTorch's ``MultiStepLR`` does: timm's decays one step earlier.

    Args:
        optimizer: the optimizer whose learning rate is set.
        recipe: the recipe, which names the schedule.
        steps_per_epoch: optimizer steps per epoch.

    Raises:
        KdbenchError: the schedule rejects its arguments.
    """

    def __init__(self, optimizer: Optimizer, recipe: Recipe, steps_per_epoch: int) -> None:
        arguments: dict[str, Any] = dict(recipe.schedule_kwargs)
        name = recipe.schedule
        if name == "constant":  # a step that never comes, which every release of timm supports
            name, arguments = "step", {"decay_epochs": recipe.epochs + 1, "decay_rate": 1.0}
        epochs = max(recipe.epochs, 1)
        if name in CURVES and recipe.warmup_epochs and "warmup_prefix" not in arguments:
            arguments["warmup_prefix"] = True
            epochs = max(epochs - recipe.warmup_epochs, 1)
        try:
            self._scheduler, _ = create_scheduler_v2(
                optimizer,
                sched=name,
                num_epochs=epochs,
                warmup_epochs=recipe.warmup_epochs,
                min_lr=recipe.min_lr,
                step_on_epochs=False,
                updates_per_epoch=steps_per_epoch,
                **arguments,
            )
        except (TypeError, ValueError, AssertionError) as error:
            raise KdbenchError(f'schedule "{recipe.schedule}" rejects its arguments: {error}') from error
        if self._scheduler is None:
            raise KdbenchError(f'timm has no schedule "{recipe.schedule}"')
        if isinstance(self._scheduler, MultiStepLRScheduler):  # which compares milestones with the step's number + 1
            self._scheduler.decay_t = [milestone + 1 for milestone in self._scheduler.decay_t]

    def set(self, steps_taken: int) -> None:
        """Set the learning rate for the step that follows ``steps_taken`` steps."""
        self._scheduler.step_update(num_updates=steps_taken)


def make_optimizer(student: nn.Module, method: nn.Module, recipe: Recipe) -> Optimizer:
    """Create a trial's optimizer of the student's and the method's parameters.

    Note that timm's ``sgd`` uses Nesterov momentum; ``momentum`` uses plain momentum.

    Raises:
        KdbenchError: timm does not have the optimizer, or the optimizer rejects its arguments.
    """
    both = nn.ModuleDict({"student": student, "method": method})
    try:
        with _interpreted():
            optimizer: Optimizer = create_optimizer_v2(
                both,
                opt=recipe.optimizer,
                lr=recipe.lr,
                weight_decay=recipe.weight_decay,
                momentum=recipe.momentum,
                filter_bias_and_bn=not recipe.decay_norm_and_bias,
                **recipe.optimizer_kwargs,
            )
    except (TypeError, ValueError, AssertionError, RuntimeError, ImportError) as error:
        raise KdbenchError(f'optimizer "{recipe.optimizer}" cannot be created: {error}') from error
    if getattr(optimizer, "is_second_order", False):
        raise KdbenchError(f'optimizer "{recipe.optimizer}" needs second derivatives, which kdbench does not compute')
    return optimizer


@contextmanager
def _interpreted() -> Iterator[None]:
    """Let optimizers that compile their steps when they are created leave that out.

    Those of timm's ``kron`` take minutes to compile for networks of a few thousand weights, need a C++
    compiler, and have other bits on every machine.
    """
    compiled = torch.compile
    torch.compile = lambda function, *_, **__: function  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.compile = compiled


def check_recipe(recipe: Recipe) -> None:
    """Check a recipe early, by two steps of a tiny network, stored in between.

    Raises:
        KdbenchError: timm rejects a name or an argument, or the optimizer cannot train or be stored.
    """
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the training itself will show them
        network = nn.Sequential(nn.Conv2d(1, 2, 2), nn.Flatten(), nn.Linear(2, 2))
        optimizer = make_optimizer(network, nn.Identity(), recipe)
        Schedule(optimizer, recipe, steps_per_epoch=1).set(0)
        if recipe.optimizer.lower().startswith(CUDA_ONLY):
            return
        try:
            _step(network, optimizer)
            meta, tensors = pack(optimizer.state_dict())
            resumed = make_optimizer(network, nn.Identity(), recipe)
            unpack(resumed, meta, tensors)
            _step(network, resumed)
        except Exception as error:
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise KdbenchError(f'optimizer "{recipe.optimizer}" cannot be used: {reason}') from error


def _step(network: nn.Module, optimizer: Optimizer) -> None:
    """Train a step on one image of 2×2 pixels."""
    optimizer.zero_grad()
    network(torch.ones(1, 1, 2, 2)).square().sum().backward()
    optimizer.step()
