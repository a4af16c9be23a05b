"""The leaderboard, from records made by hand."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from kdbench.analysis.analysis import Analysis
from kdbench.analysis.frame import SuiteFrame, frame_of
from kdbench.analysis.model import contrasts, fit
from kdbench.errors import KdbenchError
from kdbench.report.columns import columns_for
from kdbench.report.leaderboard import leaderboard_latex, leaderboard_markdown, leaderboard_tables, leaderboard_text
from kdbench.report.sections import groups_of, lines_of, with_view
from kdbench.results.evidence import Evidence
from kdbench.results.record import LatencyReport, LatencyResult, Speedup
from kdbench.suite.schema import Latency
from tests.results import made
from tests.results.made import Row, frame, row

TEACHER = row("resnet", 0.94, role="teacher", model="resnet")
PROFILES = (made.profile(), made.profile("resnet", 4_664_970, uncounted={"aten::max_pool2d": 1}))


def seeds(label: str, *tests: float | None, **changes: Any) -> list[Row]:
    """Rows of one entry, a seed each; ``nan`` for one that failed."""
    return [
        row(label, seed=i, error="loss is NaN", **changes)
        if test is not None and math.isnan(test)
        else row(label, test, i, **changes)
        for i, test in enumerate(tests)
    ]


def board(*rows: Row, **changes: Any) -> Analysis:
    return Analysis(frame(TEACHER, *rows, profiles=PROFILES, **changes))


def with_evidence(*rows: Row, evidence: Evidence) -> Analysis:
    plain = frame(*rows)
    return Analysis(frame_of(plain.plan, plain.records, plain.profiles, evidence))


def line(of: Analysis, label: str) -> dict[str, Any]:
    table = of.standings
    (found,) = table[table["label"] == label].to_dict("records")
    return found


def tables(text: str) -> list[list[list[str]]]:
    """The cells of the markdown tables of a page, row by row, with plain blanks."""
    found: list[list[list[str]]] = []
    before = ""
    for one in text.replace("\N{NO-BREAK SPACE}", " ").splitlines():
        if one.startswith("|"):
            if not before.startswith("|"):
                found.append([])
            found[-1].append([c.strip() for c in one.strip("|").split(" |")])
        before = one
    return [[t[0], *t[2:]] for t in found]


def cells(text: str, label: str) -> dict[str, str]:
    """A row's cells by heading, from all tables that have it."""
    found: dict[str, str] = {}
    for head, *rows in tables(text.partition("## Grids")[0]):
        for one in rows:
            if label in one[:2]:
                found = dict(zip(head, one, strict=True)) | found
    return found


def noted(text: str, label: str) -> str:
    """The note on a row below its table."""
    (found,) = [one.partition(": ")[2] for one in text.splitlines() if one.startswith(f"- {label}: ")]
    return found


FULL = board(
    *seeds("supervised", 0.80, 0.81, 0.82),
    *seeds("kd", 0.83, 0.83, 0.86, taught_by=[TEACHER[0]]),
    *seeds("at", 0.70, 0.71, 0.75, taught_by=[TEACHER[0]]),
)


def test_a_row_holds_mean_deviation_and_the_difference_to_supervised() -> None:
    found = line(FULL, "kd")
    assert found["test_accuracy"] == pytest.approx(0.84)
    assert found["test_accuracy_sd"] == pytest.approx(0.0173205, abs=1e-7)
    assert found["delta"] == pytest.approx(0.03)
    model = fit(np.array([[0.80, 0.81, 0.82], [0.83, 0.83, 0.86], [0.70, 0.71, 0.75]]))
    assert model is not None
    compared = contrasts(model, np.array([[1, 0], [2, 0]]))
    assert (found["delta_low"], found["delta_high"]) == pytest.approx(
        (0.03 - compared.half[0], 0.03 + compared.half[0]), abs=0.001
    )
    assert found["delta_low"] < found["delta_single_low"] < found["delta_single_high"] < found["delta_high"]
    assert found["p_value"] == pytest.approx(compared.p_values[0], abs=0.005)
    assert found["delta_seeds"] == 3
    assert found["teacher_accuracy"] == pytest.approx(0.94)
    assert found["compression"] == pytest.approx(4_664_970 / 106_826)
    assert found["parameters"] == 106_826
    assert found["wall_seconds"] == 15.5
    assert found["trials"].split() == [t.id for t, e, _ in seeds("kd", 0, 0, 0, taught_by=[TEACHER[0]])]


