"""Signals, deaths of processes, damaged checkpoints and deleted folders in the middle of a run, which is then started again.

What must hold: the exit status is that of the signal, nobody sees a traceback, no process, file or temporary folder is left when the
run has ended at last, and every bit is that of a run that nobody disturbed.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random

import psutil

from kdbench.results.store import Store
from tests.faults.case import Case
from tests.faults.zygote import Result, Zygote
from tests.support import small
from tests.support.environment import unmeasured

COUNT = 300
METHODS = ["supervised", "kd", "ps_kd", "dml"]
LETHAL = '''
import os
import time

from kdbench import Method
from torch.nn import functional as F


class Base(Method):
    """Learns, until the second epoch."""

    family = "test"

    def loss(self, step):
        if step.epoch == 1:
            self.end()
        return {"ce": F.cross_entropy(step.student.logits, step.targets)}


class Exits(Base):
    """Ends its process."""

    def end(self):
        os._exit(3)


class Aborts(Base):
    """Ends its process by a signal."""

    def end(self):
        os.abort()


class Loops(Base):
    """Never ends."""

    def end(self):
        while True:
            pass


class Sleeps(Base):
    """Waits for ever."""

    def end(self):
        time.sleep(10**6)
'''


def cases(random: Random, count: int) -> Iterator[Case]:
    """Draw cases."""
    kinds: list[tuple[int, Callable[[Random], Case]]] = [
        (36, lambda r: _signal_case(r, 1)),
        (5, lambda r: _signal_case(r, 2)),
        (3, _worker_case),
        (3, _stop_case),
        (6, _import_case),
        (14, _checkpoint_case),
        (5, _deletion_case),
        (2, _latency_case),
        (1, _lethal_case),
    ]
    weights = [weight for weight, _ in kinds]
    for make in random.choices([make for _, make in kinds], weights, k=count):
        yield make(Random(random.random()))


@dataclass(frozen=True)
class Moment:
    """When to disturb a run.

    Args:
        seconds: after its start, or after the change.
        change: the number of a change of a file after which the seconds count; 0 for the start.
    """

    seconds: float
    change: int = 0

    @classmethod
    def drawn(cls, random: Random, longest: float) -> Moment:
        """Draw one."""
        return (
            cls(random.choice((0.0, 0.0, 0.002)), random.randint(1, 110))
            if random.random() < 0.6
            else cls(random.uniform(0, longest))
        )

    def __str__(self) -> str:
        return "at a change of a file" if self.change else "at a random moment"

    def wait(self, runs: Path, process: psutil.Process) -> None:
        """Sleep until then, or until the process has ended."""
        left, before = self.change, _stamps(runs)
        while left > 0 and process.is_running():
            now = _stamps(runs)
            left -= sum(a != b for a, b in zip(now, before, strict=True))
            before = now
        end = time.monotonic() + self.seconds
        while time.monotonic() < end and process.is_running():
            time.sleep(0.001)


def _stamps(runs: Path) -> list[int]:
    """When names last changed in each folder of a runs folder."""
    found = []
    for part in (".", "trials", "checkpoints", "suites", "profiles", "latency", "reports", "reports/small"):
        try:
            found.append(os.stat(runs / part).st_mtime_ns)
        except OSError:
            found.append(0)
    return found


@functools.cache
def _zygote() -> Zygote:
    return Zygote()


@functools.cache
def _expected() -> tuple[object, float]:
    """Bits of a run that nobody disturbed, and how long it took, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder))
        result = lab.run(1)
        assert result.code == 0, result.err
        return small.bits(lab.runs), result.seconds


