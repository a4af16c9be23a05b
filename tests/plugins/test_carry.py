"""Plugins that are objects reach a process that knows nothing of them, and nobody unpickles them by accident."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kdbench.engine.resources import open_resources
from kdbench.engine.worker import work
from kdbench.errors import PluginError
from kdbench.plugins.carry import pack, unpack
from kdbench.plugins.manager import load_registry
from tests.api import made
from tests.engine.test_jobs import job_of
from tests.support import small

ELSEWHERE = """
import sys
from kdbench.plugins.carry import unpack
from kdbench.plugins.manager import load_registry
mine = load_registry(objects=unpack(sys.stdin.read())).methods["mine"]
print(mine.source_digest())
print(mine.source())
print(mine.Params(weight=2).weight, mine.needs.teachers)
"""


def elsewhere(text: str) -> str:
    done = subprocess.run([sys.executable, "-c", ELSEWHERE], input=text, capture_output=True, text=True, check=True)
    return done.stdout


def test_a_method_keeps_its_source_and_digest() -> None:
    mine = made.cell()["Mine"]
    digest, rest = elsewhere(pack([mine])).split("\n", 1)
    assert digest == mine.source_digest()
    assert rest.startswith(mine.source())
    assert rest.rstrip().endswith("2.0 1")


def test_a_class_of_a_plugin_file_that_no_other_process_can_import_goes_too(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(made.CELL)
    mine = load_registry([tmp_path / "mine.py"]).methods["mine"]
    assert elsewhere(pack([mine])).startswith(mine.source_digest())


def test_nothing_is_an_empty_text() -> None:
    assert pack([]) == ""
    assert unpack("") == ()


def test_what_cannot_be_pickled_is_one_sentence() -> None:
    lock = threading.Lock()

    def factory(**_: object) -> object:
        return lock

    with pytest.raises(
        PluginError, match=r"cannot be sent to worker processes \(.*\): run it with one job, or put it into a file"
    ):
        pack([{"locked": factory}])


def test_a_job_with_pickles_is_refused_by_whoever_did_not_start_its_worker(tmp_path: Path) -> None:
    job = job_of(small.prepared(small.write_suite(tmp_path)), tmp_path / "runs")
    carrying = job.model_copy(update={"objects": pack([made.cell()["Mine"]])})
    for call in (open_resources, work):
        with pytest.raises(PluginError, match="which only a worker that kdbench started itself may open"):
            call(carrying)
