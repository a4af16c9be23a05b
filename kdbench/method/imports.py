"""Helper modules that a module imports, found without running anything."""

from __future__ import annotations

import ast
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType


@dataclass(frozen=True)
class Home:
    """The home of a module's helpers: its top-level package, or its file's folder.

    Args:
        package: name of the top-level package; empty for a single file.
        folders: folders of the package, or the folder of the file.
    """

    package: str
    folders: tuple[Path, ...]

    def locate(self, name: str) -> Path | None:
        """Return the file of a module by its dotted name, or ``None`` if it is not here."""
        top, *rest = name.split(".")
        if self.package:
            if top != self.package:
                return None
            parts = rest
        else:
            parts = [top, *rest]
            if not self._is_ours(top):
                return None
        for folder in self.folders:
            options = [folder.joinpath(*parts, "__init__.py")]
            if parts:
                options.insert(0, folder.joinpath(*parts[:-1], f"{parts[-1]}.py"))
            for path in options:
                if path.is_file():
                    return path
        return None

    def _is_ours(self, top: str) -> bool:
        """Return whether an imported name comes from this folder, not from elsewhere."""
        loaded = getattr(sys.modules.get(top), "__file__", None)
        return loaded is None or any(Path(loaded).resolve().is_relative_to(f.resolve()) for f in self.folders)


def module_sources(module: ModuleType) -> dict[str, str]:
    """Collect the source of a module and, transitively, of its helpers, by name.

    Names do not depend on where the files are: they are dotted for packages, and the stem for a single
    file. Packages that merely contain an imported module do not count. A module without readable source
    is left out.
    """
    name, home = _name(module), home_of(module)
    file = Path(module.__file__ or "")
    found: dict[str, str] = {}
    pending = [(name, file)]
    while pending:
        name, path = pending.pop()
        text = read(path, module if path == file else None)
        if name in found or text is None:
            continue
        found[name] = text
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for helper in sorted(_imported(text, package, home)):
            where = home.locate(helper)
            if where is not None:
                pending.append((helper, where))
    return found


def home_of(module: ModuleType) -> Home:
    """Return where the helpers of a module may be."""
    if module.__package__:
        top = module.__package__.partition(".")[0]
        return Home(top, tuple(Path(p) for p in getattr(sys.modules.get(top), "__path__", ())))
    folder = Path(module.__file__ or "").parent
    shared = any(folder.glob("*.dist-info"))  # a folder of installed packages: the files beside it are unrelated
    return Home("", () if shared else (folder,))


def read(path: Path, module: ModuleType | None = None) -> str | None:
    """Return the text of a Python file, or ``None`` if it cannot be read.

    A module in an archive is read by its loader.
    """
    try:
        with tokenize.open(path) as file:
            return file.read()
    except (OSError, SyntaxError, UnicodeDecodeError):
        get_source = getattr(getattr(module, "__loader__", None), "get_source", None)
        try:
            return get_source(module.__name__) if get_source and module else None
        except (ImportError, OSError):
            return None


def _name(module: ModuleType) -> str:
    if not module.__package__:
        return Path(module.__file__ or module.__name__).stem
    return module.__spec__.name if module.__spec__ else module.__name__  # __main__ of "python -m" has its own name in its spec


def _imported(text: str, package: str, home: Home) -> Iterator[str]:
    """Yield the modules that a source imports anywhere; relative names are resolved."""
    try:
        tree = ast.parse(text)
    except SyntaxError:  # not imported yet, so the error does not matter here
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if home.locate(inner) else base