class Lab:
    """A suite in a folder, and runs of it.

    Args:
        folder: an empty folder.
        changes: of the suite.
    """

    def __init__(self, folder: Path, **changes: object) -> None:
        self.folder = folder
        self.runs = folder / "runs"
        self.tmp = folder / "tmp"
        self.tmp.mkdir()
        self.suite = small.write_suite(folder, **{"methods": METHODS, **changes})
        self.problems: list[str] = []

    def arguments(self, jobs: int) -> list[str]:
        """The command line."""
        options = ["--trust", "--threads", "1", "--jobs", str(jobs), "--runs", str(self.runs), "--data-root", str(self.folder)]
        return ["run", str(self.suite), *options]

    def run(self, jobs: int, disturb: Callable[[psutil.Process], None] | None = None, timeout: float = 120.0) -> Result:
        """Run the suite, and disturb it on the way."""
        zygote, environment = _zygote(), {"TMPDIR": str(self.tmp)}
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(
                zygote.kdbench, self.arguments(jobs), self.folder, env=environment, timeout=timeout, memory_mb=10_000
            )
            child = None
            while child is None and not future.done():
                child = _child_of(zygote._process.pid)
            if child is not None and disturb is not None:
                with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                    disturb(child)
            result = future.result()
        if "Traceback" in result.err + result.out:
            self.problems.append(f"a traceback: {result.err[-1500:]}")
        if result.timed_out:
            self.problems.append("it did not end")
        if child is not None and (left := _session(child.pid)):
            self.problems.append(f"processes are left: {left}")
        return result

    def expect(self, what: str, result: Result, *codes: int) -> None:
        """Note an unexpected exit status."""
        if result.code not in codes:
            self.problems.append(f"{what}: exit status {result.code} instead of {codes}: {result.err[-500:]}")

    def finish(self, jobs: int, code: int = 0, compare: bool = True, quarantine: bool = False) -> Result:
        """Run the suite to its end, and look at what it left."""
        result = self.run(jobs)
        self.expect("the last run", result, code)
        if compare and small.bits(self.runs) != _expected()[0]:
            self.problems.append("other bits")
        if quarantine:  # a half-deleted record is damaged
            shutil.rmtree(self.runs / "quarantine", ignore_errors=True)
        self.look_for_leftovers()
        return result

    def look_for_leftovers(self) -> None:
        """Note what should not be there after a run."""
        failed = {r.trial.id for r in Store(self.runs).records().values() if r.status == "failed"}
        names = [p.relative_to(self.runs) for p in self.runs.rglob("*") if p.stem not in failed]  # they may go on
        left = [
            n
            for n in names
            if ".tmp" in n.name or n.parent.name == "checkpoints" or n.parts[0] == "quarantine" or n.name == "data"
        ]
        left += list(self.tmp.iterdir())
        if left:
            self.problems.append(f"left behind: {[str(n) for n in left[:5]]}")

    def verdict(self) -> str:
        """All problems in one line."""
        return "; ".join(self.problems)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _child_of(pid: int) -> psutil.Process | None:
    try:
        numbers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return None
    for number in numbers:
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(int(number))
    return None


def _session(pid: int, patience: float = 5.0) -> list[str]:
    """Processes of a session that do not end."""
    end = time.monotonic() + patience
    while True:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(OSError, psutil.Error):
                if process.pid != pid and os.getsid(process.pid) == pid and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(process.cmdline())[:200])
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.1)


CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}


def _signal_case(random: Random, jobs: int) -> Case:
    number = random.choice(list(CODES))
    times = random.choice((1, 1, 2))
    longest = 8.0 if jobs > 1 else 1.2 * _expected()[1]
    moments = [Moment.drawn(random, longest) for _ in range(times)]
    again = random.uniform(0, 0.4) if number != signal.SIGKILL and random.random() < 0.2 else None
    group = random.random() < 0.4

    def inject(folder: Path) -> str:
        lab = Lab(folder)
        for moment in moments:

            def disturb(process: psutil.Process, moment: Moment = moment) -> None:
                _wait_for_handlers(process)
                moment.wait(lab.runs, process)
                send = functools.partial(os.killpg, process.pid) if group and number == signal.SIGINT else process.send_signal
                send(number)
                if again is not None:
                    time.sleep(again)
                    send(number)

            result = lab.run(jobs, disturb)
            lab.expect(f"{number.name} {moment}", result, 0, CODES[number])
        lab.finish(jobs)
        return lab.verdict()

    return Case(f"{number.name} {moments[0]}, {jobs} job{'s' * (jobs > 1)}", inject, 150.0)


