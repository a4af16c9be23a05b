"""kdbench: fair, fast benchmarks of knowledge-distillation methods.

Everything that plugin authors and notebooks import is here; nothing else is public.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kdbench.models.timm_import import register_when_imported

if TYPE_CHECKING:
    from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

    from kdbench.api.results import Results, load_results
    from kdbench.api.running import run
    from kdbench.api.students import load_student
    from kdbench.api.suites import load_suite
    from kdbench.data.types import Dataset, RawData, Split, TaskData
    from kdbench.errors import KdbenchError, MethodError
    from kdbench.method import (
        AddedLater,
        BuildContext,
        Method,
        Needs,
        Outputs,
        Search,
        Shapes,
        Stages,
        Step,
        UnitInterval,
        full_precision,
    )
    from kdbench.plugins.hookspecs import hookimpl
    from kdbench.suite.schema import Suite
    from kdbench.tasks.metrics import Metric
    from kdbench.tasks.task import Task
    from kdbench.version import __version__


_HOMES = {
    "kdbench.api.results": ("Results", "load_results"),
    "kdbench.api.running": ("run",),
    "kdbench.api.students": ("load_student",),
    "kdbench.api.suites": ("load_suite",),
    "kdbench.data.types": ("Dataset", "RawData", "Split", "TaskData"),
    "kdbench.tasks.metrics": ("Metric",),
    "kdbench.tasks.task": ("Task",),
    "kdbench.suite.schema": ("Suite",),
    "kdbench.errors": ("KdbenchError", "MethodError"),
    "kdbench.method": (
        "AddedLater",
        "BuildContext",
        "Method",
        "Needs",
        "Outputs",
        "Search",
        "Shapes",
        "Stages",
        "Step",
        "UnitInterval",
        "full_precision",
    ),
    "kdbench.plugins.hookspecs": ("hookimpl",),
    "kdbench.version": ("__version__",),
    "pydantic": ("NonNegativeFloat", "NonNegativeInt", "PositiveFloat", "PositiveInt"),
}
_LAZY = {name: home for home, names in _HOMES.items() for name in names}
"""The module that each public name comes from.

A name is imported when it is first used, so that ``kdbench --help`` does not wait for torch.
"""

__all__ = [
    "AddedLater",
    "BuildContext",
    "Dataset",
    "KdbenchError",
    "Method",
    "MethodError",
    "Metric",
    "Needs",
    "NonNegativeFloat",
    "NonNegativeInt",
    "Outputs",
    "PositiveFloat",
    "PositiveInt",
    "RawData",
    "Results",
    "Search",
    "Shapes",
    "Split",
    "Stages",
    "Step",
    "Suite",
    "Task",
    "TaskData",
    "UnitInterval",
    "__version__",
    "full_precision",
    "hookimpl",
    "load_results",
    "load_student",
    "load_suite",
    "run",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        found = globals()[name] = getattr(import_module(_LAZY[name]), name)
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


register_when_imported()