def test_next_to_nothing_of_a_gap_is_nothing_and_not_less() -> None:
    kd = seeds("kd", 0.7999, 0.8012, 0.8020, taught_by=[TEACHER[0]])
    close = board(*seeds("supervised", 0.8001, 0.8010, 0.8021), *kd)
    assert cells(leaderboard_markdown(close), "kd")["gap closed %"].startswith("0 [")


def test_a_lead_that_may_be_chance_has_no_gap_to_close() -> None:
    kd = seeds("kd", 0.95, 0.96, 0.97, taught_by=[TEACHER[0]])
    noise = board(*seeds("supervised", 0.90, 0.93, 0.98), *kd, *seeds("at", 0.97, 0.91, 0.93))
    assert noise.standings["gap_closed"].isna().all()
    assert "gap closed" not in leaderboard_markdown(noise).split("Provenance")[0]


def test_the_legend_says_that_one_teacher_is_in_no_interval() -> None:
    assert "train a teacher a seed (`seed: same`)" in leaderboard_markdown(FULL)


def test_the_page_shows_them_as_a_reader_wants_them() -> None:
    assert cells(leaderboard_tables(FULL), "kd") == {
        "place": "1",
        "method": "kd",
        "accuracy %": "**84.00 ± 1.73**",
        "Δ supervised": "+3.00 [+0.57, +5.43] †",
        "gap closed %": "23 [5, 39]",
        "time": "16 s",
    }
    everything = {
        "family": "logit",
        "test accuracy %": "**84.00 ± 1.73**",
        "teacher %": "94.00",
        "parameters": "107 k",
        "MACs": "4.27 M",
        "size MB": "0.427",
        "compression": "43.7×",
    }
    assert everything.items() <= cells(leaderboard_markdown(FULL), "kd").items()


def test_what_all_students_share_stands_once_above_the_table() -> None:
    text = leaderboard_tables(FULL)
    assert "Student `tiny_cnn`: 107 k parameters, 4.27 M MACs, 0.427 MB. Teacher `resnet`: 4.66 M parameters, " in text
    assert "107 k" not in text.split("\n|", 1)[1]
    several = leaderboard_tables(board(*seeds("supervised", 0.8), *seeds("kd", 0.9, model="resnet")))
    assert cells(several, "kd")["params"] == "4.66 M"
    assert cells(several, "supervised")["params"] == "107 k"


def test_numbers_are_on_the_right_and_never_wrap() -> None:
    rule = next(one for one in leaderboard_tables(FULL).splitlines() if one.startswith("|-"))
    assert [cell.strip()[-1] == ":" for cell in rule.strip("|").split("|")] == [True, False, *[True] * 4]
    assert "84.00\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}1.73" in leaderboard_tables(FULL)


@pytest.mark.parametrize("names", [(), ("method", "place", "accuracy", "delta", "delta_kd", "networks", "gap", "nll", "note")])
def test_no_table_of_a_page_is_wider_than_github_shows(names: tuple[str, ...]) -> None:
    """Of cells and 27 px of padding and border each, at 7.2 px a letter; measured in a browser."""
    for table in tables(leaderboard_markdown(with_view(FULL, names))):
        widest = [max(len(one[i]) for one in table[1:]) for i in range(len(table[0]))]
        assert sum(7.2 * w + 27 for w in widest) <= 838
        assert len(table[0]) <= 9


