"""Checkpoints of members: safetensors and JSON only, so that no code runs on load.

A checkpoint contains everything that the next epoch depends on: weights of student and method, optimizer,
generator states, past logits and history. The schedule has no state: it is a function of the number of steps
taken. A checkpoint is written under a temporary name and renamed, so it is never incomplete.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from kdbench.errors import StoreError
from kdbench.results.checkpoints import CheckpointUnreadable, read_checkpoint, write_checkpoint
from kdbench.results.migrations import VERSIONS
from kdbench.train.member import Member

__all__ = ["CheckpointUnreadable", "load_checkpoint", "save_checkpoint"]


def save_checkpoint(member: Member, path: Path, extra: dict[str, Any]) -> None:
    """Write a member's state after its last finished epoch.

    Args:
        member: the member.
        path: the file.
        extra: plain data to store with it (for example the costs so far).

    Raises:
        StoreError: the disk is full or the folder cannot be written.
    """
    optimizer = member.optimizer.state_dict()
    tensors: dict[str, Tensor] = {
        **{f"student.{k}": v for k, v in member.student.state_dict().items()},
        **{f"method.{k}": v for k, v in member.method.state_dict().items()},
        "random.cpu": member.random.cpu,
    }
    if member.random.cuda is not None:
        tensors["random.cuda"] = member.random.cuda
    if member.past_logits is not None:
        tensors["past_logits"] = member.past_logits
    numbers: dict[str, dict[str, Any]] = {}
    for index, state in optimizer["state"].items():
        for key, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{key}"] = value
            else:
                numbers.setdefault(str(index), {})[key] = value
    groups: list[dict[str, Any]] = []
    for number, group in enumerate(optimizer["param_groups"]):  # some optimizers count their steps here, in a tensor
        tensors.update({f"group.{number}.{k}": v for k, v in group.items() if isinstance(v, Tensor)})
        groups.append({k: v for k, v in group.items() if not isinstance(v, Tensor)})
    meta = {
        "version": VERSIONS["checkpoint"],
        "trial": member.trial.id,
        "epoch": member.epoch,
        "history": member.history,
        "optimizer_groups": groups,
        "optimizer_numbers": numbers,
        "extra": extra,
    }
    own = {k: v.detach().to("cpu", copy=True, memory_format=torch.contiguous_format) for k, v in tensors.items()}
    try:
        write_checkpoint(path, meta, own)
    except (OSError, SafetensorError) as error:
        raise StoreError(f"the checkpoint {path} cannot be written: {error}") from error


def load_checkpoint(member: Member, path: Path) -> dict[str, Any]:
    """Restore the saved state of a member in a new one.

    Returns:
        The ``extra`` data that were saved with the state.

    Raises:
        NewerFormat: a newer version of kdbench wrote the file.
        CheckpointUnreadable: the file is damaged, or from another trial or an older version of the method;
            the member may have changed by then and must be recreated.
    """
    meta, tensors = read_checkpoint(path)
    try:
        if meta["trial"] != member.trial.id:
            raise ValueError("it belongs to another trial")
        member.student.load_state_dict(_part(tensors, "student."))
        member.method.load_state_dict(_part(tensors, "method."))
        for name, value in _part(tensors, "group.").items():
            number, key = name.split(".", 1)
            meta["optimizer_groups"][int(number)][key] = value
        _load_optimizer(member, meta, _part(tensors, "optimizer."))
        member.random.cpu = tensors["random.cpu"]
        if member.random.cuda is not None:
            member.random.cuda = tensors["random.cuda"]
        if member.past_logits is not None:
            member.past_logits = tensors["past_logits"].to(member.device)
        member.epoch, member.history = meta["epoch"], meta["history"]
        extra: dict[str, Any] = meta["extra"]
    except Exception as error:  # a trial must not fail for its checkpoint, whatever is wrong with it
        raise CheckpointUnreadable(f"{type(error).__name__}: {error}") from error
    return extra


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _load_optimizer(member: Member, meta: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    parameters = [p for g in member.optimizer.param_groups for p in g["params"]]
    state: dict[int, dict[str, Any]] = {int(i): dict(numbers) for i, numbers in meta["optimizer_numbers"].items()}
    for name, value in tensors.items():
        index, key = name.split(".", 1)
        parameter = parameters[int(index)]
        # Use the parameter's memory format, so that the same kernels run as before.
        alike = value.shape == parameter.shape
        state.setdefault(int(index), {})[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value) if alike else value
    member.optimizer.load_state_dict({"state": state, "param_groups": meta["optimizer_groups"]})
