"""Fingerprints of tensors that several plugins can reach, to find changes."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

EXACT = 1 << 16
"""Bytes up to which a tensor is compared in full each time."""
SUMMED = 1 << 22
"""Bytes up to which a tensor is summed each time.

Of larger ones only samples are compared each time, and the sum once per step.
"""
SAMPLES = 512


class Shared:
    """Tensors as they are now.

    Args:
        tensors: plain tensors of kdbench's own, on any device.
        exact: whether to keep copies, so that every change of a bit is found each time.
    """

    def __init__(self, tensors: Iterable[Tensor], *, exact: bool = False) -> None:
        self._tensors = tuple(tensors)
        self._exact = exact
        self._frames = [_frame(t) for t in self._tensors]
        self._copies = [_flat(t).clone() for t in self._tensors] if exact else []
        self._marks = [] if exact else [_mark(t) for t in self._tensors]
        self._large = [t for t in self._tensors if t.nbytes > (SUMMED if t.device.type == "cpu" else 0)]
        self._sums: Tensor | None = None

    def changed(self) -> bool:
        """Whether a tensor was changed.

        A change of few values of a large tensor may be missed; see :meth:`broken`.

        On a GPU only what needs no copy to the host is compared: places, shapes and versions.
        """
        if [_frame(t) for t in self._tensors] != self._frames:
            return True
        if self._exact:
            return not all(map(_same_bits, self._tensors, self._copies))
        return [_mark(t) for t in self._tensors] != self._marks

    def seal(self) -> None:
        """Sum the large tensors, for :meth:`broken`."""
        self._sums = None if self._exact else _sums(self._large)

    def broken(self) -> Tensor | None:
        """Whether a large tensor has changed since :meth:`seal`.

        Returns:
            A bool on the tensors' device, or ``None`` if there are no large tensors.

        Only to be asked while :meth:`changed` is false.
        """
        if self._sums is None:
            return None
        now = _sums(self._large)
        assert now is not None
        return (now != self._sums).any()


class Digests:
    """Tensors that live for many epochs, compared in full.

    Args:
        named: tensors by name.
    """

    def __init__(self, named: Iterable[tuple[str, Tensor]]) -> None:
        self._named = tuple(named)
        self._known = [_digest(t) for _, t in self._named]

    def changed(self) -> list[str]:
        """Names of the tensors that have changed."""
        return [name for (name, t), known in zip(self._named, self._known, strict=True) if _digest(t) != known]


def _frame(t: Tensor) -> tuple[Any, ...]:
    version = 0 if t.is_inference() else t._version
    return version, t.data_ptr(), t.shape, t.stride(), t.dtype, t.requires_grad, t.untyped_storage().nbytes()


def _flat(t: Tensor) -> Tensor:
    """The values in the order of memory, without a copy where there are no gaps."""
    t = t.detach()
    extent = 1 + sum((n - 1) * s for n, s in zip(t.shape, t.stride(), strict=True))
    return torch.as_strided(t, (t.numel(),), (1,)) if t.numel() and extent == t.numel() else t.reshape(-1)


def _bytes(flat: Tensor) -> bytes:
    return flat.contiguous().view(torch.uint8).numpy().tobytes()


def _mark(t: Tensor) -> Any:
    """What is compared after each plugin."""
    if t.device.type != "cpu":
        return None
    flat = _flat(t)
    if t.nbytes <= EXACT:
        return _bytes(flat)
    samples = _bytes(flat[:: max(1, len(flat) // SAMPLES)])
    return (samples, int(_sum(flat))) if t.nbytes <= SUMMED else samples


def _sum(flat: Tensor) -> Tensor:
    """Sum a tensor's bits, int64; samples are compared as well, as values may move."""
    values = flat.view(torch.uint8)
    if values.storage_offset() % 8:
        values = values.clone()
    whole = len(values) // 8 * 8
    return values[:whole].view(torch.int64).sum() + values[whole:].sum()


def _sums(tensors: list[Tensor]) -> Tensor | None:
    return torch.stack([_sum(_flat(t)) for t in tensors]) if tensors else None


def _same_bits(tensor: Tensor, copy: Tensor) -> bool:
    return torch.equal(_flat(tensor).view(torch.uint8), copy.view(torch.uint8))


def _digest(t: Tensor) -> Any:
    if t.device.type != "cpu":
        return t.data_ptr(), t.shape, int(_sum(_flat(t)))
    return t.data_ptr(), t.shape, t.stride(), t.dtype, zlib.crc32(_flat(t).contiguous().view(torch.uint8).numpy().data)
