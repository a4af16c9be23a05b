"""`kdbench clean` shows what can be freed and frees what is named, and no result."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil
import pytest

from kdbench.cli.options import complete_suite
from tests.support import small


@pytest.fixture
def dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert not psutil.pid_exists(process.pid)
    return process.pid


@pytest.fixture
def call(kdbench_command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KDBENCH_CACHE", raising=False)
    return lambda *what: kdbench_command("clean", *what, "--runs", tmp_path / "runs", "--data-root", tmp_path / "data")


def test_nothing_is_freed_unless_it_is_named(call: Any, tmp_path: Path, dead: int) -> None:
    small.run(small.write_suite(tmp_path), tmp_path / "runs")
    before = small.bits(tmp_path / "runs")
    files = {
        "cache": [tmp_path / "data/.kdbench-cache/a.safetensors", tmp_path / "home/kdbench/b.safetensors"],
        "temporary": [
            tmp_path / f"runs/trials/x.tmp-{dead}/y",
            tmp_path / f"runs/latency/z.json.tmp-{dead}",
            tmp_path / f"tmp/kdbench-profile-q.tmp-{dead}/w",
        ],
        "quarantine": [tmp_path / "runs/quarantine/0123456789abcdef/record.json"],
    }
    every = [path for paths in files.values() for path in paths]
    kept = [tmp_path / f"runs/trials/x.tmp-{os.getpid()}", tmp_path / f"tmp/other.tmp-{dead}", tmp_path / "data/image.png"]
    for path in [*every, *kept]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"0" * 1_000_000)
    shown = call()
    assert [line.split()[0] for line in shown.out.splitlines()[:-1]] == ["cache"] * 2 + ["temporary"] * 3 + ["quarantine"]
    assert "to free it: kdbench clean cache temporary quarantine" in shown.out
    assert all(path.exists() for path in every)
    for kind, paths in files.items():
        freed = call(kind)
        assert f"freed {len(paths)}.0 MB" in freed.out
        assert not any(path.exists() for path in paths)
    assert all(path.exists() for path in kept)
    assert small.bits(tmp_path / "runs") == before
    assert call().out.strip() == "nothing to free"


def test_a_folder_that_was_about_to_be_replaced_is_restored(call: Any, tmp_path: Path, dead: int) -> None:
    old = tmp_path / f"runs/trials/0123456789abcdef.old.tmp-{dead}"
    old.mkdir(parents=True)
    (old / "record.json").write_text("{}")
    call("temporary")
    assert (tmp_path / "runs/trials/0123456789abcdef/record.json").exists()


def test_a_shell_completes_suites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").touch()
    (tmp_path / "mine.txt").touch()
    (tmp_path / "more").mkdir()
    assert complete_suite("dig") == ["digits"]
    assert complete_suite("m") == ["mnist", "mnist-3class", "mnist-response", "mine.yaml", f"more{os.sep}"]


def test_completion_is_offered_by_the_installed_command() -> None:
    environment = {**os.environ, "_KDBENCH_COMPLETE": "complete_bash", "COMP_WORDS": "kdbench plan dig", "COMP_CWORD": "2"}
    command = [sys.executable, "-c", "import sys; sys.argv = ['kdbench']; from kdbench.cli.entry import main; main()"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.split() == ["digits"], done
