"""The source of a method: helpers count, places do not, and a notebook's cells are distinguished."""

from __future__ import annotations

import linecache
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kdbench import Method
from kdbench.method.cells import module_of
from kdbench.method.imports import module_sources
from kdbench.method.source import first_digest_of, sources_differ
from kdbench.plugins.manager import load_registry

MINE = """
from kdbench import Method

class Mine(Method):
    '''Mine.'''
    def loss(self, step):
        return {"ce": step.student.logits.sum() * WEIGHT}
"""


def load(path: Path, text: str) -> type[Method]:
    """The method ``mine`` of a plugin file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return load_registry([path]).methods["mine"]


def package(folder: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> type[Method]:
    """``Mine`` of ``lab/mine.py``."""
    (folder / "lab").mkdir(parents=True)
    for file, text in {"__init__": "", **files}.items():
        (folder / "lab" / f"{file}.py").write_text(text)
    for loaded in [n for n in sys.modules if n.partition(".")[0] == "lab"]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.syspath_prepend(str(folder))
    __import__("lab.mine")
    found: type[Method] = sys.modules["lab.mine"].Mine
    return found


class TestModules:
    def test_digest_is_of_the_text_and_not_of_the_place(self, tmp_path: Path) -> None:
        first, moved = load(tmp_path / "a" / "mine.py", MINE), load(tmp_path / "b" / "mine.py", MINE)
        changed = load(tmp_path / "c" / "mine.py", MINE + "# more")
        assert first.source_digest() == moved.source_digest() != changed.source_digest()
        assert first.source_digest().startswith("2:")

    def test_text_is_the_whole_module(self, tmp_path: Path) -> None:
        assert load(tmp_path / "mine.py", MINE).source() == MINE

    def test_a_file_that_is_edited_after_its_import_keeps_its_digest(self, tmp_path: Path) -> None:
        cls = load(tmp_path / "mine.py", MINE)
        digest = cls.source_digest()
        (tmp_path / "mine.py").write_text("changed")
        assert cls.source_digest() == digest

    @pytest.mark.parametrize(
        "statement",
        [
            "from .helper import f",
            "from . import helper",
            "from lab.helper import f",
            "import lab.helper",
            "from lab.above import g",
        ],
    )
    def test_an_edit_of_a_helper_of_the_package_counts(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str
    ) -> None:
        mine, above = f"{statement}\n{MINE}", "def g():\n    from lab.helper import f\n"
        digests = [
            package(tmp_path / str(i), monkeypatch, mine=mine, helper=helper, above=above, other=other).source_digest()
            for i, (helper, other) in enumerate([("f = 1", ""), ("f = 2", ""), ("f = 1", "x = 1")])
        ]
        assert digests[0] != digests[1]
        assert digests[0] == digests[2]  # nobody imports "other"

    def test_other_methods_of_a_package_do_not_count(self) -> None:
        fitnets = module_of(load_registry().methods["fitnets"])
        assert fitnets is not None
        assert set(module_sources(fitnets)) == {"kdbench_methods.feature.fitnets", "kdbench_methods.feature.geometry"}

    def test_an_edit_of_a_helper_beside_a_file_counts(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        digests = []
        for i, helper in enumerate(["f = 1", "f = 2", "f = 1"]):
            folder = tmp_path / str(i)
            folder.mkdir()
            (folder / "beside.py").write_text(helper)
            monkeypatch.delitem(sys.modules, "beside", raising=False)
            with monkeypatch.context() as patch:
                patch.syspath_prepend(str(folder))
                digests.append(load(folder / "mine.py", f"import torch\nfrom beside import f\n{MINE}").source_digest())
        assert digests[0] == digests[2] != digests[1]

    def test_a_namesake_beside_a_file_that_came_from_elsewhere_does_not_count(self, tmp_path: Path) -> None:
        alone = load(tmp_path / "a" / "mine.py", f"import torch\n{MINE}").source_digest()
        (tmp_path / "b").mkdir()
        (tmp_path / "b" / "torch.py").write_text("x = 1")
        assert load(tmp_path / "b" / "mine.py", f"import torch\n{MINE}").source_digest() == alone

    def test_a_base_from_another_module_counts(self, tmp_path: Path) -> None:
        text = "from kdbench_methods.logit.kd import KD\nclass Mine(KD):\n    name = 'mine'"
        cls, kd = load(tmp_path / "mine.py", text), load_registry().methods["kd"]
        assert cls.has_source(cls.source_digest())
        assert cls.has_source(first_digest_of([cls, kd]))
        assert not cls.has_source(first_digest_of([cls]))

    def test_installed_is_what_a_distribution_brought(self, tmp_path: Path) -> None:
        assert load_registry().methods["kd"].is_installed()
        assert not load(tmp_path / "mine.py", MINE).is_installed()


class TestSchemes:
    def test_a_record_of_the_first_scheme_is_compared_by_it(self) -> None:
        kd = load_registry().methods["kd"]
        assert kd.has_source(first_digest_of([kd]))
        assert not kd.has_source("0" * 16)
        assert kd.has_source(kd.source_digest())
        assert not kd.has_source("2:" + "0" * 16)
        assert kd.has_source("3:" + "0" * 16)  # a later version's: nobody knows

    def test_digests_of_different_schemes_do_not_differ(self) -> None:
        assert not sources_differ({"a"}, {"2:b"})
        assert not sources_differ({"a", "2:b"}, {"2:b"})
        assert sources_differ({"a", "2:b"}, {"2:c"})


CELL = """
class Mine(Method):
    '''Mine.'''
    def loss(self, step):
        return {"ce": kd(step) * WEIGHT}
