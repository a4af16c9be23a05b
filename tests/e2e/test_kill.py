"""A run that is killed at any moment, and started again, ends with the bits of one that was not."""

from __future__ import annotations

import functools
import signal
import subprocess
from pathlib import Path

import pytest

from tests.faults.zygote import Zygote
from tests.support import small

PATIENCE = 300.0
"""Most seconds of a run, on a machine that is busy."""

KILLER = '''
"""Kills the process at the moment that KILL_AT names; if KILL_ONCE names a file, only the first process that comes there."""

import os
import signal
from pathlib import Path

import kdbench

moment, _, count = os.environ.get("KILL_AT", "never:0").partition(":")
left = int(count)


def reached(now):
    global left
    if now == moment:
        left -= 1
        if left == 0 and first():
            os.kill(os.getpid(), signal.SIGKILL)


def first():
    if "KILL_ONCE" not in os.environ:
        return True
    try:
        os.close(os.open(os.environ["KILL_ONCE"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


@kdbench.hookimpl
def kdbench_trial_started(trial):
    reached("trial started")


@kdbench.hookimpl
def kdbench_epoch_finished(trial, epoch, metrics):
    reached("epoch finished")


@kdbench.hookimpl
def kdbench_trial_finished(trial, record):
    reached("trial finished")


def watch_steps():
    from kdbench.train.member import Member

    train_step = Member.train_step

    def watched(self, *arguments):
        train_step(self, *arguments)
        reached("step")

    Member.train_step = watched


def watch_renames():
    for name in ("replace", "rename"):
        original = getattr(os, name)

        def watched(source, target, *rest, original=original, **more):
            parent = Path(target).parent.name
            reached(f"before {parent}")
            original(source, target, *rest, **more)
            reached(f"after {parent}")

        setattr(os, name, watched)


watch_steps()
watch_renames()
'''
MOMENTS = [
    "step:7",  # in the middle of the teachers' first epoch
    "step:31",  # in the middle of the students' second epoch
    "before checkpoints:3",  # a checkpoint is written but not in place
    "after checkpoints:6",  # some members of the cohort are an epoch ahead of the others
    "before trials:4",  # a record is written but not in place
    "after trials:4",  # a record is in place, its checkpoint is not removed yet
    "epoch finished:7",
    "trial finished:2",  # between two cohorts
]
METHODS = ["supervised", "kd", "ps_kd", "dml", {"method": "born_again", "generations": 1}]


@functools.cache
def zygote() -> Zygote:
    return Zygote()


def start(
    path: Path, runs: Path, killer: Path, moment: str = "never:0", *options: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a suite in a process of its own, forked from one that has everything imported."""
    arguments = ["run", str(path), "--runs", str(runs), "--data-root", str(path.parent), "--plugin", str(killer)]
    arguments += ["--threads", "1", *options]
    found = zygote().kdbench(arguments, path.parent, env={"KILL_AT": moment, **environment}, timeout=PATIENCE, memory_mb=16_000)
    return subprocess.CompletedProcess(arguments, found.code, found.out, found.err)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    folder = tmp_path_factory.mktemp("kill")
    path = small.write_suite(folder, methods=METHODS)
    killer = folder / "killer.py"
    killer.write_text(KILLER)
    done = start(path, folder / "whole", killer)
    assert done.returncode == 0, done.stderr
    return path, killer, folder / "whole"


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_run_goes_on_to_the_same_bits(uninterrupted: tuple[Path, Path, Path], tmp_path: Path, moment: str) -> None:
    path, killer, whole = uninterrupted
    killed = start(path, tmp_path, killer, moment)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(small.bits(tmp_path)) < len(small.bits(whole))
    done = start(path, tmp_path, killer)
    assert done.returncode == 0, done.stderr
    assert "quarantined" not in done.stderr
    assert small.bits(tmp_path) == small.bits(whole)
    mine, theirs = small.histories(tmp_path), small.histories(whole)
    assert all(mine[i].equals(theirs[i]) for i in theirs)
    assert not [p for p in tmp_path.rglob("*") if "tmp-" in p.name or p.parent.name == "checkpoints"]
