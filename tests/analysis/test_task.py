"""A task of sentences, judged by perplexity: the lower, the better."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kdbench.analysis.analysis import Analysis
from kdbench.analysis.boards import summary
from kdbench.analysis.compare import compare_runs
from kdbench.analysis.frame import frame_of
from kdbench.analysis.ranking import aggregate, differences, ranking
from kdbench.analysis.task import plural
from kdbench.analysis.tradeoff import tradeoff
from kdbench.errors import KdbenchError
from kdbench.plan.trial import MetricInfo, TaskInfo
from kdbench.report.compare import comparison_text, regressions_text
from kdbench.report.formats import kdbench_reporters, write_report
from kdbench.report.leaderboard import leaderboard_markdown, leaderboard_text
from kdbench.report.sections import with_view
from kdbench.results.evidence import Evidence
from tests.results import made
from tests.results.made import FINGERPRINT, Row, row

SENTENCES = TaskInfo(
    name="language_modelling",
    unit="sentence",
    metrics={"perplexity": MetricInfo(label="perplexity", higher_is_better=False, percent=False)},
    primary="perplexity",
)
POINTS = [{"temperature": t, "alpha": a} for t in (1, 2) for a in (0.1, 0.9)]
PROFILES = (made.profile(), made.profile("big", 4_000_000), made.profile("wide", 1_000_000))


def said(label: str, perplexity: float, seed: int = 0, **changes: Any) -> Row:
    """A row of the task; its perplexity on the validation set is a little higher."""
    values = {"train": 9.0, "validation": perplexity + 0.5, "test": perplexity}
    metrics = {split: {"perplexity": value} for split, value in values.items()}
    return row(label, 0.0, seed, **{"metrics": metrics, **changes})


def analysis(*rows: Row, **changes: Any) -> Analysis:
    return Analysis(made.frame(*rows, profiles=PROFILES, task=SENTENCES, **changes))


def seeds(label: str, *values: float, **changes: Any) -> list[Row]:
    return [said(label, value, seed, **changes) for seed, value in enumerate(values)]


def full(pairs: Sequence[str] = ("one", "two")) -> Analysis:
    """Two pairs, four methods, a grid, curves and no predictions."""
    random, rows, histories = np.random.default_rng(0), [], {}
    for pair, model, base in zip(pairs, ("tiny_cnn", "wide"), (30.0, 25.0), strict=False):
        teacher = said("big", 20.0, role="teacher", model="big", pair=pair, method="supervised")
        rows.append(teacher)
        for seed in range(3):
            for i, label in enumerate(("supervised", "kd", "dkd", "at")):
                taught = [] if label == "supervised" else [teacher[0]]
                rows.append(said(label, base - i + random.normal(0, 0.1), seed, model=model, pair=pair, taught_by=taught))
            for i, point in enumerate(POINTS):
                value = base - 3 + 0.2 * i + random.normal(0, 0.1)
                rows.append(said("grid", value, seed, model=model, pair=pair, method="kd", grid_point=point))
    for trial, _, record in rows:
        final = record.metrics["test"]["perplexity"] if record else math.nan
        curve = final + np.array([20.0, 5.0, 0.0])
        table = {"epoch": [1.0, 2.0, 3.0], "loss": np.log(curve), "train_perplexity": curve - 1}
        table |= {"validation_loss": np.log(curve), "validation_perplexity": curve + 0.5}
        histories[trial.id] = pd.DataFrame({**table, "test_loss": np.log(curve), "test_perplexity": curve})
    plain = made.frame(*rows, profiles=PROFILES, task=SENTENCES)
    return Analysis(frame_of(plain.plan, plain.records, plain.profiles, Evidence(histories=histories)))


def test_the_lowest_comes_first_and_differences_keep_their_sign() -> None:
    teacher = said("big", 20.0, role="teacher", model="big")
    of = analysis(
        teacher,
        *seeds("supervised", 30.0, 31.0, 32.0),
        *seeds("kd", 25.0, 26.1, 27.0, taught_by=[teacher[0]]),
        *seeds("at", 40.0, 41.0, 42.2, taught_by=[teacher[0]]),
    )
    table = of.standings.set_index("label")
    assert table.index.tolist() == ["big", "kd", "supervised", "at"]
    assert table["place"].tolist()[1:] == [1, 2, 3]
    assert table["delta"]["kd"] == pytest.approx(-(5 + 4.9 + 5) / 3)
    assert table["delta"]["at"] > 0
    assert table["significant"].to_dict() == {"big": False, "kd": True, "supervised": False, "at": True}
    assert table["gap_closed"]["kd"] == pytest.approx((31 - 26.0333333) / (31 - 20))
    assert table["gap_closed"]["at"] < 0
    assert table["teacher_perplexity"]["kd"] == 20.0
    assert table["efficiency"].isna().all()


def test_a_teacher_that_is_worse_than_the_student_alone_has_no_gap_to_close() -> None:
    teacher = said("big", 50.0, role="teacher", model="big")
    of = analysis(teacher, said("supervised", 30.0), said("kd", 25.0, taught_by=[teacher[0]]))
    assert of.standings["gap_closed"].isna().all()


def test_one_seed_has_no_interval_and_predictions_of_classes_make_nothing_significant() -> None:
    """Perplexities are no shares of units that are right, whatever else was kept."""
    rows = [said("supervised", 30.0), said("kd", 20.0)]
    plain = made.frame(*rows, task=SENTENCES)
    classes = {rows[0][0].id: np.zeros(100, np.uint8), rows[1][0].id: np.ones(100, np.uint8)}
    sure = {trial: np.full(100, 255, np.uint8) for trial in classes}
    evidence = Evidence({FINGERPRINT: np.ones(100, np.int64)}, classes, sure)
    table = Analysis(frame_of(plain.plan, plain.records, plain.profiles, evidence)).standings
    assert table["interval"].tolist() == ["", ""]
    assert not table["significant"].any()
    assert table["place"].isna().all()
    assert not [name for name in table.columns if "sentences" in name or "images" in name]


def test_sentences_are_compared_one_by_one_for_the_trained_networks_only() -> None:
    task = TaskInfo(name="text", unit="sentence")
    rows = [row("supervised", 0.6), row("kd", 0.9)]
    plain = made.frame(*rows, task=task)
    classes = {t.id: (np.arange(100) >= n).astype(np.uint8) for (t, _, _), n in zip(rows, (60, 90), strict=True)}
    sure = {trial: np.full(100, 255, np.uint8) for trial in classes}
    evidence = Evidence({FINGERPRINT: np.zeros(100, np.int64)}, classes, sure)
    of = Analysis(frame_of(plain.plan, plain.records, plain.profiles, evidence))
    table = of.standings.set_index("label")
    assert not table["significant"]["kd"], "one seed says nothing of methods, however many sentences there are"
    assert table["delta_sentences_low"]["kd"] < 0.3 < table["delta_sentences_high"]["kd"]
    assert table["test_accuracy_low"]["kd"] == pytest.approx(0.826, abs=0.001), "of the 100 units, not of the samples"
    page = leaderboard_markdown(of)
    assert "One seed: nothing tells a difference between methods from the chance of a training run" in page
    networks = leaderboard_markdown(with_view(of, ["method", "networks"]))
    assert "Δ these trained networks (test sentences)" in networks
    assert "+30.00 [+2" in networks.replace("\N{NO-BREAK SPACE}", " ")
    assert "it says nothing about other seeds, and so nothing about methods" in networks
    assert "image" not in page


def test_a_grid_is_decided_by_the_lowest_on_the_validation_set() -> None:
    def point(alpha: float, validation: float, test: float) -> Row:
        metrics = {"validation": {"perplexity": validation}, "test": {"perplexity": test}}
        return row("kd", 0.0, grid_point={"alpha": alpha}, metrics=metrics)

    of = analysis(point(0.1, 9.0, 1.0), point(0.5, 8.0, 5.0), point(0.9, math.nan, 2.0))
    assert of.points.set_index("point")["chosen"].to_dict() == {
        '{"alpha": 0.1}': False,
        '{"alpha": 0.5}': True,
        '{"alpha": 0.9}': False,
    }


def test_the_front_the_ranks_and_the_best_first_are_of_the_lowest() -> None:
    of = full()
    board = of.boards[0]
    assert [p.label for p in tradeoff(board.table, "parameters", of.task).front] == ["grid", "big"]
    assert differences(board)["label"].tolist() == ["grid", "at", "dkd", "kd"]
    assert "grid · one" in summary(of.boards)["label"].tolist()
    ranks = ranking(of.boards)
    assert ranks is not None
    assert ranks.ranks.idxmin() == "grid"
    together = aggregate(of.boards, ["kd", "at", "grid"])
    assert together is not None
    assert list(together.iqm) == ["grid", "at", "kd"]
    assert together.iqm["grid"][0] < 0
    share, _, _ = together.profiles["grid"]
    assert share[0] == 1.0, "every run is better by more than the least gain"
    significant = of.grids[of.grids["significant"]]
    assert (significant["delta"] < 0).all()


def test_a_higher_perplexity_is_a_loss_in_a_comparison() -> None:
    a = analysis(*seeds("kd", 20.0, 21.0, 22.0), *seeds("at", 20.0, 21.0, 22.0))
    b = analysis(*seeds("kd", 30.0, 31.1, 32.0), *seeds("at", 10.0, 11.1, 12.0))
    found = compare_runs(a, b)
    assert found.regressions["label"].tolist() == ["kd"]
    assert regressions_text(found) == "significant losses of perplexity: kd"
    text = comparison_text(found)
    assert "+10" in text
    assert not re.search("image|accuracy|%  ", text)


def test_no_report_of_sentences_speaks_of_images_or_accuracy(tmp_path: Path) -> None:
    of = full()
    files = write_report(of, tmp_path, ["md", "csv", "html", "json", "latex", "svg"], kdbench_reporters())
    assert {"leaderboard.md", "epochs.md", "leaderboard.csv", "grids.csv", "index.html"} <= {path.name for path in files}
    assert "grid-one-grid.svg" in {path.name for path in files}
    for path in files:
        text = f"{path.name}\n{path.read_text(encoding='utf-8')}"
        text = re.sub(r"</?image\b|data:image/|image-rendering", "", text)  # what SVG calls the colours of a colour bar
        found = re.search(r"(?i).{0,60}(accurac|\bimages?\b|_images?\b|\bimages?_).{0,40}", text)
        assert found is None, (path.name, found[0])
    page = (tmp_path / "leaderboard.md").read_text()
    assert "test perplexity |" in page
    assert "lower is better" in page
    assert "percentage points" not in page
    assert "sentences_per_second" in (tmp_path / "trials.csv").read_text()
    assert "test_perplexity_sd" in (tmp_path / "leaderboard.csv").read_text()
    assert "train perplexity |" in (tmp_path / "epochs.md").read_text()
    html = (tmp_path / "index.html").read_text()
    assert 'data-first="ascending" disabled>test perplexity' in html
    assert "Perplexity against cost" in html


def test_columns_are_named_after_the_task_s_metrics() -> None:
    of = full(["one"])
    page = leaderboard_markdown(with_view(of, ["method", "perplexity"], "-perplexity"))
    shown = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")]
    assert shown[:6] == ["method", "big (teacher)", "supervised", "kd", "dkd", "at"]
    with pytest.raises(KdbenchError, match='in --columns: unknown column "accuracy"'):
        with_view(of, ["accuracy"])
    assert "  perplexity  " in leaderboard_text(of)
    assert "| test perplexity |" in re.sub(" +", " ", leaderboard_markdown(of))


def test_further_metrics_of_a_task_have_columns_of_their_own() -> None:
    both = {**SENTENCES.metrics, "exact_match": MetricInfo(label="exact match")}
    metrics = {"test": {"perplexity": 20.0, "exact_match": 0.25}}
    rows = [row("kd", 0.0, metrics=metrics), row("at", 0.0, metrics=metrics)]
    of = Analysis(made.frame(*rows, task=SENTENCES.model_copy(update={"metrics": both})))
    assert of.standings["test_exact_match"].tolist() == [0.25, 0.25]
    assert "test exact match %" in leaderboard_markdown(of)
    assert "25.00" in leaderboard_markdown(of)


@pytest.mark.parametrize(("one", "many"), [("image", "images"), ("query", "queries"), ("box", "boxes"), ("day", "days")])
def test_plurals(one: str, many: str) -> None:
    assert plural(one) == many
