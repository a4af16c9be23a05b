"""Warnings that concern the developers of libraries, not the users of kdbench."""

from __future__ import annotations

import sys
import warnings


def ignore_notes_to_developers() -> None:
    """Hide torch's warnings about ``torch.jit``; ``python -W`` shows them all."""
    if not sys.warnoptions:
        warnings.filterwarnings("ignore", message=r".*torch\.jit\.", category=FutureWarning)
        warnings.filterwarnings("ignore", message=r".*torch\.jit\.", category=DeprecationWarning)
