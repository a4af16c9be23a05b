"""Every example runs, cell by cell, as a notebook would run it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.py"))


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A session in an empty folder, where everything is done in a hurry."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EPOCHS", "2")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # a session has one of its own
    config = Config()
    config.HistoryManager.enabled = False
    session = InteractiveShell(config=config)
    yield session
    session.restore_sys_module_state()


def cells(path: Path) -> list[str]:
    """The cells of a script: each begins with a line ``# %%``."""
    return re.split(r"^# %%", path.read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_the_cells_run_one_after_the_other(path: Path, shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for number, cell in enumerate(cells(path)):
        shell.run_cell(f"#{cell}" if number else cell).raise_error()
    assert "| supervised" in capsys.readouterr().out
    kept = {p.read_text() for p in Path("runs/trials").glob("*/method.py")}
    assert [text.startswith("class MatchLogits(Method):") for text in kept] == [True]
