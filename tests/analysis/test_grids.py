"""A grid's points against the student trained alone."""

from __future__ import annotations

import numpy as np
import pytest

from kdbench.analysis.analysis import Analysis
from kdbench.analysis.model import contrasts, fit
from kdbench.report.leaderboard import leaderboard_markdown
from tests.results import made
from tests.results.made import Row, row

ALONE = {0: 0.70, 1: 0.72}
ACCURACY = {1: (0.71, 0.735), 2: (0.70, 0.715), 3: (0.60, 0.625), 4: (0.705, 0.72)}


def grid(accuracies: dict[int, tuple[float, ...]], label: str = "kd") -> list[Row]:
    return [row(label, a, seed, grid_point={"alpha": k}) for k, values in accuracies.items() for seed, a in enumerate(values)]


def alone(seeds: dict[int, float]) -> list[Row]:
    return [row("supervised", a, seed, method="supervised") for seed, a in seeds.items()]


def test_points_are_compared_with_the_student_alone_by_the_model_of_the_whole_grid() -> None:
    table = Analysis(made.frame(*alone(ALONE), *grid(ACCURACY))).grids
    model = fit(np.array([list(ALONE.values()), *ACCURACY.values()]))
    assert model is not None
    found = contrasts(model, np.array([[i, 0] for i in range(1, 5)]))
    assert table["delta"].tolist() == pytest.approx(found.delta)
    assert table["delta_low"].tolist() == pytest.approx(found.delta - found.half)
    assert table["p_value"].tolist() == pytest.approx(found.p_values)
    assert table["significant"].tolist() == [True, False, True, False]
    assert table["alone"].tolist() == pytest.approx([0.71] * 4)
    assert set(table["delta_seeds"]) == {2}


def test_a_point_that_diverged_with_a_seed_is_compared_with_nothing_and_the_rest_with_all_seeds() -> None:
    rows = [*grid({k: v for k, v in ACCURACY.items() if k != 2}), row("kd", 0.7, 0, grid_point={"alpha": 2})]
    table = Analysis(made.frame(*alone(ALONE), *rows, row("kd", None, 1, grid_point={"alpha": 2})))
    table = table.grids.set_index("point")
    assert table["delta_seeds"].to_dict() == {'{"alpha": 1}': 2, '{"alpha": 3}': 2, '{"alpha": 4}': 2, '{"alpha": 2}': 0}
    assert np.isnan(table.loc['{"alpha": 2}', "delta"])


def test_a_seed_of_which_most_is_not_run_yet_leaves_nothing_out() -> None:
    rows = [*grid(ACCURACY), row("kd", 0.9, 2, grid_point={"alpha": 1})]
    table = Analysis(made.frame(*alone({**ALONE, 2: 0.7}), *rows)).grids
    assert table["delta_seeds"].tolist() == [3, 2, 2, 2], "each point has the seeds it shares with the student alone"
    assert table["delta"].notna().all()


@pytest.mark.parametrize("seeds", [{}, {5: 0.7}])
def test_without_a_student_alone_of_the_same_seeds_there_are_no_differences(seeds: dict[int, float]) -> None:
    made_of = Analysis(made.frame(*alone(seeds), *grid(ACCURACY)))
    assert made_of.grids["delta"].isna().all()
    assert "Δ supervised" not in leaderboard_markdown(made_of).split("## Grids")[1]


def test_one_seed_gives_differences_without_intervals() -> None:
    made_of = Analysis(made.frame(*alone({0: 0.70}), *grid({k: v[:1] for k, v in ACCURACY.items()})))
    assert made_of.grids["delta"].tolist() == pytest.approx([0.01, 0.0, -0.10, 0.005])
    assert made_of.grids["delta_low"].isna().all()
    text = leaderboard_markdown(made_of).split("## Grids")[1]
    assert "| −10.00 " in text.replace("  ", "")
    assert "simultaneous" not in text


def test_a_suite_without_grids_has_no_table() -> None:
    assert Analysis(made.frame(*alone(ALONE))).grids.empty


def test_the_page_gives_each_difference_with_its_interval_and_mark() -> None:
    made_of = Analysis(made.frame(*alone(ALONE), *grid(ACCURACY)))
    third = made_of.grids.iloc[2]
    text = leaderboard_markdown(made_of).split("## Grids")[1].split("## How to read")[0]
    low, high = (f"{100 * third[k]:.2f}".replace("-", "−") for k in ("delta_low", "delta_high"))
    assert f"−9.75 [{low}, {high}] †" in text
    assert text.count("†") == 3, "two marks and how to read them"
