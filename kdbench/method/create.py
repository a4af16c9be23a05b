"""Making a method from its parameters, and reading what it needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from kdbench.errors import MethodError
from kdbench.method.base import Method
from kdbench.method.guard import Guard, described
from kdbench.method.needs import Needs
from kdbench.method.params import plain_data


def new_method(cls: type[Method], params: Mapping[str, Any], guard: Guard | None = None) -> Method:
    """Make a method, not built yet.

    Args:
        cls: the method.
        params: its hyper-parameters; those left out have their defaults.
        guard: calls it.

    Raises:
        MethodError: its ``Params`` are not a pydantic model, or it is no module once it is made.
        PluginFailed: it fails.
    """
    guard, label = guard or Guard(), f'method "{cls.name}"'
    with guard.calling(label, "Params"):
        made = params_class(cls)(**params)
    with guard.calling(label, "__init__"):
        method = cls(made)
    if not isinstance(method, Method) or "_modules" not in vars(method):
        raise MethodError(f"{label}: its __init__ must call super().__init__(params)")
    return method


def params_class(cls: type[Method]) -> type[BaseModel]:
    """Return the class of a method's hyper-parameters.

    Raises:
        MethodError: it is no pydantic model.
    """
    found: object = cls.Params
    if not (isinstance(found, type) and issubclass(found, BaseModel)):
        raise MethodError(f'method "{cls.name}": its Params must be a subclass of Method.Params, not {described(found)}')
    return found


def needs_of(method: Method, guard: Guard | None = None) -> Needs:
    """What a method reads.

    Raises:
        MethodError: it says something else than that.
        PluginFailed: it fails.
    """
    label = f'method "{method.name}"'
    with (guard or Guard()).calling(label, "needs"):
        needs: Needs = method.needs
    if not isinstance(needs, Needs):
        raise MethodError(f"{label}: its needs must be a kdbench.Needs, not {described(needs)}")
    return needs


def plain_params(method: Method) -> dict[str, Any]:
    """A method's hyper-parameters, complete, as JSON has them.

    Raises:
        MethodError: they are not a pydantic model any more, or JSON cannot hold them.
        PluginFailed: they fail.
    """
    label, params = f'method "{method.name}"', method.params
    if not isinstance(params, BaseModel):
        raise MethodError(f"{label}: its params must be what its __init__ was given, not {described(params)}")
    with Guard().calling(label, "Params"):
        plain = plain_data(params)
        json.dumps(plain)
    return plain
