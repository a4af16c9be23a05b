"""Tests of the harness and a few of its cases."""

from __future__ import annotations

import pytest

from tests.faults import case


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of time are for the large run."""
    monkeypatch.setattr(case, "PATIENCE", 10.0)
