"""Suites written out in a test, and what they come down to; nothing is trained and no data are read."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import yaml

from kdbench.plan.planner import make_plan
from kdbench.plan.trial import Entry, Plan
from kdbench.plugins.manager import Registry, load_registry
from kdbench.suite.load import LoadedSuite, load_suite
from kdbench.suite.resolve import resolve

FINGERPRINT = "0123456789abcdef"
SUITE = """\
dataset: digits
networks:
  big: {model: mnist_mlp}
pairs:
  - {name: pair, student: tiny_cnn, teacher: big}
methods: [supervised, kd]
"""
MODELS = ("tiny_cnn", "mnist_mlp", "mnist_cnn", "lightcnn", "resnet8", "resnet20")


@functools.cache
def registry() -> Registry:
    """All plugins of this installation."""
    return load_registry()


def write(folder: Path, text: str, name: str = "suite") -> Path:
    """Write a suite's text."""
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def loaded(folder: Path, text: str = SUITE, **options: Any) -> LoadedSuite:
    """Load a suite's text and check its names."""
    return resolve(load_suite(write(folder, text), **options), registry(), lambda: MODELS)


def plan(
    folder: Path, *, load: dict[str, Any] | None = None, max_members: int = 32, cohorts: bool = True, **changes: Any
) -> Plan:
    """What ``SUITE`` comes down to, with these keys changed."""
    text = yaml.safe_dump({**yaml.safe_load(SUITE), **changes}, sort_keys=False)
    suite = loaded(folder, text, **(load or {})).suite
    return make_plan(suite, registry(), FINGERPRINT, cohorts=cohorts, max_members=max_members, folder=folder)


def rows(plan: Plan, label: str | None = None, role: str = "student") -> list[Entry]:
    """Rows of that role, all or those of one label."""
    return [e for e in plan.entries if e.role == role and label in (None, e.label)]
