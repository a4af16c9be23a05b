"""Create every architecture of timm without memory, and compare what cannot be created with the list in tests.

It takes about three minutes: ``python benchmarks/sweep_models.py``. Run it after an update of timm, and bring
``tests/models/architectures.py`` up to date.
"""

from __future__ import annotations

import sys
from pathlib import Path

import timm

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.models.architectures import CANNOT, failures


def main() -> int:
    """Print what differs from the list; return the exit status."""
    names = timm.list_models()
    found = failures(names)
    new = {name: error for name, error in found.items() if CANNOT.get(name, "no reason") not in error}
    for name, error in new.items():
        print(f"cannot be created: {name}: {error}")
    for name in sorted(CANNOT.keys() - found.keys()):
        print(f"can be created, though the list says otherwise: {name}")
    print(f"{len(names) - len(found):,} of {len(names):,} architectures of timm {timm.__version__} can be created")
    return 1 if new or CANNOT.keys() - found.keys() else 0


if __name__ == "__main__":
    sys.exit(main())
