"""`kdbench list` answers without the libraries that train and draw."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("jinja2", "matplotlib", "scipy", "sklearn")
LIST = """
import sys
sys.argv = ["kdbench", "list", sys.argv[1]]
from kdbench.cli.main import main
try:
    main()
finally:
    print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.parametrize("kind", ["methods", "models", "datasets", "suites", "columns"])
def test_a_list_loads_nothing_that_draws_or_computes_statistics(kind: str) -> None:
    command = [sys.executable, "-c", LIST.format(heavy=HEAVY), kind]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.strip()
    assert found.stderr.splitlines()[-1] == "[]"
