"""The YAML of suites: plain values, bounded in size and depth.

Every mistake is reported with its line.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node
from ruamel.yaml.reader import ReaderError

from kdbench.errors import Location, SuiteError, cut
from kdbench.suite.locations import FileLocations, line_of

MAX_BYTES = 131_072
"""Maximum size of a suite file; reading one takes up to three seconds."""

MAX_VALUES = 100_000
"""Maximum number of values in a document, each alias counted in full.

Aliases of aliases grow exponentially.
"""

MAX_DEPTH = 50
"""Maximum depth, each alias counted in full."""

TAGS = frozenset(f"tag:yaml.org,2002:{t}" for t in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp", "value"))
"""The types of JSON, and two kinds of text that YAML has names for."""


def read_suite_file(path: Path) -> tuple[Any, FileLocations]:
    """Read a suite's file.

    Args:
        path: a regular file.

    Returns:
        Its document as plain values, and where their lines are.

    Raises:
        SuiteError: it cannot be read, is too large, or is not UTF-8 text or YAML.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            data = file.read(MAX_BYTES + 1) or b""  # None if it has nothing to give now
    except OSError as error:
        raise SuiteError(f"cannot be read: {error.strerror or error}", Location(path)) from error
    if len(data) > MAX_BYTES:
        raise SuiteError(
            f"this file has more than {MAX_BYTES // 1024} KiB, the most that a suite may have: use grids and aliases",
            Location(path, 1),
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SuiteError(
            f"cannot be read: the byte {data[error.start]:#x} is not UTF-8; save the file as UTF-8", Location(path, line)
        ) from error
    return parse_yaml(text, path)


def _without_waiting(path: str, flags: int) -> int:
    # Some regular files, such as /proc/kmsg, never end: reading them must not block.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def parse_yaml(text: str, file: Path) -> tuple[Any, FileLocations]:
    """Read a YAML 1.2 document; return its content and the lines of its parts.

    Raises:
        SuiteError: it is not YAML, has tags that construct objects, repeats a key, or is too large or too
            deeply nested.
    """
    try:
        data, node = _load(text)
    except _Invalid as error:
        raise SuiteError(f"this is not valid YAML: {error}", Location(file, error.line)) from error.__cause__
    return data, FileLocations(file, node)


def parse_value(text: str) -> Any:
    """Parse a single YAML value.

    Raises:
        ValueError: it is not YAML.
    """
    try:
        return _load(text)[0]
    except _Invalid as error:
        raise ValueError(f"this is not valid YAML: {error}") from error


class _Invalid(Exception):
    """Why a text cannot be read, and the line where it cannot."""

    def __init__(self, problem: str, line: int) -> None:
        super().__init__(problem)
        self.line = line


def _load(text: str) -> tuple[Any, Node | None]:
    """Return a document as plain values, and as nodes that know their lines."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Composer, yaml.Constructor = _Composer, _Constructor
    with _explained(yaml, text):
        constructor, _ = yaml.get_constructor_parser(text)
        node = constructor.composer.get_single_node()
        return (None, None) if node is None else (constructor.construct_document(node), node)


@contextmanager
def _explained(yaml: YAML, text: str) -> Iterator[None]:
    """Turn whatever the parser raises into :class:`_Invalid`.

    On strange input it also raises errors that are not its own.
    """
    try:
        yield
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _Invalid(f"it contains the character {error.character:#x}", line) from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = ", ".join(" ".join(str(p).split()) for p in (error.context, error.problem) if p)
        raise _Invalid(cut(problem), mark.line + 1 if mark else 1) from error
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise _Invalid(cut(said), getattr(getattr(yaml, "reader", None), "line", 0) + 1) from error


class _Composer(Composer):
    """Refuses what would go wrong silently or never end.

    That is a key given twice, an alias inside the value that it stands for, and a document that becomes too
    large when its aliases are expanded.
    """

    def __init__(self, loader: Any = None) -> None:
        super().__init__(loader=loader)
        self.warn_double_anchors = False  # YAML allows an anchor to be redefined
        self._depth = 0
        self._measures: dict[int, tuple[int, int]] = {}  # by id: number of values, depth

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose a node, which must not be too large or too deep."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _too_deep(self.parser.peek_event().start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if id(node) not in self._measures:
            self._measures[id(node)] = self._measure(node)
        return node

    def _measure(self, node: Any) -> tuple[int, int]:
        if not isinstance(node, CollectionNode):
            return 1, 1
        pairs = isinstance(node, MappingNode)
        parts = [self._measures[id(part)] for item in node.value for part in (item if pairs else (item,))]
        size, depth = 1 + sum(size for size, _ in parts), 1 + max((depth for _, depth in parts), default=0)
        if size > MAX_VALUES:
            problem = f"it has more than {MAX_VALUES:,} values once its aliases are expanded"
            raise ComposerError(problem=problem, problem_mark=node.start_mark)
        if depth > MAX_DEPTH:
            raise _too_deep(node.start_mark)
        return size, depth

    def compose_mapping_node(self, anchor: Any) -> Any:
        """Compose a mapping, whose keys must be distinct."""
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if isinstance(key, CollectionNode):
                continue  # the constructor refuses it
            name = str(key.value)
            if name in lines:
                problem = f'the key "{cut(name)}" is given twice, first on line {lines[name]}'
                raise ComposerError(problem=problem, problem_mark=key.start_mark)
            lines[name] = line_of(key)
        return node

    def return_alias(self, a: Any) -> Any:
        """Return the node that an alias stands for."""
        if a.end_mark is None:
            raise ComposerError(problem="this holds an alias of itself", problem_mark=a.start_mark)
        return a


class _Constructor(SafeConstructor):
    """Constructs plain values only; dates are text, as in JSON."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """Construct a value; any error has the node's line."""
        if str(node.tag) not in TAGS:
            problem = f'the tag "{cut(str(node.tag))}" is not one of plain values'
            raise ConstructorError(problem=problem, problem_mark=node.start_mark)
        try:
            return super().construct_object(node, deep=deep)
        except MarkedYAMLError:
            raise
        except Exception as error:
            kind = str(node.tag).rpartition(":")[2]
            problem = f"{cut(repr(node.value), 60)} is not a valid {kind}"
            raise ConstructorError(problem=problem, problem_mark=node.start_mark) from error


for _tag in ("timestamp", "value"):  # dates, and a lone "="
    _Constructor.add_constructor(f"tag:yaml.org,2002:{_tag}", SafeConstructor.construct_yaml_str)


def _too_deep(mark: Any) -> ComposerError:
    return ComposerError(problem=f"it is nested too deeply, in more than {MAX_DEPTH} levels", problem_mark=mark)
