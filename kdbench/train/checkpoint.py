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
from kdbench.train.optimizer_state import pack, unpack

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
    tensors: dict[str, Tensor] = {
        **{f"student.{k}": v for k, v in member.student.state_dict().items()},
        **{f"method.{k}": v for k, v in member.method.state_dict().items()},
        "random.cpu": member.random.cpu,
    }
    if member.random.cuda is not None:
        tensors["random.cuda"] = member.random.cuda
    if member.past_logits is not None:
        tensors["past_logits"] = member.past_logits
    plain, more = pack(member.optimizer.state_dict())
    tensors.update(more)
    meta = {
        "version": VERSIONS["checkpoint"],
        "trial": member.trial.id,
        "epoch": member.epoch,
        "history": member.history,
        **plain,
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
        unpack(member.optimizer, meta, tensors)
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
