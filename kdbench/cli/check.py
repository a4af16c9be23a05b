"""``kdbench check``: test methods against the contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdbench.cli.notice import notice

if TYPE_CHECKING:
    from kdbench.method import Method


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check", short_help="Check method plugins against the contract.")(check)


def check(
    target: Annotated[
        list[str], typer.Argument(metavar="FILE.py|METHOD…", help="A plugin file, or the name of an installed method.")
    ],
) -> None:
    """Check methods against the contract.

    This covers what they read, gradients, precision, determinism, saving and resuming.
    """
    with notice("loading methods"):
        classes = list(_methods(target))
    with notice("loading the trainer"):  # only after names are known to be right
        import torch

        from kdbench.check.runner import findings_of

        torch.set_num_threads(1)  # the networks are tiny: more threads wait for each other
    broken = 0
    for cls in classes:
        typer.echo(f"{cls.name} ({cls.family}): {cls.describe()}")
        findings = []
        for finding in findings_of(cls):
            findings.append(finding)
            detail = f": {finding.detail}" if finding.detail else ""
            typer.echo(f"  {'ok  ' if finding.passed else 'FAIL'} {finding.claim}{detail}")
        failed = sum(not f.passed for f in findings)
        broken += failed
        typer.echo(f"  {len(findings) - failed} of {len(findings)} claims hold\n")
    if broken:
        raise typer.Exit(1)


def _methods(targets: list[str]) -> Iterator[type[Method]]:
    """Yield the named methods, and those of each file.

    Raises:
        PluginError: a method does not exist, or a file defines none.
    """
    from kdbench.errors import PluginError
    from kdbench.plugins.manager import load_registry

    installed = load_registry()
    for target in targets:
        if not target.endswith(".py"):
            yield installed.find("method", installed.methods, target)
            continue
        found = [c for name, c in load_registry([Path(target)]).methods.items() if name not in installed.methods]
        if not found:
            raise PluginError(f"{target} defines no method: write a subclass of kdbench.Method")
        yield from found
