"""One member: which rate its history gives, and what batch norm sees."""

from __future__ import annotations

import copy
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from kdbench.data.types import Batch
from kdbench.method import Needs
from tests.support import small
from tests.train.test_checkpoint import C, make_member


def test_the_history_gives_the_rate_of_an_epochs_first_step(tmp_path: Path) -> None:
    schedule = {"schedule": "multistep", "schedule_kwargs": {"decay_milestones": [2], "decay_rate": 0.1}}
    recipe = {"epochs": 3, "batch_size": 32, "lr": 0.5, "optimizer": "momentum", **schedule}
    suite = small.write_suite(tmp_path, methods=["supervised"], recipe=recipe)
    small.run(suite, tmp_path / "runs")
    histories = list((tmp_path / "runs" / "trials").glob("*/history.csv"))
    assert histories
    for history in histories:
        assert pd.read_csv(history)["lr"].tolist() == [0.5, 0.5, 0.05]


def test_batch_norm_sees_anchors_and_partners_apart() -> None:
    member = make_member()
    member.student.train()
    member.student.drop = nn.Identity()  # which leaves batch norm as the only thing that depends on the batch
    alone = copy.deepcopy(member.student)
    member.needs = Needs(sampler="class_pairs")
    inputs = torch.randn(8, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    inputs[4:] += 3.0  # partners of another kind would shift the statistics of the anchors
    logits = member.observe(Batch(inputs, torch.arange(8) % C, torch.arange(8))).logits
    assert torch.equal(logits[:4], alone(inputs[:4]))
    assert torch.equal(logits[4:], alone(inputs[4:]))
    for (name, mine), theirs in zip(member.student.named_buffers(), alone.buffers(), strict=True):
        assert torch.equal(mine, theirs), name
