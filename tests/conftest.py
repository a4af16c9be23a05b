"""Fixtures that every part's tests share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_configure(config: pytest.Config) -> None:
    # Two workers on two cores: more threads only fight. It also makes sums the same on any machine with these libraries.
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real data; the test is skipped where there is none."""
    root = Path(os.environ.get("KDBENCH_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (root / "MNIST" / "raw").is_dir():
        pytest.skip(f"no real data in {root}: set KDBENCH_DATA")
    return root


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    status: int
    out: str
    err: str


@pytest.fixture
def kdbench_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Run the command line in this process."""
    from kdbench.cli import main

    def call(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["kdbench", *map(str, arguments)])
        monkeypatch.delenv("KDBENCH_DEBUG", raising=False)
        capsys.readouterr()
        status = main._run()
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return call
