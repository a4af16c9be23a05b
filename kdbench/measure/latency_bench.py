"""What pytest runs in the process that measures latency: see :func:`kdbench.measure.latency.measure_latency`.

A test is one turn of one network in one setting. Tests come in the order setting → block → network, so networks that are to be
compared take turns. Each network is made and warmed up once a setting, before the first turn.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import torch

from kdbench.measure.latency_process import JOB, Case, Job, Subject, settings_of
from kdbench.measure.latency_statistics import Setting
from kdbench.measure.machine import device_name, processor
from kdbench.measure.runtimes import Pass, Place, forward_pass
from kdbench.models.call import positional
from kdbench.models.factory import create_model
from kdbench.plugins.carry import unpack
from kdbench.plugins.manager import Registry, load_registry
from kdbench.suite.schema import Latency

WINDOW_PASSES, WINDOW_SECONDS = 5, 1.0
"""A window of the warm-up ends with whichever comes first, and has one pass at least."""
SETTLED = 0.1
"""The warm-up ends when medians of two windows differ by less than this share."""
WARM_UP_SECONDS = 10.0
"""It ends after so long at the latest."""

SHORT = 0.1
"""Seconds: to longer passes it matters little what is in the caches when they begin."""


def cuda_clock() -> float:
    """Seconds, read when the GPU has done all that was asked of it: what was launched before is not timed, what was since is."""
    torch.cuda.synchronize()
    return time.perf_counter()


CLOCKS: dict[str, Callable[[], float]] = {"cpu": time.perf_counter, "cuda": cuda_clock}


@dataclass
class Ready:
    """A network that can be timed.

    Args:
        run: one pass.
        fastest: seconds of the fastest pass so far.
        settled: whether the warm-up ended because times were steady.
    """

    run: Pass
    fastest: float
    settled: bool


@dataclass
class Bench:
    """The networks of the setting that is timed now: others are let go, so that they take no memory."""

    job: Job
    setting: Setting | None = None
    ready: dict[str, Ready | str] = field(default_factory=dict)

    def enter(self, setting: Setting) -> None:
        """Make every network ready, if it is not, or find out why it cannot be."""
        if setting == self.setting:
            return
        self.setting = setting
        self.ready.clear()
        if setting.runtime == "compile":
            torch.compiler.reset()
        if setting.device == "cuda":
            torch.cuda.empty_cache()
        for subject in self.job.subjects:
            case = Case(setting, subject)
            if case.key not in self.job.skip:
                self.ready[subject.profile] = self.tried(case, partial(make_ready, case, self.job))

    def tried(self, case: Case, action: Callable[[], Any]) -> Any:
        """What an action gives, or the reason why it failed, which goes into the diary."""
        note(self.job, case)
        try:
            return action()
        except Exception as error:
            why = one_line(error)
            note(self.job, case, skipped=why)
            return why


@cache
def job() -> Job:
    """What is to be done; nothing where this file is run for another reason."""
    return Job.model_validate_json(Path(os.environ[JOB]).read_bytes())


@cache
def registry() -> Registry:
    """The plugins that models may come from."""
    return load_registry(job().plugins, objects=unpack(job().objects))


def note(job: Job, case: Case, **more: str) -> None:
    """Write a line into the diary: it stays when the process is killed."""
    with job.diary.open("a", encoding="utf-8") as diary:
        diary.write(json.dumps({"case": case.key, **more}) + "\n")


def one_line(error: BaseException) -> str:
    """An error in one line of reasonable length."""
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), "") or type(error).__name__
    return said if len(said) <= 200 else said[:199] + "…"


def make_ready(case: Case, job: Job) -> Ready:
    """Make a network, prepare it for the runtime, and warm it up."""
    setting, subject = case
    generator = torch.Generator().manual_seed(0)
    network, batch = positional(make_network(subject), subject.interface(registry()).example(setting.batch_size, generator))
    run = forward_pass(network, batch, setting.runtime, Place(setting.device, job.threads))
    fastest, settled = warm_up(run, CLOCKS[setting.device])
    return Ready(run, fastest, settled)


def make_network(subject: Subject) -> torch.nn.Module:
    """The architecture, with random weights."""
    spec = subject.spec.model_copy(update={"weights": "scratch"})
    return create_model(spec, arguments=subject.interface(registry()).arguments, seed=0, factories=registry().models)


def warm_up(run: Pass, clock: Callable[[], float]) -> tuple[float, bool]:
    """Run until two successive windows have about the same median, or for ``WARM_UP_SECONDS``.

    Returns:
        Seconds of the fastest pass of the last window, and whether times settled.
    """
    run()  # the first pass allocates, and compiles
    before, end = math.inf, clock() + WARM_UP_SECONDS
    while True:
        times = window(run, clock)
        median = statistics.median(times)
        settled = abs(median - before) < SETTLED * median
        if settled or clock() > end:
            return max(min(times), 1e-9), settled
        before = median


def window(run: Pass, clock: Callable[[], float]) -> list[float]:
    """Seconds of a few passes."""
    times: list[float] = []
    while len(times) < WINDOW_PASSES and sum(times) < WINDOW_SECONDS:
        start = clock()
        run()
        times.append(clock() - start)
    return times


def turns() -> Iterator[Any]:
    """All tests, in order."""
    for setting in settings_of(job().settings):
        mark = pytest.mark.benchmark(group=str(setting), timer=CLOCKS[setting.device], disable_gc=True)
        for block, subject in itertools.product(range(job().settings.blocks), job().subjects):
            case = Case(setting, subject)
            if case.key not in job().skip:
                name = f"{subject.label} {setting} block {block}".replace(" ", "-")
                yield pytest.param(case, block, id=name, marks=mark)


@pytest.fixture(scope="session")
def bench() -> Bench:
    """The state that tests share."""
    torch.set_num_threads(job().threads)
    return Bench(job())


@pytest.mark.parametrize(("case", "block"), turns() if JOB in os.environ else [])
def test_latency(benchmark: Any, bench: Bench, case: Case, block: int) -> None:
    """Time a network for its share of the time."""
    if os.name == "posix" and os.getppid() != bench.job.parent:
        pytest.exit("whoever asked for this is gone", returncode=1)
    setting, subject = case
    bench.enter(setting)
    ready = bench.ready[subject.profile]
    if isinstance(ready, str):
        pytest.skip(ready)
    benchmark.extra_info.update(
        profile=subject.profile,
        model=subject.label,
        **setting._asdict(),
        device_name=processor() if setting.device == "cpu" else device_name(torch.device("cuda")),
        threads=torch.get_num_threads(),
        block=block,
        settled=ready.settled,
    )
    failed = bench.tried(case, partial(take_turn, benchmark, ready, bench.job.settings))
    if failed is not None:
        bench.ready[subject.profile] = failed
        pytest.skip(failed)


def take_turn(benchmark: Any, ready: Ready, settings: Latency) -> None:
    """Time as many passes as the least time and the least number of rounds ask of one turn."""
    # By the fastest pass, for the time is to be a least time.
    rounds = max(settings.min_rounds, math.ceil(settings.min_seconds / ready.fastest))
    # Short passes first run twice uncounted: caches hold what the network before left there.
    uncounted = 2 if ready.fastest < SHORT else 0
    benchmark.pedantic(ready.run, rounds=math.ceil(rounds / settings.blocks), warmup_rounds=uncounted)
    ready.fastest = max(min(ready.fastest, benchmark.stats.stats.min), 1e-9)
