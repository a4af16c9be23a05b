"""The page ``tuning.md``: how methods were tuned, with every draw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from tabulate import tabulate

from kdbench.analysis.analysis import Analysis
from kdbench.analysis.task import direction, metric_column
from kdbench.analysis.tuning import KEYS, seconds_of_tuning
from kdbench.errors import flat
from kdbench.plan.trial import Trial, TuningInfo
from kdbench.report.cells import number
from kdbench.report.text import duration, escape
from kdbench.report.wording import Wording
from kdbench.suite.tuning import PREFIX


@dataclass(frozen=True)
class Draws:
    """The draws of one method on one pair, as text.

    Args:
        title: label, and the pair if there are several.
        space: ranges, one sentence.
        headings: of the columns.
        rows: a row for each draw.
        chosen: index of the draw that was chosen; ``None`` if there is none.
    """

    title: str
    space: str
    headings: list[str]
    rows: list[list[str]]
    chosen: int | None


@dataclass(frozen=True)
class TuningPage:
    """Everything that is said about tuning, as text without markup.

    Args:
        sentences: how it was done, what it cost, and whether it helped.
        headings: of the summary's columns.
        summary: a row for each method and pair.
        draws: the draws of each.
    """

    sentences: list[str]
    headings: list[str]
    summary: list[list[str]]
    draws: list[Draws]


def tuning_page(analysis: Analysis) -> TuningPage | None:
    """Return what is said about tuning; ``None`` if methods were not tuned."""
    info, words = analysis.plan.tuning, Wording(analysis.task)
    if info is None or analysis.draws.empty:
        return None
    found = TuningPage(_sentences(analysis, info, words), [], [], [])
    test = metric_column(analysis.task)
    several = analysis.draws["pair"].nunique() > 1
    tuned = {_key(line): line for line in _records(analysis.tuned)}
    students = {_key(line): line for line in _records(analysis.standings) if line["role"] == "student"}
    for _, part in analysis.draws.groupby(list(KEYS), sort=False):
        key = _key(_records(part)[0])
        title = flat(key[2]) + (f" · {flat(key[0])}" if several else "")
        own, row = tuned[key], students.get(key, {})
        found.draws.append(_draws(analysis, info, part, title, words))
        found.summary.append(
            [
                title,
                _value(own[f"default_{test}"], words),
                _value(row.get(test), words),
                _gain(own, words),
                _difference(own["validation_lead"], words),
                _difference(own["test_lead"], words),
                f"{own['draws']}" + (f" ({own['draws_failed']} failed)" if own["draws_failed"] else ""),
                duration(own["tuning_seconds"]),
            ]
        )
    sign, metric = words.percent_sign, words.metric
    names = (f"default{sign}", f"tuned{sign}", f"tuned − default (test {metric})", "lead on validation", "lead on test")
    found.headings.extend(["method", *names, "draws", "time"])
    return found


def tuning_markdown(analysis: Analysis) -> str:
    """Return the page in markdown; "" if methods were not tuned."""
    page = tuning_page(analysis)
    if page is None:
        return ""
    parts = [f"# {escape(analysis.plan.title or analysis.plan.suite)}: how it was tuned", *page.sentences]
    parts.append(_table(page.headings, page.summary))
    for draws in page.draws:
        rows = [[f"**{cell}**" for cell in row] if i == draws.chosen else row for i, row in enumerate(_escaped(draws.rows))]
        parts += [f"## {escape(draws.title)}", escape(draws.space), _table(draws.headings, rows, escaped=True)]
    return "\n\n".join(parts) + "\n"


def _sentences(analysis: Analysis, info: TuningInfo, words: Wording) -> list[str]:
    total = sum(record.costs.wall_seconds for record in analysis.records.values())
    spent = seconds_of_tuning(analysis.frame)
    share = f", {100 * spent / total:.0f} % of all training" if total else ""
    found = [
        f"Every method, supervised included, got {info.draws} draws: its own values first, then points of a scrambled Halton sequence "
        f"in its ranges. A draw is trained for {100 * info.epochs:.0f} % of the epochs with seed {info.seed}, which no number of the "
        "leaderboard comes from. The best draw on the validation set was then trained with all seeds; the test set had no say.",
        f"Tuning took {duration(spent)} of training{share}; teachers that only draws needed are included.",
    ]
    tuned = analysis.tuned
    moved = tuned[tuned["validation_lead"].notna() & (tuned["validation_lead"] != 0)]
    if len(moved):
        lead, test, gain = (moved[name].mean() for name in ("validation_lead", "test_lead", "tuned_gain"))
        text = (
            f"{len(moved)} of {len(tuned)} methods chose other values than their own. The chosen draws led their first draws by "
            f"{_difference(lead, words)}{words.points} on average on the validation set, where they were chosen, which is too good, and "
            f"by {_difference(test, words)} on the test set"
        )
        if not pd.isna(gain):
            better = int((moved["tuned_gain"] * direction(words.task) > 0).sum())
            text += (
                f". With all epochs and seeds, the chosen values were ahead of the own ones by {_difference(gain, words)} on the test set; "
                f"{better} of them were better there"
            )
        found.append(text + ".")
    return found


def _draws(analysis: Analysis, info: TuningInfo, draws: pd.DataFrame, title: str, words: Wording) -> Draws:
    pair, label = draws["pair"].iloc[0], draws["label"].iloc[0]
    space = info.spaces.get(pair, {}).get(label, {})
    validation, test = (metric_column(analysis.task, split) for split in ("validation", "test"))
    rows = []
    for line in _records(draws):
        trial = analysis.plan.trials[line["trial"]]
        values = [_shown(trial, name) for name in space]
        numbers = [_value(line[name], words) for name in (validation, test)]
        status = flat(line["error"]) if line["status"] == "failed" else line["status"]
        seconds = number(line["wall_seconds"])
        rows.append([str(line["draw"]), *values, *numbers, "–" if pd.isna(seconds) else duration(seconds), status])
    chosen = [i for i, own in enumerate(draws["chosen"]) if own]
    sign = words.percent_sign
    ranges = "; ".join(f"{name} {text}" for name, text in space.items())
    return Draws(
        title=title,
        space=f"Ranges: {flat(ranges)}. Draw 0 has the method's own values." if space else "Nothing of it is tuned.",
        headings=["draw", *map(flat, space), f"validation{sign}", f"test{sign}", "time", "status"],
        rows=rows,
        chosen=chosen[0] if chosen else None,
    )


def _shown(trial: Trial, name: str) -> str:
    """Return a tuned value of a trial as text; its name may come from a stranger."""
    known = {**trial.params, **{PREFIX + key: value for key, value in trial.recipe.model_dump().items()}}
    value = known.get(name, "–")
    return f"{value:g}" if isinstance(value, float) else flat(str(value))


def _gain(line: Mapping[str, Any], words: Wording) -> str:
    low, high = (number(line[f"tuned_gain_{end}"]) for end in ("low", "high"))
    text = _difference(line["tuned_gain"], words)
    return text if pd.isna(low) else f"{text} [{words.difference(low)}, {words.difference(high)}]"


def _difference(value: Any, words: Wording) -> str:
    return "–" if pd.isna(number(value)) else words.difference(value)


def _value(value: Any, words: Wording) -> str:
    return "–" if pd.isna(number(value)) else words.value(value)


def _key(line: Mapping[str, Any]) -> tuple[str, str, str]:
    pair, fingerprint, label = (str(line[name]) for name in KEYS)
    return pair, fingerprint, label


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in line.items()} for line in table.to_dict("records")]


def _escaped(rows: Sequence[Sequence[str]]) -> Iterator[list[str]]:
    for row in rows:
        yield [escape(cell) for cell in row]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, escaped: bool = False) -> str:
    aligned = ["left", *["right"] * (len(headings) - 1)]
    cells = rows if escaped else list(_escaped(rows))
    return tabulate(cells, headers=list(map(escape, headings)), tablefmt="github", disable_numparse=True, colalign=aligned)