def _wait_for_handlers(process: psutil.Process, patience: float = 10.0) -> None:
    """Sleep until a process handles SIGTERM: before that, it is Python that starts."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        with contextlib.suppress(OSError, StopIteration):
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            caught = int(next(line.split()[1] for line in lines if line.startswith("SigCgt")), 16)
            if caught >> (signal.SIGTERM - 1) & 1:
                return
        if not process.is_running():
            return
        time.sleep(0.001)


def _worker_case(random: Random) -> Case:
    moments = [Moment(random.uniform(0, 4)) for _ in range(random.choice((1, 2, 3)))]
    choices = [random.random() for _ in moments]

    def inject(folder: Path) -> str:
        lab = Lab(folder)

        def disturb(process: psutil.Process) -> None:
            for moment, choice in zip(moments, choices, strict=True):
                moment.wait(lab.runs, process)
                workers = process.children()
                if workers:
                    workers[int(choice * len(workers))].kill()

        lab.expect("SIGKILL of workers", lab.run(2, disturb), 0)
        lab.finish(2)
        return lab.verdict()

    return Case("SIGKILL of workers", inject, 150.0)


def _stop_case(random: Random) -> Case:
    jobs, moment, pause = random.choice((1, 2)), Moment(random.uniform(0, 3)), random.uniform(0.1, 2)
    whom = random.random()

    def inject(folder: Path) -> str:
        lab = Lab(folder)

        def disturb(process: psutil.Process) -> None:
            moment.wait(lab.runs, process)
            found = [process, *process.children()]
            chosen = found[int(whom * len(found))]
            chosen.suspend()
            time.sleep(pause)
            chosen.resume()

        lab.expect("SIGSTOP and SIGCONT", lab.run(jobs, disturb), 0)
        lab.finish(jobs)
        return lab.verdict()

    return Case("SIGSTOP and SIGCONT", inject, 150.0)


def _import_case(random: Random) -> Case:
    number, seconds = random.choice(list(CODES)), random.uniform(0, 3) ** 2 / 3

    def inject(folder: Path) -> str:
        lab = Lab(folder)
        command = [sys.executable, "-m", "kdbench", *lab.arguments(1)]
        environment = unmeasured(OMP_NUM_THREADS="1", TMPDIR=str(lab.tmp))
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment, start_new_session=True, text=True
        ) as process:
            watched = psutil.Process(process.pid)
            _wait_for_handlers(watched)
            Moment(seconds).wait(lab.runs, watched)
            process.send_signal(number)
            _, err = process.communicate(timeout=120)
        if process.returncode not in (0, CODES[number]):
            lab.problems.append(f"exit status {process.returncode} after {number.name}: {err[-500:]}")
        if "Traceback" in err:
            lab.problems.append(f"a traceback: {err[-1500:]}")
        if process.returncode > 0 and "stopped" not in err:
            lab.problems.append("it stopped without a word")
        lab.finish(1)
        return lab.verdict()

    return Case(f"{number.name} while kdbench is imported", inject, 150.0)


def _checkpoint_case(random: Random) -> Case:
    what = random.choice(sorted(DAMAGE))
    moment, seed = Moment(0.0, random.randint(25, 60)), random.random()

    def inject(folder: Path) -> str:
        lab = Lab(folder)
        for delay in (0.0, 0.01, 0.03, 0.06):  # until there is a checkpoint

            def disturb(process: psutil.Process, delay: float = delay) -> None:
                Moment(moment.seconds + delay, moment.change).wait(lab.runs, process)
                process.kill()

            lab.run(1, disturb)
            found = sorted((lab.runs / "checkpoints").glob("*.safetensors"))
            if found:
                break
        else:
            lab.finish(1)
            return lab.verdict()
        rng = Random(seed)
        path = rng.choice(found)
        changed = DAMAGE[what](rng, path, found)
        result = lab.finish(1)
        if changed and "cannot be used" not in result.err and "cannot be used" not in result.out:
            record = lab.runs / "trials" / path.stem / "record.json"
            if not record.exists() or json.loads(record.read_text())["costs"]["sessions"] > 1:
                lab.problems.append("a damaged checkpoint was continued without a word")
        return lab.verdict()

    return Case(f"a checkpoint {what}", inject, 150.0)


def _flip(random: Random, path: Path, _: list[Path]) -> bool:
    content = bytearray(path.read_bytes())
    for _n in range(random.choice((1, 1, 5))):
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    return _write(path, bytes(content))


def _flip_head(random: Random, path: Path, _: list[Path]) -> bool:
    content = bytearray(path.read_bytes())
    content[random.randrange(min(len(content), 3000))] ^= 1 << random.randrange(8)
    return _write(path, bytes(content))


def _cut(random: Random, path: Path, _: list[Path]) -> bool:
    content = path.read_bytes()
    return _write(path, content[: random.randrange(len(content))])


def _empty(random: Random, path: Path, _: list[Path]) -> bool:
    return _write(path, b"")


def _garbage(random: Random, path: Path, _: list[Path]) -> bool:
    return _write(path, random.randbytes(random.randrange(1, 5000)))


def _other(random: Random, path: Path, found: list[Path]) -> bool:
    other = random.choice(found)
    return other != path and _write(path, other.read_bytes())


def _folder(random: Random, path: Path, _: list[Path]) -> bool:
    path.unlink()
    path.mkdir()
    return True


def _pipe(random: Random, path: Path, _: list[Path]) -> bool:
    path.unlink()
    os.mkfifo(path)
    return True


def _metadata(random: Random, path: Path, _: list[Path]) -> bool:
    """Change a value in the header's plain data, without changing its length where that can be done."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    meta = json.loads(header["__metadata__"]["kdbench"])
    key = random.choice(sorted(meta))
    meta[key] = random.choice((0, 1, -1, 10**9, "x", None, [], {}, [{}], True, 1.5))
    if random.random() < 0.2:
        del meta[key]
    header["__metadata__"]["kdbench"] = json.dumps(meta)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return _write(path, len(text).to_bytes(8, "little") + text + content[8 + length :])


