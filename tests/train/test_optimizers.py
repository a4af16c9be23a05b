"""Optimisers of timm train, are stored and go on with the same bits; what cannot be used is known beforehand.

``benchmarks/sweep_optimizers.py`` does the same with all of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kdbench.errors import KdbenchError
from kdbench.suite.resolve import SCHEDULES
from kdbench.suite.schema import Recipe
from kdbench.train.checkpoint import load_checkpoint, save_checkpoint
from kdbench.train.member import Member
from kdbench.train.optim import check_recipe
from kdbench.train.optimizer_state import pack
from tests.train.test_checkpoint import make_member, train_epoch

SPECIAL = (
    "adafactor",  # factors of its second moments
    "adafactorbv",  # a dtype among its settings
    "kron",  # lists of tensors, and a Python generator
    "kronw",
    "adopt",
    "adamuon",
    "lamb",
    "larc",
    "madgrad",
    "mars",
    "muon",
    "nadamw",
    "novograd",
)
"""Optimisers whose states differ in kind."""


def weights(member: Member) -> list[torch.Tensor]:
    return list(member.student.state_dict().values())


@pytest.mark.parametrize("optimizer", SPECIAL)
def test_a_resumed_trial_has_the_same_bits(optimizer: str, tmp_path: Path) -> None:
    member = make_member(optimizer)
    train_epoch(member)
    save_checkpoint(member, tmp_path / "c.safetensors", {})
    train_epoch(member)
    resumed = make_member(optimizer)
    load_checkpoint(resumed, tmp_path / "c.safetensors")
    train_epoch(resumed)
    assert all(map(torch.equal, weights(member), weights(resumed)))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warmup", [0, 1])
def test_every_schedule_resumes_at_its_rate(schedule: str, warmup: int, tmp_path: Path) -> None:
    kwargs = {
        "multistep": {"decay_milestones": [2, 3], "decay_rate": 0.1},
        "step": {"decay_epochs": 1, "decay_rate": 0.5},
    }
    recipe = {"schedule": schedule, "warmup_epochs": warmup, "schedule_kwargs": kwargs.get(schedule, {})}
    member = make_member("sgd", **recipe)
    check_recipe(member.trial.recipe)
    train_epoch(member)
    save_checkpoint(member, tmp_path / "c.safetensors", {})
    resumed = make_member("sgd", **recipe)
    load_checkpoint(resumed, tmp_path / "c.safetensors")
    for one in (member, resumed):
        train_epoch(one)
    assert member.learning_rate == resumed.learning_rate
    assert all(map(torch.equal, weights(member), weights(resumed)))


def test_an_optimizer_that_cannot_train_is_refused_before_anything_does() -> None:
    with pytest.raises(KdbenchError, match='"adahessian" needs second derivatives'):
        check_recipe(Recipe(optimizer="adahessian"))


def test_nothing_is_compiled_for_an_optimizer(monkeypatch: pytest.MonkeyPatch) -> None:
    given = torch.compile
    monkeypatch.setattr(torch, "_dynamo", None)  # would raise where something is compiled
    check_recipe(Recipe(optimizer="kron"))
    assert torch.compile is given


def test_a_state_that_cannot_be_stored_is_named() -> None:
    with pytest.raises(TypeError, match="a set, which cannot be stored"):
        pack({"state": {0: {"seen": {1}}}, "param_groups": []})
