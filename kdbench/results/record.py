"""Records of trials, profiles of architectures, and latency reports."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from kdbench.plan.trial import Id, Trial
from kdbench.suite.schema import LONGEST_NAME, DeviceKind, Frozen, Latency, Runtime

SplitName = Literal["train", "validation", "test"]
Companion = Literal["trial.json", "history.csv", "predictions.npz", "student.safetensors", "method.py"]
"""The files beside a record."""
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=10**18)]
Amount = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]
"""Seconds, milliseconds, MB, or a ratio."""


def _facts(data: dict[str, Any]) -> dict[str, Any]:
    """Check the types of what is known of the data; a task may add to it."""
    sizes = (data.get(split, 0) for split in ("train", "validation", "test"))
    texts = (data.get("name", ""), data.get("fingerprint", ""), *_listed(data.get("classes", [])))
    statistics = data.get("statistics", {})
    good = all(type(n) is int and 0 <= n <= 10**12 for n in sizes)
    good = good and all(isinstance(t, str) and len(t) <= LONGEST_NAME for t in texts)
    good = (
        good and isinstance(statistics, dict) and all(type(x) in (int, float) for v in statistics.values() for x in _listed(v))
    )
    if not good:
        raise PydanticCustomError("facts", "it should say name, fingerprint, classes, statistics and sizes of the data")
    return data


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [None]


class Failure(Frozen):
    """The reason why a trial ended early.

    Args:
        kind: class of the exception, or ``TeacherFailed``.
        message: its text, on one line.
        traceback: the traceback, for debugging.
        epoch: the epoch in which it happened, from 0; -1 before the first.
    """

    kind: str
    message: str
    traceback: str = ""
    epoch: int = -1


class Provenance(Frozen):
    """The origin of a number.

    Args:
        suite: name of the suite that first requested the trial.
        command: the command line.
        kdbench: version of kdbench.
        commit: git commit of kdbench's checkout, with ``+dirty`` if it has changes; empty for an installed
            package.
        method_digest: digest of the method's source.
        libraries: versions of Python and of the libraries that affect the numbers.
        machine: processor, cores, memory, operating system.
        device: ``cpu``, or the GPU's name.
        threads: intra-op threads of torch.
        started: start, ISO 8601, UTC.
        finished: end, ISO 8601, UTC.
    """

    suite: str
    command: str
    kdbench: str
    commit: str = ""
    method_digest: str
    libraries: dict[str, str]
    machine: dict[str, str]
    device: str
    threads: Count
    started: str
    finished: str


class Costs(Frozen):
    """The time and memory that a trial took.

    Args:
        train_seconds: the trial's own forward, backward and optimizer steps.
        shared_seconds: batch stream and teacher passes, which the whole cohort shares, counted in full.
        evaluate_seconds: validation and test passes.
        wall_seconds: train + its share (1/members) of shared + evaluate.
        samples_per_second: training samples per second of ``wall_seconds``.
        cohort_members: number of members that shared the stream and the teachers (at the end of training).
        peak_memory_mb: MB (10^6 bytes): on CUDA the highest allocation during the trial's own steps; on the
            CPU the process's highest resident set.
        peak_memory_scope: ``device`` or ``process``.
        method_parameters: number of trainable parameters that the method adds during training.
        sessions: number of times the trial was started or resumed.
    """

    train_seconds: Amount = 0.0
    shared_seconds: Amount = 0.0
    evaluate_seconds: Amount = 0.0
    wall_seconds: Amount = 0.0
    samples_per_second: Amount = 0.0
    cohort_members: Count = 1
    peak_memory_mb: Amount = 0.0
    peak_memory_scope: Literal["device", "process"] = "process"
    method_parameters: Count = 0
    sessions: Count = 1


class Record(Frozen):
    """The result of one trial: ``record.json``.

    Its companions are listed in ``files``.

    Args:
        version: version of this format.
        trial: the trial.
        status: ``finished`` or ``failed``.
        failure: why it failed, if it did.
        metrics: final metrics by split and name, such as ``metrics["test"]["accuracy"]``; plugins' metrics
            are of the test split.
        profile: id of the profile of the deployed network.
        costs: time and memory that it took.
        data: name, fingerprint, classes, statistics and sizes of the data; ``inputs`` is what the network
            takes, as its task describes it (records of older versions have it only in the profile).
        provenance: where the numbers come from.
        files: companion file → SHA-256, for those of the following that exist: ``trial.json``,
            ``history.csv``, ``predictions.npz``, ``student.safetensors`` and ``method.py`` (the source of a
            method that is not installed as a package).
    """

    model_config = ConfigDict(ser_json_inf_nan="strings")  # a plugin's metric may be NaN, and JSON has no such number

    version: Literal[2] = 2
    trial: Trial
    status: Literal["finished", "failed"]
    failure: Failure | None = None
    metrics: dict[SplitName, dict[str, float]] = {}
    profile: Id | Literal[""] = ""
    costs: Costs = Costs()
    data: Annotated[dict[str, Any], AfterValidator(_facts)] = {}
    provenance: Provenance
    files: dict[Companion, Sha256] = {}


Counter = Literal["fvcore", "torch"]
"""Who counted multiply-accumulates: ``fvcore``, or ``torch.utils.flop_counter``."""


class Profile(Frozen):
    """The cost of one architecture, however it was trained.

    Args:
        version: version of this format.
        id: digest of model, classes, input shape (and of the method, if it changes the student).
        model: name of the model, for people.
        inputs: what the network takes, as its task describes it: ``[channels, height, width]`` for images.
        num_classes: C.
        parameters: number of parameters.
        trainable_parameters: number of parameters that are trained.
        buffers: number of values in buffers (running statistics).
        macs: multiply-accumulates of one forward pass, per sample.
        counter: who counted them: ``fvcore``, or ``torch`` if fvcore missed some.
        uncounted: operator → calls that fvcore did not count.
        size_mb: size of the safetensors file in MB (10^6 bytes).
        activation_mb: MB (10^6 bytes) of activations that autograd keeps for a backward pass, for
            ``activation_batch`` samples; ``None`` in profiles that older versions made.
        activation_batch: number of samples in the pass for which ``activation_mb`` is measured.
    """

    model_config = ConfigDict(str_max_length=LONGEST_NAME)

    version: Literal[2] = 2
    id: Id
    model: str
    inputs: Any
    num_classes: Count
    parameters: Count
    trainable_parameters: Count
    buffers: Count
    macs: Count
    counter: Counter = "fvcore"
    uncounted: dict[str, Count] = {}
    size_mb: Amount
    activation_mb: Amount | None = None
    activation_batch: Count = 1


class LatencyResult(Frozen):
    """The time of a forward pass of one network in one setting.

    Times are in milliseconds, for one pass of a whole batch. They are computed over the timed passes of all
    blocks, and ``None`` if the network was skipped.

    Args:
        profile: id of the network's profile.
        model: name of the model, for people.
        device: ``cpu`` or ``cuda``.
        device_name: the processor's or the GPU's name.
        runtime: how the network was run, as the suite names it.
        batch_size: samples per pass.
        threads: threads of torch, or of ONNX Runtime; ``None`` if skipped.
        median_ms: median.
        p90_ms: 90th percentile.
        p99_ms: 99th percentile.
        iqr_ms: interquartile range.
        min_ms: fastest pass.
        mean_ms: mean.
        rounds: number of timed passes; 0 if skipped.
        samples_per_second: batch size / median.
        stable: whether interquartile range / median is within ``max_spread``; otherwise the numbers are
            unreliable.
        note: why the result is unstable or was skipped, and other remarks; empty if there are none.
    """

    model_config = ConfigDict(str_max_length=10 * LONGEST_NAME)

    profile: Id
    model: str
    device: DeviceKind
    device_name: str = ""
    runtime: Runtime
    batch_size: Count
    threads: Count | None = None
    median_ms: Amount | None = None
    p90_ms: Amount | None = None
    p99_ms: Amount | None = None
    iqr_ms: Amount | None = None
    min_ms: Amount | None = None
    mean_ms: Amount | None = None
    rounds: Count = 0
    samples_per_second: Amount | None = None
    stable: bool = False
    note: str = ""

    @property
    def skipped(self) -> bool:
        """Whether nothing was measured; ``note`` says why."""
        return self.median_ms is None


class Speedup(Frozen):
    """The speed-up of a network over another that was timed in turns with it.

    Args:
        profile: id of the network's profile.
        reference: id of the other's profile, a teacher's for example.
        device: ``cpu`` or ``cuda``.
        runtime: how both were run.
        batch_size: samples per pass.
        ratio: time of the reference / time of the network: the geometric mean of the blocks' ratios of
            medians.
        low: lower end of the 95 % interval of ``ratio``, by Student's t over the logarithms of the blocks'
            ratios, or of their means by process if there are three processes or more.
        high: upper end of that interval.
        blocks: number of turns that were timed.
        processes: number of processes in which they were timed.
    """

    profile: Id
    reference: Id
    device: DeviceKind
    runtime: Runtime
    batch_size: Count
    ratio: Amount
    low: Amount
    high: Amount
    blocks: Count
    processes: Count = 1


class LatencyReport(Frozen):
    """The latency of networks that were timed in turns: ``latency/<id>.json``.

    Its companion ``latency/<id>.pytest-benchmark.json`` holds every timed pass, for
    ``pytest-benchmark compare``.

    Args:
        id: digest of the networks, the settings, the machine's devices and the versions of torch and ONNX
            Runtime.
        version: version of this format.
        settings: the requested settings, with the number of threads that was used.
        results: a row for each network and setting, skipped ones included.
        speedups: a row for each network, reference and setting in which both were timed.
        machine: processor, cores, memory, operating system, versions of torch and (if it was requested) ONNX
            Runtime.
        clock: the clock's source and resolution.
        load_before: load average over the minute before the measurement; ``None`` if unknown.
        load_after: the same afterwards; it includes the load of the measurement itself.
        started: start, ISO 8601, UTC.
    """

    id: Id
    version: Literal[2] = 2
    settings: Latency
    results: tuple[LatencyResult, ...]
    speedups: tuple[Speedup, ...] = ()
    machine: dict[str, str]
    clock: str
    load_before: Amount | None = None
    load_after: Amount | None = None
    started: str
