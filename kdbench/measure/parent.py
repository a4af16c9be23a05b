"""Child processes that end when their parent does, however it ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""From ``sys/prctl.h``: the signal that a process gets when its parent dies."""


def end_with(parent: int) -> None:
    """End this process when its parent dies.

    On systems other than Linux, it ends only if its parent is dead already.

    The parent, for the system, is the thread that started this process.

    Args:
        parent: id of the process that started this one.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.name == "posix" and os.getppid() != parent:
        os._exit(1)
