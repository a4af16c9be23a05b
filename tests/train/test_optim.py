"""Learning rates against their formulas, and against PyTorch's own schedulers."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest
import torch
from torch import nn

from kdbench.suite.schema import Recipe
from kdbench.train.optim import Schedule, make_optimizer

STEPS = 4


def rates(epochs: int, **recipe: Any) -> list[float]:
    made = Recipe.model_validate({"epochs": epochs, "optimizer": "momentum", "lr": 0.8, **recipe})
    optimizer = make_optimizer(nn.Linear(2, 1), nn.Identity(), made)
    schedule = Schedule(optimizer, made, STEPS)
    found = []
    for step in range(epochs * STEPS):
        schedule.set(step)
        found.append(optimizer.param_groups[0]["lr"])
    return found


def torchs(epochs: int, make: Any) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.8)
    scheduler = make(optimizer)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no optimizer step comes before the scheduler's
        for _ in range(epochs * STEPS):
            found.append(optimizer.param_groups[0]["lr"])
            scheduler.step()
    return found


def test_multistep_decays_with_the_first_step_of_a_milestone_as_pytorchs_does() -> None:
    found = rates(6, schedule="multistep", schedule_kwargs={"decay_milestones": [2, 4], "decay_rate": 0.1})
    assert found == pytest.approx([0.8] * 8 + [0.08] * 8 + [0.008] * 8)
    assert found == pytest.approx(
        torchs(6, lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [2 * STEPS, 4 * STEPS], gamma=0.1))
    )


def test_multistep_with_a_warm_up_counts_its_milestones_from_the_first_epoch() -> None:
    kwargs = {"decay_milestones": [3], "decay_rate": 0.5, "warmup_lr": 0.0}
    found = rates(4, schedule="multistep", warmup_epochs=2, schedule_kwargs=kwargs)
    assert found == pytest.approx([0.8 * k / 8 for k in range(8)] + [0.8] * 4 + [0.4] * 4)


def test_cosine_is_pytorchs() -> None:
    found = rates(5, schedule="cosine")
    assert found == pytest.approx(torchs(5, lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 5 * STEPS)))


@pytest.mark.parametrize("schedule", ["cosine", "poly", "tanh"])
def test_a_warm_up_ends_at_the_peak_rate(schedule: str) -> None:
    found = rates(6, schedule=schedule, warmup_epochs=2)
    assert max(found) == found[2 * STEPS] == pytest.approx(0.8, rel=0.01)
    assert found[: 2 * STEPS] == sorted(found[: 2 * STEPS])
    assert found[2 * STEPS :] == sorted(found[2 * STEPS :], reverse=True)


def test_cosine_after_a_warm_up_takes_the_epochs_that_remain() -> None:
    found = rates(6, schedule="cosine", warmup_epochs=2)
    fall = [0.4 * (1 + math.cos(math.pi * k / (4 * STEPS))) for k in range(4 * STEPS)]
    assert found[2 * STEPS :] == pytest.approx(fall)


def test_a_warm_up_may_last_as_long_as_the_training() -> None:
    assert rates(2, schedule="cosine", warmup_epochs=2) == sorted(rates(2, schedule="cosine", warmup_epochs=2))


def test_what_a_suite_says_of_the_prefix_holds() -> None:
    found = rates(6, schedule="cosine", warmup_epochs=2, schedule_kwargs={"warmup_prefix": False})
    assert max(found) == pytest.approx(0.8 * 7 / 8, rel=0.01)  # timm's default never reaches the peak
