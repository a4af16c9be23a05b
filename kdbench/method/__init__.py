"""The contract of a distillation method: everything that a plugin author needs.

A method is an ``nn.Module`` that turns the outputs of student and teachers into named loss terms. It says
in :class:`Needs` what it reads; nothing else is computed for it. It never owns the student or the teachers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdbench.method.base import Method
    from kdbench.method.context import BuildContext, Shapes
    from kdbench.method.needs import Needs, Sampler, UnitInterval
    from kdbench.method.params import AddedLater
    from kdbench.method.precision import full_precision
    from kdbench.method.search import Search
    from kdbench.method.stages import Stages, pick_stages
    from kdbench.method.step import Outputs, Step
    from kdbench.method.terms import checked_terms, total_of

__all__ = [
    "AddedLater",
    "BuildContext",
    "Method",
    "Needs",
    "Outputs",
    "Sampler",
    "Search",
    "Shapes",
    "Stages",
    "Step",
    "UnitInterval",
    "checked_terms",
    "full_precision",
    "pick_stages",
    "total_of",
]

_HOMES = {
    "kdbench.method.base": ("Method",),
    "kdbench.method.context": (
        "BuildContext",
        "Shapes",
    ),
    "kdbench.method.needs": (
        "Needs",
        "Sampler",
        "UnitInterval",
    ),
    "kdbench.method.params": ("AddedLater",),
    "kdbench.method.precision": ("full_precision",),
    "kdbench.method.search": ("Search",),
    "kdbench.method.stages": (
        "Stages",
        "pick_stages",
    ),
    "kdbench.method.step": (
        "Outputs",
        "Step",
    ),
    "kdbench.method.terms": (
        "checked_terms",
        "total_of",
    ),
}
_LAZY = {name: home for home, names in _HOMES.items() for name in names}
"""The module that each name comes from.

A name is imported when it is first used: a trial needs a sampler's name, and not torch.
"""


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        found = globals()[name] = getattr(import_module(_LAZY[name]), name)
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
