"""How methods were tuned, what it cost, and whether it helped."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Any

import pandas as pd

from kdbench.analysis.contrasts import Rows, Runs
from kdbench.analysis.frame import SuiteFrame
from kdbench.analysis.task import direction, metric_column
from kdbench.plan.trial import Plan
from kdbench.plan.tuning import winner
from kdbench.results.plans import with_teachers

NAN = float("nan")
KEYS = ("pair", "fingerprint", "label")
"""What a row of the leaderboard is found by, among students."""


def draws_table(frame: SuiteFrame) -> pd.DataFrame:
    """Return a row for each draw; empty if methods were not tuned.

    The columns are pair, fingerprint, label, draw (0 has the method's own values), point (as JSON), status,
    error, the primary metric on the validation and test sets, wall_seconds, trial and chosen. The test set
    has no say in what is chosen.
    """
    validation, test = metric_column(frame.task, "validation"), metric_column(frame.task)
    rows = frame.rows[frame.rows["role"] == "draw"]
    ended = rows[rows["status"].isin(["finished", "failed"])]
    scores = dict(zip(ended["trial"], ended[validation], strict=True))
    columns = [*KEYS, "point", "status", "error", validation, test, "wall_seconds", "trial"]
    found: list[dict[str, Any]] = []
    for _, mine in rows.groupby(list(KEYS), sort=False):
        best = winner(list(mine["trial"]), scores, direction(frame.task))
        found += [
            {**{str(name): value for name, value in line.items()}, "draw": number, "chosen": number == best}
            for number, line in enumerate(mine[columns].to_dict("records"))
        ]
    return pd.DataFrame(found)


def tuned_table(frame: SuiteFrame, draws: pd.DataFrame) -> pd.DataFrame:
    """Compare what tuning chose with each method's own values.

    There is a row for each pair, fingerprint and label.

    The columns are ``default_`` with the primary metric on the test set (mean over seeds of the method's own
    values) and its ``_sd`` (n − 1); ``tuned_gain``, the chosen values' mean minus that over the seeds that
    both finished, with its simultaneous 95 % interval ``tuned_gain_low`` to ``tuned_gain_high`` by the model
    of the leaderboard; ``validation_lead``, the chosen draw's lead over draw 0 on the validation set, which
    chance and choice both raise, and ``test_lead``, the same draw's lead on the test set; ``draws`` and
    ``draws_failed``; and ``tuning_seconds``, what the draws took.

    Args:
        frame: the records.
        draws: the frame's :func:`draws_table`.
    """
    if draws.empty:
        return pd.DataFrame()
    found = [part for (pair, fingerprint), part in frame.rows.groupby(["pair", "fingerprint"], sort=False)]
    lines = [line for part in found for line in _of_pair(frame, part, draws)]
    return pd.DataFrame(lines)


def with_tuning(table: pd.DataFrame, tuned: pd.DataFrame) -> pd.DataFrame:
    """Add the columns of :func:`tuned_table` to the students of standings."""
    if tuned.empty:
        return table
    students = table["role"] == "student"
    both = table.merge(tuned, on=list(KEYS), how="left", suffixes=("_metric", ""))
    own = [name for name in tuned.columns if name not in KEYS]
    both.loc[~students.to_numpy(), own] = NAN
    return both


def tuning_only(plan: Plan, label: tuple[str, str] | None = None) -> set[str]:
    """Return the trials that nothing but tuning needs.

    Args:
        plan: the plan.
        label: pair and label of the only method whose draws count as tuning; all methods by default.
    """
    draws = [e for e in plan.entries if e.role == "draw" and label in (None, (e.pair, e.label))]
    others = [e for e in plan.entries if e.role != "draw" or label not in (None, (e.pair, e.label))]
    return with_teachers(plan, (e.trial for e in draws)) - with_teachers(plan, (e.trial for e in others))


def _of_pair(frame: SuiteFrame, rows: pd.DataFrame, draws: pd.DataFrame) -> Iterable[dict[str, Any]]:
    test = metric_column(frame.task)
    pair, fingerprint = rows["pair"].iloc[0], rows["fingerprint"].iloc[0]
    mine = draws[(draws["pair"] == pair) & (draws["fingerprint"] == fingerprint)]
    runs: dict[tuple[str, str], Runs] = {}
    same: set[str] = set()  # labels whose own values won
    for label in mine["label"].unique():
        of = {role: rows[(rows["label"] == label) & (rows["role"] == role)] for role in ("student", "default")}
        same |= {label} if set(of["student"]["trial"]) == set(of["default"]["trial"]) else set()
        runs |= {(role, label): Runs.of(frame, part) for role, part in of.items() if role == "default" or label not in same}
    compared = [label for label in mine["label"].unique() if label not in same]
    lines = Rows.of(runs).compare([(("student", label), ("default", label)) for label in compared])
    gains = dict(zip(compared, lines, strict=True))
    for label, part in mine.groupby("label", sort=False):
        own = pd.Series(list(runs["default", str(label)].values.values()), dtype=float)
        still = {"delta": 0.0 if part["chosen"].any() and len(own) else NAN, "low": NAN, "high": NAN}
        gain = gains.get(label, still)
        yield {
            **dict(zip(KEYS, (pair, fingerprint, label), strict=True)),
            f"default_{test}": own.mean(),
            f"default_{test}_sd": own.std(),
            "tuned_gain": gain["delta"],
            "tuned_gain_low": gain["low"],
            "tuned_gain_high": gain["high"],
            "validation_lead": _lead(part, metric_column(frame.task, "validation")),
            "test_lead": _lead(part, test),
            "draws": len(part),
            "draws_failed": int((part["status"] == "failed").sum()),
            "tuning_seconds": _seconds(frame, tuning_only(frame.plan, (str(pair), str(label)))),
        }


def _lead(draws: pd.DataFrame, metric: str) -> float:
    """Return the chosen draw's lead over the first."""
    chosen = draws[draws["chosen"]]
    return float(chosen[metric].iloc[0] - draws[metric].iloc[0]) if len(chosen) else NAN


def seconds_of_tuning(frame: SuiteFrame) -> float:
    """Return the seconds of all trials that only tuning needed.

    Teachers that were trained with its seed are among them.
    """
    return _seconds(frame, tuning_only(frame.plan))


def _seconds(frame: SuiteFrame, trials: Collection[str]) -> float:
    return math.fsum(frame.records[trial].costs.wall_seconds for trial in trials if trial in frame.records)
