"""``kdbench profile``: costs and latency of models, without training."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer
from tabulate import tabulate

from kdbench.cli import options
from kdbench.cli.notice import notice
from kdbench.errors import KdbenchError, did_you_mean

if TYPE_CHECKING:
    from kdbench.measure.latency_process import TimedModel
    from kdbench.results.record import LatencyReport, LatencyResult, Profile, Speedup
    from kdbench.suite.schema import Latency, ModelSpec


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("profile", short_help="Print costs and latency of models; train nothing.")(profile)


def profile(
    models: Annotated[list[str], typer.Argument(metavar="MODEL…", help="Models of timm or of a plugin.")],
    runtime: Annotated[
        str, typer.Option("--runtime", help="eager, channels_last, bf16, compile, onnxruntime, separated by commas.")
    ] = "eager",
    batch_size: Annotated[str, typer.Option("--batch-size", help="Samples per pass, separated by commas.")] = "1,64",
    device: Annotated[
        str | None, typer.Option("--device", help="cpu, cuda, or both.  [default: those of this machine]", show_default=False)
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads on the CPU.", show_default="torch's own")] = None,
    input_size: Annotated[str, typer.Option("--input-size", help="Channels x height x width.")] = "3x224x224",
    classes: Annotated[int, typer.Option(min=1, help="Number of classes.")] = 1000,
    stem: Annotated[
        str, typer.Option(help="small: 3×3, stride 1, for images of 28–32 pixels, where a model allows it.")
    ] = "default",
    min_seconds: Annotated[
        float, typer.Option("--min-seconds", help="Least measured time per model and setting, in seconds.")
    ] = 1.0,
    min_rounds: Annotated[int, typer.Option("--min-rounds", help="Least number of timed passes per model and setting.")] = 20,
    blocks: Annotated[int, typer.Option(min=2, help="Number of turns that the models take.")] = 12,
    plugin: options.Plugin = None,
    json_: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write results to this file, and pytest-benchmark's data beside it."),
    ] = None,
) -> None:
    """Print parameters, MACs, memory and latency of models.

    Speed-ups are relative to the first model. The models are timed in turns, in separate processes, with
    random weights, because speed does not depend on weights.
    """
    with notice("loading"):
        import kdbench.models.factory  # noqa: F401 (timm takes seconds)
        from kdbench.api.cleaning import free_temporary
        from kdbench.measure.latency import measure_latency
    settings = _settings(runtime, batch_size, device, threads, min_seconds, min_rounds, blocks)
    timed, profiles = _timed_models(models, _shape(input_size), classes, stem, plugin or ())
    print(_costs(profiles))
    free_temporary()
    with tempfile.TemporaryDirectory(prefix="kdbench-profile-", suffix=f".tmp-{os.getpid()}") as folder:
        out = Path(folder) / "data.json" if json_ is None else json_.with_suffix(".pytest-benchmark.json")
        report = measure_latency(timed, settings, out, references=[timed[0].profile], plugins=plugin or ())
    print(_latencies(report))
    if json_ is not None:
        _keep(json_, profiles, report)
        print(f"results: {json_}" + (f"\ndata for pytest-benchmark compare: {out}" if out.exists() else ""))


def _settings(
    runtime: str, batch_size: str, device: str | None, threads: int | None, min_seconds: float, min_rounds: int, blocks: int
) -> Latency:
    from pydantic import ValidationError

    from kdbench.measure.runtimes import unavailable
    from kdbench.suite.explain import plain
    from kdbench.suite.schema import DeviceKind, Latency, Runtime

    kinds: tuple[DeviceKind, ...] = get_args(DeviceKind)
    present = ",".join(d for d in kinds if not unavailable(d))
    devices = _names("--device", device or present, kinds)
    if not set(devices).intersection(present.split(",")):
        raise KdbenchError(f"in --device {device}: not on this machine, which has {present}")
    try:
        return Latency.model_validate(
            {
                "devices": devices,
                "runtimes": _names("--runtime", runtime, get_args(Runtime)),
                "batch_sizes": [_positive("--batch-size", part) for part in batch_size.split(",")],
                "threads": threads,
                "min_seconds": min_seconds,
                "min_rounds": min_rounds,
                "blocks": blocks,
            }
        )
    except ValidationError as error:
        finding = error.errors()[0]
        raise KdbenchError(f"in --{str(finding['loc'][0]).replace('_', '-')}: {plain(finding)}") from error


def _names(option: str, text: str, known: Sequence[str]) -> list[str]:
    names = [part.strip() for part in text.split(",")]
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known) or f"; known are {', '.join(known)}"
            raise KdbenchError(f'in {option} {text}: unknown {option.removeprefix("--")} "{name}"{hint}')
    return names


def _positive(option: str, text: str) -> int:
    if not text.strip().isdigit() or int(text) < 1:
        raise KdbenchError(f'in {option}: "{text}" is not a positive number')
    return int(text)


def _shape(text: str) -> tuple[int, ...]:
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) != 3 or not all(p.isdigit() and int(p) > 0 for p in parts):
        raise KdbenchError(f'in --input-size: "{text}" is not a size; write channels x height x width, such as 3x32x32')
    first, _, last = map(int, parts)
    if first > last and last <= 4:
        raise KdbenchError(f'in --input-size: "{text}" has {first} channels; write them first: {last}x{parts[0]}x{parts[1]}')
    return tuple(map(int, parts))


def _timed_models(
    models: Iterable[str], shape: tuple[int, ...], classes: int, stem: str, plugins: Sequence[Path]
) -> tuple[list[TimedModel], list[Profile]]:
    """Create every model once, so that errors appear before anything is timed."""
    from kdbench.measure.cost import profile as cost
    from kdbench.measure.latency_process import TimedModel
    from kdbench.models.factory import create_model
    from kdbench.models.stem import has_stem
    from kdbench.plan.identity import architecture_identity
    from kdbench.plugins.manager import load_registry
    from kdbench.seeding import digest
    from kdbench.suite.schema import ModelSpec
    from kdbench.tasks.interface import Interface

    small: Literal["small", "default"] = _names("--stem", stem, ["default", "small"])[0]  # type: ignore[assignment]
    registry = load_registry(plugins)
    interface = Interface(registry.tasks["classification"](), list(shape), classes)
    timed, profiles = [], []
    for name in dict.fromkeys(models):
        spec = ModelSpec(model=name)
        network = create_model(spec, arguments=interface.arguments, seed=0, factories=registry.models)
        if small == "small" and has_stem(network):
            spec = ModelSpec(model=name, stem="small")
            network = create_model(spec, arguments=interface.arguments, seed=0, factories=registry.models)
        # The same id as the profile of a suite's network.
        key = digest([architecture_identity(spec), classes, list(shape), []])
        timed.append(TimedModel(key, name, spec, interface.task.name, interface.spec, classes))
        profiles.append(cost(network, name=_called(spec), interface=interface, id=key))
    return timed, profiles


def _called(spec: ModelSpec) -> str:
    return f"{spec.model} (small stem)" if spec.stem == "small" else spec.model


def _costs(profiles: Sequence[Profile]) -> str:
    rows = [
        [p.model, f"{p.parameters:,}", f"{p.macs:,}", f"{p.size_mb:.2f}", _number(p.activation_mb, ".2f")] for p in profiles
    ]
    headers = ["model", "parameters", "MACs", "size MB", "activations MB"]
    table = str(tabulate(rows, headers=headers, colalign=["left", *["right"] * 4], disable_numparse=True)) + "\n"
    by_torch = sorted({p.model for p in profiles if p.counter == "torch"})
    return table + (
        f"MACs of {', '.join(by_torch)}: torch's counter, as fvcore misses operators of theirs\n" if by_torch else ""
    )


def _latencies(report: LatencyReport) -> str:
    faster = {(s.device, s.runtime, s.batch_size, s.profile): s for s in report.speedups}
    rows = [_row(r, faster.get((r.device, r.runtime, r.batch_size, r.profile))) for r in report.results]
    headers = ["model", "device", "runtime", "batch", "median ms", "p90", "p99", "IQR", "images/s", "speed-up", "note"]
    aligned = ["left", "left", "left", *["right"] * 7, "left"]
    threads = report.settings.threads
    lines = [
        str(tabulate(rows, headers=headers, colalign=aligned, disable_numparse=True)),
        "",
        f"{report.machine['processor']}, {threads} thread{'s' * (threads != 1)}; clock: {report.clock}; "
        f"load {_number(report.load_before, '.2f')} before, {_number(report.load_after, '.2f')} after",
        f"speed-up: time of {report.results[0].model} / time of the model, [95 % interval over processes; over turns if fewer than 3]",
    ]
    return "\n".join(lines)


def _row(result: LatencyResult, speedup: Speedup | None) -> list[str]:
    setting = [result.model, result.device, result.runtime, str(result.batch_size)]
    numbers = [result.median_ms, result.p90_ms, result.p99_ms, result.iqr_ms]
    if result.skipped or not result.stable:  # not a number to rely on
        shown = ["–"] * 5
    else:
        shown = [*(_milliseconds(n) for n in numbers), _number(result.samples_per_second, ",.0f")]
    ratio = "" if speedup is None else f"{speedup.ratio:.2f} [{speedup.low:.2f}, {speedup.high:.2f}]"
    return [*setting, *shown, ratio, result.note]


def _milliseconds(value: float | None) -> str:
    """Format with about three significant digits."""
    return "–" if value is None else f"{value:.{2 if value >= 1 else 3}f}"


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _keep(path: Path, profiles: Iterable[Profile], report: LatencyReport) -> None:
    from kdbench.results.files import disk_errors, write_whole

    content: Mapping[str, object] = {
        "profiles": [p.model_dump(mode="json") for p in profiles],
        "latency": report.model_dump(mode="json"),
    }
    with disk_errors(path.parent):
        write_whole(path, json.dumps(content, indent=2).encode())
