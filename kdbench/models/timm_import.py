"""Registration of the small networks with timm as soon as timm is imported.

So ``import kdbench`` itself imports neither timm nor torch.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.abc import Loader, MetaPathFinder
else:  # they only declare what is defined here, and take a third of the time of importing kdbench
    Loader = MetaPathFinder = object


def register_when_imported() -> None:
    """Register now if timm is imported already, otherwise right after its import."""
    timm = sys.modules.get("timm")
    if timm is not None:
        _register(timm)
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds timm as the other finders do, and wraps its loader."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the spec of timm; ``None`` for other modules, so other finders are used."""
        if name != "timm":
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        spec = next((found for f in others if (found := f.find_spec(name, path, target)) is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self)
        return spec


class _Loader(Loader):
    """Behaves like timm's own loader, but registers the networks after the import."""

    def __init__(self, loader: Loader, finder: _Finder) -> None:
        self._loader = loader
        self._finder = finder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Return the original loader's result."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Import timm, leaving no trace in its module, then register."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        _register(module)


def _register(timm: ModuleType) -> None:
    try:
        from kdbench.models.small import register_with_timm

        register_with_timm(timm)
    except Exception as error:  # timm must work even if kdbench does not
        warnings.warn(f"kdbench could not register its networks with timm: {type(error).__name__}: {error}", stacklevel=2)
