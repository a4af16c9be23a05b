"""From records to rows, and from grids to one point each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kdbench.analysis.analysis import Analysis
from kdbench.analysis.choice import grid_points
from kdbench.analysis.frame import suite_frame
from kdbench.analysis.source import gather
from kdbench.errors import KdbenchError
from kdbench.results.store import Store
from tests.faults.base import make_runs
from tests.results import made
from tests.results.made import frame, row


def test_every_entry_of_the_plan_has_a_row_whether_it_was_run_or_not(tmp_path: Path) -> None:
    rows = [row("supervised", 0.8), row("kd", None), row("at", error="loss is NaN"), row("sp", 0.7, seed=1)]
    store = Store(tmp_path)
    store.open()
    store.save_plan(made.plan(*((t, e) for t, e, _ in rows)))
    for _, _, record in rows:
        if record is not None:
            store.save(record)
    store.save_profile(made.profile(uncounted={"aten::silu": 3, "aten::add": 1}))
    found = suite_frame(store, "made").rows
    assert found["status"].tolist() == ["finished", "missing", "failed", "finished"]
    assert found["error"].tolist() == ["", "", "NonFiniteLoss: loss is NaN", ""]
    assert found["test_accuracy"].tolist()[0] == 0.8
    assert np.isnan(found["test_accuracy"][1])
    assert found["parameters"][0] == 106_826
    assert found["uncounted"][0] == "aten::add ×1, aten::silu ×3"
    assert found["wall_seconds"][3] == 15.5
    assert set(found["fingerprint"]) == {made.FINGERPRINT}


def test_a_suite_that_was_not_run_is_reported_with_the_nearest_name(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save_plan(made.plan())
    with pytest.raises(KdbenchError, match=r'no suite "maed" was run in .*; did you mean "made"\?'):
        suite_frame(store, "maed")
    with pytest.raises(KdbenchError, match="known are made"):
        suite_frame(store, "zzz")


def test_teacher_accuracy_is_the_mean_over_all_teachers_and_unknown_if_one_is() -> None:
    big = row("big", 0.9, role="teacher", model="big")
    other = row("other", 0.8, role="teacher", model="other")
    missing = row("missing", None, role="teacher", model="missing")
    both = row("mean", 0.7, taught_by=[big[0], other[0]])
    half = row("half", 0.7, taught_by=[big[0], missing[0]])
    found = frame(big, other, missing, both, half).rows.set_index("label")["teacher_accuracy"]
    assert found["mean"] == pytest.approx(0.85)
    assert np.isnan(found["half"])
    assert np.isnan(found["big"])


def test_a_plugin_s_metric_never_hides_a_column() -> None:
    one = row("kd", 0.9, metrics={"test": {"accuracy": 0.9, "status": 3.0, "wall_seconds": 4.0, "f1": 0.5}})
    found = frame(one).rows.iloc[0]
    assert found["status"] == "finished"
    assert found["metric_status"] == 3.0
    assert found["wall_seconds"] == 15.5
    assert found["metric_wall_seconds"] == 4.0
    assert found["f1"] == 0.5


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_metrics_that_are_not_numbers_come_back_from_the_store(tmp_path: Path, value: float) -> None:
    store = Store(tmp_path)
    store.open()
    store.save(made.record(made.trial(), metrics={"test": {"odd": value}}))
    found = Store(tmp_path).record(made.trial().id)
    assert found is not None
    assert found.metrics["test"]["odd"] == pytest.approx(value, nan_ok=True)


def grid(points: dict[float, list[tuple[float, float] | None]]) -> list[made.Row]:
    """Rows of a grid over ``alpha``: (validation, test) a seed, ``None`` for one that failed."""
    return [
        row("kd", error="loss is NaN", seed=seed, grid_point={"alpha": alpha})
        if values is None
        else row("kd", values[1], seed=seed, grid_point={"alpha": alpha}, validation=values[0])
        for alpha, seeds in points.items()
        for seed, values in enumerate(seeds)
    ]


def chosen(rows: list[made.Row]) -> str:
    (point,) = set(Analysis(frame(*rows)).chosen["point"])
    return str(point)


def test_the_grid_point_is_chosen_on_the_validation_set_and_never_on_the_test_set() -> None:
    assert chosen(grid({0.1: [(0.8, 0.99), (0.8, 0.99)], 0.9: [(0.7, 0.1), (0.95, 0.1)]})) == '{"alpha": 0.9}'


def test_the_first_of_equal_grid_points_is_chosen_even_if_sums_differ_in_the_last_bit() -> None:
    assert 0.1 + 0.2 + 0.3 != 0.3 + 0.2 + 0.1
    assert chosen(grid({0.5: [(0.3, 0), (0.2, 0), (0.1, 0)], 0.9: [(0.1, 0), (0.2, 0), (0.3, 0)]})) == '{"alpha": 0.5}'
    assert chosen(grid({0.5: [(0.1, 0), (0.2, 0), (0.3, 0)], 0.9: [(0.3, 0), (0.2, 0), (0.1, 0)]})) == '{"alpha": 0.5}'


def test_a_grid_point_that_fails_with_some_seeds_is_no_better_for_the_others() -> None:
    assert chosen(grid({0.1: [(0.99, 0.9), None], 0.9: [(0.5, 0.9), (0.5, 0.9)]})) == '{"alpha": 0.9}'


def test_a_grid_without_anything_finished_or_validated_keeps_its_first_point() -> None:
    assert chosen(grid({0.1: [None], 0.9: [None]})) == '{"alpha": 0.1}'
    assert chosen(grid({0.1: [(float("nan"), 0.1)], 0.9: [(float("nan"), 0.9)]})) == '{"alpha": 0.1}'


def test_each_pair_and_each_entry_chooses_for_itself() -> None:
    rows = [
        row("kd", 0.5, validation=v, grid_point={"alpha": a}, pair=pair, model=pair)
        for pair, a, v in [("one", 0.1, 0.9), ("one", 0.9, 0.8), ("two", 0.1, 0.8), ("two", 0.9, 0.9)]
    ]
    found = Analysis(frame(*rows, row("at", 0.4))).chosen
    assert found[["pair", "label", "point"]].to_numpy().tolist() == [
        ["one", "kd", '{"alpha": 0.1}'],
        ["two", "kd", '{"alpha": 0.9}'],
        ["pair", "at", ""],
    ]


def test_assistants_of_points_that_were_not_chosen_go_with_them() -> None:
    teacher = row("big", 0.9, role="teacher", model="big")
    rows = [teacher]
    for alpha, validation in ((0.1, 0.6), (0.9, 0.7)):
        point = {"alpha": alpha}
        assistant = row("takd: mid", 0.8, method="kd", model="mid", role="assistant", grid_point=point, taught_by=[teacher[0]])
        rows += [assistant, row("takd", 0.5, method="kd", validation=validation, grid_point=point, taught_by=[assistant[0]])]
    found = Analysis(frame(*rows)).chosen
    assert found["label"].tolist() == ["big", "takd: mid", "takd"]
    assert set(found["point"]) == {"", '{"alpha": 0.9}'}


def test_the_other_points_stay_in_a_table_of_their_own() -> None:
    found = grid_points(frame(*grid({0.1: [(0.6, 0.5), None], 0.9: [(0.7, 0.4), (0.5, 0.6)]}), row("at", 0.4)))
    assert found[found["label"] == "kd"][["point", "seeds", "finished", "chosen"]].to_numpy().tolist() == [
        ['{"alpha": 0.1}', 2, 1, False],
        ['{"alpha": 0.9}', 2, 2, True],
    ]
    assert found["validation_accuracy"].tolist() == pytest.approx([0.6, 0.6, 0.4])


def test_a_frame_without_students_keeps_its_rows() -> None:
    assert len(Analysis(frame(row("big", 0.9, role="teacher"))).chosen) == 1


def test_helpers_of_points_that_another_pair_chose_stay_out() -> None:
    """Two pairs share the assistants of both grid points; each shows only that of the point that it chose."""
    rows = []
    for pair, best in (("one", 1), ("two", 4)):
        for t in (1, 4):
            helper = row(f"takd: mid {t}", 0.9, role="assistant", pair=pair, method="kd", grid_point={"temperature": t})
            helper = (helper[0], helper[1].model_copy(update={"label": "takd: mid"}), helper[2])
            student = row(
                "takd", 0.9 if t == best else 0.8, pair=pair, method="kd", model=f"net_{pair}", taught_by=[helper[0]],
                grid_point={"temperature": t},
            )  # fmt: skip
            rows += [helper, student]
    chosen = Analysis(frame(*rows)).chosen
    found = {(r.pair, r.role, r.point) for r in chosen.itertuples()}
    assert found == {
        (pair, role, f'{{"temperature": {t}}}') for pair, t in (("one", 1), ("two", 4)) for role in ("student", "assistant")
    }


def test_latency_is_shown_where_costs_were_not_measured(tmp_path: Path) -> None:
    store = make_runs(tmp_path, seeds=1)
    for profile in (tmp_path / "profiles").iterdir():
        profile.unlink()
    table = gather(store, "made").standings.set_index("label")
    assert table["parameters"].isna().all()
    assert table["latency_ms"].dropna().to_dict() == {"resnet": 10.0, "supervised": 2.0, "kd": 2.0}
