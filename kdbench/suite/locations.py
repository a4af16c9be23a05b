"""YAML documents, and the location of each part of a suite.

A location is a line of a file or, for a suite that was not read from a file, a path of keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode
from ruamel.yaml.reader import ReaderError

from kdbench.errors import Location, SuiteError

MAX_VALUES = 100_000
"""Maximum number of values in a document, with all aliases written out.

Without a limit, aliases of aliases could grow without bound.
"""


class Locations(Protocol):
    """The location of each part of a suite."""

    def of(self, *path: str | int) -> Location:
        """Return the location of the key or value at ``path``.

        If it was not written, the location is that of the nearest part around it that was.
        """

    def reference(self, *path: str | int) -> str:
        """Format the location for a sentence that already names the suite."""


@dataclass(frozen=True)
class FileLocations:
    """Lines of a YAML file.

    Args:
        file: the file.
        root: its document; ``None`` if the file is empty.
    """

    file: Path
    root: Node | None = None

    def of(self, *path: str | int) -> Location:
        """Return the line of the key or value at ``path``.

        If it is not in the file, the line is that of the nearest part around it that is.
        """
        if self.root is None:
            return Location(self.file)
        node, line = self.root, _line(self.root)
        for part in path:
            for key, found, child in _children(node):
                if key == str(part):
                    node, line = child, found
                    break
            else:
                break
        return Location(self.file, line)

    def reference(self, *path: str | int) -> str:
        """Format a line: ``on line 7``."""
        return f"on line {self.of(*path).line}"


@dataclass(frozen=True)
class KeyLocations:
    """Paths of keys, for a suite that was not read from a file."""

    def of(self, *path: str | int) -> Location:
        """Return the keys that lead to the value, joined by dots."""
        return Location(".".join(map(str, path)) or "the suite")

    def reference(self, *path: str | int) -> str:
        """Format a path: ``at pairs.0``."""
        return f"at {self.of(*path)}"


@dataclass(frozen=True)
class Replaced:
    """Locations in a suite of which one part was given separately.

    Args:
        rest: locations of everything else.
        key: key of the part that was given separately.
    """

    rest: Locations
    key: str

    def of(self, *path: str | int) -> Location:
        """Return the location; in the part that was given separately, a path of keys."""
        return self._locations(path).of(*path)

    def reference(self, *path: str | int) -> str:
        """Format the location as the locations of that part do."""
        return self._locations(path).reference(*path)

    def _locations(self, path: tuple[str | int, ...]) -> Locations:
        return KeyLocations() if path[:1] == (self.key,) else self.rest


class _Composer(Composer):
    """Refuses duplicate keys, and aliases inside the value that they stand for.

    Both would otherwise go wrong silently.
    """

    def __init__(self, loader: Any = None) -> None:
        super().__init__(loader=loader)
        self.warn_double_anchors = False  # YAML allows an anchor to be redefined

    def compose_mapping_node(self, anchor: Any) -> Any:
        """Compose a mapping, whose keys must be distinct."""
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            name = str(key.value)
            if name in lines:
                raise ComposerError(
                    problem=f'the key "{name}" is given twice, first on line {lines[name]}', problem_mark=key.start_mark
                )
            lines[name] = _line(key)
        return node

    def return_alias(self, a: Any) -> Any:
        """Return the node that an alias stands for."""
        if a.end_mark is None:
            raise ComposerError(problem="this holds an alias of itself", problem_mark=a.start_mark)
        return a


class _Constructor(SafeConstructor):
    """Constructs plain values only; dates are text, as in JSON."""


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", SafeConstructor.construct_yaml_str)


def parse_yaml(text: str, file: Path) -> tuple[Any, FileLocations]:
    """Read a YAML 1.2 document; return its content and the lines of its parts.

    Raises:
        SuiteError: it is not YAML, has tags that construct objects, gives a key twice, or is too large or
            nested too deeply.
    """
    try:
        data, node = _load(text)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise SuiteError(
            f"this is not valid YAML: it contains the character {error.character:#x}", Location(file, line)
        ) from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = ", ".join(p for p in (error.context, error.problem) if p)
        raise SuiteError(f"this is not valid YAML: {problem}", Location(file, mark.line + 1 if mark else None)) from error
    except RecursionError as error:
        raise SuiteError("this is nested too deeply", Location(file)) from error
    except (YAMLError, ValueError) as error:
        raise SuiteError(f"this is not valid YAML: {error}", Location(file)) from error
    return data, FileLocations(file, node)


def parse_value(text: str) -> Any:
    """Parse a single YAML value.

    Raises:
        ValueError: it is not YAML.
    """
    try:
        return _load(text)[0]
    except (YAMLError, RecursionError) as error:
        raise ValueError(f"{text!r} is not valid YAML") from error


def _load(text: str) -> tuple[Any, Node | None]:
    """Return a document as plain values, and as nodes that know their lines."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Composer, yaml.Constructor = _Composer, _Constructor
    constructor, _ = yaml.get_constructor_parser(text)
    node = constructor.composer.get_single_node()
    if node is None:
        return None, None
    if _size(node, {}) > MAX_VALUES:
        raise ValueError(f"it has more than {MAX_VALUES:,} values once its aliases are written out")
    return constructor.construct_document(node), node


def _size(node: Node, known: dict[int, int]) -> int:
    """Count the values in a node, with aliases written out."""
    if id(node) not in known:
        known[id(node)] = 1 + sum(_size(child, known) for _, _, child in _children(node))
    return known[id(node)]


def _children(node: Node) -> Iterator[tuple[str, int, Node]]:
    """Yield the key (or index), line and node of each child of a node.

    A mapping's own keys come before those merged into it.
    """
    if isinstance(node, MappingNode):
        for key, child in reversed(node.value):
            yield str(key.value), _line(key), child
    elif isinstance(node, SequenceNode):
        for index, child in enumerate(node.value):
            yield str(index), _line(child), child


def _line(node: Node) -> int:
    """Return the line on which a node begins, from 1."""
    return int(node.start_mark.line) + 1
