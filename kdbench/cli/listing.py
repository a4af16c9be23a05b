"""``kdbench list``: list the names that a suite can use."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from tabulate import tabulate

from kdbench.cli import options


class Kind(StrEnum):
    """What can be listed."""

    methods = "methods"
    models = "models"
    datasets = "datasets"
    suites = "suites"
    columns = "columns"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("list", short_help="List what a suite may name: methods, models, data sets and more.")(list_)


def list_(
    kind: Annotated[Kind, typer.Argument(help="What to list.")] = Kind.methods,
    plugin: options.Plugin = None,
) -> None:
    """List what a suite may name: methods, models, data sets, leaderboard columns.

    It also lists the suites that come with kdbench.
    """
    from kdbench.plugins.manager import load_registry

    if kind is Kind.suites:
        from kdbench.suite.load import packaged_suites

        print("\n".join(packaged_suites()))
        return
    if kind is Kind.columns:
        from kdbench.plan.trial import TaskInfo
        from kdbench.report.columns import columns_of

        columns = columns_of(TaskInfo())
        print(tabulate([[name, column.heading] for name, column in columns.items()], headers=["column", "heading"]))
        return
    registry = load_registry(plugin or ())
    if kind is Kind.methods:
        rows = [
            [name, cls.family, cls.describe(), ", ".join(f"{k}={f.default}" for k, f in cls.Params.model_fields.items())]
            for name, cls in registry.methods.items()
        ]
        print(tabulate(rows, headers=["method", "family", "what", "parameters"], maxcolwidths=[None, None, 60, 50]))
    elif kind is Kind.models:
        from kdbench.models.factory import model_names

        print("\n".join(sorted(model_names(registry.models))))
    else:
        print(tabulate([[name, cls.title] for name, cls in registry.datasets.items()], headers=["data set", "what"]))
