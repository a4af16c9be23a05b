"""What a suite comes down to: the right trials once each, teachers first, and cohorts that nobody waits inside of."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdbench.errors import SuiteError
from kdbench.plan.cohorts import needs_of
from kdbench.plan.planner import make_plan
from kdbench.plan.trial import Entry, Plan, Trial
from kdbench.suite.schema import DatasetSpec, MethodEntry, Network, Pair, Recipe, Suite
from tests.suite import made

PAIR = {"name": "pair", "student": "tiny_cnn", "teacher": "big"}
NETWORKS = {"big": {"model": "mnist_mlp"}}


def trial_of(plan: Plan, label: str, role: str = "student") -> Trial:
    """The only trial in rows of that label and role."""
    (found,) = {e.trial for e in made.rows(plan, label, role)}
    return plan.trials[found]


def ancestors(plan: Plan, trial: str) -> set[str]:
    own = plan.trials[trial].teachers
    return set(own).union(*(ancestors(plan, t) for t in own))


class TestExpansion:
    def test_grid_times_seeds_times_pairs(self, tmp_path: Path) -> None:
        plan = made.plan(
            tmp_path,
            pairs=[PAIR, {"name": "second", "student": "lightcnn", "teacher": "big"}],
            methods=["supervised", {"method": "kd", "grid": {"temperature": [1, 2, 3], "alpha": [0.5, 0.9]}}],
            seeds=4,
        )
        assert len(made.rows(plan, "kd")) == len({e.trial for e in made.rows(plan, "kd")}) == 3 * 2 * 4 * 2
        assert len(made.rows(plan, "supervised")) == 4 * 2
        assert len(plan.trials) == 48 + 8 + 1
        assert len({e.trial for e in plan.entries}) == len(plan.trials)

    def test_each_grid_point_is_written_down_and_used_beside_the_parameters(self, tmp_path: Path) -> None:
        entry = {
            "method": "kd",
            "params": {"scale_by_t2": False, "alpha": 0.1},
            "grid": {"temperature": [1, 2], "alpha": [0.5, 0.9]},
        }
        rows = made.rows(plan := made.plan(tmp_path, methods=[entry]), "kd")
        points = [{"temperature": t, "alpha": a} for t, a in itertools.product([1, 2], [0.5, 0.9])]
        assert [e.grid_point for e in rows] == points
        assert [plan.trials[e.trial].params for e in rows] == [{"scale_by_t2": False, **p} for p in points]

    def test_rows_say_their_pair_seed_method_and_family(self, tmp_path: Path) -> None:
        plan = made.plan(tmp_path, methods=[{"method": "kd", "name": "hot", "params": {"temperature": 9}}], seeds=[3, 5])
        row = made.rows(plan, "hot")[1]
        assert (row.pair, row.label, row.method, row.family, row.seed) == ("pair", "hot", "kd", "logit", 5)
        assert row.teachers == plan.trials[row.trial].teachers == (trial_of(plan, "big", "teacher").id,)

    def test_a_pair_without_a_name_is_called_by_its_networks(self, tmp_path: Path) -> None:
        plan = made.plan(tmp_path, pairs=[{"student": {"model": "tiny_cnn"}, "teachers": ["big", {"model": "lightcnn"}]}])
        assert {e.pair for e in plan.entries} == {"tiny_cnn<-big+lightcnn"}

    def test_a_student_without_a_teacher_is_there_asked_for_or_not(self, tmp_path: Path) -> None:
        smooth = {"method": "supervised", "name": "smooth", "params": {"label_smoothing": 0.1}}
        for methods in (["kd"], ["kd", smooth], ["supervised", "kd"]):
            baseline = trial_of(made.plan(tmp_path, methods=methods), "supervised")
            assert (baseline.method, baseline.params, baseline.teachers) == ("supervised", {"label_smoothing": 0.0}, ())

    def test_a_pair_needs_no_teacher_where_no_method_does(self, tmp_path: Path) -> None:
        plan = made.plan(tmp_path, pairs=[{"student": "tiny_cnn"}], methods=["supervised", "tf_kd"])
        assert len(plan.trials) == 2
        assert {e.pair for e in plan.entries} == {"tiny_cnn<-nobody"}

    def test_the_same_training_asked_for_twice_is_done_once(self, tmp_path: Path) -> None:
        plan = made.plan(tmp_path, methods=["supervised", "kd", {"method": "kd", "name": "again", "params": {"alpha": 0.9}}])
        assert trial_of(plan, "kd") == trial_of(plan, "again")
        assert len(plan.trials) == 3

    def test_a_student_alone_is_shared_between_pairs(self, tmp_path: Path) -> None:
        plan = made.plan(tmp_path, pairs=[PAIR, {"name": "other", "student": "tiny_cnn", "teacher": "mnist_cnn"}])
        assert {e.pair for e in made.rows(plan, "supervised")} == {"pair", "other"}
        assert trial_of(plan, "supervised").teachers == ()
        assert len({e.trial for e in made.rows(plan, "kd")}) == 2

    def test_networks_override_the_suite_s_recipe(self, tmp_path: Path) -> None:
        big = {"model": "mnist_mlp", "recipe": {"epochs": 9, "augmentation": {"flip": True}}}
        plan = made.plan(tmp_path, recipe={"epochs": 2, "lr": 0.3, "augmentation": {"crop_padding": 2}}, networks={"big": big})
        teacher, student = trial_of(plan, "big", "teacher").recipe, trial_of(plan, "kd").recipe
        assert (teacher.epochs, teacher.lr, teacher.augmentation["flip"]) == (9, 0.3, True)
        assert (student.epochs, student.lr, student.augmentation["crop_padding"]) == (2, 0.3, 2)


class TestTeachers:
    def test_a_teacher_is_trained_once_for_all_seeds_and_pairs(self, tmp_path: Path) -> None:
        plan = made.plan(tmp_path, pairs=[PAIR, {"name": "second", "student": "lightcnn", "teacher": "big"}], seeds=3)
        teacher = trial_of(plan, "big", "teacher")
        assert (teacher.seed, teacher.method) == (0, "supervised")
        assert {plan.trials[e.trial].teachers for e in made.rows(plan, "kd")} == {(teacher.id,)}

    def test_a_teacher_of_the_same_seed_is_trained_for_each(self, tmp_path: Path) -> None:
        plan = made.plan(tmp_path, networks={"big": {"model": "mnist_mlp", "seed": "same"}}, seeds=[2, 4])
        assert [e.seed for e in made.rows(plan, "big", "teacher")] == [2, 4]
        for row in made.rows(plan, "kd"):
            (teacher,) = row.teachers
            assert plan.trials[teacher].seed == row.seed

    def test_a_teacher_of_a_number_is_trained_once_whatever_its_own_teacher_says(self, tmp_path: Path) -> None:
        networks = {
            "big": {"model": "mnist_mlp", "method": "kd", "teachers": ["huge"], "seed": 5},
            "huge": {"model": "mnist_cnn", "seed": "same"},
        }
        plan = made.plan(tmp_path, networks=networks, seeds=3)
        teacher = trial_of(plan, "big", "teacher")
        assert teacher.seed == 5
        assert [plan.trials[t].seed for t in teacher.teachers] == [5]

    def test_a_teacher_may_be_taught_itself(self, tmp_path: Path) -> None:
        networks = {
            "big": {"model": "mnist_mlp", "method": "dkd", "params": {"beta": 2}, "teachers": ["huge"]},
            "huge": {"model": "mnist_cnn"},
        }
        plan = made.plan(tmp_path, networks=networks)
        teacher = trial_of(plan, "big", "teacher")
        (huge,) = teacher.teachers
        assert (teacher.method, teacher.params["beta"], plan.trials[huge].model.model) == ("dkd", 2, "mnist_cnn")
        assert list(plan.trials)[:2] == [huge, teacher.id]

    def test_a_method_takes_as_many_teachers_as_it_needs_the_first_first(self, tmp_path: Path) -> None:
        pair = {**PAIR, "teachers": ["big", "lightcnn", "mnist_cnn"]}
        del pair["teacher"]
        plan = made.plan(tmp_path, pairs=[pair], methods=["kd", "mean_teachers"])

        def taught_by(label: str) -> list[str]:
            return [plan.trials[t].model.model for t in trial_of(plan, label).teachers]

        assert taught_by("supervised") == []
        assert taught_by("kd") == ["mnist_mlp"]
        assert taught_by("mean_teachers") == ["mnist_mlp", "lightcnn", "mnist_cnn"]


class TestChains:
    def test_generations_start_from_the_student_alone(self, tmp_path: Path) -> None:
        plan = made.plan(tmp_path, methods=[{"method": "born_again", "generations": 3}], seeds=[1])
        alone = trial_of(plan, "supervised")
        first, second = (trial_of(plan, f"born_again (generation {k})", "generation") for k in (1, 2))
        last = trial_of(plan, "born_again")
        assert [t.teachers for t in (first, second, last)] == [(alone.id,), (first.id,), (second.id,)]
        assert [t.seed for t in (first, second, last)] == [1, 1, 1]
        assert {t.model.model for t in (first, second, last)} == {"tiny_cnn"}
        assert {t.method for t in (first, second, last)} == {"born_again"}

    def test_one_more_generation_changes_none_of_those_before(self, tmp_path: Path) -> None:
        two, three = (set(made.plan(tmp_path, methods=[{"method": "born_again", "generations": n}]).trials) for n in (2, 3))
        assert two < three
        assert len(three - two) == 1

    def test_assistants_stand_between_teacher_and_student(self, tmp_path: Path) -> None:
        entry = {
            "name": "takd",
            "method": "kd",
            "params": {"alpha": 0.5},
            "assistants": ["lightcnn", {"model": "mnist_cnn", "recipe": {"epochs": 3}}],
        }
        plan = made.plan(tmp_path, methods=["kd", entry])
        teacher = trial_of(plan, "big", "teacher")
        first, second = (trial_of(plan, f"takd: {name}", "assistant") for name in ("lightcnn", "mnist_cnn"))
        student = trial_of(plan, "takd")
        assert [t.teachers for t in (first, second, student)] == [(teacher.id,), (first.id,), (second.id,)]
        assert {t.params["alpha"] for t in (first, second, student)} == {0.5}
        assert second.recipe.epochs == 3
        assert trial_of(plan, "kd").teachers == (teacher.id,)

    @pytest.mark.parametrize(("seed", "assistants"), [(0, [0]), ("same", [0, 1, 2])])
    def test_assistants_have_the_seeds_of_teachers(self, seed: int | str, assistants: list[int], tmp_path: Path) -> None:
        entry = {"name": "takd", "method": "kd", "assistants": [{"model": "lightcnn", "seed": seed}]}
        plan = made.plan(tmp_path, methods=[entry], seeds=3)
        assert [e.seed for e in made.rows(plan, "takd: lightcnn", "assistant")] == assistants
        assert [e.seed for e in made.rows(plan, "takd")] == [0, 1, 2]


class TestOptions:
    METHODS = ("supervised", "kd", "dkd")

    def test_only_leaves_the_others_out_and_what_only_they_need(self, tmp_path: Path) -> None:
        takd = {"name": "takd", "method": "kd", "assistants": ["lightcnn"]}
        whole = made.plan(tmp_path, methods=[*self.METHODS, takd])
        part = made.plan(tmp_path, methods=[*self.METHODS, takd], load={"only": ["dkd"]})
        assert {e.label for e in made.rows(part)} == {"supervised", "dkd"}
        assert set(part.trials) < set(whole.trials)
        assert len(part.trials) == 3

    def test_seeds_add_trials_and_change_none(self, tmp_path: Path) -> None:
        one, three = made.plan(tmp_path, seeds=1), made.plan(tmp_path, seeds=1, load={"seeds": "3"})
        assert set(one.trials) < set(three.trials)
        assert sorted(e.seed for e in made.rows(three, "kd")) == [0, 1, 2]

    def test_epochs_make_other_trials(self, tmp_path: Path) -> None:
        plan, other = made.plan(tmp_path), made.plan(tmp_path, load={"epochs": 4})
        assert {t.recipe.epochs for t in other.trials.values()} == {4}
        assert not set(plan.trials) & set(other.trials)

    def test_without_cohorts_each_trial_stands_alone(self, tmp_path: Path) -> None:
        together, alone = (made.plan(tmp_path, methods=self.METHODS, seeds=2, cohorts=c) for c in (True, False))
        assert together.trials == alone.trials
        assert together.entries == alone.entries
        assert [c.trials for c in alone.cohorts] == [(i,) for i in alone.trials]


class TestCohorts:
    def test_methods_of_one_seed_train_together_after_their_teacher(self, tmp_path: Path) -> None:
        plan = made.plan(tmp_path, methods=["supervised", "kd", "dkd", "at"], seeds=2)
        teacher = trial_of(plan, "big", "teacher").id
        assert [c.trials for c in plan.cohorts] == [
            (teacher,),
            *(tuple(e.trial for e in made.rows(plan) if e.seed == seed) for seed in (0, 1)),
        ]
        assert [c.teachers for c in plan.cohorts] == [(), (teacher,), (teacher,)]

    def test_teachers_train_together(self, tmp_path: Path) -> None:
        plan = made.plan(tmp_path, pairs=[{"student": "tiny_cnn", "teachers": ["big", "lightcnn"]}], methods=["mean_teachers"])
        assert [len(c.trials) for c in plan.cohorts] == [2, 2]

    @pytest.mark.parametrize(
        "recipe",
        [{"epochs": 31}, {"batch_size": 64}, {"drop_last": False}, {"augmentation": {"flip": True}}, {"precision": "bf16"}],
        ids=str,
    )
    def test_other_batches_or_another_precision_are_another_cohort(self, recipe: dict[str, Any], tmp_path: Path) -> None:
        pairs = [PAIR, {"name": "second", "student": {"model": "tiny_cnn", "recipe": recipe}, "teacher": "big"}]
        assert len(made.plan(tmp_path, pairs=pairs).cohorts) == 3

    def test_another_optimizer_is_not(self, tmp_path: Path) -> None:
        other = {"model": "tiny_cnn", "recipe": {"optimizer": "adamw", "lr": 0.001, "schedule": "constant", "clip_grad": 1}}
        pairs = [PAIR, {"name": "second", "student": other, "teacher": "big"}]
        assert [len(c.trials) for c in made.plan(tmp_path, pairs=pairs).cohorts] == [1, 4]

    def test_methods_that_draw_batches_otherwise_are_apart(self, tmp_path: Path) -> None:
        plan = made.plan(tmp_path, methods=["supervised", "kd", "cs_kd"])
        (apart,) = (c for c in plan.cohorts if c.sampler == "class_pairs")
        assert apart.trials == (trial_of(plan, "cs_kd").id,)

    def test_who_waits_for_nobody_trains_beside_the_first_who_have_a_teacher(self, tmp_path: Path) -> None:
        plan = made.plan(tmp_path, methods=["kd", {"name": "takd", "method": "kd", "assistants": ["lightcnn"]}])
        labels = {e.trial: e.label for e in plan.entries}
        assert [{labels[t] for t in c.trials} for c in plan.cohorts] == [
            {"big"},
            {"supervised", "kd", "takd: lightcnn"},
            {"takd"},
        ]

    def test_a_chain_of_generations_is_one_after_another(self, tmp_path: Path) -> None:
        plan = made.plan(tmp_path, methods=["kd", {"method": "born_again", "generations": 3}])
        place = {t: n for n, c in enumerate(plan.cohorts) for t in c.trials}
        names = ["born_again (generation 1)", "born_again (generation 2)"]
        chain = [
            trial_of(plan, "supervised").id,
            *(trial_of(plan, n, "generation").id for n in names),
            trial_of(plan, "born_again").id,
        ]
        assert len({place[t] for t in chain}) == 4
        assert sorted(chain, key=place.__getitem__) == chain

    @pytest.mark.parametrize(("most", "sizes"), [(32, [11]), (11, [11]), (10, [6, 5]), (4, [4, 4, 3]), (1, [1] * 11)])
    def test_large_cohorts_are_cut_into_even_parts(self, most: int, sizes: list[int], tmp_path: Path) -> None:
        grid = {"method": "kd", "grid": {"temperature": list(range(1, 11))}}
        assert [len(c.trials) for c in made.plan(tmp_path, methods=[grid], max_members=most).cohorts] == [1, *sizes]


NAMES = ("a", "b", "c", "d")
RECIPES = st.fixed_dictionaries(
    {}, optional={"epochs": st.integers(0, 2), "batch_size": st.sampled_from([16, 32]), "lr": st.just(0.1)}
)
NETWORK_SEEDS = st.integers(0, 2) | st.just("same")


@st.composite
def suites(draw: st.DrawFn) -> Suite:
    """A small suite whose networks may teach those that come after them."""
    networks: dict[str, Network] = {}
    for name in NAMES:
        teachers = draw(st.lists(st.sampled_from(list(networks)), max_size=1)) if networks else []
        method = "kd" if teachers else "supervised"
        model, recipe, seed = draw(st.sampled_from(made.MODELS[:3])), draw(RECIPES), draw(NETWORK_SEEDS)
        networks[name] = Network(model=model, recipe=recipe, seed=seed, method=method, teachers=tuple(teachers))
    names = st.sampled_from(NAMES)
    pairs = draw(st.lists(st.tuples(names, st.lists(names, min_size=2, max_size=3)), min_size=1, max_size=2))
    plain = st.sampled_from(["kd", "dkd", "at", "mean_teachers", "cs_kd", "tf_kd", "ps_kd"]).map(
        lambda m: MethodEntry(method=m)
    )
    gridded = st.lists(st.integers(1, 4), min_size=1, max_size=3, unique=True).map(
        lambda values: MethodEntry(method="kd", name="grid", grid={"temperature": values})
    )
    born_again = st.integers(1, 3).map(lambda n: MethodEntry(method="born_again", generations=n))
    takd = st.lists(names, min_size=1, max_size=2).map(
        lambda found: MethodEntry(method="kd", name="takd", assistants=tuple(found))
    )
    entries = draw(st.lists(plain | gridded | born_again | takd, max_size=4, unique_by=lambda e: e.name or e.method))
    return Suite(
        name="random",
        dataset=DatasetSpec(name="digits"),
        networks=networks,
        pairs=tuple(Pair(name=f"pair {n}", student=s, teachers=tuple(t)) for n, (s, t) in enumerate(pairs)),
        methods=(MethodEntry(method="supervised"), *entries),
        seeds=tuple(draw(st.lists(st.integers(0, 3), min_size=1, max_size=2, unique=True))),
        recipe=Recipe(epochs=1, batch_size=32),
    )


@given(suite=suites(), most=st.integers(1, 5), together=st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_plan_can_be_run_from_its_beginning_to_its_end(suite: Suite, most: int, together: bool) -> None:
    plan = make_plan(suite, made.registry(), made.FINGERPRINT, cohorts=together, max_members=most)
    trials = plan.trials

    seen: set[str] = set()
    for key, trial in trials.items():
        assert key == trial.id
        assert seen.issuperset(trial.teachers), "a teacher comes before its students"
        seen.add(key)

    assert Counter(t for c in plan.cohorts for t in c.trials) == Counter(list(trials)), "each trial is in exactly one cohort"
    finished: set[str] = set()
    for cohort in plan.cohorts:
        members = [trials[t] for t in cohort.trials]
        assert 1 <= len(members) <= (most if together else 1)
        assert {t for m in members for t in m.teachers} == set(cohort.teachers)
        assert finished.issuperset(cohort.teachers), "teachers are finished before their students begin"
        assert not any(ancestors(plan, t) & set(cohort.trials) for t in cohort.trials)
        streams = {
            (m.data.model_dump_json(), m.seed, str(m.recipe.data_side()), m.recipe.epochs, m.recipe.precision) for m in members
        }
        assert len(streams) == 1
        assert {needs_of(m.method, m.params, made.registry()).sampler for m in members} == {cohort.sampler}
        finished.update(cohort.trials)


@given(suite=suites())
@settings(max_examples=40, deadline=None)
def test_any_plan_has_each_row_that_was_asked_for(suite: Suite) -> None:
    plan = make_plan(suite, made.registry(), made.FINGERPRINT)

    def points(entry: MethodEntry) -> int:
        return len(list(itertools.product(*entry.grid.values())))

    rows: list[Entry] = made.rows(plan)
    assert Counter((e.pair, e.label, e.seed) for e in rows) == Counter(
        {(p.name, m.name or m.method, s): points(m) for p in suite.pairs for m in suite.methods for s in suite.seeds}
    )
    reached = {e.trial for e in plan.entries}
    assert reached.union(*(ancestors(plan, t) for t in reached)) == set(plan.trials), "nothing is trained that no row needs"
    assert all(plan.trials[e.trial].teachers == e.teachers and plan.trials[e.trial].seed == e.seed for e in plan.entries)


@given(suite=suites())
@settings(max_examples=20, deadline=None)
def test_a_plan_is_the_same_each_time_and_when_read_back(suite: Suite) -> None:
    plan = make_plan(suite, made.registry(), made.FINGERPRINT)
    assert make_plan(suite, made.registry(), made.FINGERPRINT) == plan
    again = Plan.model_validate_json(plan.model_dump_json())
    assert again == plan
    assert [t.id for t in again.trials.values()] == list(plan.trials)


def test_an_entry_can_be_for_some_pairs_only(tmp_path: Path) -> None:
    pairs = [{**PAIR, "name": "a"}, {**PAIR, "name": "b"}]
    some = [{"method": "at", "pairs": ["b"]}, {"method": "supervised", "name": "alone", "pairs": ["b"]}]
    plan = made.plan(tmp_path, pairs=pairs, methods=["kd", *some])
    rows = {(e.pair, e.label) for e in made.rows(plan)}
    assert rows == {("a", "supervised"), ("a", "kd"), ("b", "supervised"), ("b", "kd"), ("b", "at"), ("b", "alone")}
    with pytest.raises(SuiteError, match='unknown pair "bb"; did you mean "b"'):
        made.plan(tmp_path, pairs=pairs, methods=[{"method": "at", "pairs": ["bb"]}])
