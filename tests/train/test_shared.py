"""Changes of tensors that several plugins see are found, whatever way they were made."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from kdbench.train.shared import Digests, Shared

SMALL, MEDIUM, LARGE = (32, 10), (64, 3, 32, 32), (32, 64, 32, 32)


def set_one(x: Tensor) -> None:
    x.detach().numpy()[3, 1] = 7.0


@pytest.mark.parametrize("shape", [SMALL, MEDIUM, LARGE])
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.mul_(2),
        lambda x: x.data.mul_(2),
        lambda x: x.data.copy_(x.flip(0).clone()),
        lambda x: setattr(x, "data", x.clone()),
        lambda x: x.set_(torch.zeros_like(x)),
        lambda x: x.resize_(1),
        lambda x: x.unsqueeze_(0),
        lambda x: x.untyped_storage().fill_(0),
        lambda x: x.requires_grad_(),
        set_one,
    ],
)
def test_a_change_is_found(shape: tuple[int, ...], exact: bool, change: Callable[[Tensor], object]) -> None:
    x = torch.randn(shape)
    shared = Shared([torch.arange(3), x], exact=exact)
    shared.seal()
    assert not shared.changed()
    assert not shared.broken()
    change(x)
    assert shared.changed() or bool(shared.broken())


@pytest.mark.parametrize(
    "x",
    [
        torch.tensor(3.0),
        torch.zeros(0),
        torch.zeros(7, dtype=torch.bool),
        torch.randn(8, 3, 5, 5).to(memory_format=torch.channels_last),
        torch.randn(60, 60, 60)[:, ::2].permute(2, 0, 1),
        torch.randn(300_001, dtype=torch.float64).to(torch.bfloat16)[1:],
    ],
    ids=["0-d", "empty", "bool", "channels_last", "strided", "odd"],
)
def test_any_layout_is_read(x: Tensor) -> None:
    for exact in (False, True):
        shared = Shared([x], exact=exact)
        assert not shared.changed()
        if x.numel():
            saved = x.clone()
            x.data.view(x.shape)[...] = 1 if x.dtype != torch.bool else True
            x.data.logical_not_() if x.dtype == torch.bool else x.data.add_(1)
            x.data.copy_(saved + 1 if x.dtype != torch.bool else ~saved)
            assert shared.changed()


def test_a_single_swapped_label_is_found_and_named() -> None:
    labels = torch.arange(100_000) % 10
    digests = Digests([("the inputs", torch.zeros(3)), ("the labels", labels)])
    assert digests.changed() == []
    labels.numpy()[[500, 501]] = labels.numpy()[[501, 500]]
    assert digests.changed() == ["the labels"]


def test_inference_tensors_have_no_version_and_are_compared_all_the_same() -> None:
    with torch.inference_mode():
        x = torch.zeros(4)
        shared = Shared([x])
        x.add_(1)
        assert shared.changed()