def test_the_teacher_stands_on_top_and_methods_stand_best_first() -> None:
    assert FULL.standings["label"].tolist() == ["resnet", "kd", "supervised", "at"]
    teacher = cells(leaderboard_markdown(FULL), "resnet (teacher)")
    assert teacher["accuracy %"] == "94.00"
    assert teacher["test accuracy %"] == "94.00 [92.35, 95.31]"
    assert (teacher["family"], teacher["Δ supervised"], teacher["compression"]) == ("", "–", "–")


def predicted(right: dict[str, int], samples: int = 100) -> Evidence:
    """Predictions of each trial that are right on the first so many samples."""
    classes = {t: (np.arange(samples) >= n).astype(np.uint8) for t, n in right.items()}
    return Evidence(
        {made.FINGERPRINT: np.zeros(samples, np.int64)}, classes, {t: np.full(samples, 255, np.uint8) for t in right}
    )


def test_one_seed_gives_no_verdict_on_methods_however_large_the_test_set_is() -> None:
    """Of 100 images kd has 90 right, supervised 60: so much for these networks."""
    rows = [row("supervised", 0.60), row("kd", 0.90), row("at", 0.88)]
    evidence = predicted({t.id: round(100 * r.metrics["test"]["accuracy"]) for t, _, r in rows if r})
    both = with_evidence(*rows, evidence=evidence)
    found = both.standings.set_index("label")
    assert found["place"].isna().all()
    assert not found["significant"].any()
    assert found["delta_low"].isna().all()
    assert found["delta_images_low"]["kd"] < 0.30 < found["delta_images_high"]["kd"]
    page = leaderboard_markdown(both)
    assert cells(page, "kd")["Δ supervised"] == "+30.00"
    assert "†" not in page
    assert "**90" not in page
    assert "One seed: nothing tells a difference between methods from the chance of a training run" in page
    assert re.search(r"A difference of 1 point takes \d seeds if runs vary by 0\.3 points, and \d+ seeds if by 0\.6\.", page)
    shown = leaderboard_markdown(with_view(both, ["method", "networks"]))
    assert cells(shown, "kd")["Δ these trained networks (test images)"].startswith("+30.00 [+2")


def test_the_note_below_a_table_says_what_it_could_have_found() -> None:
    page = leaderboard_markdown(FULL)
    assert re.search(
        r"A true difference of \d\.\d\d points to the student trained alone would have been found with a probability of 80 %",
        page,
    )
    assert re.search(r"For 0\.5 points it takes (more than 100|\d+) seeds, for 1 point \d+ seeds\.", page)
    assert "`kd` comes first in 100 % of suites drawn again" in page or re.search(r"`kd` comes first in 9\d %", page)


def test_a_mark_never_stands_beside_an_interval_that_holds_0() -> None:
    for cell in re.findall(r"[+−0-9.]+ \[[^]]*\](?: †)?", leaderboard_markdown(FULL).split("\n- ")[0]):
        low, high = (float(end.replace("−", "-")) for end in re.findall(r"\[([^,]*), ([^]]*)\]", cell)[0])
        assert ("†" in cell) == (low > 0 or high < 0) or "+" not in cell


def test_fidelity_and_what_else_was_scored_can_be_shown() -> None:
    scored = row("kd", 0.9, 0)
    evidence = Evidence(scores={scored[0].id: {"agreement": 0.97, "ece": 0.0213}})
    both = with_evidence(row("supervised", 0.8), scored, evidence=evidence)
    assert cells(leaderboard_markdown(both), "kd")["agreement %"] == "97.00"
    chosen = with_view(both, ["method", "ece", "kl"])
    assert cells(leaderboard_tables(chosen), "kd") == {"method": "kd", "ECE %": "2.13", "KL to teacher": "–"}
    assert "expected calibration error" in leaderboard_markdown(chosen)


