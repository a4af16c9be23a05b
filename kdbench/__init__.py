"""kdbench: fair, fast benchmarks of knowledge-distillation methods.

What a plugin author and a notebook import is here; nothing else is public.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from kdbench.errors import KdbenchError, MethodError
from kdbench.method import (
    BuildContext,
    Method,
    Needs,
    Outputs,
    Shapes,
    Stages,
    Step,
    UnitInterval,
    full_precision,
)
from kdbench.plugins.hookspecs import hookimpl

if TYPE_CHECKING:
    from kdbench.data.types import Dataset, RawData, Split

try:
    __version__ = version("kdbench")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0+unknown"

_LAZY = {
    "Dataset": "kdbench.data.types",
    "RawData": "kdbench.data.types",
    "Split": "kdbench.data.types",
}
"""Names that cost time to import: they come in when first used, so that ``kdbench --help`` is quick."""


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "BuildContext",
    "Dataset",
    "KdbenchError",
    "Method",
    "MethodError",
    "Needs",
    "NonNegativeFloat",
    "NonNegativeInt",
    "Outputs",
    "PositiveFloat",
    "PositiveInt",
    "RawData",
    "Shapes",
    "Split",
    "Stages",
    "Step",
    "UnitInterval",
    "__version__",
    "full_precision",
    "hookimpl",
]
