"""Worker processes: the bits of one process, whatever is killed, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.e2e.test_kill import KILLER, start
from tests.support import small
from tests.support.environment import unmeasured

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")

LETHAL = '''
import os
import signal

from kdbench import Method
from torch.nn import functional as F


class Lethal(Method):
    """Kills the process that trains it."""

    family = "test"

    def loss(self, step):
        if step.epoch == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"ce": F.cross_entropy(step.student.logits, step.targets)}
'''


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A suite, a plugin that kills, and the records of an uninterrupted run in one process with one thread."""
    folder = tmp_path_factory.mktemp("jobs")
    path = small.write_suite(folder, methods=["supervised", "kd", "ps_kd", "dml"], seeds=2)
    (folder / "killer.py").write_text(KILLER)
    (folder / "lethal.py").write_text(LETHAL)
    assert not small.run(path, folder / "whole").failed
    return path, folder / "killer.py", folder / "whole"


def same_bits(runs: Path, whole: Path) -> int:
    """Compare what finished with an uninterrupted run; how many trials that were."""
    mine, theirs = small.bits(runs), small.bits(whole)
    assert {i: theirs[i] for i in mine} == mine
    return len(mine)


def nothing_left(runs: Path) -> bool:
    return not [p for p in runs.rglob("*") if "tmp-" in p.name or p.parent.name == "checkpoints"]


def test_a_killed_worker_is_replaced_and_the_bits_are_those_of_one_process(
    whole: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    path, killer, runs = whole
    once = {"KILL_ONCE": str(tmp_path / "killed")}
    done = start(path, tmp_path / "runs", killer, "step:7", "--jobs", "2", "--verbose", **once)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("a worker process was killed by signal 9") == 1
    assert "ProcessExecutor runs 2 jobs at a time" in done.stderr
    assert small.bits(tmp_path / "runs") == small.bits(runs)
    mine, theirs = small.histories(tmp_path / "runs"), small.histories(runs)
    assert all(mine[i].equals(theirs[i]) for i in theirs)
    assert nothing_left(tmp_path / "runs")


def test_when_the_main_process_is_killed_workers_end_and_the_next_run_goes_on(
    whole: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    """Event plugins run in the main process, so the killer kills that one; more moments: benchmarks/kill_at_random.py."""
    path, killer, runs = whole
    killed = start(path, tmp_path, killer, "epoch finished:5", "--jobs", "2")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    done = start(path, tmp_path, killer, "never:0", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert "quarantined" not in done.stderr
    assert small.bits(tmp_path) == small.bits(runs)
    assert nothing_left(tmp_path)


def test_a_trial_that_kills_two_workers_has_failed_and_the_others_go_on(whole: tuple[Path, Path, Path], tmp_path: Path) -> None:
    path, killer, runs = whole
    lethal = small.write_suite(path.parent, name="lethal", methods=["supervised", "lethal", "kd"], seeds=1)
    options = ("--jobs", "2", "--no-cohorts", "--plugin", str(path.parent / "lethal.py"))
    done = start(lethal, tmp_path, killer, "never:0", *options)
    assert done.returncode == 1, done.stderr
    records = small.Store(tmp_path).records()
    (failed,) = [r for r in records.values() if r.status == "failed"]
    assert failed.trial.method == "lethal"
    assert failed.failure is not None
    assert failed.failure.kind == "WorkerDied"
    assert "killed by signal 9, twice" in failed.failure.message
    assert same_bits(tmp_path, runs) == 4
    assert not [p for p in tmp_path.rglob("*") if "tmp-" in p.name]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_method_that_ends_its_process_costs_its_own_trial_only(
    whole: tuple[Path, Path, Path], tmp_path: Path, jobs: str
) -> None:
    """With one job, the run itself dies twice; the third one knows, and finds the method in its cohort."""
    path, killer, runs = whole
    (path.parent / "exits.py").write_text(LETHAL.replace("os.kill(os.getpid(), signal.SIGKILL)", "os._exit(3)"))
    suite = small.write_suite(path.parent, name="exits", methods=["supervised", "kd", "lethal", "ps_kd"], seeds=1)
    options = ("--jobs", jobs, "--plugin", str(path.parent / "exits.py"))
    codes = [start(suite, tmp_path, killer, "never:0", *options).returncode for _ in range(3 if jobs == "1" else 1)]
    assert codes == ([3, 3, 1] if jobs == "1" else [1])
    (failed,) = [r for r in small.Store(tmp_path).records().values() if r.status == "failed"]
    assert failed.trial.method == "lethal"
    assert failed.failure is not None
    assert failed.failure.kind == "WorkerDied"
    assert "ended with status 3, twice in the same epoch" in failed.failure.message
    assert same_bits(tmp_path, runs) == 5
    assert not [p for p in tmp_path.rglob("*") if "tmp-" in p.name or "attempt" in p.name]
    again = start(suite, tmp_path, killer, "never:0", *options)
    assert again.returncode == 1  # it does not end the run again
    assert again.stderr.count("a worker process ended") == 1


def test_a_method_that_never_ends_is_ended_by_the_limit_of_its_suite(whole: tuple[Path, Path, Path], tmp_path: Path) -> None:
    path, killer, runs = whole
    (path.parent / "loops.py").write_text(
        LETHAL.replace(
            "os.kill(os.getpid(), signal.SIGKILL)", "\n".join(["", "            while True:", "                pass"])
        )
    )
    methods, limits = ["supervised", "kd", "lethal"], {"trial_minutes": 0.1}
    suite = small.write_suite(path.parent, name="loops", methods=methods, seeds=1, limits=limits)
    done = start(suite, tmp_path, killer, "never:0", "--plugin", str(path.parent / "loops.py"))
    assert done.returncode == 1, done.stderr
    (failed,) = [r for r in small.Store(tmp_path).records().values() if r.status == "failed"]
    assert failed.trial.method == "lethal"
    assert failed.failure is not None
    assert failed.failure.kind == "TimeLimit"
    assert failed.failure.message == "it took longer than 0.1 minutes (limits.trial_minutes), in epoch 2"
    assert same_bits(tmp_path, runs) == 4


@pytest.mark.parametrize("whom", ["the process group", "the main process"])
def test_ctrl_c_exits_130_and_leaves_no_process(tmp_path: Path, whom: str) -> None:
    path = small.write_suite(tmp_path, recipe={"epochs": 10_000, "batch_size": 32, "lr": 0.01})
    command = [sys.executable, "-m", "kdbench", "run", str(path), "--jobs", "2", "--threads", "1"]
    process = subprocess.Popen(
        [*command, "--runs", str(tmp_path / "runs"), "--data-root", str(tmp_path)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=unmeasured(PYTHONFAULTHANDLER="1"),
    )
    deadline = time.monotonic() + 120
    while not list((tmp_path / "runs").glob("checkpoints/*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) == 2
    if whom == "the process group":
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.SIGINT)
    try:
        _, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # faulthandler prints where every thread is
        for worker in workers:
            worker.kill()
        pytest.fail(f"it did not stop: {process.communicate()[1]}")
    assert process.returncode == 130, err
    assert "to go on: " in err
    assert "Traceback" not in err
    assert not [w for w in workers if w.is_running()]
    assert not [p for p in (tmp_path / "runs").rglob("*") if "tmp-" in p.name]
