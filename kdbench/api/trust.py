"""Permission to run the plugin files that a suite names.

The user is asked once; the answer is remembered by the content of the files.
"""

from __future__ import annotations

import importlib.resources
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType

from kdbench.errors import KdbenchError, SuiteError
from kdbench.method.imports import module_sources
from kdbench.paths import real_path, user_folder
from kdbench.seeding import digest
from kdbench.suite.load import LoadedSuite
from kdbench.suite.resolve import plugin_files

Ask = Callable[[str], str]
"""Shows a question and returns the answer."""

ALWAYS = "always"
"""Remembered instead of a digest for a file that may change."""


def require_trust(
    loaded: LoadedSuite, named: Iterable[Path | str] = (), *, given: bool = False, ask: Ask | None = None
) -> None:
    """Check that the plugin files that a suite names may run; nothing is imported.

    The suites that come with kdbench may run their own. Every other file needs permission: an option, or an
    answer, which is remembered in the user's configuration. "Yes" holds until the file or a helper module
    beside it changes, "always" holds for good, as suits an author.

    Args:
        loaded: the suite.
        named: plugin files that the user names, and thereby trusts.
        given: whether the user allows it with an option.
        ask: asks the user; ``None`` if nobody is there.

    Raises:
        SuiteError: they may not.
    """
    files, locations = plugin_files(loaded)
    known = {**_remembered(), **{str(real_path(f)): ALWAYS for f in named}}
    unknown = [f for f in dict.fromkeys(files) if os.path.isfile(f) and not _is_packaged(loaded, f) and not _allows(known, f)]
    if given or os.environ.get("KDBENCH_TRUST") == "1" or not unknown:
        return
    what = f"this suite runs code that did not come with kdbench: {', '.join(map(str, unknown))}"
    location = locations[str(unknown[0])]
    answer = ask(f"{location}: {what}\nRun it? y: yes, as it is now; a: always, even if it changes; n: no [n] ") if ask else ""
    if answer.strip().lower() not in ("y", "yes", "a", ALWAYS):
        how = "read it, then allow it with --trust or KDBENCH_TRUST=1 (in Python, trust=True)"
        raise SuiteError(f"{what}; {how}", location)
    always = answer.strip().lower().startswith("a")
    _remember({**_remembered(), **{str(f): ALWAYS if always else _digest(f) for f in unknown}})


def _is_packaged(loaded: LoadedSuite, file: Path) -> bool:
    """Whether a file and the suite that names it came with kdbench."""
    home = real_path(str(importlib.resources.files("kdbench_suites")))
    return loaded.path is not None and real_path(loaded.path).parent == home and file.is_relative_to(home)


def _allows(known: Mapping[str, str], file: Path) -> bool:
    word = known.get(str(file))
    return word is not None and (word == ALWAYS or word == _digest(file))


def _digest(file: Path) -> str:
    """Digest of a plugin's file and of the helper modules beside it that it imports."""
    module = ModuleType(file.stem)
    module.__file__ = str(file)
    return digest([module_sources(module), file.read_bytes().hex()], 64)


def _configuration() -> Path | None:
    """The file of earlier answers; ``None`` where the user has no home."""
    folder = user_folder("XDG_CONFIG_HOME", "~/.config")
    return None if folder is None else folder / "trusted.json"


def _remembered() -> dict[str, str]:
    """What was allowed earlier, by file: a digest, or :data:`ALWAYS`."""
    path = _configuration()
    if path is None:
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}


def _remember(words: Mapping[str, str]) -> None:
    path = _configuration()
    if path is None:
        raise KdbenchError("the answer cannot be kept, because there is no home folder: set HOME, or use --trust")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
            json.dump(words, file, indent=1, sort_keys=True)
        os.replace(file.name, path)
    except OSError as error:
        raise KdbenchError(f"the answer cannot be kept in {path} ({error}): use --trust") from error
