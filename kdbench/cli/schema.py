"""``kdbench schema``: the JSON Schema of suites, for editors."""

from __future__ import annotations

import json

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("schema", short_help="Print a JSON Schema of suites, for editors.")(schema)


def schema() -> None:
    """Print a JSON Schema of suites (draft 2020-12), for editors.

    Editors use it to complete and check the keys of a suite. Save it beside a suite as schema.json, and
    begin the suite with: # yaml-language-server: $schema=schema.json
    """
    from kdbench.suite.schema import json_schema

    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