def test_students_can_be_sorted_by_any_column() -> None:
    def order(of: Analysis) -> list[str]:
        ((_, group),) = groups_of(of.standings, of.view.sort, columns_for(of))
        return [r["label"] for r in lines_of(group)]

    assert order(with_view(FULL, sort="-accuracy")) == ["resnet", "at", "supervised", "kd"]
    assert order(with_view(FULL, sort="method")) == ["resnet", "at", "kd", "supervised"]
    assert order(with_view(FULL, sort="delta")) == ["resnet", "kd", "at", "supervised"]
    with pytest.raises(KdbenchError, match='in --sort: unknown column "acuracy"; did you mean "accuracy"'):
        with_view(FULL, sort="acuracy")
    with pytest.raises(KdbenchError, match='in --columns: unknown column "sice"; did you mean "size"'):
        with_view(FULL, ["sice"])


def timed(stable: bool = True, runtime: Any = "eager", batch_size: int = 1, faster: float = 1.0) -> LatencyReport:
    """kd's network 2 ms, the teacher's 10 ms; the quartiles 2 and 10 ms apart."""
    common: dict[str, Any] = {"device": "cpu", "runtime": runtime, "batch_size": batch_size}
    results = [
        LatencyResult(
            profile=made.profile_id(name),
            model=name,
            threads=2,
            median_ms=ms / faster,
            iqr_ms=ms / faster,
            rounds=9,
            stable=stable,
            note="" if stable else "unstable (IQR 100 % of the median)",
            **common,
        )
        for name, ms in (("resnet", 10.0), ("tiny_cnn", 2.0))
    ]
    ratio = Speedup(
        profile=made.profile_id("tiny_cnn"),
        reference=made.profile_id("resnet"),
        ratio=5.0,
        low=4.5,
        high=5.5,
        blocks=10,
        **common,
    )
    return LatencyReport(
        id="0" * 16, settings=Latency(), results=tuple(results), speedups=(ratio,), machine={}, clock="c", started="2026-01-01"
    )


def measured(reports: tuple[LatencyReport, ...]) -> Analysis:
    of = FULL.frame
    return Analysis(frame_of(of.plan, of.records, of.profiles, None, reports))


def in_settings(*settings: LatencyReport) -> Analysis:
    """One measurement of several settings."""
    results = tuple(r for report in settings for r in report.results)
    speedups = tuple(r for report in settings for r in report.speedups)
    return measured((settings[0].model_copy(update={"results": results, "speedups": speedups}),))


def test_latency_speed_up_and_efficiency() -> None:
    both = measured((timed(),))
    assert ", 2 ms, 500 images/s. Teacher" in leaderboard_tables(both)
    assert "Latency: cpu, eager, batch 1; throughput: batch 1." in leaderboard_tables(both)
    shown = cells(leaderboard_markdown(both), "kd")
    assert (shown["cpu eager, ms"], shown["speed-up"]) == ("2", "5.0× [4.5×, 5.5×]")
    assert line(both, "kd")["efficiency"] == pytest.approx(84 / (106_826 * 4e-6 * 2.0))
    assert cells(leaderboard_markdown(both), "resnet (teacher)")["speed-up"] == "–"
    assert "cpu, eager, batch 1, 2 threads" in leaderboard_markdown(both)


def test_an_unstable_latency_is_shown_as_approximate_with_its_spread() -> None:
    both = measured((timed(stable=False),))
    shown = cells(leaderboard_markdown(both), "kd")
    assert shown["cpu eager, ms"] == "≈ 2 ± 1"
    assert shown["speed-up"] == "≈ 5.0× [4.5×, 5.5×]"
    assert shown["efficiency"].startswith("≈ ")
    assert "`kdbench run SUITE --remeasure` measures again" in leaderboard_tables(both)
    assert line(both, "kd")["latency_ms"] == 2.0
    assert "≈" not in leaderboard_markdown(measured((timed(),)))


