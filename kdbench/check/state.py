"""Claims about what a method keeps and touches: shared tensors, random numbers, state, networks."""

from __future__ import annotations

import random
from typing import cast

import numpy as np
import torch
from torch import Tensor

from kdbench.check import fake
from kdbench.check.claim import Broken, claim, told
from kdbench.check.rig import EPOCHS, STEPS_PER_EPOCH, Rig, bits
from kdbench.method import Method

STEPS = EPOCHS * STEPS_PER_EPOCH


@claim
def leaves_shared_tensors_alone(cls: type[Method]) -> None:
    """Teachers' outputs, inputs and targets are as they were, and it keeps none of them."""
    rig = Rig(cls)
    for number in (0, STEPS_PER_EPOCH):
        step = rig.step(number)
        shared = _shared(step)
        before = {n: (t._version, t.clone()) for n, t in shared.items()}
        rig.backward(step)
        for name, tensor in shared.items():
            version, value = before[name]
            if tensor._version != version or not torch.equal(tensor.nan_to_num(), value.nan_to_num()):
                raise Broken(f"it changes the {name} in place, which other methods share: work on a copy")
            if tensor.requires_grad:
                raise Broken(f"it makes the {name} require a gradient")
        addresses = {t.untyped_storage().data_ptr(): n for n, t in shared.items()}
        for name, tensor in rig.method.state_dict(keep_vars=True).items():
            owner = (
                addresses.get(tensor.untyped_storage().data_ptr()) if isinstance(tensor, Tensor) and tensor.numel() else None
            )
            if owner:
                raise Broken(f"its state {name} is the {owner} itself: keep a copy")


@claim
def repeats_itself(cls: type[Method]) -> None:
    """From the same state of torch's generator it gives the same bits."""
    runs = []
    for _ in range(2):
        rig = Rig(cls)
        torch.manual_seed(1)
        history = rig.train(0, STEPS)
        runs.append((history, bits(rig.parameters())))
    (first, weights), (second, again) = runs
    for number, (a, b) in enumerate(zip(first, second, strict=True)):
        if bits(a) != bits(b):
            raise Broken(f"two runs differ in step {number + 1}: take random numbers from torch's global generator only")
    if weights != again:
        raise Broken(
            "two runs have the same losses and other gradients: take random numbers from torch's global generator only"
        )


@claim
def draws_from_torch_only(cls: type[Method]) -> None:
    """It leaves Python's and numpy's random numbers alone, and does not seed torch's."""
    python, numpy = random.getstate(), repr(np.random.get_state())
    ends = []
    for seed in (1, 2):
        rig = Rig(cls, seed=seed)
        ends.append(torch.get_rng_state())
        torch.manual_seed(seed)
        rig.backward(rig.step())
        ends.append(torch.get_rng_state())
    if random.getstate() != python:
        raise Broken("it draws from Python's random, which other methods share: use torch's global generator")
    if repr(np.random.get_state()) != numpy:
        raise Broken("it draws from numpy's random, which other methods share: use torch's global generator")
    if torch.equal(ends[0], ends[2]) or torch.equal(ends[1], ends[3]):
        raise Broken("it seeds torch's generator, so that seeds do not count: leave that to the trainer")


@claim
def goes_on_after_an_interruption(cls: type[Method]) -> str:
    """Saved after any step and loaded into a new instance, it goes on bit for bit: all state is in state_dict()."""
    whole, _, _ = _resumed(cls, STEPS)
    again, _, _ = _resumed(cls, STEPS)
    if whole != again:
        return "not judged: it does not repeat itself"
    for stop in range(1, STEPS):
        run, method, strangers = _resumed(cls, stop)
        if strangers:
            raise Broken(
                f"state_dict() holds {', '.join(strangers)}, which are no tensors and cannot be saved: make them buffers"
            )
        if run != whole:
            number = next((i for i, (a, b) in enumerate(zip(whole, run, strict=True)) if a != b), len(whole)) + 1
            raise Broken(
                f"stopped after step {stop}, {method.name} differs from step {number} on: "
                "keep what it remembers, and what it drew in build, in buffers or parameters"
            )
    return ""


@claim
def owns_no_network_of_others(cls: type[Method]) -> None:
    """It shares no parameter with the student that it trains."""
    rig = Rig(cls)
    rig.backward(rig.step())
    rig.method.deploy(rig.student)
    theirs = {id(p): n for n, p in rig.student.named_parameters()}
    shared = [theirs[id(p)] for p in rig.method.parameters() if id(p) in theirs]
    if shared:
        raise Broken(f"the student's {shared[0]} is among its parameters: do not make the student an attribute of the method")


def _resumed(cls: type[Method], stop: int) -> tuple[list[dict[str, bytes]], Method, list[str]]:
    """Train for ``stop`` steps, go on in a new instance; bits of each step's terms and of the weights at the end."""
    rig = Rig(cls)
    torch.manual_seed(1)
    history = rig.train(0, stop)
    strangers: list[str] = []
    if stop < STEPS:
        old, random_state = rig, torch.get_rng_state()
        state = {n: t.clone() for n, t in old.method.state_dict().items() if isinstance(t, Tensor)}
        strangers = [n for n, t in old.method.state_dict().items() if not isinstance(t, Tensor)]
        rig = Rig(cls, seed=2)  # another seed: nothing that build draws may count after loading
        try:
            rig.method.load_state_dict(state, strict=not strangers)
        except RuntimeError as error:
            raise Broken(f"its state does not load into a new instance: {told(error)}") from error
        rig.student.load_state_dict(old.student.state_dict())
        torch.set_rng_state(random_state)
        history += rig.train(stop, STEPS)
    return [*(bits(h) for h in history), bits(rig.parameters())], rig.method, strangers


def _shared(step: fake.WatchedStep) -> dict[str, Tensor]:
    """What other methods of a cohort share of a step."""
    found: dict[str, Tensor] = {"inputs": cast(Tensor, step.inputs), "targets": step.targets}
    for k, outputs in enumerate(step.teachers):
        found |= {f"outputs of teacher {k + 1} ({i + 1})": t for i, t in enumerate(outputs.tensors())}
    return found | {name.replace("_", " "): tensor for name, tensor in step.extras.items()}
