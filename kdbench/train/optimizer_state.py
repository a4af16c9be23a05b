"""Optimizer states as tensors and JSON.

``state_dict()`` of an optimizer holds tensors and numbers, and with some optimizers of timm also dtypes,
lists of tensors, and the state of a Python generator. Tensors are stored by name; JSON holds the rest, in
which a mapping with the key :data:`KIND` stands for a value that JSON lacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

KIND = "$"
"""Key of a mapping that stands for a value that JSON lacks."""


def pack(state: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Convert the result of ``optimizer.state_dict()``.

    Returns:
        Plain data for JSON: ``optimizer_groups``, ``optimizer_numbers`` (by the index of a parameter) and
        ``optimizer_more`` (what some optimizers add); and the tensors by name: ``optimizer.INDEX.KEY``,
        ``group.NUMBER.KEY`` and ``nested.NUMBER``.

    Raises:
        TypeError: a value is of a type that cannot be stored.
    """
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, dict[str, Any]] = {}
    for index, values in state["state"].items():
        tensors.update({f"optimizer.{index}.{k}": v for k, v in values.items() if isinstance(v, Tensor)})
        if plain := _plain(values, tensors):
            numbers[str(index)] = plain
    groups: list[dict[str, Any]] = []
    for number, group in enumerate(state["param_groups"]):  # some optimizers count their steps here, in a tensor
        tensors.update({f"group.{number}.{k}": v for k, v in group.items() if isinstance(v, Tensor)})
        groups.append(_plain(group, tensors))
    more = {k: _encoded(v, tensors) for k, v in state.items() if k not in ("state", "param_groups")}
    return {"optimizer_groups": groups, "optimizer_numbers": numbers, "optimizer_more": more}, tensors


def unpack(optimizer: Optimizer, meta: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Restore in an optimizer what :func:`pack` returned.

    Args:
        optimizer: a new optimizer of the same parameters.
        meta: the plain data.
        tensors: the tensors by name; others are ignored.
    """
    parameters = [p for g in optimizer.param_groups for p in g["params"]]
    state = {int(i): {k: _decoded(v, tensors) for k, v in values.items()} for i, values in meta["optimizer_numbers"].items()}
    groups = [{k: _decoded(v, tensors) for k, v in group.items()} for group in meta["optimizer_groups"]]
    more = {k: _decoded(v, tensors) for k, v in meta.get("optimizer_more", {}).items()}
    for name, value in tensors.items():
        what, _, rest = name.partition(".")
        number, _, key = rest.partition(".")
        if what == "group":
            groups[int(number)][key] = value
        elif what == "optimizer":
            state.setdefault(int(number), {})[key] = _alike(value, parameters[int(number)])
    optimizer.load_state_dict({**more, "state": state, "param_groups": groups})


def _alike(value: Tensor, parameter: Tensor) -> Tensor:
    """Return a value in its parameter's format, so that the same kernels run."""
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _plain(values: Mapping[str, Any], tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Return everything except tensors; tuples such as Adam's betas become lists."""
    kept = {k: list(v) if isinstance(v, tuple) else v for k, v in values.items() if not isinstance(v, Tensor)}
    return {k: _encoded(v, tensors) for k, v in kept.items()}


def _encoded(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return a value as plain data; put the tensors in it into ``tensors``."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor):
        name = f"nested.{len(tensors)}"
        tensors[name] = value
        return {KIND: "tensor", "name": name}
    if isinstance(value, torch.dtype):
        return {KIND: "dtype", "name": str(value).removeprefix("torch.")}
    if isinstance(value, list):
        return [_encoded(v, tensors) for v in value]
    if isinstance(value, tuple):
        return {KIND: "tuple", "values": [_encoded(v, tensors) for v in value]}
    if isinstance(value, Mapping) and all(isinstance(k, str) and k != KIND for k in value):
        return {k: _encoded(v, tensors) for k, v in value.items()}
    raise TypeError(f"the optimizer's state holds a {type(value).__name__}, which cannot be stored")


def _decoded(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_decoded(v, tensors) for v in value]
    if not isinstance(value, Mapping):
        return value
    match value.get(KIND):
        case "tensor":
            return tensors[value["name"]]
        case "dtype":
            return getattr(torch, value["name"])
        case "tuple":
            return tuple(_decoded(v, tensors) for v in value["values"])
    return {k: _decoded(v, tensors) for k, v in value.items()}
