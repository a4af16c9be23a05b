"""Docstrings and comments: short first lines, and no line too long to read."""

from __future__ import annotations

import ast
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SUMMARY = 80
"""Most characters in the first line of a docstring."""
LINE = 110
"""Most characters in a line of a docstring, or in a line that is a comment."""
FILES = sorted(path for folder in ("kdbench", "methods") for path in (ROOT / folder).rglob("*.py"))


def docstrings(source: str) -> Iterator[ast.Constant]:
    """Docstrings of modules, classes and functions, and the strings that follow an assignment as its documentation."""
    for node in ast.walk(ast.parse(source)):
        for statement in getattr(node, "body", ()) if not isinstance(node, ast.Lambda | ast.IfExp) else ():
            match statement:
                case ast.Expr(value=ast.Constant(value=str()) as text):
                    yield text


def violations(source: str) -> Iterator[str]:
    """What is too long, as ``line: problem``."""
    lines = source.splitlines()
    prose = set()
    for text in docstrings(source):
        assert isinstance(text.value, str)
        assert text.end_lineno is not None
        prose.update(range(text.lineno, text.end_lineno + 1))
        summary = text.value.strip().partition("\n")[0]
        if len(summary) > SUMMARY:
            yield f"{text.lineno}: the first line of a docstring has {len(summary)} characters: {summary}"
    for token in tokenize.generate_tokens(iter(source.splitlines(keepends=True)).__next__):
        if token.type == tokenize.COMMENT and token.line.lstrip().startswith("#"):
            prose.add(token.start[0])
    for number in sorted(prose):
        if len(lines[number - 1]) > LINE:
            yield f"{number}: a line of prose has {len(lines[number - 1])} characters: {lines[number - 1].strip()}"


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", FILES, ids=name)
def test_docstrings_and_comments_have_short_lines(path: Path) -> None:
    assert not list(violations(path.read_text(encoding="utf-8")))
