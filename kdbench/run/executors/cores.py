"""How many jobs and threads suit this machine."""

from __future__ import annotations

import os

import psutil

MEMORY = 2_000_000_000
"""Bytes that a worker is given: torch, its libraries, and small networks in training."""
FEW = 4
"""Up to this many cores, every worker gets one; beyond, two, because larger networks gain from a second thread."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_of_each(jobs: int) -> int:
    """Threads of each worker: the cores are shared out; ``OMP_NUM_THREADS`` is an upper bound where it is set."""
    most = os.environ.get("OMP_NUM_THREADS", "")
    share = max(1, cores() // jobs)
    return min(share, int(most)) if most.isdigit() and int(most) else share


def suitable_jobs(width: int, gpus: int) -> int:
    """How many jobs to run at the same time, where the user leaves it open; nothing is measured.

    Args:
        width: the most trials that can train at the same time.
        gpus: number of GPUs that may be used; each gets one job.
    """
    if gpus:
        return max(1, min(gpus, width))
    here = cores()
    memory = psutil.virtual_memory().available // MEMORY
    return int(max(1, min(here if here <= FEW else here // 2, memory, width)))