def test_every_setting_has_a_column_and_large_batches_show_throughput() -> None:
    of = in_settings(timed(), timed(batch_size=64, faster=0.1), timed(runtime="onnxruntime", faster=4))
    shown = cells(leaderboard_markdown(of), "kd")
    assert shown["cpu eager, ms"] == "2"
    assert shown["cpu onnxruntime, ms"] == "0.5"
    assert shown["cpu eager, images/s in batches of 64"] == "3.2 k"  # 64 images in 20 ms
    assert ", 2 ms, 3.2 k images/s. " in leaderboard_tables(of)
    assert shown["test set s"] == "0.312 ± 0.16"  # 1,000 images
    chosen = cells(leaderboard_tables(with_view(of, ["method", "onnxruntime@1", "latency"])), "kd")
    assert chosen == {"method": "kd", "cpu onnxruntime, ms": "0.5", "latency ms": "2"}


def test_a_suite_or_a_command_chooses_the_latency_of_tables() -> None:
    of = in_settings(timed(), timed(batch_size=64, faster=0.1), timed(runtime="onnxruntime", faster=4))
    chosen = with_view(of, latency="onnxruntime@1")
    assert "Latency: cpu, onnxruntime, batch 1" in leaderboard_tables(chosen)
    assert line(chosen, "kd")["latency_ms"] == 0.5
    assert line(chosen, "kd")["throughput"] == 2000
    assert chosen.plan == of.plan, "what a report keeps"
    wrong = r'in --latency: latency "onnx@1" is not measured(; did you mean "onnxruntime@1"\?|; measured are cpu/eager@1, )'
    with pytest.raises(KdbenchError, match=wrong):
        with_view(of, latency="onnx@1")
    with pytest.raises(KdbenchError, match='unknown column "eager@2"'):
        with_view(of, ["eager@2"])


def test_a_metric_of_a_plugin_is_a_column_like_any_other() -> None:
    metrics = {"test": {"accuracy": 0.9, "flips": 0.125}, "validation": {"accuracy": 0.9}}
    of = board(row("supervised", 0.8), row("kd", 0.9, metrics=metrics))
    assert cells(leaderboard_tables(with_view(of, ["method", "flips"])), "kd") == {"method": "kd", "flips": "0.125"}
    assert cells(leaderboard_markdown(of), "kd")["flips"] == "0.125"
    assert lines_of(groups_of(of.standings, "-flips", columns_for(of))[0][1])[-1]["label"] == "supervised"


def test_latex_is_a_table_with_rules() -> None:
    text = leaderboard_latex(FULL)
    assert text.startswith("\\begin{tabular}")
    assert "\\toprule" in text
    assert "kd" in text


def test_a_method_that_does_worse_than_supervised_stands_there_with_its_loss() -> None:
    shown = cells(leaderboard_markdown(FULL), "at")
    assert shown["Δ supervised"].startswith("−9.00 [")
    assert cells(leaderboard_markdown(FULL), "supervised")["Δ supervised"] == "–"


def test_one_seed_gives_wilson_s_interval_of_the_test_samples_and_a_bare_difference() -> None:
    one = board(*seeds("supervised", 0.8), *seeds("kd", 0.9))
    found = line(one, "kd")
    expected = stats.binomtest(900, 1000).proportion_ci(method="wilson")
    assert (found["test_accuracy_low"], found["test_accuracy_high"]) == pytest.approx((expected.low, expected.high))
    assert found["interval"] == "wilson (test samples)"
    page = leaderboard_markdown(one)
    assert cells(page, "kd")["accuracy %"] == "90.00 [87.98, 91.71]"
    assert cells(page, "kd")["Δ supervised"] == "+10.00"
    assert "Wilson" in page
    assert "standard deviation" not in page


def test_the_page_says_how_many_seeds_its_deviations_are_of() -> None:
    assert "± sample standard deviation (n − 1) over 3 seeds" in leaderboard_markdown(FULL)
    uneven = board(*seeds("supervised", 0.8, 0.8, 0.8), *seeds("kd", 0.9, 0.9, math.nan))
    assert "over 2 to 3 seeds" in leaderboard_markdown(uneven)


