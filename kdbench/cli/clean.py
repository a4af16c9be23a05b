"""``kdbench clean``: show and free what is cached, temporary or quarantined."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kdbench.cli import options
from kdbench.cli.notice import notice


class What(StrEnum):
    """What can be freed."""

    cache = "cache"
    temporary = "temporary"
    quarantine = "quarantine"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("clean", short_help="Show what is cached, temporary or quarantined, and free it.")(clean)


def clean(
    what: Annotated[
        list[What] | None, typer.Argument(metavar="[cache|temporary|quarantine]…", help="What to free; by default nothing.")
    ] = None,
    data_root: options.DataRoot = None,
    runs: options.Runs = Path("runs"),
) -> None:
    """Show what is cached, temporary or quarantined, and free what is named.

    No result is lost. cache: decoded images, which the next run would decode again; they are in
    .kdbench-cache in the data root, in the user's cache where that is read-only, or in $KDBENCH_CACHE.
    temporary: files of commands that were killed. quarantine: damaged or replaced records, which were set
    aside in the runs folder.
    """
    with notice("looking"):
        from kdbench.api.cleaning import free, leftovers
        from kdbench.tasks.load import data_root as find_data_root

        found = leftovers(runs, find_data_root(data_root))
    for left in found:
        print(f"{left.kind:10}  {_megabytes(left.size):>12}  {len(left.paths):,} in {left.folder}")
    if not found:
        print("nothing to free")
    if what:
        chosen = [left for left in found if left.kind in list(what)]
        free(chosen, runs)
        print(f"freed {_megabytes(sum(left.size for left in chosen))}")
    elif found:
        kinds = dict.fromkeys(left.kind for left in found)
        print(f"to free it: kdbench clean {' '.join(kinds)}")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
