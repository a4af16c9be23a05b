"""Create and run every architecture of timm without memory: ``python benchmarks/sweep_models.py``.

What fails is compared with the list in ``tests/models/architectures.py``, which is to be renewed after an update
of timm. It takes some five minutes of one core.
"""

from __future__ import annotations

import sys
from pathlib import Path

import timm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.models.architectures import failures, listed


def main() -> int:
    """Print what differs from the list; return the exit status."""
    names = timm.list_models()
    found, expected = failures(names), set(listed(names))
    for name in sorted(found.keys() - expected):
        print(f"fails: {name}: {found[name]}")
    for name in sorted(expected - found.keys()):
        print(f"works, though the list says otherwise: {name}")
    print(f"{len(names) - len(found):,} of {len(names):,} architectures of timm {timm.__version__} classify 3×224×224")
    return 1 if found.keys() ^ expected else 0


if __name__ == "__main__":
    sys.exit(main())
