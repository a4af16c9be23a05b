"""``kdbench plan``: what would run; runs nothing."""

from __future__ import annotations

from pathlib import Path

import typer
from tabulate import tabulate

from kdbench.cli import options


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
    no_cohorts: options.NoCohorts = False,
) -> None:
    """Print what `kdbench run` would do (trials, cohorts, estimated work, what is done already), and run nothing."""
    from kdbench.engine.estimate import estimate
    from kdbench.engine.latency import latency_report_id, subjects_of
    from kdbench.engine.prepare import prepare
    from kdbench.report.columns import check_report
    from kdbench.results.store import Store
    from kdbench.suite.load import load_suite
    from kdbench.tasks.load import data_root as find_data_root

    loaded = load_suite(suite, settings=set_ or (), only=only or (), seeds=seeds, epochs=epochs)
    check_report(loaded.suite.report, loaded.places.of)
    prepared = prepare(loaded, find_data_root(data_root), plugins=tuple(plugin or ()), cohorts=not no_cohorts)
    store = Store(runs)
    labels: dict[str, list[str]] = {}
    for entry in prepared.plan.entries:
        point = ",".join(f"{k}={v}" for k, v in entry.grid_point.items())
        name = entry.label + (f"[{point}]" if point else "")
        labels.setdefault(entry.trial, [])
        if name not in labels[entry.trial]:
            labels[entry.trial].append(name)
    work = estimate(prepared.plan, prepared.profile_of, len(prepared.data.train))
    rows = []
    done = 0
    for number, cohort in enumerate(prepared.plan.cohorts, 1):
        for trial_id in cohort.trials:
            trial = prepared.plan.trials[trial_id]
            record = store.record(trial_id)
            state = "to do"
            if record is not None:
                state = record.status
            elif store.checkpoint_path(trial_id).exists():
                state = "begun"
            done += state == "finished"
            rows.append(
                [number, trial_id, ", ".join(labels[trial_id]), trial.model.model, trial.seed, trial.recipe.epochs,
                 f"{work.trials[trial_id] / 1e12:,.2f}" if prepared.profiles else "–", state]
            )  # fmt: skip
    print(
        tabulate(rows, headers=["cohort", "trial", "for", "model", "seed", "epochs", "TMACs", "state"], disable_numparse=True)
    )
    data = prepared.data
    print(
        f"\n{len(rows)} trials in {len(prepared.plan.cohorts)} cohorts, {done} finished; "
        f"{data.name} ({len(data.train)} training, {len(data.validation)} validation, {len(data.test)} test samples)"
    )
    if prepared.profiles:
        print(
            f"estimated training work: {work.students / 1e12:,.1f} TMACs of students + {work.teachers / 1e12:,.1f} of teachers' passes "
            f"({work.teachers_alone / 1e12:,.1f} without cohorts)"
        )
    if (report_id := latency_report_id(prepared)) is not None:
        measured = "is measured" if store.latency(report_id) is not None else "is to be measured when all is trained"
        print(f"latency of {len(subjects_of(prepared))} networks {measured}")