"""
HELPER = """
@full_precision
def kd(step):
    return step.student.logits.sum()
"""


class Session:
    """A notebook: cells that run in one namespace, whose text is known to ``linecache`` or not."""

    def __init__(self, keeps_text: bool = True) -> None:
        self.names: dict[str, Any] = {"__name__": "a_session"}
        self.keeps_text = keeps_text
        self.run("from kdbench import Method, full_precision\nimport torch\nWEIGHT = 2.0")

    def run(self, text: str) -> None:
        file = f"<cell {id(self)} {len(linecache.cache)}>" if self.keeps_text else "<string>"
        if self.keeps_text:
            linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        exec(compile(text, file, "exec"), self.names)

    def method(self, *cells: str) -> type[Method]:
        for cell in cells:
            self.run(cell)
        found: type[Method] = self.names["Mine"]
        return found


@pytest.mark.parametrize("keeps_text", [True, False])
class TestSessions:
    def test_the_same_cells_have_the_same_digest(self, keeps_text: bool) -> None:
        one, two = Session(keeps_text).method(HELPER, CELL), Session(keeps_text).method("# a remark", HELPER, CELL)
        assert one.source_digest() == two.source_digest()
        assert not one.is_installed()

    @pytest.mark.parametrize(
        "cells",
        [
            (HELPER, CELL.replace("* WEIGHT", "- WEIGHT")),
            (HELPER.replace("sum()", "mean()"), CELL),
            (HELPER, "WEIGHT = 3.0", CELL),
            (HELPER, CELL.replace('"ce"', '"kd"')),
            (HELPER, CELL + "    weight: float = 2.0"),
            (HELPER, CELL + "    class Params(Method.Params):\n        t: float = 2.0"),
        ],
    )
    def test_other_cells_have_another(self, keeps_text: bool, cells: tuple[str, ...]) -> None:
        assert Session(keeps_text).method(HELPER, CELL).source_digest() != Session(keeps_text).method(*cells).source_digest()

    def test_a_helper_that_is_run_again_counts_at_once(self, keeps_text: bool) -> None:
        session = Session(keeps_text)
        cls = session.method(HELPER, CELL)
        before = cls.source_digest()
        session.run(HELPER.replace("sum()", "mean()"))
        assert cls.source_digest() != before

    def test_a_class_without_functions_has_a_digest_too(self, keeps_text: bool) -> None:
        texts = [f"from kdbench import Needs\nclass Mine(Method):\n    needs = Needs(teachers={n})" for n in (1, 2, 1)]
        digests = [Session(keeps_text).method(text).source_digest() for text in texts]
        assert digests[0] == digests[2] != digests[1]


def test_text_of_a_cell_is_its_statement_after_what_it_uses() -> None:
    text = Session().method("import math\n\n" + HELPER + "\nx = 1\n", "y = 2\n" + CELL).source()
    assert text == f"WEIGHT = 2.0\n\n\n{HELPER.strip()}\n\n\n{CELL.strip()}\n"


def test_without_a_text_there_is_none_to_keep() -> None:
    assert Session(keeps_text=False).method(HELPER, CELL).source() is None


PROCESS = '''
names = {"__name__": "a_session"}
exec("""
from kdbench import Method
class Mine(Method):
    labels = {"a", "b", "c"}
    def other(self, x=frozenset({"a", "b", "c", "d"}), f=lambda v: v + 1):
        return [y in {"p", "q", "r"} for y in x]
""", names)
print(names["Mine"].source_digest())
'''


def test_fingerprints_are_the_same_in_every_process() -> None:
    seen = set()
    for seed in ("1", "2"):
        command, environment = [sys.executable, "-c", PROCESS], {"PYTHONHASHSEED": seed, "PATH": ""}
        seen.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(seen) == 1
