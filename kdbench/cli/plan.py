"""``kdbench plan``: print what would run, without running it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from kdbench.cli import options
from kdbench.cli.notice import notice

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
    add: options.Add = None,
    with_: options.With = None,
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
    with notice(f"loading {suite}"):
        from kdbench.api.planning import preview
        from kdbench.api.progress import Warnings
        from kdbench.api.suites import open_suite
        from kdbench.api.trust import require_trust

        plugins = (*(plugin or ()), *(with_ or ()))
        more = options.with_methods(add, with_)
        loaded, _ = open_suite(suite, add=more, settings=set_ or (), only=only or (), seeds=seeds, epochs=epochs)
    require_trust(loaded, plugins, given=trust, ask=options.ask())
    warnings = Warnings()
    with notice(f"reading {loaded.suite.dataset.label or loaded.suite.dataset.name}, counting parameters and MACs"):
        found = preview(loaded, plugins=plugins, data_root=data_root, runs=runs, cohorts=not no_cohorts, progress=warnings)
    for message in warnings.messages:
        print(message, file=sys.stderr)
    print(_table(found))
    plan, data = found.prepared.plan, found.prepared.data
    print(
        f"\n{len(plan.trials)} trials in {len(plan.cohorts)} cohorts, {list(found.states.values()).count('finished')} finished; "
        f"{data.name} ({len(data.train)} training, {len(data.validation)} validation, {len(data.test)} test samples)"
    )
    for note in data.notes:
        print(f"data: {note}")
    for warning in found.warnings:
        print(f"warning: {warning}")
    if text := _still_to_tune(found):
        print(text)
    if found.prepared.profiles:
        work = found.work
        print(
            f"estimated training work: {work.students / 1e12:,.1f} TMACs of students + {work.teachers / 1e12:,.1f} of teachers' passes "
            f"({work.teachers_alone / 1e12:,.1f} without cohorts)"
        )
    print(_left(found))
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
    from kdbench.api.progress.meter import duration

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
            work = duration(found.forecast.trials[trial_id]) if found.prepared.profiles else "–"
            rows.append(
                [number, trial_id, names, trial.model.model, trial.seed, trial.recipe.epochs, work,
                 found.states[trial_id]]
            )  # fmt: skip
    headers = ["cohort", "trial", "for", "model", "seed", "epochs", "time", "state"]
    return "\n".join(_lines([headers, *rows]))


def _left(found: Preview) -> str:
    """Say how long the run will take."""
    from kdbench.api.progress.meter import duration

    forecast = found.forecast
    finished = [i for i, state in found.states.items() if state == "finished"]
    if len(finished) == len(found.states) and not forecast.latency:
        return "nothing is left to train or measure"
    if not found.prepared.profiles:
        return "time left: unknown without measure.cost"
    how = f"by the speed of {forecast.known} finished trials" if forecast.known else "a rough guess: no trial has finished here"
    parts = f"latency {duration(forecast.latency)}, report {duration(forecast.report)}"
    return f"time left: about {duration(forecast.left(finished))} with one job, of these {parts} ({how})"


def _lines(rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Lay out a table.

    For the largest plans, tabulate takes seconds and hundreds of MB.
    """
    cells = [list(map(str, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
