"""Installed from a wheel, kdbench works anywhere: methods and suites come along, and strangers' packages are found."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.support import small


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this checkout, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    files = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False).stdout.split()
    if not files:
        pytest.skip("not a git checkout")
    for name in files:
        if (REPOSITORY / name).is_file() and not name.startswith(("tests/", "reports/")):
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((REPOSITORY / name).read_bytes())
    code = "import setuptools.build_meta as b, sys; print(b.build_wheel(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", code, str(folder)], cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.split()[-1]


def test_the_wheel_holds_every_package_and_suite(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in REPOSITORY.glob("kdbench/**/*.py"):
        assert path.relative_to(REPOSITORY).as_posix() in names
    for path in REPOSITORY.glob("methods/**/*.py"):
        assert "kdbench_methods/" + path.relative_to(REPOSITORY / "methods").as_posix() in names
    for path in REPOSITORY.glob("suites/*.yaml"):
        assert f"kdbench_suites/{path.name}" in names
    assert {"kdbench/py.typed", "kdbench_methods/py.typed", "kdbench_suites/schema.json"} <= names
    for path in REPOSITORY.glob("kdbench/report/page/*"):
        assert path.is_dir() or path.suffix == ".pyc" or path.relative_to(REPOSITORY).as_posix() in names
    tops = {name.partition("/")[0] for name in names if not name.split("/")[0].endswith(".dist-info")}
    assert tops == {"kdbench", "kdbench_methods", "kdbench_suites"}


def test_every_folder_with_code_is_a_package() -> None:
    for top in ("kdbench", "methods", "suites"):
        for path in (REPOSITORY / top).glob("**/*.py"):
            assert (path.parent / "__init__.py").is_file(), f"{path.parent} has no __init__.py, and a wheel would leave it out"


def test_it_works_outside_the_checkout_with_a_strangers_package(wheel: Path, tmp_path: Path) -> None:
    """The wheel unpacked alone, beside an installed package that brings a method through an entry point."""
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    (site / "strange.py").write_text(
        textwrap.dedent('''
            from torch.nn import functional as F
            from kdbench import Method, Needs, hookimpl

            class Strange(Method):
                """A stranger's method."""
                family = "logit"
                needs = Needs(teachers=1)
                def loss(self, step):
                    return {"ce": F.cross_entropy(step.student.logits, step.teacher.logits.softmax(1))}

            @hookimpl
            def kdbench_methods():
                return [Strange]
        ''')
    )
    info = site / "strange-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[kdbench]\nstrange = strange\n")
    suite = small.write_suite(tmp_path / "work", methods=["strange"])
    code = "import sys, kdbench; assert kdbench.__file__.startswith(sys.argv.pop(1)); from kdbench.cli.main import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-S", "-c", _without_editable(code), str(site)]
    for arguments in (["run", str(suite), "--runs", "runs", "--data-root", "."], ["plan", "digits"]):
        done = subprocess.run(
            [*command, *arguments], cwd=tmp_path / "work", env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert ("strange" if arguments[0] == "run" else "supervised") in done.stdout


def _without_editable(code: str) -> str:
    """Code with the environment's packages on the path, but not the checkout's editable install."""
    packages = str(Path(importlib.metadata.distribution("torch").locate_file("")).resolve())
    return f"import sys; sys.path.append({packages!r}); {code}"
