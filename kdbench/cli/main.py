"""The ``kdbench`` command: its subcommands, exit statuses and error messages."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated, NoReturn

import typer

from kdbench import __version__
from kdbench.api import interrupt
from kdbench.cli import check, compare, listing, merge, plan, profile, report, run, schema
from kdbench.engine.quiet import ignore_notes_to_developers
from kdbench.errors import KdbenchError

app = typer.Typer(
    name="kdbench",
    help="Fair, fast benchmarks of knowledge-distillation methods.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (run, plan, report, compare, merge, profile, check, listing, schema):
    module.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kdbench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error (before the command's name).")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Fair, fast benchmarks of knowledge-distillation methods."""
    if debug:
        os.environ["KDBENCH_DEBUG"] = "1"


def main() -> NoReturn:
    """Run the command line.

    The exit status is 0 on success, 1 if a trial or a check failed, 2 if the input is invalid, 130 if
    stopped by Ctrl-C, 143 if stopped by SIGTERM, and 70 for a bug in kdbench or in a plugin.
    """
    interrupt.install()
    ignore_notes_to_developers()
    sys.exit(_run())


def _run() -> int:  # noqa: PLR0911 (one return per exit status)
    try:
        code = app(standalone_mode=False)
        return code if isinstance(code, int) else 0
    except KdbenchError as error:
        _debug()
        _say(f"error: {error}")
        return 2
    except typer.Exit as error:
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        _say("stopped")
        return interrupt.status()
    except BrokenPipeError:  # the reader of a pipe has exited
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if hasattr(error, "show") and hasattr(error, "exit_code"):  # a usage error; typer bundles its own click
            error.show()
            return int(error.exit_code)
        _debug()
        _say(f"internal error: {type(error).__name__}: {error} (kdbench --debug … shows where; please report it)")
        return 70


def _debug() -> None:
    if os.environ.get("KDBENCH_DEBUG"):
        traceback.print_exc()


def _say(message: str) -> None:
    print(message, file=sys.stderr)