def test_failed_trials_stand_in_the_table_with_their_error() -> None:
    page = leaderboard_markdown(
        board(
            *seeds("supervised", 0.8, 0.8, 0.8), *seeds("kd", 0.9, math.nan, 0.92), *seeds("at", math.nan, math.nan, math.nan)
        )
    )
    assert noted(page, "kd") == "failed (1 of 3 seeds): NonFiniteLoss: loss is NaN"
    assert cells(page, "kd")["test accuracy %"] == "**91.00 ± 1.41**"
    assert noted(page, "at") == "failed (3 of 3 seeds): NonFiniteLoss: loss is NaN"
    assert cells(page, "at")["test accuracy %"] == "–"
    assert "- Trials: 4 failed, 6 finished" in page


def test_differences_are_of_the_seeds_that_both_finished() -> None:
    found = line(board(*seeds("supervised", math.nan, 0.8, 0.7), *seeds("kd", 0.1, 0.9, math.nan)), "kd")
    assert found["delta"] == pytest.approx(0.1)
    assert found["delta_seeds"] == 1
    assert math.isnan(found["delta_low"])
    nothing = line(board(*seeds("supervised", math.nan), *seeds("kd", 0.9)), "kd")
    assert math.isnan(nothing["delta"])


def test_trials_that_were_not_run_are_counted() -> None:
    page = leaderboard_markdown(board(*seeds("supervised", 0.8, 0.8), *seeds("kd", 0.9, None), *seeds("at", None, None)))
    assert noted(page, "kd") == "1 of 2 seeds not run"
    assert noted(page, "at") == "2 of 2 seeds not run"
    assert "3 not run" in page


def test_a_suite_of_which_nothing_was_run_has_a_page_all_the_same() -> None:
    nothing = Analysis(frame(row("supervised", None), row("kd", None)))
    assert "No trial of this suite was run yet." in leaderboard_markdown(nothing)
    assert "not run" in leaderboard_text(nothing)


def test_only_the_point_chosen_on_validation_stands_in_the_table_and_all_in_the_grid() -> None:
    rows = [
        row("kd", test, seed, grid_point={"alpha": alpha, "scale": True}, validation=validation)
        for alpha, test, validation in ((0.1, 0.99, 0.5), (0.9, 0.85, 0.6))
        for seed in (0, 1)
    ]
    page = leaderboard_markdown(board(*seeds("supervised", 0.8, 0.8), *rows))
    assert noted(page, "kd") == "alpha = 0.9, scale = true"
    assert cells(page, "kd")["test accuracy %"].startswith("85.00 ± 0.00")
    grid = page.split("## Grids")[1]
    assert "| **alpha = 0.9, scale = true** |" in grid
    assert "| alpha = 0.1, scale = true " in grid
    assert "99.00" in grid


def test_baselines_with_options_are_measured_against_the_one_without() -> None:
    smooth = seeds("smooth", 0.83, 0.84, method="supervised", params={"label_smoothing": 0.1})
    alone = seeds("alone", 0.80, 0.81, method="supervised", params={"label_smoothing": 0.0})
    both = board(*smooth, *alone, *seeds("kd", 0.9, 0.9))
    assert line(both, "smooth")["delta"] == pytest.approx(0.03)
    assert math.isnan(line(both, "alone")["delta"])
    assert line(both, "kd")["delta"] == pytest.approx(0.095)


def test_assistants_and_generations_have_rows_and_only_the_student_s_network_is_compared() -> None:
    assistant = row("takd: mid", 0.9, method="kd", model="resnet", role="assistant", taught_by=[TEACHER[0]])
    first = row("ban (generation 1)", 0.85, method="kd", role="generation")
    of = board(
        *seeds("supervised", 0.8),
        assistant,
        row("takd", 0.84, taught_by=[assistant[0]]),
        first,
        row("ban", 0.86, taught_by=[first[0]]),
    )
    table = of.standings.set_index("label")
    assert table.index.tolist() == ["resnet", "takd: mid", "ban (generation 1)", "ban", "takd", "supervised"]
    assert math.isnan(table["delta"]["takd: mid"])
    assert table["delta"]["ban (generation 1)"] == pytest.approx(0.05)
    assert table["teacher_accuracy"]["takd"] == pytest.approx(0.9)
    assert "takd: mid (assistant)" in leaderboard_tables(of)


