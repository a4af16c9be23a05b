"""YAML with the line of every value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kdbench.errors import Place, SuiteError

Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class Places:
    """Where each part of a file stands.

    Args:
        file: the file.
        values: path of a value (keys and indices) → line.
        keys: path of a mapping's key → line.
    """

    file: Path
    values: Mapping[Path_, int] = field(default_factory=dict)
    keys: Mapping[Path_, int] = field(default_factory=dict)

    def of(self, *path: str | int) -> Place:
        """Place of the key or value at ``path``, or of the nearest thing around it that is written in the file."""
        for end in range(len(path), -1, -1):
            line = self.keys.get(path[:end]) or self.values.get(path[:end])
            if line is not None:
                return Place(self.file, line)
        return Place(self.file)


class _Loader(yaml.SafeLoader):
    """Safe YAML whose numbers are those of YAML 1.2: ``1e-4`` is a number, ``on`` and ``12:30`` are texts."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] not in ("float", "bool", "int", "timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))


def _decimal(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(str(loader.construct_scalar(node)))  # PyYAML would take 010 for eight


_Loader.add_constructor("tag:yaml.org,2002:int", _decimal)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)


def parse_yaml(text: str, file: Path) -> tuple[Any, Places]:
    """Read a YAML document and where its parts stand.

    Raises:
        SuiteError: it is not YAML, holds tags that construct objects, or says a key twice.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None, Places(file)
        values: dict[Path_, int] = {}
        keys: dict[Path_, int] = {}
        _walk(node, (), values, keys, file)
        return loader.construct_document(node), Places(file, values, keys)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = ", ".join(p for p in (error.context, error.problem) if p)
        raise SuiteError(f"this is not valid YAML: {problem}", Place(file, mark.line + 1 if mark else None)) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise SuiteError(f"this is not valid YAML: it holds the character {error.character:#x}", Place(file, line)) from error
    except (yaml.YAMLError, ValueError) as error:
        raise SuiteError(f"this is not valid YAML: {error}", Place(file)) from error
    except RecursionError as error:
        raise SuiteError("this is nested too deeply, or holds an alias of itself", Place(file)) from error


def parse_value(text: str) -> Any:
    """A single value, as YAML spells it.

    Raises:
        yaml.YAMLError: it is not YAML.
    """
    return yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)


def _walk(node: yaml.Node, path: Path_, values: dict[Path_, int], keys: dict[Path_, int], file: Path) -> None:
    values[path] = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            _walk(child, (*path, index), values, keys, file)
    elif isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            name = str(key.value)
            if name == "<<":
                continue
            if (*path, name) in keys:
                first = keys[*path, name]
                raise SuiteError(
                    f'the key "{name}" stands here again, first in line {first}', Place(file, key.start_mark.line + 1)
                )
            keys[*path, name] = key.start_mark.line + 1
            _walk(child, (*path, name), values, keys, file)
