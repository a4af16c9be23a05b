"""Trained networks, ready for use.

They are restored from records and weights, without the training data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from kdbench.analysis.task import direction
from kdbench.api.results import Results, load_results
from kdbench.errors import KdbenchError, did_you_mean
from kdbench.plan.trial import Entry, Trial
from kdbench.plugins.registry import Registry
from kdbench.results.record import Record
from kdbench.results.store import Store
from kdbench.suite.load import BASELINE
from kdbench.tasks.interface import Interface
from kdbench.train.networks import task_of, trained_network

MOST_CHOICES = 12
"""Most choices that an error lists."""
T = TypeVar("T")


def load_student(
    results: Results | Path | str,
    *,
    trial: str | None = None,
    method: str | None = None,
    pair: str | None = None,
    seed: int | None = None,
    role: str = "student",
    suite: str | None = None,
    plugins: Iterable[Any] = (),
) -> nn.Module:
    """Load a trained network, in evaluation mode on the CPU.

    It is the plain module that its method deploys. Without a selection it is the network of the
    leaderboard's first row, of the seed that is best on the validation split. ``network.pretrained_cfg``
    describes its inputs and classes; for images, ``timm.data.resolve_model_data_config(network)`` gives
    the preprocessing that it was trained with.

    Args:
        results: results, or a runs folder.
        trial: id of the trial, or its first digits.
        method: name of the row in the leaderboard, or of the method.
        pair: name of the pair.
        seed: the seed.
        role: ``student``, ``teacher``, ``assistant`` or ``generation``.
        suite: name of the suite, if ``results`` is a folder that holds several.
        plugins: plugin files and objects that define the network, if ``results`` is a folder.

    Raises:
        KdbenchError: no trial matches, or several do (the message lists the choices); the trial failed;
            or the folder is a report, which keeps no weights.
    """
    if not isinstance(results, Results):
        results = load_results(results, suite, plugins=plugins)
    store = results.store
    if store is None:
        raise KdbenchError(f"{results.folder} is a report, which keeps no weights: load the network from the runs folder")
    chosen = _choose(results, trial=trial, method=method, pair=pair, seed=seed, role=role)
    record = results.records.get(chosen)
    if record is None or record.status != "finished" or "student.safetensors" not in record.files:
        raise KdbenchError(f"trial {chosen} left no network: {_why(record)}")
    return restored(record, results.plan.trials, store, results.registry)


def restored(record: Record, trials: Mapping[str, Trial], store: Store, registry: Registry) -> nn.Module:
    """Restore the network of a finished trial from records and weights alone.

    Args:
        record: the trial's record.
        trials: trials by id, its teachers included: the deployed network may depend on them.
        store: the runs folder with the weights.
        registry: all plugins.

    Raises:
        KdbenchError: the network cannot be made, or the weights do not fit it.
    """
    own = record.trial
    if own.method not in registry.methods:  # perhaps from an earlier notebook; most methods deploy the student unchanged
        own = own.model_copy(update={"method": BASELINE, "params": {}})

    def interface(trial: Trial) -> Interface:
        return _interface(record if trial is own else store.record(trial.id), trial, store, registry)

    classes = _classes(record)
    try:
        labels = torch.arange(int(record.data.get("train", 0))) % len(classes)  # no shape depends on the actual labels
        network = trained_network(own, trials, interface, labels, registry, store.student(record.trial.id))
    except (RuntimeError, MemoryError) as error:
        raise KdbenchError(
            f'the weights of trial {record.trial.id} do not fit "{own.model.model}": the model, or the method "{record.trial.method}",'
            " is another than the one that it was trained with; give the right one in plugins"
        ) from error
    if "statistics" in record.data:  # missing in records of version 1
        statistics = {name: torch.tensor(values) for name, values in record.data["statistics"].items()}
        known = interface(own)
        config = known.task.network_config(known.spec, own.preprocessing, statistics, classes)
        recorded = record.data.get("preprocessing")  # missing in older records
        if isinstance(recorded, dict):
            config |= {
                key: tuple(value) if isinstance(value, list) else value for key, value in recorded.items() if key in config
            }
        network.pretrained_cfg = network.default_cfg = config  # type: ignore[assignment]
    return network.eval()


def _interface(record: Record | None, trial: Trial, store: Store, registry: Registry) -> Interface:
    """Return the inputs and outputs of a network, from its record or its profile."""
    inputs = record.data.get("inputs") if record is not None else None
    if inputs is None and record is not None:
        profile = store.profile(record.profile)
        inputs = profile.inputs if profile is not None else None
    if record is None or inputs is None:
        raise KdbenchError(f"what the network of trial {trial.id} takes is not known any more: run its suite again")
    return Interface(task_of(trial, registry), inputs, len(_classes(record)))


def _classes(record: Record) -> list[str]:
    names = [str(name) for name in record.data.get("classes", ())]
    if not names:
        raise KdbenchError(f"the record of trial {record.trial.id} does not say which classes its data have")
    return names


def _choose(results: Results, *, trial: str | None, method: str | None, pair: str | None, seed: int | None, role: str) -> str:
    """Return the id of the selected trial."""
    if trial is not None:
        found = [i for i in results.plan.trials if i.startswith(trial)]
        if len(found) != 1:
            many = "several trials begin" if found else "no trial begins"
            raise KdbenchError(f'{many} with "{trial}": {_listed(found or list(results.plan.trials))}')
        return found[0]
    entries = [e for e in results.plan.entries if e.role == _known("role", role, (e.role for e in results.plan.entries))]
    if method is None and pair is None and seed is None and role == "student":
        return _first(results)
    if pair is not None:
        entries = [e for e in entries if e.pair == _known("pair", pair, (e.pair for e in entries))]
    if method is not None:
        own = [e for e in entries if e.label == method] or [e for e in entries if e.method == method]
        entries = own or [e for e in entries if e.label == _known("method", method, (e.label for e in entries))]
    if seed is not None:
        entries = [e for e in entries if e.seed == _known("seed", seed, (e.seed for e in entries))]
    trials = {e.trial: e for e in entries}
    if len(trials) > 1:
        choices = _listed(_described(e) for e in trials.values())
        raise KdbenchError(f"{len(trials)} networks fit; choose by method, pair, seed or trial: {choices}")
    return next(iter(trials))


def _first(results: Results) -> str:
    """Return the trial of the leaderboard's first row that is best on validation data."""
    table = results.analysis.standings
    if not len(table) or not len(students := table[(table["role"] == "student") & (table["finished"] > 0)]):
        raise KdbenchError(f"no student of suite {results.plan.suite} has finished")
    trials = str(students["trials"].iloc[0]).split()
    task = results.plan.task
    finished = [t for t in trials if t in results.records and results.records[t].status == "finished"]

    def merit(trial: str) -> float:
        return direction(task) * results.records[trial].metrics.get("validation", {}).get(task.primary, 0.0)

    return max(finished, key=merit)


def _known(what: str, given: T, known: Iterable[T]) -> T:
    """Return a value if it is among the known ones; raise otherwise."""
    values = list(dict.fromkeys(known))
    if given not in values:
        hint = did_you_mean(str(given), map(str, values)) or f"; there are {_listed(map(str, values)) or 'none'}"
        shown = f'"{given}"' if isinstance(given, str) else given
        raise KdbenchError(f"no network of the {what} {shown}{hint}")
    return given


def _described(entry: Entry) -> str:
    point = "".join(f", {k}={v}" for k, v in entry.grid_point.items())
    return f"{entry.label} of {entry.pair}, seed {entry.seed}{point} (trial {entry.trial})"


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    return "; ".join(shown[:MOST_CHOICES]) + (f"; and {len(shown) - MOST_CHOICES} more" if len(shown) > MOST_CHOICES else "")


def _why(record: Record | None) -> str:
    if record is None:
        return "it was not run"
    if record.failure is not None:
        return f"it failed with {record.failure.kind}: {record.failure.message}"
    return "its weights were not kept"
