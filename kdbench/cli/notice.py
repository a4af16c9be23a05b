"""A line that says at once what a command does, while it imports its libraries."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

ERASE = "\r\x1b[K"


@contextmanager
def notice(what: str, *, log: bool = False) -> Iterator[None]:
    """Show a line on standard error while a block runs.

    On a terminal the line is erased afterwards, before the block's result is printed; the block prints
    nothing itself.

    Args:
        what: what is being done, such as ``"loading suite digits"``.
        log: whether the line is also written where standard error is not a terminal.
    """
    live = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    if live:
        print(f"{what} …", end="", file=sys.stderr, flush=True)
    elif log:
        print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {what}", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        if live:
            print(ERASE, end="", file=sys.stderr, flush=True)