DAMAGE: dict[str, Callable[[Random, Path, list[Path]], bool]] = {
    "with flipped bits": _flip,
    "with flipped bits in its header": _flip_head,
    "that was cut": _cut,
    "that is empty": _empty,
    "of random bytes": _garbage,
    "of another trial": _other,
    "with changed metadata": _metadata,
    "that is a folder": _folder,
    "that is a pipe": _pipe,
}


def _write(path: Path, content: bytes) -> bool:
    changed = path.read_bytes() != content
    path.write_bytes(content)
    return changed


def _deletion_case(random: Random) -> Case:
    moment, what = (
        Moment(0.0, random.randint(5, 110)),
        random.choice(("the runs folder", "a trial", "the checkpoints", "the plan")),
    )
    choice = random.random()

    def inject(folder: Path) -> str:
        lab = Lab(folder)

        in_time: list[bool] = []  # whether the run was still there, before each attempt

        def disturb(process: psutil.Process) -> None:
            moment.wait(lab.runs, process)
            trials = sorted((lab.runs / "trials").glob("*")) or [lab.runs]
            target = {
                "the runs folder": lab.runs,
                "a trial": trials[int(choice * len(trials))],
                "the checkpoints": lab.runs / "checkpoints",
                "the plan": lab.runs / "suites",
            }[what]
            for _ in range(5):
                in_time.append(_runs(process))
                shutil.rmtree(target, ignore_errors=True)

        result = lab.run(1, disturb)
        lab.expect(f"{what} was deleted", result, 0, 1, 2)
        whole = (lab.runs / "suites" / "small.json").exists() and small.bits(lab.runs) == _expected()[0]
        if result.code == 0 and all(in_time) and not whole and "finished before" in result.out:
            records = len(list((lab.runs / "trials").glob("*/record.json")))
            if records < len(_expected()[0]):  # type: ignore[arg-type]
                lab.problems.append(f"{what} was deleted and the exit status is 0")
        if result.code and not result.err.strip():
            lab.problems.append("it failed without a word")
        lab.finish(1, quarantine=True)
        return lab.verdict()

    return Case(f"{what} deleted in mid-run", inject, 150.0)


def _latency_case(random: Random) -> Case:
    number, seconds = random.choice(list(CODES)), random.uniform(0, 6)
    quick = {"devices": ["cpu"], "batch_sizes": [1], "min_seconds": 0.05, "min_rounds": 2, "blocks": 2, "processes": 1}

    def inject(folder: Path) -> str:
        lab = Lab(folder, measure={"latency": quick})

        def disturb(process: psutil.Process) -> None:
            while process.is_running() and not list((lab.runs / "latency").glob("*.tmp-*")):
                time.sleep(0.005)
            Moment(seconds).wait(lab.runs, process)
            process.send_signal(number)

        lab.expect(f"{number.name} while latency is measured", lab.run(1, disturb), 0, CODES[number])
        lab.finish(1)
        return lab.verdict()

    return Case(f"{number.name} while latency is measured", inject, 150.0)


def _lethal_case(random: Random) -> Case:
    method, jobs, times = random.choice(("exits", "aborts", "loops", "sleeps")), random.choice((1, 2)), 3
    limits = {"trial_minutes": 0.05} if method in ("loops", "sleeps") else {}

    def inject(folder: Path) -> str:
        (folder / "lethal.py").write_text(LETHAL)
        lab = Lab(folder, methods=["supervised", "kd", method, "ps_kd", "dml"], plugins=["lethal.py"], limits=limits)
        for _ in range(times):
            result = lab.run(jobs)
            if result.code == 1:
                break
        lab.expect(f"a method that {method}", result, 1)
        lab.look_for_leftovers()
        if small.bits(lab.runs) != _expected()[0]:
            lab.problems.append("other bits")
        return lab.verdict()

    return Case(f"a method that {method}", inject, 240.0)
