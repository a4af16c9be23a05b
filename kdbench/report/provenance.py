"""Sentences that say where the numbers of a report come from."""

from __future__ import annotations

from kdbench.results.frame import SuiteFrame
from kdbench.results.record import Record


def provenance_lines(frame: SuiteFrame) -> list[str]:
    """Data, machine, versions and commands of all records of a report; what differs among them stands side by side."""
    records = list(frame.records.values())
    if not records:
        return ["No trial of this suite was run yet."]

    def each(text: dict[str, None]) -> str:
        return "; ".join(text)

    data = each({_data(r): None for r in records})
    machines = each({_machine(r): None for r in records})
    versions = each({_versions(r): None for r in records})
    commands = ", ".join({f"`{r.provenance.command}`": None for r in records})
    lines = [f"- Data: {data}", f"- Machine: {machines}", f"- Versions: {versions}", f"- Command: {commands}"]
    lines.append(
        f"- Trained between {min(r.provenance.started for r in records)} and {max(r.provenance.finished for r in records)}"
    )
    warnings = []
    if len({r.data.get("fingerprint") for r in records}) > 1:
        warnings.append("**These records are of different data.**")
    if len({_machine(r) for r in records}) > 1:
        warnings.append("These records are from different machines: compare no times.")
    if uncounted := sorted({op for p in frame.profiles.values() for op in p.uncounted}):
        lines.append(f"- Operators that MACs leave out: {', '.join(uncounted)}")
    return ["\n".join(lines), *warnings]


def _data(record: Record) -> str:
    data = record.data
    return (
        f"{data.get('name')}, fingerprint `{data.get('fingerprint')}` ({data.get('train')} training, {data.get('validation')} validation, "
        f"{data.get('test')} test samples)"
    )


def _machine(record: Record) -> str:
    machine = record.provenance.machine
    where = record.provenance.device
    return (
        f"{machine.get('processor')}, {machine.get('cores')} cores, {machine.get('memory_gb')} GB, {machine.get('system')}; "
        f"device {where}, {record.provenance.threads} threads"
    )


def _versions(record: Record) -> str:
    libraries = ", ".join(f"{name} {version}" for name, version in record.provenance.libraries.items())
    commit = f" ({record.provenance.commit})" if record.provenance.commit else ""
    return f"kdbench {record.provenance.kdbench}{commit}, {libraries}"
