"""The processes in which networks are timed: input, start and result."""

from __future__ import annotations

import contextlib
import getpass
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from kdbench.errors import KdbenchError
from kdbench.measure.latency_statistics import Setting
from kdbench.measure.runtimes import unavailable
from kdbench.paths import real_path
from kdbench.plugins.carry import pack
from kdbench.plugins.manager import Registry
from kdbench.suite.schema import Frozen, Latency, ModelSpec
from kdbench.tasks.interface import Interface

REQUEST = "KDBENCH_LATENCY_REQUEST"
"""Environment variable of the child process: path of its :class:`TimingRequest`."""

PYTEST_STATUSES = range(1, 6)
"""Exit statuses of pytest itself, when something is wrong: no network killed it."""

BENCH = Path(__file__).with_name("latency_bench.py")


@dataclass(frozen=True)
class TimedModel:
    """A network to be timed. Its weights are random: speed does not depend on them.

    Args:
        profile: id of its profile.
        label: its name in reports.
        spec: the architecture.
        task: name of the task.
        inputs: its inputs, as the task describes them.
        num_classes: C.
    """

    profile: str
    label: str
    spec: ModelSpec
    task: str
    inputs: Any
    num_classes: int

    def interface(self, registry: Registry) -> Interface:
        """Return the network's inputs and classes."""
        return Interface(registry.find("task", registry.tasks, self.task)(), self.inputs, self.num_classes)


class TimingRequest(Frozen):
    """The input of the child process.

    Args:
        models: the networks.
        settings: how they are timed.
        threads: CPU threads.
        plugins: plugin files that the models may come from.
        objects: plugins that are objects, as :func:`kdbench.plugins.carry.pack` makes them.
        skip: keys of cases that are not tried.
        log: file in which the child logs each case that it begins, and those that it skips and why.
        parent: id of the process that waits for it.
    """

    models: tuple[TimedModel, ...]
    settings: Latency
    threads: int
    plugins: tuple[Path, ...] = ()
    objects: str = ""
    skip: tuple[str, ...] = ()
    log: Path
    parent: int


class Case(NamedTuple):
    """A network in a setting."""

    setting: Setting
    model: TimedModel

    @property
    def key(self) -> str:
        """Its name in JSON files."""
        return f"{self.setting} {self.model.profile}"


def settings_of(latency: Latency) -> list[Setting]:
    """List every combination of device, runtime and batch size in the settings."""
    return [Setting(*s) for s in itertools.product(latency.devices, latency.runtimes, latency.batch_sizes)]