def test_each_pair_has_a_table_of_its_own_with_its_own_baseline() -> None:
    rows = [
        row(label, test, pair=pair, model=model)
        for pair, model, plus in (("one", "tiny_cnn", 0.0), ("two", "resnet", 0.1))
        for label, test in (("supervised", 0.5 + plus), ("kd", 0.6 + 2 * plus))
    ]
    of = Analysis(frame(*rows, profiles=PROFILES))
    assert of.standings["delta"].dropna().tolist() == pytest.approx([0.1, 0.2])
    tables = leaderboard_tables(of)
    assert tables.count("| method") == 2
    assert tables.index("**one**") < tables.index("**two**")


def test_records_of_different_data_never_share_a_row_or_a_comparison() -> None:
    other = "f" * 16
    of = board(
        *seeds("supervised", 0.8), *seeds("kd", 0.9), *seeds("kd", 0.5, fingerprint=other), *seeds("at", 0.4, fingerprint=other)
    )
    table = of.standings
    assert table[table["label"] == "kd"]["test_accuracy"].tolist() == [0.9, 0.5]
    assert table[table["fingerprint"] == other]["delta"].isna().all()
    page = leaderboard_markdown(of)
    assert f"**pair (data {other})**" in page
    assert "**These records are of different data**" in page


def test_names_from_plugins_and_suites_cannot_break_the_page() -> None:
    evil = "a|b\n<script>"
    page = leaderboard_markdown(
        board(*seeds("supervised", 0.8), *seeds(evil, 0.9, method="kd", family="x|y"), title="# <b>T</b>\n\nx", suite="evil")
    )
    assert "<script>" not in page
    assert page.splitlines()[0] == r"# # \<b\>T\</b\> x"
    for table in tables(page.replace(r"\|", "")):
        assert len({len(one) for one in table}) == 1
    assert r"| a\|b \<script\> " in page
    errors = leaderboard_markdown(board(*seeds("supervised", 0.8), row("kd", error="shape [1|2] is\nwrong")))
    assert r"NonFiniteLoss: shape \[1\|2\] is wrong" in errors


def test_the_page_says_where_its_numbers_come_from() -> None:
    page = leaderboard_markdown(FULL)
    assert "- Data: digits, fingerprint `0123456789abcdef` (800 training, 100 validation, 1,000 test samples)" in page
    assert "- Machine: Some CPU, 2 cores, 16 GB, Linux 6 (device cpu, 2 threads)" in page
    assert "- Versions: kdbench 0.1.0 (abcdef123456), python 3.11.7, torch 2.4.0" in page
    assert "- Command: `kdbench run made.yaml`" in page
    assert "- Operators that MACs leave out: `aten::max_pool2d`" in page
    assert "different" not in page.split("## Provenance")[1]


def test_what_differs_between_records_stands_side_by_side_and_is_said() -> None:
    elsewhere = made.provenance(
        machine={"processor": "Other"}, device="Some GPU", command="kdbench run `x`", kdbench="0.2", commit=""
    )
    page = leaderboard_markdown(board(*seeds("supervised", 0.8), *seeds("kd", 0.9, provenance=elsewhere)))
    assert "- Machine: Other (device Some GPU, 2 threads); Some CPU, 2 cores" in page
    assert "`` kdbench run `x` ``; `kdbench run made.yaml`" in page
    assert "kdbench 0.1.0 (abcdef123456), python 3.11.7, torch 2.4.0; kdbench 0.2, python" in page
    assert "from different machines**: compare no times" in page
    assert "different versions" in page


