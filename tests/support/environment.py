"""The environment of processes that tests start."""

from __future__ import annotations

import os


def unmeasured(**more: str) -> dict[str, str]:
    """The environment without what makes a process measure coverage.

    For processes that get signals: coverage's tracer holds a lock at every call of a function, in code that an
    exception can leave. A ``KeyboardInterrupt`` raised there leaves the lock held, and the process waits for it
    for ever at its next call.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COV_CORE_", "COVERAGE_"))}
    return kept | more
