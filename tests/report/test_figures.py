"""Figures from made-up records."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from kdbench.analysis.analysis import Analysis
from kdbench.analysis.boards import closeups, summary
from kdbench.analysis.classes import calibration, mean_confusion
from kdbench.analysis.frame import frame_of
from kdbench.analysis.ranking import common_scores
from kdbench.analysis.tradeoff import Point, pareto, tradeoff
from kdbench.report.figures.charts import charts as charts_of
from kdbench.report.figures.dots import Dot, dot_plot
from kdbench.report.figures.grids import cell, grid_sentence, heat_map
from kdbench.report.figures.style import Chart, colours, log_ticks, styled, svg
from kdbench.report.figures.tradeoff import axis_label, spread
from kdbench.report.formats import write_png, write_svg
from kdbench.report.report import Report
from kdbench.report.text import percent, points
from kdbench.report.wording import Wording
from kdbench.results.evidence import Evidence
from tests.report.scenes import FAMILIES, GRID, PROFILES, scene
from tests.results import made
from tests.results.made import row

EVIL = "<script>alert(1)</script> $x_{2 \\frac"
METHODS = ["kd", "dkd", "fitnets", "at", "dml"]
LONG = "a-method-with-quite-a-long-name-{}"


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return scene(methods=METHODS, samples=300)


@pytest.fixture(scope="module")
def charts(analysis: Analysis) -> list[Chart]:
    return charts_of(analysis)


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of texts of a figure that lie on each other."""
    with styled():
        figure.canvas.draw()
    texts = [t for axes in figure.axes for t in [*axes.texts, axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label]]
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            texts += [t.label1 for t in axis.get_major_ticks() if low <= t.get_loc() <= high and t.label1.get_visible()]
    texts += [text for legend in figure.legends for text in legend.get_texts()]
    texts += [t for t in (figure._supxlabel, figure._supylabel) if t is not None]
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts if t.get_visible() and t.get_text()]
    outside = [(name, "the edge") for name, box in boxes if not _inside(box, figure.bbox)]
    return outside + [(a, b) for i, (a, one) in enumerate(boxes) for b, two in boxes[i + 1 :] if _overlap(one, two)]


def _inside(box: Bbox, whole: Bbox) -> bool:
    return box.x0 > -1 and box.y0 > -1 and box.x1 < whole.x1 + 1 and box.y1 < whole.y1 + 1


def _overlap(one: Bbox, two: Bbox) -> bool:
    both = Bbox.intersection(one, two)
    return both is not None and both.width > 1 and both.height > 1


def test_there_is_a_figure_of_every_kind_for_every_pair(charts: list[Chart]) -> None:
    stems = {chart.stem for chart in charts}
    for pair in ("one", "two"):
        for kind in (
            "accuracy-methods",
            "difference",
            "curves-accuracy",
            "curves-loss",
        ):
            assert f"{kind}-{pair}" in stems
        assert {f"grid-{pair}-kd-grid", f"grid-{pair}-dkd-beta"} <= stems
        for network in ("supervised", "kd-grid"):
            assert {f"confusion-{pair}-{network}", f"reliability-{pair}-{network}"} <= stems
        assert ("confusion-one-resnet" in stems, "confusion-two-resnet" in stems) == (True, False), "the same teacher"
        assert f"accuracy-parameters-{pair}" not in stems, "one student has one cost"
    assert {"accuracy-parameters-pairs-01234567", "accuracy-macs-pairs-01234567"} <= stems
    assert "accuracy-size-mb-pairs-01234567" not in stems, "which follows from the parameters"
    assert {"critical-difference", "interquartile-mean", "performance-profiles"} <= stems


def test_a_teacher_of_several_pairs_has_one_confusion_matrix() -> None:
    teacher = row("resnet", 0.9, role="teacher", pair="one", model="resnet")
    again = teacher[0], teacher[1].model_copy(update={"pair": "two"}), teacher[2]
    rows = [teacher, again, row("supervised", 0.8, pair="one"), row("supervised", 0.8, pair="two", model="wide")]
    plain = made.frame(*rows)
    classes = {t.id: np.arange(9, dtype=np.uint8) % 3 for t, _, _ in rows}
    evidence = Evidence({made.FINGERPRINT: np.arange(9) % 3}, classes, {t: np.full(9, 255, np.uint8) for t in classes})
    of = Analysis(frame_of(plain.plan, plain.records, plain.profiles, evidence))
    stems = [c.stem for c in charts_of(of, ["confusion", "reliability"])]
    assert [stem for stem in stems if "resnet" in stem] == ["confusion-one-resnet", "reliability-one-resnet"]
    assert len(stems) == 6


