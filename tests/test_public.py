"""``import kdbench``: its public names, what it costs, and what it does for timm."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import kdbench


def python(code: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_dir_shows_the_public_names_and_no_others() -> None:
    assert {n for n in dir(kdbench) if not n.startswith("__")} == set(kdbench.__all__) - {"__version__"}
    for name in kdbench.__all__:
        assert getattr(kdbench, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = kdbench.nothing


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(kdbench.__file__).read_text())
    checked = next(n for n in tree.body if isinstance(n, ast.If))
    seen = {a.asname or a.name for n in checked.body if isinstance(n, ast.ImportFrom) for a in n.names}
    assert seen == set(kdbench.__all__)


@pytest.mark.parametrize("code", ["import kdbench; dir(kdbench)", "from kdbench.cli.main import app"])
def test_import_and_command_line_wait_for_no_library_that_they_do_not_use(code: str) -> None:
    heavy = {"torch", "timm", "pandas", "matplotlib", "sklearn", "pydantic"}
    assert python(f"{code}; import sys; print(*sorted({heavy!r} & set(sys.modules)))") == ""


def test_help_does_not_wait_for_torch() -> None:
    code = """
import sys
sys.argv[1:] = ["--help"]
try:
    from kdbench.cli.main import main
    main()
except SystemExit as status:
    print(status.code, "torch" in sys.modules)
"""
    assert python(code).endswith("0 False")


@pytest.mark.parametrize(
    "imports",
    [
        "import kdbench, timm",
        "import timm, kdbench",
        "import torch, kdbench; from timm.models import create_model; import timm",
    ],
)
def test_timm_knows_the_small_networks_in_whichever_order_they_are_imported(imports: str) -> None:
    code = f"{imports}; print(type(timm.create_model('lightcnn', num_classes=3)).__name__, timm.is_model('resnet20'))"
    assert python(code) == "StagedNet True"


def test_timm_is_imported_as_if_kdbench_were_not_there() -> None:
    code = """
import sys, importlib, importlib.util
before = list(sys.meta_path)
import kdbench
assert importlib.util.find_spec("timm").origin.endswith("__init__.py")
assert importlib.util.find_spec("nowhere_at_all") is None
import timm
print(timm.__loader__ is timm.__spec__.loader, type(timm.__loader__).__name__, sys.meta_path == before)
importlib.reload(timm)
print(timm.is_model("lightcnn"))
"""
    assert python(code) == "True SourceFileLoader True\nTrue"


def test_a_missing_timm_is_missing_as_ever() -> None:
    code = """
import sys
import kdbench
sys.meta_path[1:] = []
try:
    import timm
except ModuleNotFoundError as error:
    print(error)
"""
    assert python(code) == "No module named 'timm'"


def test_a_fault_of_kdbench_costs_timm_nothing() -> None:
    code = """
import sys, warnings
import kdbench
sys.modules["kdbench.models.small"] = None
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    import timm
print(timm.is_model("resnet18"), *[w.message for w in seen if "kdbench" in str(w.message)])
"""
    assert python(code).startswith("True kdbench could not register its networks with timm: ")
