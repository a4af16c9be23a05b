"""Tuning: every method draws the same number of times, and records decide what is planned next, by one function."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from kdbench.plan.planner import make_plan
from kdbench.plan.trial import Entry, Plan
from kdbench.plan.tuning import failed_draws, winner
from kdbench.suite.resolve import entries_by_pair
from kdbench.suite.schema import Recipe, Suite
from kdbench.suite.tuning import tuned_recipe
from tests.suite import made

TUNING = {"draws": 4, "epochs": 0.4, "seed": 77}
NAN = math.nan


def suite_of(folder: Path, tuning: dict[str, Any] | None = None, **changes: Any) -> Suite:
    import yaml

    given = {**yaml.safe_load(made.SUITE), "seeds": 2, "recipe": {"epochs": 10}, "tuning": {**TUNING, **(tuning or {})}}
    return made.loaded(folder, yaml.safe_dump({**given, **changes})).suite


def planned(suite: Suite, scores: dict[str, float] | None = None) -> Plan:
    return make_plan(suite, made.registry(), made.FINGERPRINT, scores=scores)


def draws(plan: Plan, label: str) -> list[Entry]:
    return made.rows(plan, label, "draw")


def scored(plan: Plan, **by_label: list[float]) -> dict[str, float]:
    """Scores of the draws of some methods, in order."""
    return {e.trial: s for label, scores in by_label.items() for e, s in zip(draws(plan, label), scores, strict=True)}


class TestDraws:
    def test_every_method_draws_the_same_number_of_times_the_baseline_included(self, tmp_path: Path) -> None:
        plan = planned(suite_of(tmp_path, methods=["kd", "dml", "at"]))
        assert {label: len(draws(plan, label)) for label in ("supervised", "kd", "dml", "at")} == dict.fromkeys(
            ("supervised", "kd", "dml", "at"), 4
        )

    def test_the_first_draw_has_the_methods_own_values_and_the_others_lie_in_its_ranges(self, tmp_path: Path) -> None:
        plan = planned(suite_of(tmp_path, {"draws": 40}))
        first, *others = draws(plan, "kd")
        assert first.grid_point == {}
        assert plan.trials[first.trial].params == {"temperature": 4.0, "alpha": 0.9, "scale_by_t2": True}
        for entry in others:
            trial, point = plan.trials[entry.trial], entry.grid_point
            assert set(point) == {"recipe.lr", "temperature", "alpha"}
            assert 1 <= trial.params["temperature"] == point["temperature"] <= 20
            assert 0.1 <= trial.params["alpha"] == point["alpha"] <= 1
            assert 0.05 / 4 <= trial.recipe.lr == point["recipe.lr"] <= 0.05 * 4
            assert trial.params["scale_by_t2"] is True

    def test_draws_fill_the_range_more_evenly_than_chance(self, tmp_path: Path) -> None:
        plan = planned(suite_of(tmp_path, {"draws": 17}))
        rates = sorted(plan.trials[e.trial].recipe.lr for e in draws(plan, "kd")[1:])
        cells = {int(16 * math.log(rate / 0.0125) / math.log(16)) for rate in rates}
        assert len(cells) == 16, "16 points of a Halton sequence in base 2 lie in 16 different sixteenths"

    def test_all_methods_draw_the_same_learning_rates(self, tmp_path: Path) -> None:
        plan = planned(suite_of(tmp_path, methods=["kd", "dml", "dkd"]))
        rates = {
            label: [plan.trials[e.trial].recipe.lr for e in draws(plan, label)] for label in ("supervised", "kd", "dml", "dkd")
        }
        assert len({tuple(r) for r in rates.values()}) == 1
        assert len(set(rates["kd"])) == 4

    def test_more_draws_begin_with_the_same_ones_and_another_seed_gives_others(self, tmp_path: Path) -> None:
        few, many = (planned(suite_of(tmp_path, {"draws": n})) for n in (3, 6))
        assert [e.trial for e in draws(many, "kd")][:3] == [e.trial for e in draws(few, "kd")]
        other = planned(suite_of(tmp_path, {"seed": 78}))
        points = [[e.grid_point for e in draws(plan, "kd")] for plan in (few, other)]
        assert points[0][1:] != points[1][1:3]

    def test_draws_have_a_seed_of_their_own_and_a_share_of_the_epochs(self, tmp_path: Path) -> None:
        plan = planned(suite_of(tmp_path))
        own = [plan.trials[e.trial] for label in ("supervised", "kd") for e in draws(plan, label)]
        assert {(t.seed, t.recipe.epochs) for t in own} == {(77, 4)}
        finals = [plan.trials[e.trial] for e in made.rows(plan, "kd")]
        assert {(t.seed, t.recipe.epochs) for t in finals} == {(0, 10), (1, 10)}

    def test_a_fixed_parameter_is_not_tuned_and_a_suites_range_replaces_the_methods(self, tmp_path: Path) -> None:
        entry = {"method": "kd", "params": {"temperature": 2.0}, "search": {"alpha": {"choices": [0.25, 0.75]}}}
        plan = planned(suite_of(tmp_path, {"draws": 9}, methods=[entry]))
        trials = [plan.trials[e.trial] for e in draws(plan, "kd")]
        assert {t.params["temperature"] for t in trials} == {2.0}
        assert {t.params["alpha"] for t in trials} == {0.9, 0.25, 0.75}

    def test_recipe_keys_are_tuned_as_the_suite_says(self, tmp_path: Path) -> None:
        both = planned(suite_of(tmp_path, {"recipe": ["lr", "weight_decay"]}))
        assert len({plan.trials[e.trial].recipe.weight_decay for plan in (both,) for e in draws(both, "kd")}) == 4
        given = planned(suite_of(tmp_path, {"recipe": {"lr": {"log": [1e-5, 1e-4]}}}))
        assert all(1e-5 <= given.trials[e.trial].recipe.lr <= 1e-4 for e in draws(given, "kd")[1:])
        nothing = planned(suite_of(tmp_path, {"recipe": []}, methods=["dml"]))
        assert len(draws(nothing, "dml")) == 1, "with nothing to tune there is nothing to draw"

    def test_draws_train_in_one_cohort(self, tmp_path: Path) -> None:
        plan = planned(suite_of(tmp_path))
        own = {e.trial for label in ("supervised", "kd") for e in draws(plan, label)}
        assert [own <= set(cohort.trials) for cohort in plan.cohorts].count(True) == 1

    def test_what_a_schedule_counts_in_epochs_shrinks_with_the_epochs(self) -> None:
        recipe = Recipe(
            epochs=240,
            warmup_epochs=10,
            schedule="multistep",
            schedule_kwargs={"decay_milestones": [150, 180, 210], "decay_rate": 0.1},
        )
        short = tuned_recipe(recipe, {}, 0.4)
        assert (short.epochs, short.warmup_epochs) == (96, 4)
        assert short.schedule_kwargs == {"decay_milestones": [60, 72, 84], "decay_rate": 0.1}
        assert tuned_recipe(recipe, {}) is recipe
        assert tuned_recipe(Recipe(epochs=2), {}, 0.1).epochs == 1
        assert tuned_recipe(Recipe(epochs=0), {}, 0.1).epochs == 0


class TestWinner:
    def test_the_best_draw_wins_and_the_first_of_equals(self) -> None:
        ids = ["a", "b", "c"]
        assert winner(ids, {"a": 0.5, "b": 0.7, "c": 0.6}, 1) == 1
        assert winner(ids, {"a": 0.5, "b": 0.7, "c": 0.4}, -1) == 2
        assert winner(ids, {"a": 0.7, "b": 0.7 + 1e-15, "c": 0.6}, 1) == 0

    def test_nobody_wins_before_all_have_ended_or_if_all_failed(self) -> None:
        assert winner(["a", "b"], {"a": 0.5}, 1) is None
        assert winner(["a", "b"], {"a": NAN, "b": NAN}, 1) is None

    def test_a_failed_draw_loses(self) -> None:
        assert winner(["a", "b"], {"a": NAN, "b": 0.1}, 1) == 1
        assert winner(["a", "b"], {"a": NAN, "b": 3.0}, -1) == 1

    def test_the_plan_asks_for_the_winner_as_soon_as_its_own_draws_have_ended(self, tmp_path: Path) -> None:
        suite = suite_of(tmp_path)
        first = planned(suite)
        assert [e.grid_point for e in made.rows(first, "kd")] == [{}, {}], "its own values stand in for the best ones"
        second = planned(suite, scored(first, kd=[0.3, 0.1, 0.6, 0.5]))
        best = draws(first, "kd")[2].grid_point
        assert [(e.seed, e.grid_point) for e in made.rows(second, "kd")] == [(0, best), (1, best)]
        final = second.trials[made.rows(second, "kd")[0].trial]
        assert final.recipe.lr == best["recipe.lr"]
        assert final.recipe.epochs == 10
        assert final.params["temperature"] == best["temperature"]
        assert [e.grid_point for e in made.rows(second, "kd", "default")] == [{}, {}]
        assert [e.grid_point for e in made.rows(second, "supervised")] == [{}, {}], "its draws are not known yet"
        assert set(first.trials) < set(second.trials)
        assert len(second.trials) == len(first.trials) + 2

    def test_the_plan_is_a_function_of_suite_and_scores(self, tmp_path: Path) -> None:
        suite = suite_of(tmp_path)
        scores = scored(planned(suite), kd=[0.3, NAN, 0.6, 0.5], supervised=[0.9, 0.1, 0.2, NAN])
        assert planned(suite, scores) == planned(suite, dict(reversed(scores.items())))
        again = planned(suite, {**scores, "0" * 16: 1.0})
        assert again == planned(suite, scores), "other records change nothing"

    def test_where_the_own_values_win_their_trials_are_shared(self, tmp_path: Path) -> None:
        suite = suite_of(tmp_path)
        second = planned(suite, scored(planned(suite), kd=[0.9, 0.1, 0.6, 0.5]))
        assert [e.trial for e in made.rows(second, "kd")] == [e.trial for e in made.rows(second, "kd", "default")]

    def test_the_own_values_are_left_out_if_the_suite_says_so(self, tmp_path: Path) -> None:
        suite = suite_of(tmp_path, {"default": False})
        first = planned(suite)
        assert not made.rows(first, "kd")
        assert not made.rows(first, "kd", "default")
        second = planned(suite, scored(first, kd=[0.3, 0.1, 0.6, 0.5], supervised=[NAN] * 4))
        assert len(made.rows(second, "kd")) == 2
        assert [e.grid_point for e in made.rows(second, "supervised")] == [{}, {}], "all draws failed, and the table says so"

    def test_generations_and_assistants_are_tuned_as_a_whole(self, tmp_path: Path) -> None:
        entries = [{"method": "born_again", "generations": 2}, {"method": "kd", "name": "takd", "assistants": ["lightcnn"]}]
        suite = suite_of(tmp_path, methods=entries)
        first = planned(suite)
        draw = draws(first, "born_again")[1]
        trial = first.trials[draw.trial]
        (before,) = (first.trials[t] for t in trial.teachers)
        assert before.params == trial.params
        assert (before.recipe, before.seed) == (trial.recipe, 77)
        (student,) = (first.trials[t] for t in before.teachers)
        assert (student.method, student.recipe.epochs) == ("supervised", 10), "what teaches is trained in full"
        (assistant,) = (first.trials[t] for t in first.trials[draws(first, "takd")[1].trial].teachers)
        assert (assistant.model.model, assistant.recipe.epochs) == ("lightcnn", 10)
        assert assistant.params["temperature"] == draws(first, "takd")[1].grid_point["temperature"]

    def test_a_failed_draw_is_excused_if_another_of_its_method_finished(self, tmp_path: Path) -> None:
        plan = planned(suite_of(tmp_path))
        ids = [e.trial for e in draws(plan, "kd")]
        assert failed_draws(plan, ids[:3]) == {ids[3]}
        assert failed_draws(plan, []) == set()


def test_no_seed_of_a_draw_is_a_final_seed_and_untuned_plans_are_as_ever(tmp_path: Path) -> None:
    suite = suite_of(tmp_path)
    tuned = planned(suite)
    untuned = planned(suite.model_copy(update={"tuning": None}))
    assert untuned.tuning is None
    assert {e.trial for e in untuned.entries} <= {e.trial for e in tuned.entries}
    assert list(entries_by_pair(suite)) == ["pair"]


@pytest.mark.parametrize("seeds", [1, 3])
def test_names_of_draws_say_what_they_are(tmp_path: Path, seeds: int) -> None:
    plan = planned(suite_of(tmp_path, seeds=seeds))
    names = plan.names()
    assert names[draws(plan, "kd")[0].trial] == "kd draw"
    assert names[draws(plan, "kd")[1].trial].startswith("kd draw[recipe.lr=")
