"""`kdbench list` answers without the libraries that train and draw."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

REPORT = Path(__file__).parents[2] / "reports" / "mnist-3class"
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


def loaded(kind: str, names: tuple[str, ...]) -> list[str]:
    command = [sys.executable, "-c", LIST.format(heavy=names), kind]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.strip()
    return list(ast.literal_eval(found.stderr.splitlines()[-1]))


@pytest.mark.parametrize("kind", ["methods", "models", "datasets", "suites", "columns"])
def test_a_list_loads_nothing_that_draws_or_computes_statistics(kind: str) -> None:
    assert loaded(kind, HEAVY) == []


@pytest.mark.parametrize("kind", ["suites", "columns"])
def test_what_no_plugin_provides_is_listed_without_torch(kind: str) -> None:
    assert loaded(kind, ("torch", "timm")) == []


def test_methods_are_listed_without_timm() -> None:
    assert loaded("methods", ("timm", "torchvision")) == []


def test_a_report_is_written_without_torch(tmp_path: Path) -> None:
    code = LIST.format(heavy=("torch", "timm")).replace('"list", sys.argv[1]', '"report", "mnist-3class", "--out", sys.argv[1]')
    command = [sys.executable, "-c", code.replace('"mnist-3class"', "sys.argv[2]"), str(tmp_path), str(REPORT)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (tmp_path / "leaderboard.md").is_file()
    assert ast.literal_eval(found.stderr.splitlines()[-1]) == []
