"""Whatever an output's encoding, a command says what it has to say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kdbench.data import cache
from kdbench.paths import user_folder
from kdbench.tasks.load import data_root
from tests.support import small

SAY = """
import sys
from kdbench.cli.encoding import keep_printing
keep_printing()
for stream in (sys.stdout, sys.stderr):
    print("Δ −0.5 ± 0.1 … ✓ 中 \\udcff", file=stream)
"""


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("ascii", "d -0.5 +- 0.1 ... ok ? ?"),
        ("cp1252", "d -0.5 ± 0.1 … ok ? ?"),
        ("latin-1", "d -0.5 ± 0.1 ... ok ? ?"),
        ("utf-8", "Δ −0.5 ± 0.1 … ✓ 中 ?"),
    ],
)
def test_what_an_encoding_lacks_is_written_plainly(encoding: str, said: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", SAY], capture_output=True, env=environment, check=True)
    assert done.stdout.decode(encoding).strip() == said
    assert done.stderr.decode(encoding).strip() == said


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_run_ends_in_its_leaderboard(encoding: str, tmp_path: Path) -> None:
    path = small.write_suite(tmp_path, recipe={"epochs": 1, "batch_size": 64, "lr": 0.05})
    command = [sys.executable, "-m", "kdbench", "run", str(path), "--runs", str(tmp_path / "runs")]
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert b"d supervised" in done.stdout


def test_nobody_needs_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "USERPROFILE", "XDG_CACHE_HOME", "KDBENCH_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])  # as in a container with a number for a user
    assert user_folder("XDG_CACHE_HOME", "~/.cache") is None
    read_only = tmp_path / "data"
    read_only.mkdir()
    read_only.chmod(0o555)
    assert cache.cache_folder(read_only) is None
    assert data_root(Path("~/data")) == Path("~/data")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.cache_folder(read_only) == tmp_path / "kdbench"
