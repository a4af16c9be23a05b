"""Executors: who runs cohorts. The local one is built in; a cluster's is a plugin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from kdbench.plan.trial import Cohort
from kdbench.plugins.hookspecs import hookimpl
from kdbench.run.cohort import run_cohort
from kdbench.run.session import Session


class Executor(Protocol):
    """Runs one cohort: when it returns, every trial of the cohort has a record in ``session.store``.

    Cohorts are handed over in an order in which each comes after those that its teachers come from.
    """

    def __call__(self, session: Session, cohort: Cohort) -> None:
        """Run the cohort's trials that have no finished record."""


@hookimpl
def kdbench_executors() -> Mapping[str, Executor]:
    """The local executor: this process, this machine."""
    return {"local": run_cohort}
