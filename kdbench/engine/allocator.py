"""glibc's allocator, told to keep the memory of tensors that are freed.

By default it takes every large tensor from the system and gives it back at once, so that each step of training faults in all its
memory again, page by page: a third of the time of a step in fp32 (``benchmarks/bench_allocator.py``).
"""

from __future__ import annotations

import ctypes
import platform
import sys

# <malloc.h>
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
NEVER = -1
"""As M_TRIM_THRESHOLD: do not give memory back."""
MIB = 1 << 20


def keep_freed_memory() -> str:
    """Let the process keep the memory of freed tensors, where its allocator is glibc's; must come before the first tensor.

    It changes no results, and never fails.

    Returns:
        What was done, in a sentence.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return "the allocator is left as it is: it is not glibc's"
    try:
        mallopt = ctypes.CDLL(None).mallopt
        done = [
            mallopt(M_MMAP_THRESHOLD, 1024 * MIB) or mallopt(M_MMAP_THRESHOLD, 32 * MIB),  # older releases take no more than 32
            mallopt(M_TRIM_THRESHOLD, NEVER),
            mallopt(M_TOP_PAD, 64 * MIB),
        ]
    except (OSError, AttributeError, ctypes.ArgumentError) as error:
        return f"the allocator is left as it is: {error}"
    if not all(done):
        return "the allocator is left as it is: it refuses to be told"
    return "the allocator keeps freed memory (mallopt: M_MMAP_THRESHOLD 1 GiB, M_TRIM_THRESHOLD off, M_TOP_PAD 64 MiB)"
