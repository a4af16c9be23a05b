"""Work of a plan, counted by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdbench.engine.estimate import OVERHEAD, estimate, work_per_sample
from kdbench.plan.trial import Trial
from tests.results import made
from tests.suite import made as suites


def test_work_is_three_passes_a_student_and_one_a_shared_teacher(tmp_path: Path) -> None:
    plan = suites.plan(tmp_path, methods=["supervised", "kd", "at"], recipe={"epochs": 2})
    macs = {"tiny_cnn": 10, "mnist_mlp": 1000}

    def profile_of(trial: Trial):  # type: ignore[no-untyped-def]
        return made.profile(trial.model.model, macs=macs[trial.model.model])

    work = estimate(plan, profile_of, 100)
    assert work.students == 2 * 100 * 3 * (1000 + 3 * 10)
    assert work.teachers == 2 * 100 * 1000
    assert work.teachers_alone == 2 * 2 * 100 * 1000
    each = work_per_sample(plan, profile_of)
    assert set(each) == set(plan.trials)
    taught = [c for c in plan.cohorts if c.teachers]
    (cohort,) = taught
    expected = 3 * (10 + OVERHEAD) + (1000 + OVERHEAD) / len(cohort.trials)
    assert [each[t] for t in cohort.trials] == [pytest.approx(expected)] * len(cohort.trials)
