"""A checkpoint holds all that the next epoch depends on, and nothing that executes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from random import Random

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from kdbench import Method, Needs, Step
from kdbench.data.types import Batch
from kdbench.errors import StoreError
from kdbench.method import BuildContext, Shapes
from kdbench.plan.trial import DataKey, Trial
from kdbench.seeding import named_seed
from kdbench.suite.schema import DatasetSpec, ModelSpec, Recipe
from kdbench.tasks.metrics import ACCURACY
from kdbench.train.checkpoint import CheckpointUnreadable, load_checkpoint, save_checkpoint
from kdbench.train.member import Member
from kdbench.train.presentation import Presentation

N, C = 24, 3


class Noisy(Method):
    """A method with an adapter, a buffer, random numbers and a memory of past logits."""

    needs = Needs(past_logits=True, indices=True)

    def build(self, context: BuildContext) -> None:
        self.adapter = nn.Linear(C, C)
        self.register_buffer("bank", torch.zeros(context.num_samples))

    def loss(self, step: Step) -> dict[str, Tensor]:
        self.bank[step.indices] += 1
        past = step.past_logits.nan_to_num(0.0)
        noise = torch.rand(len(step.targets))
        return {
            "ce": nn.functional.cross_entropy(self.adapter(step.student.logits), step.targets),
            "past": ((step.student.logits - past).square().mean(1) * noise).mean(),
        }


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.drop, self.fc = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.3), nn.Linear(16, C)
        self.num_features = 16

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.drop(self.norm(self.conv(x)).relu().flatten(1)))

    def get_classifier(self) -> nn.Module:
        return self.fc


def make_member(optimizer: str = "adamw", **recipe: object) -> Member:
    trial = Trial(
        data=DataKey(spec=DatasetSpec(name="x"), fingerprint="x"),
        model=ModelSpec(model="net"),
        method="noisy",
        recipe=Recipe(epochs=4, batch_size=8, optimizer=optimizer, lr=0.01, **recipe),  # type: ignore[arg-type]
        seed=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(named_seed("init", 0))
        student = Net()
    context = BuildContext(Shapes(), (), C, torch.arange(N) % C, 4, N // 8, Net)
    device = torch.device("cpu")
    presentation = Presentation("as they are", lambda inputs: inputs)
    return Member(trial, Noisy(), student, context, presentation, {"accuracy": ACCURACY}, device)


def train_epoch(member: Member) -> dict[str, float]:
    generator = torch.Generator().manual_seed(member.epoch)
    inputs = torch.randn(N, 1, 4, 4, generator=generator)
    member.begin_epoch()
    for step in range(N // 8):
        rows = torch.arange(step * 8, step * 8 + 8)
        member.train_step(Batch(inputs[rows], rows % C, rows), (), step)
    means = member.finish_training_epoch()
    member.epoch += 1
    return means


def state(member: Member) -> dict[str, Tensor]:
    return {**member.student.state_dict(), **{f"m.{k}": v for k, v in member.method.state_dict().items()}}


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adamw", "adam", "rmsprop", "lamb", "nadam"])
def test_going_on_gives_the_bits_of_never_having_stopped(tmp_path: Path, optimizer: str) -> None:
    whole = make_member(optimizer)
    for _ in range(4):
        last = train_epoch(whole)
    first = make_member(optimizer)
    train_epoch(first)
    train_epoch(first)
    save_checkpoint(first, tmp_path / "c.safetensors", {"seconds": 1.5})
    torch.manual_seed(12345)  # whatever happened in between
    second = make_member(optimizer)
    assert load_checkpoint(second, tmp_path / "c.safetensors") == {"seconds": 1.5}
    assert second.epoch == 2
    train_epoch(second)
    assert train_epoch(second) == last
    mine, theirs = state(second), state(whole)
    assert all(torch.equal(mine[k], theirs[k]) for k in theirs)
    assert torch.equal(second.past_logits, whole.past_logits)  # type: ignore[arg-type]


def test_random_numbers_of_others_do_not_matter() -> None:
    alone, disturbed = make_member(), make_member()
    train_epoch(alone)
    torch.rand(7)
    torch.manual_seed(3)
    train_epoch(disturbed)
    assert all(torch.equal(v, state(alone)[k]) for k, v in state(disturbed).items())


def test_saving_changes_nothing(tmp_path: Path) -> None:
    saved, unsaved = make_member(), make_member()
    for member in (saved, unsaved):
        train_epoch(member)
    save_checkpoint(saved, tmp_path / "c.safetensors", {})
    for member in (saved, unsaved):
        train_epoch(member)
    assert all(torch.equal(v, state(unsaved)[k]) for k, v in state(saved).items())


@pytest.mark.parametrize("damage", ["truncated", "empty", "other trial", "garbage"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "c.safetensors"
    member = make_member()
    train_epoch(member)
    save_checkpoint(member, path, {})
    content = path.read_bytes()
    path.write_bytes({"truncated": content[:-10], "empty": b"", "garbage": b"x" * 100, "other trial": content}[damage])
    other = make_member("sgd" if damage == "other trial" else "adamw")
    with pytest.raises(CheckpointUnreadable):
        load_checkpoint(other, path)


@pytest.mark.parametrize("where", ["anywhere", "in the header"])
def test_no_changed_bit_goes_unnoticed(tmp_path: Path, where: str) -> None:
    """Only the padding of the header says nothing."""
    path, random = tmp_path / "c.safetensors", Random(0)
    member = make_member()
    train_epoch(member)
    save_checkpoint(member, path, {"seconds": 1.5})
    content = path.read_bytes()
    head = 8 + int.from_bytes(content[:8], "little")
    for _ in range(150):
        changed = bytearray(content)
        at = random.randrange(len(content) if where == "anywhere" else head)
        changed[at] ^= 1 << random.randrange(8)
        path.write_bytes(changed)
        if content[at : at + 1] == b" " and not content[at:head].strip():
            continue
        with pytest.raises(CheckpointUnreadable):
            load_checkpoint(make_member(), path)


@pytest.mark.parametrize("key", ["version", "trial", "epoch", "history", "optimizer_groups", "optimizer_numbers", "extra"])
@pytest.mark.parametrize("value", [0, 10**9, None, "x", [], {}])
def test_changed_metadata_are_noticed(tmp_path: Path, key: str, value: object) -> None:
    path = tmp_path / "c.safetensors"
    member = make_member()
    train_epoch(member)
    save_checkpoint(member, path, {"seconds": 1.5})
    with safe_open(path, framework="pt") as file:
        metadata, tensors = file.metadata(), {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    data = json.loads(metadata["kdbench"])
    if data[key] == value:
        return
    save_file(tensors, path, {**metadata, "kdbench": json.dumps({**data, key: value})})
    with pytest.raises(CheckpointUnreadable):
        load_checkpoint(make_member(), path)
    save_file(tensors, path, {"kdbench": metadata["kdbench"]})  # its digest is gone
    with pytest.raises(CheckpointUnreadable):
        load_checkpoint(make_member(), path)


@pytest.mark.parametrize("what", ["folder", "pipe", "nothing"])
def test_what_is_no_file_is_unreadable_and_replaced(tmp_path: Path, what: str) -> None:
    path = tmp_path / "c.safetensors"
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    with pytest.raises(CheckpointUnreadable):
        load_checkpoint(make_member(), path)
    member = make_member()
    train_epoch(member)
    save_checkpoint(member, path, {})
    load_checkpoint(make_member(), path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_folder_that_cannot_be_written_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        save_checkpoint(make_member(), tmp_path / "file" / "c.safetensors", {})
