"""Loading: from a data set's name to data that are ready for training."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import Tensor

from kdbench.data.content import fingerprint
from kdbench.data.inputs import concatenate, map_inputs, select
from kdbench.data.split import stratified_cut
from kdbench.data.types import Dataset, RawData, Split, TaskData
from kdbench.errors import DataError, cut, did_you_mean
from kdbench.method.guard import Guard, described
from kdbench.suite.schema import LONGEST_NAME, DatasetSpec
from kdbench.tasks.task import Task


def data_root(given: Path | None) -> Path:
    """Choose the data root: as given, or ``KDBENCH_DATA``, or ``./data``.

    It need not exist.
    """
    return (given or Path(os.environ.get("KDBENCH_DATA") or "data")).expanduser()


def make_dataset(spec: DatasetSpec, datasets: Mapping[str, type[Dataset]]) -> Dataset:
    """Find a data set and check its options, without reading data.

    Raises:
        DataError: the data set does not exist, or its options are invalid.
    """
    if spec.name not in datasets:
        hint = did_you_mean(spec.name, datasets) or f"; known are {', '.join(sorted(datasets))}"
        raise DataError(f'unknown data set "{spec.name}"{hint}')
    cls = datasets[spec.name]
    try:
        return cls(cls.Options(**spec.options))
    except ValidationError as error:
        raise DataError(f'data set "{spec.name}": {_explain(error, list(cls.Options.model_fields))}') from error


def load_data(spec: DatasetSpec, root: Path, datasets: Mapping[str, type[Dataset]], task: Task) -> TaskData:
    """Read a data set, take the suite's subsets, and split off the validation set.

    The order is: classes, pooled hold-out, limit, validation. Samples keep their order within each split.

    Args:
        spec: the data set in the suite.
        root: the data root.
        datasets: data set classes by name.
        task: the task.

    Raises:
        DataError: the data are missing, damaged or not what the suite says.
    """
    with Guard().calling(f'data set "{spec.name}"', "load(root)"):
        raw = make_dataset(spec, datasets).load(root)
    with Guard().calling(f'data set "{spec.name}"', "the check of its data"):
        if not isinstance(raw, RawData):
            raise DataError(f'data set "{spec.name}": load(root) must return a kdbench.RawData, not {described(raw)}')
        _check_names(spec.name, raw.class_names)
        task.check(spec.name, raw)
        return _cut_out(spec, raw, task)


def _cut_out(spec: DatasetSpec, raw: RawData, task: Task) -> TaskData:
    """The subsets that a suite asks for, as :func:`load_data` describes them."""
    if spec.classes is not None:
        raw = _keep_classes(spec.name, raw, spec.classes)
    train, test = raw.train, raw.test
    if spec.test is not None:
        test, train = _cut(_pool(train, test), spec.test, "test", spec.split_seed)
    if spec.limit is not None:
        train, test = (_limit(s, spec.limit, p, spec.split_seed) for s, p in ((train, "limit-train"), (test, "limit-test")))
    validation, train = _cut(train, spec.validation, "validation", spec.split_seed)
    for name, split in (("training", train), ("test", test)):
        if not len(split):
            raise DataError(f'data set "{spec.name}": no {name} samples are left after the splits that the suite requests')
    return TaskData(
        name=spec.label or spec.name,
        train=train,
        validation=validation,
        test=test,
        class_names=raw.class_names,
        fingerprint=fingerprint({"train": train, "validation": validation, "test": test}, raw.class_names),
        statistics=_statistics(task, train),
    )


def _check_names(name: str, class_names: object) -> None:
    """Check the names of the classes, which stand in records and reports."""
    if not isinstance(class_names, tuple | list) or not all(isinstance(n, str) for n in class_names):
        odd = (
            next((n for n in class_names if not isinstance(n, str)), None)
            if isinstance(class_names, tuple | list)
            else class_names
        )
        raise DataError(f'data set "{name}": class_names must be a tuple of strings, one a class, not of {described(odd)}')
    if longest := max((n for n in class_names if len(n) > LONGEST_NAME), key=len, default=""):
        raise DataError(
            f'data set "{name}": a class is named by {len(longest):,} characters, more than {LONGEST_NAME:,}: {cut(longest)}'
        )


def _statistics(task: Task, train: Split) -> dict[str, Tensor]:
    """What a task computes from the training split, which stands in records."""
    found = dict(task.statistics(train))
    for name, values in found.items():
        if not (
            isinstance(values, Tensor) and values.is_floating_point() and values.dim() == 1 and bool(values.isfinite().all())
        ):
            raise DataError(
                f'task "{task.name}": statistics() must give finite one-dimensional float tensors, not {described(values)} as "{name}"'
            )
    return found


def _explain(error: ValidationError, known: list[str]) -> str:
    # Unknown options come first: if one is misspelled, pydantic first says that the right one is missing.
    first = min(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        accepted = f"the options are {', '.join(known)}" if known else "it has no options"
        return f'unknown option "{where}"{did_you_mean(where, known) or f"; {accepted}"}'
    if first["type"] == "missing":
        return f'the option "{where}" is missing'
    what = str(first["msg"]).removeprefix("Value error, ")
    return f'option "{where}": {what}, not {first["input"]!r}' if where else what


def _keep_classes(name: str, raw: RawData, classes: tuple[int, ...]) -> RawData:
    last = len(raw.class_names) - 1
    wrong = [c for c in classes if c > last]
    if wrong:
        raise DataError(f'data set "{name}": classes includes {wrong[0]}, but the classes are 0 to {last}')
    if raw.train.targets.dim() != 1:
        raise DataError(f'data set "{name}": classes can be chosen only if each sample has one target')
    if not classes or len(set(classes)) < len(classes):
        raise DataError(f'data set "{name}": classes must name each class once, not {cut(str(list(classes)))}')
    renumber = torch.full((last + 1,), -1, dtype=torch.int64)
    renumber[list(classes)] = torch.arange(len(classes))

    def keep(split: Split) -> Split:
        targets = renumber[split.targets]
        kept = torch.nonzero(targets >= 0)[:, 0]
        return Split(select(split.inputs, kept), targets[kept])

    return RawData(keep(raw.train), keep(raw.test), tuple(raw.class_names[c] for c in classes))


def _pool(a: Split, b: Split) -> Split:
    return Split(concatenate(a.inputs, b.inputs), torch.cat([a.targets, b.targets]))


def _cut(split: Split, share: float, purpose: str, seed: int) -> tuple[Split, Split]:
    """Split off a share (at least one sample, unless the share is 0)."""
    size = min(max(1, round(share * len(split))), len(split)) if share else 0
    cut, rest = stratified_cut(_strata(split), size, purpose, seed)
    return _take(split, cut), _take(split, rest)


def _limit(split: Split, limit: int, purpose: str, seed: int) -> Split:
    return split if len(split) <= limit else _take(split, stratified_cut(_strata(split), limit, purpose, seed)[0])


def _strata(split: Split) -> Tensor:
    """Return the classes to stratify by; one for all if samples have many targets."""
    return split.targets if split.targets.dim() == 1 else torch.zeros(len(split), dtype=torch.int64)


def _take(split: Split, positions: Tensor) -> Split:
    if len(positions) == len(split):
        return Split(map_inputs(Tensor.contiguous, split.inputs), split.targets)
    return Split(select(split.inputs, positions), split.targets[positions])