def test_a_family_has_one_colour_in_all_figures_of_a_report() -> None:
    """Two pairs with other families each: the same family looks the same in both."""
    rows = [
        row(label, 0.8 + 0.01 * i + 0.001 * seed, seed, pair=pair, model=model, family=family)
        for pair, model, names in (
            ("one", "tiny_cnn", {"supervised": "baseline", "at": "attention", "kd": "logit"}),
            ("two", "wide", {"supervised": "baseline", "rkd": "relation", "kd": "logit"}),
        )
        for i, (label, family) in enumerate(names.items())
        for seed in (0, 1, 2)
    ]
    of = Analysis(made.frame(*rows, profiles=PROFILES))
    found: dict[str, set[tuple[object, ...]]] = {}
    for chart in charts_of(of, ["scores", "difference", "tradeoff"]):
        for legend in chart.figure.legends:
            for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True):
                if isinstance(handle, PathCollection):
                    mark = handle.get_paths()[0].vertices.round(3).tobytes()
                    found.setdefault(text.get_text(), set()).add((tuple(handle.get_facecolor()[0]), mark))
    assert {"attention", "relation", "logit", "baseline"} <= set(found)
    assert {family: len(looks) for family, looks in found.items()} == dict.fromkeys(found, 1)
    assert len({look for looks in found.values() for look in looks}) == len(found)


def test_an_interval_that_is_cut_ends_in_an_arrow() -> None:
    dots = [Dot("near", "logit", 1.0, 0.5, 1.5), Dot("far", "logit", 2.0, -40.0, 44.0), Dot("left", "logit", 1.5, -40.0, 1.7)]
    axes = dot_plot(dots, colours(["logit"]), "Δ", {"": 0.0}).axes[0]
    arrows = {(int(line.get_ydata()[0]), line.get_marker()) for line in axes.lines if line.get_marker() in ("<", ">")}  # type: ignore[index]
    assert arrows == {(1, "<"), (1, ">"), (2, "<")}
    low, high = axes.get_xlim()
    assert low < 0 < 2 < high < 44


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.11, 0.9, [0.15, 0.2, 0.3, 0.5, 0.7]),
        (0.4, 5.0, [0.5, 1.0, 2.0, 5.0]),
        (7e4, 5e6, [1e5, 3e5, 1e6, 3e6]),
        (1e3, 2e9, [1e3, 1e5, 1e7, 1e9]),
        (102.0, 118.0, [105.0, 110.0, 115.0]),
    ],
)
def test_log_axes_have_a_few_round_ticks(low: float, high: float, expected: list[float]) -> None:
    assert log_ticks(low, high, 5) == expected


def test_files_have_titles_and_the_page_s_figures_do_not(tmp_path: Path) -> None:
    report = Report(scene(pairs=["one"], methods=["kd"], samples=60, epochs=3, seeds=2, grid=False))
    before = [svg(chart.figure) for chart in report.charts]
    for path, chart in zip(write_svg(report, tmp_path), report.charts, strict=True):
        assert f">{chart.title}<" in re.sub(r"</text>.*?<text[^>]*>", " ", path.read_text(), flags=re.DOTALL)
    assert [svg(chart.figure) for chart in report.charts] == before
    assert all(chart.title not in drawn for chart, drawn in zip(report.charts, before, strict=True))


def test_names_are_not_cut_while_there_is_room() -> None:
    name = "supervised · lightcnn<-a-teacher-of-mine"
    of = Analysis(made.frame(row("supervised", 0.8), row(name, 0.9), profiles=[made.profile()]))
    for chart in charts_of(of, ["scores", "difference"]):
        assert name in [t.get_text() for t in chart.figure.axes[0].get_yticklabels()]


def test_an_unstable_latency_stays_in_the_figure_with_its_spread(analysis: Analysis) -> None:
    table = analysis.boards[0].table
    known = {
        "latency_ms": 2.5,
        "latency_ms_iqr": 2.0,
        "latency_ms_note": "unstable (IQR 80 % of the median)",
        "latency_setting": "c",
    }
    found = tradeoff(table.assign(**known), "latency_ms", analysis.task)
    assert {point.spread for point in found.points} == {1.0}


def test_no_label_lies_on_another_or_over_the_edge(charts: list[Chart]) -> None:
    assert {chart.stem: found for chart in charts if (found := overlapping(chart.figure))} == {}


def test_twenty_methods_with_long_names_and_a_hundred_classes_fit_too() -> None:
    of = scene(
        pairs=["p" * 60],
        methods=[LONG.format(i) for i in range(19)],
        classes=[f"class {i}" for i in range(100)],
        samples=500,
        grid=False,
        epochs=200,
        seeds=2,
    )
    assert {c.stem: found for c in charts_of(of) if (found := overlapping(c.figure))} == {}


