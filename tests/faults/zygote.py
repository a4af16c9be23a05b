"""A process that has kdbench imported, and forks for each command line: imports take seconds, a fork milliseconds.

>>> with Zygote() as zygote:
...     result = zygote.kdbench(["report", "runs"], cwd=folder)
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.faults import case
from tests.support.environment import unmeasured


@dataclass(frozen=True)
class Result:
    """A command line that has ended.

    Args:
        code: its exit status; -9 and so on for a signal.
        out: its standard output.
        err: its standard error.
        seconds: how long it took.
        peak_mb: most memory it held at once, in MB; a forked process begins with about 400.
        timed_out: whether it was killed because it took too long.
    """

    code: int
    out: str
    err: str
    seconds: float
    peak_mb: float
    timed_out: bool


class Zygote:
    """Runs ``kdbench`` command lines in forks of one process that has everything imported."""

    def __init__(self) -> None:
        environment = unmeasured(OMP_NUM_THREADS="1", COLUMNS="200")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.zygote"],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()

    def kdbench(
        self,
        arguments: Sequence[str],
        cwd: Path,
        *,
        timeout: float = 60.0,
        memory_mb: int = 4096,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
    ) -> Result:
        """Run a command line.

        Args:
            arguments: what follows ``kdbench``.
            cwd: its working directory.
            timeout: seconds after which it, and what it started, is killed.
            memory_mb: most address space beyond what it begins with.
            env: additional environment variables.
            stdin: its standard input.
        """
        request = {"arguments": list(arguments), "cwd": str(cwd), "timeout": timeout * case.PATIENCE, "memory_mb": memory_mb}
        request |= {"env": dict(env or {}), "stdin": stdin}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return Result(**json.loads(self._process.stdout.readline()))


def _serve() -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.font_manager  # noqa: F401 (makes its list of fonts, which each new home would get otherwise)

    import kdbench.api.results
    import kdbench.api.running
    import kdbench.cli.main
    import kdbench.report.formats
    import kdbench.tasks.images.preprocess  # noqa: F401
    from kdbench.plugins.manager import load_registry

    load_registry()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        answers.write(json.dumps(_run(json.loads(line))) + "\n")
        answers.flush()


def _run(request: dict[str, object]) -> dict[str, object]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as given:
        given.write(str(request["stdin"]).encode())
        given.seek(0)
        begin = time.perf_counter()
        child = os.fork()
        if child == 0:
            _become(request, given.fileno(), out.fileno(), err.fileno())
        status, peak, timed_out = _wait(child, float(str(request["timeout"])))
        seconds = time.perf_counter() - begin
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read(1_000_000).decode(errors="replace"))
    code = os.waitstatus_to_exitcode(status)
    return {"code": code, "out": texts[0], "err": texts[1], "seconds": seconds, "peak_mb": peak, "timed_out": timed_out}


def _become(request: dict[str, object], stdin: int, out: int, err: int) -> None:
    """Be the command line, and end with it."""
    code = 70
    try:
        os.setsid()
        for source, target in ((stdin, 0), (out, 1), (err, 2)):
            os.dup2(source, target)
        sys.stdin = os.fdopen(0, closefd=False)
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", closefd=False)
        os.chdir(str(request["cwd"]))
        os.environ.update(request["env"])  # type: ignore[call-overload]
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        most = size + int(str(request["memory_mb"])) * 1_000_000
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        sys.argv = ["kdbench", *request["arguments"]]  # type: ignore[misc]
        from kdbench.cli.main import main

        main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        for file in (sys.stdout, sys.stderr):
            file.flush()
        os._exit(code)


def _wait(child: int, timeout: float) -> tuple[int, float, bool]:
    end = time.monotonic() + timeout
    timed_out = False
    while True:
        pid, status, usage = os.wait4(child, os.WNOHANG)
        if pid:
            return status, usage.ru_maxrss / 1000, timed_out
        if not timed_out and time.monotonic() > end:
            timed_out = True
            os.killpg(child, signal.SIGKILL)
        time.sleep(0.005)


if __name__ == "__main__":
    _serve()
