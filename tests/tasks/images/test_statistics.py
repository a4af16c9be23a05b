from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdbench.tasks.images.statistics import channel_statistics


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 5), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_statistics_are_the_exact_ones(count: int, channels: int, side: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 256, (count, channels, side, side), dtype=np.uint8)
    mean, std = channel_statistics(torch.from_numpy(values))
    expected = (values / 255.0).std((0, 2, 3))
    np.testing.assert_allclose(mean, (values / 255.0).mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(std, np.where(expected > 1e-12, expected, 1.0), rtol=1e-6)
    assert mean.dtype == std.dtype == torch.float32


def test_a_constant_channel_has_a_deviation_of_one() -> None:
    mean, std = channel_statistics(torch.full((3, 1, 2, 2), 51, dtype=torch.uint8))
    assert mean.tolist() == pytest.approx([0.2])
    assert std.tolist() == [1.0]


def test_statistics_do_not_depend_on_the_order_of_samples() -> None:
    inputs = torch.randint(256, (500, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    shuffled = inputs[torch.randperm(500, generator=torch.Generator().manual_seed(1))]
    assert all(torch.equal(a, b) for a, b in zip(channel_statistics(inputs), channel_statistics(shuffled), strict=True))
