"""``kdbench plan``: print what would run, without running it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from kdbench.cli import options

if TYPE_CHECKING:
    from kdbench.api.planning import Preview


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("plan", short_help="Print what `kdbench run` would do, and run nothing.")(plan)


def plan(
    suite: options.SuiteArgument,
    data_root: options.DataRoot = None,
    runs: options.Runs = Path("runs"),
    only: options.Only = None,
    seeds: options.Seeds = None,
    epochs: options.Epochs = None,
    set_: options.Set = None,
    plugin: options.Plugin = None,
    trust: options.Trust = False,
    no_cohorts: options.NoCohorts = False,
) -> None:
    """Print what `kdbench run` would do, and run nothing.

    This covers trials, cohorts, estimated work, and what is finished already.
    """
    from kdbench.api.planning import preview
    from kdbench.api.suites import open_suite
    from kdbench.api.trust import require_trust

    loaded, _ = open_suite(suite, settings=set_ or (), only=only or (), seeds=seeds, epochs=epochs)
    require_trust(loaded, plugin or (), given=trust, ask=options.ask())
    found = preview(loaded, plugins=tuple(plugin or ()), data_root=data_root, runs=runs, cohorts=not no_cohorts)
    print(_table(found))
    plan, data = found.prepared.plan, found.prepared.data
    print(
        f"\n{len(plan.trials)} trials in {len(plan.cohorts)} cohorts, {list(found.states.values()).count('finished')} finished; "
        f"{data.name} ({len(data.train)} training, {len(data.validation)} validation, {len(data.test)} test samples)"
    )
    if text := _still_to_tune(found):
        print(text)
    if found.prepared.profiles:
        work = found.work
        print(
            f"estimated training work: {work.students / 1e12:,.1f} TMACs of students + {work.teachers / 1e12:,.1f} of teachers' passes "
            f"({work.teachers_alone / 1e12:,.1f} without cohorts)"
        )
    networks, measured = found.latency
    if networks:
        print(f"latency of {networks} networks {'is measured' if measured else 'is to be measured when all is trained'}")


def _still_to_tune(found: Preview) -> str:
    """Say what the plan will add when draws have ended; "" if nothing."""
    plan = found.prepared.plan
    open_ = {(e.pair, e.label) for e in plan.entries if e.role == "draw" and found.states[e.trial] in ("to do", "begun")}
    if not open_:
        return ""
    seeds = len(found.prepared.loaded.suite.seeds)
    return (
        f"tuning: when its draws have ended, the best draw of each method is trained with all seeds: up to {len(open_) * seeds} more "
        "trials, which this plan cannot know yet"
    )


def _table(found: Preview) -> str:
    """Return a table with a row for each trial, in the order of training."""
    plan = found.prepared.plan
    labels: dict[str, list[str]] = {}
    for entry in plan.entries:
        labels.setdefault(entry.trial, [])
        if entry.title not in labels[entry.trial]:
            labels[entry.trial].append(entry.title)
    rows = []
    for number, cohort in enumerate(plan.cohorts, 1):
        for trial_id in cohort.trials:
            trial = plan.trials[trial_id]
            names = ", ".join(labels.get(trial_id, [trial.method]))  # a teacher of teachers has no row
            work = f"{found.work.trials[trial_id] / 1e12:,.2f}" if found.prepared.profiles else "–"
            rows.append(
                [number, trial_id, names, trial.model.model, trial.seed, trial.recipe.epochs, work,
                 found.states[trial_id]]
            )  # fmt: skip
    headers = ["cohort", "trial", "for", "model", "seed", "epochs", "TMACs", "state"]
    return "\n".join(_lines([headers, *rows]))


def _lines(rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Lay out a table.

    For the largest plans, tabulate takes seconds and hundreds of MB.
    """
    cells = [list(map(str, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
