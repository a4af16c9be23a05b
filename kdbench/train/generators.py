"""A member's own random streams."""

from __future__ import annotations

import torch
from torch import Tensor


class GeneratorState:
    """A member's own state of torch's generators, so members do not affect each other.

    Args:
        seed: where the streams begin.
        device: the device whose stream is kept beside the CPU's.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._cuda = device if device.type == "cuda" else None
        with torch.random.fork_rng([device] if self._cuda else []):
            torch.manual_seed(seed)
            self._save()

    def __enter__(self) -> None:
        torch.set_rng_state(self.cpu)
        if self._cuda is not None and self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda, self._cuda)

    def __exit__(self, *_: object) -> None:
        self._save()

    def _save(self) -> None:
        self.cpu: Tensor = torch.get_rng_state()
        self.cuda: Tensor | None = torch.cuda.get_rng_state(self._cuda) if self._cuda is not None else None
