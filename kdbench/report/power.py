"""A note below each table: weak teachers, and what it could have found."""

from __future__ import annotations

import math

import pandas as pd

from kdbench.analysis.power import MOST_SEEDS, seeds_for
from kdbench.report.text import code, escape
from kdbench.report.wording import Wording

ASSUMED = (0.003, 0.006)
"""Deviations from run to run that small networks may have."""


def power_note(table: pd.DataFrame, words: Wording) -> str:
    """Say which teachers of a pair are weak, and what its table could have found.

    It also says how many seeds find more. It is "" without either.

    Args:
        table: the pair's rows of the standings.
        words: words of the task.
    """
    faults = zip(table["role"], table["label"], table["fault"], strict=True)
    weak = [f"Warning: the {role} {code(str(label))} {escape(fault)}." for role, label, fault in faults if fault]
    return " ".join([*weak, text] if (text := _power(table, words)) else weak)


def _power(table: pd.DataFrame, words: Wording) -> str:
    students = table[(table["role"] == "student") & (table["finished"] > 0)]
    known = students[students["detectable"].notna()]
    if len(students) < 2:
        return ""
    if known.empty:
        return _without(students, words)
    row = known.iloc[0]
    smallest = f"{words.plain(row['detectable'])}{words.points}"
    text = f"A true difference of {smallest} to the student trained alone would have been found with a probability of 80 %."
    if not math.isnan(row["seeds_one"]):
        text += f" For 0.5 points it takes {_seeds(row['seeds_half'])}, for 1 point {_seeds(row['seeds_one'])}."
    ranked = students[students["first_probability"].notna()].sort_values("first_probability", ascending=False, kind="stable")
    if len(ranked):
        leader = ranked.iloc[0]
        share = f"{100 * leader['first_probability']:.0f} %"
        text += (
            f" {code(str(leader['label']))} comes first in {share} of suites drawn again, with other seeds and test samples."
        )
    return text


def _without(students: pd.DataFrame, words: Wording) -> str:
    if students["finished"].max() > 1:
        return "Too few runs to know what another training run would do, hence no marks and no places: add seeds."
    text = (
        "One seed: nothing tells a difference between methods from the chance of a training run, hence no intervals, no marks and no "
        "places."
    )
    if not words.points:
        return f"{text} Three seeds or more give them."
    few, many = (seeds_for(0.01, deviation, max(len(students) - 1, 1)) for deviation in ASSUMED)
    return f"{text} A difference of 1 point takes {_seeds(few)} if runs vary by 0.3 points, and {_seeds(many)} if by 0.6."


def _seeds(count: float) -> str:
    return f"more than {MOST_SEEDS} seeds" if math.isinf(count) else f"{count:.0f} seeds"