def test_axes_say_what_they_show_in_which_unit(charts: list[Chart]) -> None:
    for chart in charts:
        if chart.stem == "critical-difference":
            continue
        words = [a.get_xlabel() + a.get_ylabel() for a in chart.figure.axes] + [
            chart.figure.get_supxlabel(),
            chart.figure.get_supylabel(),
        ]
        assert any(words), chart.stem
    by_stem = {chart.stem: chart.figure for chart in charts}
    assert by_stem["accuracy-macs-pairs-01234567"].axes[0].get_xlabel() == "multiply-accumulates (MACs) per sample"
    assert by_stem["accuracy-macs-pairs-01234567"].axes[0].get_ylabel() == "mean test accuracy, %"
    assert by_stem["accuracy-methods-one"].axes[0].get_xlabel() == "test accuracy, %"
    assert by_stem["curves-loss-one"].get_supylabel() == "cross-entropy, nats"


def test_files_are_the_same_for_the_same_records_and_hold_no_date(tmp_path: Path) -> None:
    small = scene(pairs=["one"], methods=["kd"], samples=60, epochs=3, seeds=2)
    for write in (write_svg, write_png):
        first, second = write(Report(small), tmp_path / "a"), write(Report(small), tmp_path / "b")
        assert [p.name for p in first] == [p.name for p in second]
        assert all(a.read_bytes() == b.read_bytes() for a, b in zip(first, second, strict=True))
    svg = (tmp_path / "a" / "figures" / "accuracy-methods-one.svg").read_text()
    assert "<dc:date>" not in svg
    assert ">kd" in svg, "text is kept as text"
    ET.fromstring(svg)


def test_labels_may_be_anything_and_file_names_stay_plain(tmp_path: Path) -> None:
    of = scene(
        pairs=["../" + EVIL, "../" + EVIL.upper()],
        methods=[EVIL, "метод", "_x"],
        classes=["</text>", "&", "a\nb"],
        samples=60,
        epochs=2,
    )
    paths = write_svg(Report(of), tmp_path)
    assert {p.parent for p in paths} == {tmp_path / "figures"}
    assert all(p.name.isascii() and p.name == p.name.lower() for p in paths)
    assert len({p.name for p in paths}) == len(paths)
    for path in paths:
        text = path.read_text()
        assert "<script" not in text
        ET.fromstring(text)


def test_the_front_holds_what_nothing_beats_in_both() -> None:
    cheap, same, worse, big = Point("a", "x", 1, 0.5), Point("b", "x", 1, 0.5), Point("c", "x", 2, 0.4), Point("d", "x", 3, 0.9)
    assert pareto([big, worse, cheap, same]) == [cheap, big]


def test_labels_are_spread_apart_and_stay_near() -> None:
    assert spread([], 0.1) == []
    assert spread([0.2, 0.8], 0.1) == pytest.approx([0.2, 0.8])
    assert spread([0.5, 0.5, 0.5], 0.1) == pytest.approx([0.4, 0.5, 0.6])
    crowded = spread([0.0] * 5, 0.2)
    assert np.diff(crowded) == pytest.approx([0.2] * 4)
    assert crowded[0] > 0


def test_times_of_other_settings_are_left_out_of_the_latency_figure(analysis: Analysis) -> None:
    table = analysis.boards[0].table
    students = (table["role"] == "student").tolist()
    settings = ["cpu, batch 1" if s else "cpu, batch 8" for s in students]
    found = tradeoff(table.assign(latency_ms=2.5, latency_setting=settings), "latency_ms", analysis.task)
    assert axis_label(found) == "latency, ms (cpu, batch 1)"
    assert len(found.points) == sum(students)


def test_pairs_of_the_same_data_share_a_picture(analysis: Analysis, charts: list[Chart]) -> None:
    found = tradeoff(summary(analysis.boards), "parameters", analysis.task)
    assert [p.label for p in found.points] == [
        "resnet",
        "supervised · one",
        "kd-grid · one",
        "supervised · two",
        "kd-grid · two",
    ]
    assert "accuracy-parameters-pairs-01234567" in {chart.stem for chart in charts}


