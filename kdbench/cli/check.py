"""``kdbench check``: does a method keep the contract?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check", short_help="Check method plugins against the contract.")(check)


def check(
    target: Annotated[
        list[str], typer.Argument(metavar="FILE.py|METHOD…", help="A plugin file, or the name of a method that is installed.")
    ],
) -> None:
    """Check methods against the contract: what they read, gradients, precision, determinism, saving and resuming."""
    from kdbench.check import check_method
    from kdbench.errors import PluginError
    from kdbench.plugins.manager import load_registry

    installed = load_registry()
    broken = 0
    for name in target:
        if name.endswith(".py"):
            known = load_registry([Path(name)])
            classes = [c for n, c in known.methods.items() if n not in installed.methods]
            if not classes:
                raise PluginError(f"{name} defines no method: a subclass of kdbench.Method was expected")
        else:
            classes = [installed.find("method", installed.methods, name)]
        for cls in classes:
            findings = check_method(cls)
            typer.echo(f"{cls.name} ({cls.family}): {cls.describe()}")
            for finding in findings:
                detail = f": {finding.detail}" if finding.detail else ""
                typer.echo(f"  {'ok  ' if finding.passed else 'FAIL'} {finding.claim}{detail}")
            failed = sum(not f.passed for f in findings)
            broken += failed
            typer.echo(f"  {len(findings) - failed} of {len(findings)} claims hold\n")
    if broken:
        raise typer.Exit(1)
