"""A job is JSON, and all that a process needs that knows nothing else."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
import torch

from kdbench.data.types import TaskData
from kdbench.engine.events import EpochFinished, Event, TrialEnded, TrialStarted
from kdbench.engine.executors import ExecutorSettings, cores, early_executor, make_executor, worker_process
from kdbench.engine.executors.processes import ProcessExecutor
from kdbench.engine.executors.worker_process import MESSAGES
from kdbench.engine.job import Job, lineage
from kdbench.engine.prepare import Prepared, suitable_jobs
from kdbench.engine.presence import present, wait_for_workers
from kdbench.engine.resources import Resources, load_saved, open_resources, save_data
from kdbench.engine.worker import work
from kdbench.errors import DataError, StoreError
from kdbench.results.record import Record
from kdbench.results.store import Store
from tests.results import made
from tests.support import small


def job_of(prepared: Prepared, runs: Path, cohort: int = 0) -> Job:
    chosen = prepared.plan.cohorts[cohort]
    return Job(
        suite="small",
        trials=lineage(chosen.trials, prepared.plan.trials),
        cohort=chosen,
        dataset=prepared.loaded.suite.dataset,
        data_root=prepared.data_root,
        runs=runs,
        plugins=prepared.plugins,
    )


def test_a_job_comes_back_from_json_and_names_its_trials_and_all_who_taught_them(tmp_path: Path) -> None:
    methods = [{"method": "born_again", "generations": 2}]
    prepared = small.prepared(small.write_suite(tmp_path, methods=methods))
    job = job_of(prepared, tmp_path / "runs", -1)
    assert Job.model_validate_json(job.model_dump_json()) == job
    taught = [i for i, t in job.trials.items() if t.teachers]
    assert all(t in job.trials for i in taught for t in job.trials[i].teachers)
    assert len(job.trials) == 3  # two generations and the first student


def test_events_come_back_from_json_with_numbers_that_are_not_finite() -> None:
    event = EpochFinished(trial="t", epoch=1, metrics={"loss": math.nan, "test_loss": math.inf, "lr": 0.1 + 0.2})
    back = MESSAGES.validate_json(event.model_dump_json())
    assert isinstance(back, EpochFinished)
    assert math.isnan(back.metrics["loss"])
    assert back.metrics["test_loss"] == math.inf
    assert back.metrics["lr"] == 0.1 + 0.2
    record: Record = made.record(made.trial("kd"), math.nan)
    ended = MESSAGES.validate_json(TrialEnded(record=record).model_dump_json())
    assert isinstance(ended, TrialEnded)
    assert ended.record.trial == record.trial
    assert math.isnan(ended.record.metrics["test"]["accuracy"])


def test_a_fresh_process_trains_a_job_to_the_same_bits(tmp_path: Path) -> None:
    prepared = small.prepared(small.write_suite(tmp_path))
    Store(tmp_path / "there").open()
    Store(tmp_path / "here").open()
    code = (
        "import sys; from kdbench.engine.worker import work; from kdbench.engine.job import Job;"
        "work(Job.model_validate_json(sys.stdin.read()))"
    )
    text = job_of(prepared, tmp_path / "there").model_copy(update={"threads": 1}).model_dump_json()
    subprocess.run([sys.executable, "-c", code], input=text, text=True, check=True, timeout=300)
    events: list[Event] = []
    work(job_of(prepared, tmp_path / "here"), events.append)
    assert small.bits(tmp_path / "there") == small.bits(tmp_path / "here")
    members = list(prepared.plan.cohorts[0].trials)
    assert [e.trial for e in events if isinstance(e, TrialStarted)] == members
    assert [e.record.status for e in events if isinstance(e, TrialEnded)] == ["finished"] * len(members)
    work(job_of(prepared, tmp_path / "here"), events.clear)  # type: ignore[arg-type] # is done already: no event
    assert events


class TestData:
    def test_are_mapped_from_a_file_and_equal(self, tmp_path: Path) -> None:
        data = small.prepared(small.write_suite(tmp_path)).data
        save_data(data, tmp_path / "data")
        back: TaskData = load_saved(tmp_path / "data")
        for split in ("train", "validation", "test"):
            assert torch.equal(getattr(back, split).inputs, getattr(data, split).inputs)
            assert torch.equal(getattr(back, split).targets, getattr(data, split).targets)
        assert {k: v.tolist() for k, v in back.statistics.items()} == {k: v.tolist() for k, v in data.statistics.items()}
        assert (back.name, back.class_names, back.fingerprint) == (data.name, data.class_names, data.fingerprint)

    def test_other_than_those_of_the_plan_are_refused(self, tmp_path: Path) -> None:
        job = job_of(small.prepared(small.write_suite(tmp_path)), tmp_path)
        other = job.model_copy(update={"dataset": job.dataset.model_copy(update={"limit": 100})})
        with pytest.raises(DataError, match="are not those that the run was planned with"):
            open_resources(other)

    def test_that_cannot_be_read_or_written_are_one_sentence(self, tmp_path: Path) -> None:
        (tmp_path / "data").write_bytes(b"x")
        with pytest.raises(DataError, match="cannot be read"):
            load_saved(tmp_path / "data")
        with pytest.raises(StoreError):
            save_data(small.prepared(small.write_suite(tmp_path)).data, tmp_path / "data" / "inside")


class TestExecutors:
    def test_are_chosen_by_the_number_of_jobs(self, tmp_path: Path) -> None:
        registry = small.prepared(small.write_suite(tmp_path)).registry
        assert type(early_executor(ExecutorSettings(jobs=1))).__name__ == "LocalExecutor"
        assert early_executor(ExecutorSettings(jobs=None)) is None
        assert early_executor(ExecutorSettings(name="a cluster", jobs=2)) is None
        assert type(make_executor(ExecutorSettings(jobs=None), registry, 1)).__name__ == "LocalExecutor"

    def test_close_ends_workers_that_are_still_importing_at_once(self) -> None:
        executor = ProcessExecutor(ExecutorSettings(jobs=2))
        pids = [w._process.pid for w in executor._workers]
        executor.close()
        executor.close()
        assert not [p for p in pids if psutil.pid_exists(p)]

    def test_suit_the_machine_and_the_plan(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cores, "cores", lambda: 4)
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        assert [cores.threads_of_each(n) for n in (1, 2, 3, 9)] == [4, 2, 1, 1]
        assert cores.suitable_jobs(100, gpus=2) == 2
        assert cores.suitable_jobs(1, gpus=0) == 1
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        assert cores.threads_of_each(2) == 1
        prepared = small.prepared(small.write_suite(tmp_path, methods=["supervised"], pairs=[{"student": "tiny_cnn"}]))
        assert suitable_jobs(prepared, Store(tmp_path / "runs"), torch.device("cpu")) == 1

    def test_data_are_written_once_and_removed(self, tmp_path: Path) -> None:
        prepared = small.prepared(small.write_suite(tmp_path))
        store = Store(tmp_path / "runs")
        store.open()
        executor = ProcessExecutor(ExecutorSettings(jobs=1))
        executor.open(Resources(prepared.registry, prepared.task, prepared.data, store))
        assert [p.name for p in store.root.glob("data.tmp-*/*")] == ["data"]
        executor.close()
        assert not [p for p in store.root.iterdir() if p.name.startswith("data")]


def test_a_run_waits_for_workers_of_a_run_that_was_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from kdbench.engine.presence import present\n"
        "with present(Path(sys.argv[1])): print('here', flush=True); time.sleep(1)"
    )
    worker = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "here\n"
    assert list(tmp_path.glob(".worker.tmp-*"))
    wait_for_workers(tmp_path)
    worker.wait(timeout=60)
    assert not list(tmp_path.glob(".worker*"))
    with present(tmp_path):
        assert list(tmp_path.glob(".worker.tmp-*"))
    wait_for_workers(tmp_path)
    assert time.monotonic()


@pytest.mark.parametrize("jobs", ["0", "-1", "two", "1.5"])
def test_a_bad_number_of_jobs_is_one_sentence(kdbench_command, tmp_path: Path, jobs: str) -> None:  # type: ignore[no-untyped-def]
    outcome = kdbench_command("run", "digits", f"--jobs={jobs}", "--runs", tmp_path / "runs")
    assert outcome.status == 2
    assert f'--jobs takes a number of worker processes or auto, not "{jobs}"' in outcome.err
    assert not (tmp_path / "runs").exists()


def test_killing_a_worker_does_not_wait_for_what_it_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its child holds the pipe to us open, and a thread is reading from it."""
    code = (
        "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
        "print(p.pid, flush=True); time.sleep(60)"
    )

    def start(memory: int | None) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    monkeypatch.setattr(worker_process, "_start", start)
    worker = worker_process.WorkerProcess(threading.Event(), None)
    stdout = worker._process.stdout
    assert stdout is not None
    child = int(stdout.readline())
    reading = threading.Thread(target=stdout.read, daemon=True)
    reading.start()
    killing = threading.Thread(target=worker.kill, daemon=True)
    killing.start()
    killing.join(20)
    ended, still_reading = not killing.is_alive(), reading.is_alive()
    os.kill(child, signal.SIGKILL)
    reading.join(20)
    assert ended
    assert still_reading  # or the test would show nothing
