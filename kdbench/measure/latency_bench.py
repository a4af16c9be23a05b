"""The tests that pytest runs in a process that measures latency.

See :func:`kdbench.measure.latency.measure_latency`. A test is one turn of one network in one setting. Tests
come in the order setting → block → network, so networks that are to be compared take turns. Each network is
created and warmed up once per setting, before the first turn.
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

from kdbench.measure.latency_process import REQUEST, Case, TimedModel, TimingRequest, settings_of
from kdbench.measure.latency_statistics import Setting
from kdbench.measure.machine import device_name, processor
from kdbench.measure.parent import end_with
from kdbench.measure.runtimes import DeviceConfig, Pass, forward_pass
from kdbench.models.call import positional
from kdbench.models.factory import create_model
from kdbench.plugins.carry import unpack
from kdbench.plugins.manager import Registry, load_registry
from kdbench.suite.schema import Latency

WINDOW_PASSES, WINDOW_SECONDS = 5, 1.0
"""A warm-up window ends at whichever comes first, and has at least one pass."""
SETTLED = 0.1
"""The warm-up ends when the medians of two windows differ by less than this share."""
WARM_UP_SECONDS = 10.0
"""Longest warm-up, in seconds."""

SHORT = 0.1
"""Passes shorter than this, in seconds, depend on what is in the caches at first."""


def cuda_clock() -> float:
    """Read the time, in seconds, once the GPU has finished all work launched so far."""
    torch.cuda.synchronize()
    return time.perf_counter()


CLOCKS: dict[str, Callable[[], float]] = {"cpu": time.perf_counter, "cuda": cuda_clock}


@dataclass
class PreparedModel:
    """A network that is ready to be timed.

    Args:
        run: runs one pass.
        fastest: seconds of the fastest pass so far.
        settled: whether the warm-up ended because times were steady.
    """

    run: Pass
    fastest: float
    settled: bool


@dataclass
class Bench:
    """The networks of the current setting; the others are freed to save memory."""

    request: TimingRequest
    setting: Setting | None = None
    ready: dict[str, PreparedModel | str] = field(default_factory=dict)

    def enter(self, setting: Setting) -> None:
        """Prepare every network for a setting, or find out why that is impossible."""
        if setting == self.setting:
            return
        self.setting = setting
        self.ready.clear()
        if setting.runtime == "compile":
            torch.compiler.reset()
        if setting.device == "cuda":
            torch.cuda.empty_cache()
        for model in self.request.models:
            case = Case(setting, model)
            if case.key not in self.request.skip:
                self.ready[model.profile] = self.attempt(case, partial(prepare, case, self.request))

    def attempt(self, case: Case, action: Callable[[], Any]) -> Any:
        """Return an action's result, or the reason why it failed, which is also logged."""
        write_log(self.request, case)
        try:
            return action()
        except Exception as error:
            why = one_line(error)
            write_log(self.request, case, skipped=why)
            return why


@cache
def timing_request() -> TimingRequest:
    """Read the request from the parent process."""
    return TimingRequest.model_validate_json(Path(os.environ[REQUEST]).read_bytes())


@cache
def registry() -> Registry:
    """Load the plugins that models may come from."""
    return load_registry(timing_request().plugins, objects=unpack(timing_request().objects))


def write_log(request: TimingRequest, case: Case, **more: str) -> None:
    """Append a line to the log, which survives if the process is killed."""
    with request.log.open("a", encoding="utf-8") as log:
        log.write(json.dumps({"case": case.key, **more}) + "\n")


def one_line(error: BaseException) -> str:
    """Summarize an error in one line of reasonable length."""
    message = next((line.strip() for line in str(error).splitlines() if line.strip()), "") or type(error).__name__
    return message if len(message) <= 200 else message[:199] + "…"


def prepare(case: Case, request: TimingRequest) -> PreparedModel:
    """Create a network, prepare it for the runtime, and warm it up."""
    setting, model = case
    generator = torch.Generator().manual_seed(0)
    network, batch = positional(make_network(model), model.interface(registry()).example(setting.batch_size, generator))
    run = forward_pass(network, batch, setting.runtime, DeviceConfig(setting.device, request.threads))
    fastest, settled = warm_up(run, CLOCKS[setting.device])
    return PreparedModel(run, fastest, settled)


def make_network(model: TimedModel) -> torch.nn.Module:
    """Create the architecture with random weights."""
    spec = model.spec.model_copy(update={"weights": "scratch"})
    return create_model(spec, arguments=model.interface(registry()).arguments, seed=0, factories=registry().models)


def warm_up(run: Pass, clock: Callable[[], float]) -> tuple[float, bool]:
    """Run until two successive windows have about the same median.

    The warm-up ends after ``WARM_UP_SECONDS`` in any case.

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
    """Time a few passes, in seconds."""
    times: list[float] = []
    while len(times) < WINDOW_PASSES and sum(times) < WINDOW_SECONDS:
        start = clock()
        run()
        times.append(clock() - start)
    return times


def turns() -> Iterator[Any]:
    """Yield all tests, in order."""
    for setting in settings_of(timing_request().settings):
        mark = pytest.mark.benchmark(group=str(setting), timer=CLOCKS[setting.device], disable_gc=True)
        for block, model in itertools.product(range(timing_request().settings.blocks), timing_request().models):
            case = Case(setting, model)
            if case.key not in timing_request().skip:
                name = f"{model.label} {setting} block {block}".replace(" ", "-")
                yield pytest.param(case, block, id=name, marks=mark)


@pytest.fixture(scope="session")
def bench() -> Bench:
    """The state that tests share."""
    torch.set_num_threads(timing_request().threads)
    return Bench(timing_request())


if REQUEST in os.environ:
    end_with(timing_request().parent)


@pytest.mark.parametrize(("case", "block"), turns() if REQUEST in os.environ else [])
def test_latency(benchmark: Any, bench: Bench, case: Case, block: int) -> None:
    """Time a network for its share of the time."""
    if os.name == "posix" and os.getppid() != bench.request.parent:
        pytest.exit("the parent process has ended", returncode=1)
    setting, model = case
    bench.enter(setting)
    ready = bench.ready[model.profile]
    if isinstance(ready, str):
        pytest.skip(ready)
    benchmark.extra_info.update(
        profile=model.profile,
        model=model.label,
        **setting._asdict(),
        device_name=processor() if setting.device == "cpu" else device_name(torch.device("cuda")),
        threads=torch.get_num_threads(),
        block=block,
        settled=ready.settled,
    )
    failed = bench.attempt(case, partial(take_turn, benchmark, ready, bench.request.settings))
    if failed is not None:
        bench.ready[model.profile] = failed
        pytest.skip(failed)


def take_turn(benchmark: Any, ready: PreparedModel, settings: Latency) -> None:
    """Time as many passes as one turn must have, by the minimum time and rounds."""
    # Judged by the fastest pass, because the time is a minimum.
    rounds = max(settings.min_rounds, math.ceil(settings.min_seconds / ready.fastest))
    # Short passes first run twice untimed: the caches hold data of the previous network.
    uncounted = 2 if ready.fastest < SHORT else 0
    benchmark.pedantic(ready.run, rounds=math.ceil(rounds / settings.blocks), warmup_rounds=uncounted)
    ready.fastest = max(min(ready.fastest, benchmark.stats.stats.min), 1e-9)
