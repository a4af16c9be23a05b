"""Choice of the number of jobs and threads for this machine."""

from __future__ import annotations

import os

import psutil

MEMORY = 2_000_000_000
"""Memory of a worker in bytes: torch, its libraries, and small networks."""
FEW = 4
"""Up to this number of cores, each worker gets one core; beyond it, two.

Larger networks gain from a second thread.
"""


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_of_each(jobs: int) -> int:
    """Compute the threads of each worker by dividing the cores among them.

    ``OMP_NUM_THREADS`` is an upper bound if it is set.
    """
    most = os.environ.get("OMP_NUM_THREADS", "")
    share = max(1, cores() // jobs)
    return min(share, int(most)) if most.isdigit() and int(most) else share


def suitable_jobs(width: int, gpus: int) -> int:
    """Choose how many jobs run at the same time, without measuring anything.

    Args:
        width: largest number of trials that can train at the same time.
        gpus: number of GPUs that may be used; each gets one job.
    """
    if gpus:
        return max(1, min(gpus, width))
    here = cores()
    memory = psutil.virtual_memory().available // MEMORY
    return int(max(1, min(here if here <= FEW else here // 2, memory, width)))