def run_processes(
    models: Sequence[TimedModel], settings: Latency, plugins: Sequence[Path], objects: Sequence[Any], folder: Path
) -> tuple[dict[str, Any] | None, list[tuple[Case, str]]]:
    """Run the child processes one after the other, each for its share of the turns.

    Returns:
        pytest-benchmark's JSON, merged from all of them, and the cases that were skipped and why.
    """
    cases = [Case(setting, s) for setting in settings_of(settings) for s in models]
    packed = pack(_needed(objects))
    skipped = {c.key: why for c in cases if (why := unavailable(c.setting.device))}
    count = max(1, min(settings.processes, settings.blocks // 2))  # a process needs two turns
    share = settings.model_copy(
        update={
            "blocks": -(-settings.blocks // count),
            "min_seconds": settings.min_seconds / count,
            "min_rounds": -(-settings.min_rounds // count),
        }
    )
    raw: dict[str, Any] | None = None
    for process in range(count):
        data = _until_well(cases, models, share, plugins, packed, folder, skipped)
        for benchmark in () if data is None else data["benchmarks"]:
            info = benchmark["extra_info"]
            info["process"], info["block"] = process, info["block"] + process * share.blocks
            if process:  # names are unique in the file
                benchmark["name"], benchmark["fullname"] = (
                    f"{benchmark[n]} process {process + 1}" for n in ("name", "fullname")
                )
        if raw is None:
            raw = data
        elif data is not None:
            raw["benchmarks"] += data["benchmarks"]
    return raw, [(c, skipped[c.key]) for c in cases if c.key in skipped]


def _needed(objects: Sequence[Any]) -> list[Any]:
    """Return the objects that networks may come from: not methods or data sets."""
    return [o for o in objects if getattr(o, "plugin_hook", None) not in ("kdbench_methods", "kdbench_datasets")]


def _until_well(
    cases: Sequence[Case],
    models: Sequence[TimedModel],
    settings: Latency,
    plugins: Sequence[Path],
    objects: str,
    folder: Path,
    skipped: dict[str, str],
) -> dict[str, Any] | None:
    """Run the child process until it succeeds.

    A case that kills it is added to ``skipped`` and left out the next time.
    """
    while len(skipped) < len(cases):
        log = folder / "log.jsonl"
        log.write_text("")
        assert settings.threads is not None
        request = TimingRequest(
            models=tuple(models),
            settings=settings,
            threads=settings.threads,
            plugins=tuple(real_path(p) for p in plugins),
            objects=objects,
            skip=tuple(skipped),
            log=log,
            parent=os.getpid(),
        )
        data = folder / "benchmark.json"
        data.unlink(missing_ok=True)
        status = _child(request, data, folder)
        begun = _read_log(log, skipped)
        if status == 0:
            return _without_host(data)
        if begun is None or begun in skipped or status in PYTEST_STATUSES:
            raise KdbenchError(f"latency could not be measured: {_last_line(folder / 'output.txt') or _death(status)}")
        skipped[begun] = f"the process that ran it ended: {_death(status)}"
    return None


def _child(request: TimingRequest, data: Path, folder: Path) -> int:
    """Run pytest without the user's configuration and plugins; return its exit status."""
    (folder / "request.json").write_text(request.model_dump_json(), encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [
        sys.executable, "-m", "pytest", str(BENCH), "-c", str(folder / "pytest.ini"), f"--rootdir={BENCH.parent}",
        "--noconftest", "--import-mode=importlib", "--assert=plain", "-p", "no:cacheprovider", "-p", "pytest_benchmark.plugin",
        "-q", "--tb=short", f"--benchmark-json={data}", f"--benchmark-storage=file://{folder / 'storage'}",
    ]  # fmt: skip
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_CORE_"))}
    environment |= {
        REQUEST: str(folder / "request.json"),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *_python_path()]),
        "TMPDIR": str(folder),  # cleared away with the folder
        "TORCHINDUCTOR_CACHE_DIR": os.environ.get("TORCHINDUCTOR_CACHE_DIR", _compiled()),
    }
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(  # noqa: S603
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            return process.wait()
        finally:
            if process.poll() is None:  # Ctrl-C
                process.kill()
                process.wait()


def _compiled() -> str:
    """Return where torch keeps compiled networks by default, which is worth keeping."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # neither a name in the environment nor an entry in the list of users
        user = str(os.getuid())
    return str(Path(tempfile.gettempdir()) / f"torchinductor_{user}")


def _python_path() -> Iterator[str]:
    """Yield this process's import folders, so that the child finds the same plugins."""
    yield from (path for path in sys.path if path)


def _read_log(log: Path, skipped: dict[str, str]) -> str | None:
    """Add the child's skipped cases to ``skipped``; return the key of its last case."""
    begun = None
    for line in log.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(json.JSONDecodeError):  # killed while it wrote
            entry: Mapping[str, str] = json.loads(line)
            if "skipped" in entry:
                skipped[entry["case"]] = entry["skipped"]
            begun = entry["case"]
    return begun


def _without_host(data: Path) -> dict[str, Any] | None:
    """Read the JSON and drop the machine's name, since results are shared."""
    if not data.exists():  # everything was skipped
        return None
    raw: dict[str, Any] = json.loads(data.read_bytes())
    raw["machine_info"]["node"] = ""
    raw["commit_info"].pop("project", None)
    return raw


def _last_line(output: Path) -> str:
    lines = [line.strip() for line in output.read_text(errors="replace").splitlines() if line.strip()]
    return (
        next((line for line in reversed(lines) if line.startswith("E ")), lines[-1] if lines else "").removeprefix("E ").strip()
    )


def _death(status: int) -> str:
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-status).name}" + (" (out of memory?)" if -status == signal.SIGKILL else "")
    return f"exit status {status}"
