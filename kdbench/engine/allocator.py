"""Settings of glibc's allocator that make it keep the memory of freed tensors.

By default it takes every large tensor from the system and returns it at once, so that each training step
faults in all its memory again, page by page: up to a third of a step in fp32
(``benchmarks/bench_allocator.py``).
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
    """Make glibc's allocator keep freed memory; call it before the first tensor.

    With another allocator it does nothing. It changes no results and never fails.

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
        return "the allocator is left as it is: it rejects the settings"
    return "the allocator keeps freed memory (mallopt: M_MMAP_THRESHOLD 1 GiB, M_TRIM_THRESHOLD off, M_TOP_PAD 64 MiB)"
