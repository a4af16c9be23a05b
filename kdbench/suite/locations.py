"""The location of each part of a suite.

It is a line of a file, an option of the command line, or a path of keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from kdbench.errors import Location


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

    _parts: dict[int, dict[str, tuple[int, Node]]] = field(default_factory=dict, repr=False, compare=False)

    def of(self, *path: str | int) -> Location:
        """Return the line of the key or value at ``path``.

        If it is not in the file, the line is that of the nearest part around it that is.
        """
        if self.root is None:
            return Location(self.file)
        node, line = self.root, line_of(self.root)
        for part in path:
            if id(node) not in self._parts:
                self._parts[id(node)] = _parts(node)
            if str(part) not in self._parts[id(node)]:
                break
            line, node = self._parts[id(node)][str(part)]
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
class OptionLocations:
    """The location of a value given as an option.

    Args:
        option: the option with its value: ``--set recipe.lr=1``.
    """

    option: str

    def of(self, *path: str | int) -> Location:
        """Return the option."""
        return Location(f"in {self.option}")

    def reference(self, *path: str | int) -> str:
        """Format the option: ``in --set recipe.lr=1``."""
        return f"in {self.option}"


@dataclass(frozen=True)
class Replaced:
    """Locations in a suite of which one part was given separately.

    Args:
        rest: locations of everything else.
        path: keys that lead to the part that was given separately.
        part: locations in that part.
    """

    rest: Locations
    path: tuple[str, ...]
    part: Locations

    def of(self, *path: str | int) -> Location:
        """Return the location, in the part or in the rest."""
        return self._locations(path).of(*path)

    def reference(self, *path: str | int) -> str:
        """Format the location as the part, or the rest, does."""
        return self._locations(path).reference(*path)

    def _locations(self, path: tuple[str | int, ...]) -> Locations:
        return self.part if tuple(map(str, path[: len(self.path)])) == self.path else self.rest


def line_of(node: Node) -> int:
    """Return the line on which a node begins, from 1."""
    return int(node.start_mark.line) + 1


def _parts(node: Node) -> dict[str, tuple[int, Node]]:
    """Return the lines and nodes in a node, by key or index.

    A mapping's own keys hide those merged into it.
    """
    return {key: (line, child) for key, line, child in reversed(list(_children(node)))}


def _children(node: Node) -> Iterator[tuple[str, int, Node]]:
    if isinstance(node, MappingNode):
        for key, child in reversed(node.value):
            yield str(key.value), line_of(key), child
    elif isinstance(node, SequenceNode):
        for index, child in enumerate(node.value):
            yield str(index), line_of(child), child
