"""Provenance of a report: data, machines, versions and commands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from kdbench.analysis.frame import SuiteFrame
from kdbench.errors import flat
from kdbench.report.text import code, escape
from kdbench.results.record import Record

SPLITS = {"train": "training", "validation": "validation", "test": "test"}


def provenance_lines(frame: SuiteFrame) -> list[str]:
    """Return lines on data, machines, versions and commands of a report's records.

    Values that differ among records are listed side by side.
    """
    records = list(frame.records.values())
    if not records:
        return ["No trial of this suite was run yet."]
    count = Counter(str(r.status) for r in records)
    count["not run"] = len(frame.plan.trials) - len(records)
    lines = [
        f"- Data: {_each(records, _data)}",
        f"- Machine: {_each(records, _machine)}",
        f"- Versions: {_each(records, _versions)}",
        f"- Command: {_each(records, lambda r: code(r.provenance.command))}",
        f"- Trained between {min(r.provenance.started for r in records)} and {max(r.provenance.finished for r in records)}",
        f"- Trials: {', '.join(f'{n} {status}' for status, n in sorted(count.items()) if n)}; `trials.csv` names the record of each",
    ]
    if uncounted := sorted({operator for profile in frame.profiles.values() for operator in profile.uncounted}):
        lines.append(f"- Operators that MACs leave out: {', '.join(map(code, uncounted))}")
    if by_torch := sorted({profile.model for profile in frame.profiles.values() if profile.counter == "torch"}):
        lines.append(f"- MACs by torch's counter, where fvcore misses operators: {', '.join(map(code, by_torch))}")
    warnings = []
    if len({r.data.get("fingerprint") for r in records}) > 1:
        warnings.append("**These records are of different data**: compare nothing between tables.")
    if len({_machine(r) for r in records}) > 1:
        warnings.append("**These records are from different machines**: compare no times.")
    if len({_versions(r) for r in records}) > 1:
        warnings.append("These records were made by different versions of code or libraries.")
    return ["\n".join(lines), *warnings]


def environments(records: Mapping[str, Record]) -> dict[str, int]:
    """Number the environments (command, machine, versions) of records, by trial."""
    numbers: dict[tuple[tuple[str, str], ...], int] = {}
    return {t: numbers.setdefault(tuple(describe(r)), len(numbers) + 1) for t, r in sorted(records.items())}


def describe(record: Record) -> list[tuple[str, str]]:
    """Return command, machine and versions of a record."""
    made = record.provenance
    units = {"cores": " cores", "memory_gb": " GB memory"}
    machine = [f"{value}{units.get(name, '')}" for name, value in made.machine.items()]
    versions = [f"kdbench {made.kdbench}", *([f"commit {made.commit}"] if made.commit else [])]
    versions += [f"{name} {version}" for name, version in made.libraries.items()]
    return [
        ("command", flat(made.command)),
        ("machine", flat(", ".join([*machine, f"device {made.device}", _threads(record)]))),
        ("versions", flat(", ".join(versions))),
    ]


def _threads(record: Record) -> str:
    threads = record.provenance.threads
    return "1 thread" if threads == 1 else f"{threads} threads"


def _each(records: Sequence[Record], describe: Callable[[Record], str]) -> str:
    return "; ".join(sorted({describe(record) for record in records}))


def _data(record: Record) -> str:
    data = record.data
    sizes = ", ".join(f"{data[split]:,} {noun}" for split, noun in SPLITS.items() if split in data)
    return f"{escape(str(data.get('name', 'unnamed')))}, fingerprint {code(str(data.get('fingerprint', 'unknown')))} ({sizes} samples)"


def _machine(record: Record) -> str:
    machine, made = record.provenance.machine, record.provenance
    known = [
        machine.get("processor"),
        _unit(machine, "cores", "cores"),
        _unit(machine, "memory_gb", "GB"),
        machine.get("system"),
    ]
    return f"{', '.join(escape(text) for text in known if text)} (device {escape(made.device)}, {_threads(record)})"


def _unit(machine: dict[str, str], name: str, unit: str) -> str:
    return f"{machine[name]} {unit}" if name in machine else ""


def _versions(record: Record) -> str:
    made = record.provenance
    libraries = ", ".join(f"{name} {version}" for name, version in made.libraries.items())
    commit = f" ({made.commit})" if made.commit else ""
    return escape(f"kdbench {made.kdbench}{commit}, {libraries}")
