"""Paths that lead in a circle are answered with one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdbench.errors import PluginError
from kdbench.paths import real_path
from kdbench.plugins.manager import load_registry


def test_a_plugin_file_that_links_to_itself_does_not_exist(tmp_path: Path) -> None:
    loop = tmp_path / "loop.py"
    loop.symlink_to(loop)
    with pytest.raises(PluginError, match="does not exist"):
        load_registry([loop])


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "file.py").touch()
    (tmp_path / "link.py").symlink_to(tmp_path / "file.py")
    assert real_path(tmp_path / "link.py") == (tmp_path / "file.py").resolve()