def test_a_heat_map_shows_means_intervals_and_the_chosen_point(analysis: Analysis) -> None:
    (grid,) = [g for g in analysis.slices(analysis.boards[0]) if g.label == "kd-grid"]
    words = Wording(analysis.task)
    assert (grid.across, grid.down, grid.others) == ("temperature", "alpha", ())
    assert len(grid.found) == len(GRID)
    assert grid.chosen == (4.0, 0.9)
    value = grid.found[4.0, 0.9]
    assert value.count == 3
    table = analysis.grids
    (row,) = table[(table["pair"] == "one") & (table["point"] == '{"alpha": 0.9, "temperature": 4.0}')].to_dict("records")
    assert row["significant"]
    assert cell(grid, (4.0, 0.9), words) == f"{percent(value.mean)}\n{points(row['delta'])}†"
    assert grid.alone == pytest.approx(row["alone"])
    same = table[(table["pair"] == "one") & (table["label"] == "kd-grid")]
    assert grid.half == pytest.approx((same["delta_high"] - same["delta_low"]).mean() / 2)
    half = f"± {100 * grid.half:.2f}"
    assert half in heat_map(grid, words).axes[0].get_title()
    sentence = grid_sentence(grid, words)
    assert f"{half} points (95 %): {len(grid.significant)} significantly better and 0 significantly worse" in sentence


def test_without_a_student_alone_a_heat_map_shows_the_means_own_intervals() -> None:
    rows = [
        row("kd", 0.8 + 0.01 * a + 0.001 * seed, seed, grid_point={"alpha": a, "beta": b})
        for a in (1, 2)
        for b in (1, 2)
        for seed in (0, 1, 2)
    ]
    of = Analysis(made.frame(*rows))
    (grid,) = of.slices(of.boards[0])
    value, words = grid.found[1, 1], Wording(of.task)
    assert cell(grid, (1, 1), words) == f"{percent(value.mean)}\n±{100 * (value.high - value.low) / 2:.2f}"
    assert heat_map(grid, words).axes[0].get_title() == ""


def test_further_parameters_make_further_heat_maps_and_failed_points_stay_empty() -> None:
    points = [{"alpha": a, "beta": b, "kind": k} for a in (1, 2, 3) for b in (0.5, 1.5) for k in ("x", "y")]
    rows = [row("kd", 0.8 + 0.01 * i, grid_point=p) for i, p in enumerate(points[:-1])]
    of = Analysis(made.frame(*rows, row("kd", error="NaN", grid_point=points[-1])))
    first, second = of.slices(of.boards[0])
    assert {first.others, second.others} == {(("kind", "x"),), (("kind", "y"),)}
    assert (first.across, first.down) == ("alpha", "beta")
    texts = [t.get_text() for t in heat_map(second, Wording(of.task)).axes[0].texts]
    assert texts.count("–") == 1
    assert "81.00" in texts, "without an interval for one seed"


def test_the_networks_looked_at_are_teacher_student_alone_and_best_by_validation(analysis: Analysis) -> None:
    found = closeups(analysis.boards[0])
    words = Wording(analysis.task)
    assert [(p.label, words.reason(p.reason)) for p in found] == [
        ("resnet", "teacher"),
        ("supervised", "student alone"),
        ("kd-grid", "best by validation accuracy"),
    ]
    assert [len(p.trials) for p in found] == [1, 3, 3]
    counts = mean_confusion(found[1], 10).counts
    assert counts.sum() == 300
    assert np.diag(counts).sum() / 300 == pytest.approx((found[1].predicted == found[1].targets).mean())
    assert found[1].ece == pytest.approx(0.03)


def test_the_calibration_error_comes_from_the_bins_where_logits_are_not_kept(analysis: Analysis) -> None:
    unknown = replace(closeups(analysis.boards[0])[1], ece=math.nan)
    found = calibration(unknown)
    gaps = np.abs(found.bins["accuracy"] - found.bins["confidence"])
    assert found.error == pytest.approx(np.nansum(gaps * found.bins["count"]) / found.bins["count"].sum())


def test_ranks_need_two_pairs_and_three_methods_in_common(analysis: Analysis) -> None:
    both = analysis.boards
    assert common_scores(both).shape == (2, len(METHODS) + 3)
    assert common_scores(both[:1]).empty
    few = scene(methods=["kd"], samples=60, grid=False)
    assert common_scores(few.boards).empty
    assert "critical-difference" not in {chart.stem for chart in charts_of(few)}


def test_what_has_nothing_to_show_is_left_out() -> None:
    assert charts_of(Analysis(made.frame(row("supervised", None), row("kd", None)))) == []
    bare = charts_of(Analysis(made.frame(row("supervised", 0.8), row("kd", 0.9), profiles=[made.profile()])))
    assert {chart.stem for chart in bare} == {
        "accuracy-methods-pair",
        "difference-pair",
    }


def test_families_have_colours_and_marks_of_their_own() -> None:
    looks = colours(["baseline", *FAMILIES.values()])
    assert len(set(looks.values())) == len(looks)
