"""Injects faults at random, counts what was handled badly, and writes the figures to docs/reliability.md.

``python benchmarks/inject_faults.py [FAMILY …] [--seed N] [--scale X]``: the families are the modules of tests/faults
with a function ``cases``. With ``--scale 1`` there are as many cases as each family's ``COUNT`` says. Exits with 1 if any
was handled badly. Only a whole run of a family at scale 1 or more changes its row in the page.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import random
import re
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import tests.faults  # noqa: E402
from tests.faults.case import run, summary  # noqa: E402

PAGE = ROOT / "docs" / "reliability.md"


def families() -> dict[str, Any]:
    """Modules by name."""
    found = (importlib.import_module(f"tests.faults.{m.name}") for m in pkgutil.iter_modules(tests.faults.__path__))
    return {module.__name__.rpartition(".")[2]: module for module in found if hasattr(module, "cases")}


def main() -> int:
    """Run the families that were asked for."""
    known = families()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", choices=[[], *known], help=", ".join(known))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    bad = 0
    for name in options.families or known:
        count, begin = max(1, round(known[name].COUNT * options.scale)), time.perf_counter()
        cases, problems = summary(run(known[name].cases(random.Random(options.seed), count)))
        wrong = sum(map(len, problems.values()))
        bad += wrong
        print(
            f"{name}: {cases.total()} cases of {len(cases)} kinds, {wrong} handled badly, {time.perf_counter() - begin:.0f} s"
        )
        for kind, found in sorted(problems.items()):
            print(f"  {kind}: {len(found)} of {cases[kind]}: {sorted(set(found))[:3]}")
        if options.scale >= 1:
            _note(name, f"{cases.total():,} | {len(cases)} | {wrong} | {options.seed}")
    return min(bad, 1)


def _note(family: str, figures: str) -> None:
    """Replace the figures in a family's row of the page's table."""
    text, found = re.subn(rf"^(\| {family} \| [^|]* \|).*$", rf"\1 {figures} |", PAGE.read_text(), flags=re.M)
    if not found:
        raise SystemExit(f"{PAGE} has no row for {family}")
    PAGE.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
