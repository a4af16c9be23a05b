"""Rate and remaining time of a run."""

from __future__ import annotations

import time


class Meter:
    """Counts samples and work, and computes the rate and the remaining time."""

    def __init__(self) -> None:
        self.total = 0.0
        self.done = 0.0
        self.samples = 0
        self.begin = time.monotonic()
        self.after = 0.0
        """Seconds of what follows training."""

    def start(self, total: float) -> None:
        """Begin a run of a given amount of work."""
        self.total, self.done, self.samples, self.begin = total, 0.0, 0, time.monotonic()

    def batch(self, samples: int, work: float) -> None:
        """Count a batch: its samples times its members, and its work."""
        self.samples += samples
        self.done += work

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return max(time.monotonic() - self.begin, 1e-9)

    @property
    def rate(self) -> float:
        """Samples per second since the start, over all members."""
        return self.samples / self.seconds

    def left(self) -> str:
        """Return the remaining time as text; ``?`` while unknown.

        It includes what follows training.
        """
        return duration((self.total - self.done) / self.done * self.seconds + self.after) if self.done else "?"


def duration(seconds: float) -> str:
    """Format seconds: ``48 s``, ``3 min 20 s``, ``2 h 05 min``."""
    whole = round(max(seconds, 0))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
