"""The ``kdbench`` command: its subcommands, exit statuses and error messages."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated, NoReturn

import typer

from kdbench import __version__
from kdbench.api import interrupt
from kdbench.cli import check, clean, compare, listing, merge, plan, profile, report, run, schema, show
from kdbench.cli.encoding import keep_printing
from kdbench.engine.quiet import ignore_notes_to_developers
from kdbench.errors import KdbenchError

app = typer.Typer(
    name="kdbench",
    help="Fair, fast benchmarks of knowledge-distillation methods.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (run, plan, report, compare, merge, profile, check, listing, show, clean, schema):
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
    keep_printing()
    ignore_notes_to_developers()
    code = _run()
    interrupt.ignore()
    sys.exit(code)


def _run() -> int:
    """Run the command, print its error, and return its exit status.

    After a signal, the status is that of the signal, whatever the command made of it.
    """
    try:
        code, message = _command()
    except (KeyboardInterrupt, typer.Abort):
        code, message = interrupt.status(), "stopped"
    except BrokenPipeError:  # the reader of a pipe has exited
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        _debug()
        code, message = 70, f"internal error: {type(error).__name__}: {error} (kdbench --debug … shows where; please report it)"
    if interrupt.wanted() and not (message and code == interrupt.status()):  # typer, or a library, made something else of it
        code, message = interrupt.status(), "stopped"
    if message:
        print(message, file=sys.stderr)
    return code


def _command() -> tuple[int, str]:
    """Run the command; its exit status, and what there is to say about it."""
    try:
        code = app(standalone_mode=False)
        return (code if isinstance(code, int) else 0), ""
    except KdbenchError as error:
        _debug()
        return 2, f"error: {error}"
    except interrupt.Stopped as error:
        return interrupt.status(), f"\n{error}"
    except typer.Exit as error:
        return error.exit_code, ""
    except Exception as error:
        if not hasattr(error, "show") or not hasattr(error, "exit_code"):
            raise
        error.show()  # a usage error; typer bundles its own click
        return int(error.exit_code), ""


def _debug() -> None:
    if os.environ.get("KDBENCH_DEBUG"):
        traceback.print_exc()
