"""Only tasks/images and models know what an image is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import kdbench

ROOT = Path(kdbench.__file__).parent
HOME = ("tasks/images/", "models/")
WORDS = re.compile(r"image|pixel|crop|in_chans|img_size|torchvision|\bPIL\b", re.IGNORECASE)
ALLOWED = {
    ("cli/profile.py", None),  # a command about networks of images
    ("plan/identity.py", "crop_padding"),  # keys of version 1, which ids count for ever
    ("plan/identity.py", "crop_mode"),
    ("results/migrations.py", "images_per_second"),  # its name in version 1
    ("plan/trial.py", "image"),  # plans of version 1 say no task: they are of images
    ("engine/environment.py", "torchvision"),  # a library whose version is recorded
}


def modules() -> list[str]:
    found = (path.relative_to(ROOT).as_posix() for path in sorted(ROOT.rglob("*.py")))
    return [name for name in found if not name.startswith(HOME)]


def said(tree: ast.Module) -> Iterator[str]:
    """Names and texts of the code, without docstrings and other bare strings."""
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in bare:
                yield text
            case ast.Name(id=name) | ast.arg(arg=name) | ast.Attribute(attr=name) | ast.keyword(arg=str(name)):
                yield name
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.alias(name=name):
                yield name
            case ast.ImportFrom(module=str(name)):
                yield name


@pytest.mark.parametrize("name", modules())
def test_a_module_knows_no_images(name: str) -> None:
    tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
    allowed = {text for module, text in ALLOWED if module == name}
    found = [text for text in said(tree) if WORDS.search(text) and "tasks.images" not in text]
    assert [text for text in found if None not in allowed and text not in allowed] == []


def test_the_search_finds_what_it_looks_for() -> None:
    tree = ast.parse('"""An image."""\nfrom PIL import Image\ndef crop(x): return "test images"')
    assert sorted(text for text in said(tree) if WORDS.search(text)) == ["Image", "PIL", "crop", "test images"]
