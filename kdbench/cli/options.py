"""Options that several commands share."""

from __future__ import annotations

import glob
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer


def complete_suite(incomplete: str) -> list[str]:
    """Complete the name of a packaged suite, or a YAML file, for the shell."""
    from kdbench.suite.load import packaged_suites

    names = [name for name in packaged_suites() if name.startswith(incomplete)]
    found = sorted(glob.glob(f"{glob.escape(incomplete)}*"))
    return names + [
        f"{p}{os.sep}" if os.path.isdir(p) else p for p in found if os.path.isdir(p) or p.endswith((".yaml", ".yml"))
    ]


SuiteArgument = Annotated[
    str,
    typer.Argument(
        metavar="SUITE",
        help="A suite's file, or the name of one that comes with kdbench (digits, mnist, …).",
        autocompletion=complete_suite,
    ),
]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root",
        help="Folder of the data; downloads go there too.  [default: $KDBENCH_DATA, or ./data]",
        show_default=False,
    ),
]
Runs = Annotated[Path, typer.Option("--runs", envvar="KDBENCH_RUNS", help="Folder of the records.")]
Only = Annotated[list[str] | None, typer.Option("--only", metavar="METHOD", help="Run this method only (may be repeated).")]
Seeds = Annotated[str | None, typer.Option("--seeds", help="A number of seeds, or a list: 0,1,5.")]
Epochs = Annotated[int | None, typer.Option("--epochs", min=0, help="Epochs of every network.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a value of the suite: recipe.lr=0.1 (may be repeated)."),
]
Plugin = Annotated[list[Path] | None, typer.Option("--plugin", metavar="FILE.py", help="Load a plugin file (may be repeated).")]
Add = Annotated[
    list[str] | None, typer.Option("--add", metavar="METHOD", help="Run this method beside the suite's (may be repeated).")
]
With = Annotated[
    list[Path] | None,
    typer.Option("--with", metavar="FILE.py", help="Load a plugin file and run its methods beside the suite's."),
]
Trust = Annotated[
    bool,
    typer.Option("--trust", envvar="KDBENCH_TRUST", help="Run the plugin files that the suite names, without asking."),
]
NoCohorts = Annotated[bool, typer.Option("--no-cohorts", help="Train one by one: slower, same bits on a CPU.")]
Formats = Annotated[str, typer.Option("--format", help="Formats of the report, separated by commas.")]
FORMATS = "md,csv"
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns", metavar="NAMES", help="Columns of the leaderboard, separated by commas (see kdbench list columns)."
    ),
]
Sort = Annotated[
    str | None,
    typer.Option("--sort", metavar="NAME", help="Column to sort students by, best first; -NAME reverses the order."),
]
Latency = Annotated[
    str | None,
    typer.Option("--latency", metavar="SETTING", help="Latency of tables and figures: onnxruntime@1 (runtime@batch size)."),
]


def split(text: str | None) -> list[str]:
    """Split a comma-separated list of names."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def width() -> int:
    """Return the width of the terminal in columns; 80 without one."""
    return shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else 80


def ask() -> Callable[[str], str] | None:
    """Return a function that asks the user; ``None`` without a terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None

    def asked(question: str) -> str:
        print(question, end="", file=sys.stderr, flush=True)
        return sys.stdin.readline()

    return asked


def with_methods(add: list[str] | None, files: list[Path] | None) -> list[str]:
    """Return the names of ``--add``, and of the methods in the files of ``--with``.

    Raises:
        PluginError: a file cannot be imported, or provides no method.
    """
    names = list(add or ())
    if files:
        from kdbench.errors import PluginError
        from kdbench.plugins.manager import load_registry

        registry = load_registry(files)
        for file in files:
            found = registry.methods_in(file)
            if not found:
                raise PluginError(f"in --with {file}: the file provides no method; --plugin loads other plugins")
            names += found
    return names
