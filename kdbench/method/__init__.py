"""The contract of a distillation method: everything that a plugin author needs.

A method is an ``nn.Module`` that turns the outputs of student and teachers into named loss terms. It says
in :class:`Needs` what it reads; nothing else is computed for it. It never owns the student or the teachers.
"""

from kdbench.method.base import Method
from kdbench.method.context import BuildContext, Shapes
from kdbench.method.needs import Needs, Sampler, UnitInterval
from kdbench.method.precision import full_precision
from kdbench.method.search import Search
from kdbench.method.stages import Stages, pick_stages
from kdbench.method.step import Outputs, Step
from kdbench.method.terms import checked_terms, total_of

__all__ = [
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