def test_the_same_records_make_the_same_page_in_any_order() -> None:
    page = leaderboard_markdown(FULL)
    of = FULL.frame
    again = SuiteFrame(of.plan, of.rows, dict(reversed(of.records.items())), dict(reversed(of.profiles.items())))
    assert leaderboard_markdown(Analysis(again)) == page


def test_the_terminal_gets_plain_text() -> None:
    text = leaderboard_text(FULL)
    assert text.startswith("made\n  place  method")
    assert "\\" not in text
    assert "+3.00 [+0.57, +5.43] †" in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_terminal_s_table_fits_80_columns_with_long_names_too() -> None:
    name = "a-method-with-quite-a-long-name-and-more-of-it-" * 3
    of = board(*seeds("supervised", 0.8, 0.81), *seeds(name, 0.9, 0.92, method="kd"), *seeds("kd", 0.9, math.nan))
    for width in (80, 100):
        assert max(map(len, leaderboard_text(of, width).splitlines())) <= width
    asked = leaderboard_text(with_view(of, ["method", "accuracy", "delta", "delta_kd", "nll", "time", "parameters", "macs"]))
    assert "MACs\n" in asked
    suite = FULL.plan.report.model_copy(update={"columns": ("method", "accuracy", "delta", "delta_kd", "nll", "time", "macs")})
    own = Analysis(replace(FULL.frame, plan=FULL.plan.model_copy(update={"report": suite})))
    assert leaderboard_text(own).count("accuracy %") == 1
    assert "MACs\n" not in leaderboard_text(own)


def test_a_metric_of_a_plugin_never_takes_a_column_s_place() -> None:
    """Whatever it is called: the table's own numbers stay, and the metric is there beside them."""
    names = ("place", "finished", "efficiency", "ece", "delta", "trials")
    metrics = {"test": {"accuracy": 0.9, **dict.fromkeys(names, 0.5)}, "validation": {"accuracy": 0.9}}
    found = line(board(row("supervised", 0.8), row("kd", 0.9, metrics=metrics)), "kd")
    assert (found["finished"], found["delta"]) == (1, pytest.approx(0.1))
    assert pd.isna(found["place"])
    assert all(found[f"metric_{name}"] == 0.5 for name in names)


def test_the_gap_and_the_step_time_are_of_the_seeds_that_both_have() -> None:
    """By seeds 0 and 1 kd closes (82.5 − 80.5) / (94 − 80.5) of the gap; supervised had 90 with seed 2, where kd failed."""
    one = board(
        *seeds("supervised", 0.8, 0.81, 0.9),
        *seeds("kd", 0.82, 0.83, math.nan, taught_by=[TEACHER[0]]),
        *seeds("at", 0.8, 0.805, 0.892),
    )
    found = line(one, "kd")
    assert found["gap_closed"] == pytest.approx(0.02 / 0.135)
    assert found["gap_closed_low"] < 0.02 / 0.135 < found["gap_closed_high"]
    assert line(one, "kd")["step_ratio"] == pytest.approx(1.0)


def test_one_measurement_of_all_networks_comes_before_a_later_one_of_some() -> None:
    """Another suite that shares the student in the same runs folder measures it with other networks, in another setting."""
    other = timed().model_copy(
        update={
            "id": "y",
            "results": tuple(r.model_copy(update={"median_ms": 33.0, "batch_size": 64}) for r in timed().results[1:]),
            "speedups": (),
        }
    )
    both = measured((timed(), other))
    assert (line(both, "kd")["latency_ms"], line(both, "kd")["speedup"]) == (2.0, 5.0)


def test_trials_of_a_row_that_differ_in_counts_give_a_whole_mean() -> None:
    costs = [made.record(made.trial()).costs.model_copy(update={"method_parameters": n}) for n in (100, 101)]
    one = board(row("supervised", 0.8), *(row("kd", 0.9, i, costs=c) for i, c in enumerate(costs)))
    assert line(one, "kd")["method_parameters"] == 100
