"""Every epoch and every class, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kdbench.analysis.analysis import Analysis
from kdbench.analysis.frame import frame_of
from kdbench.report.details import classes_markdown, epochs_markdown
from kdbench.results.evidence import Evidence
from tests.results import made
from tests.results.made import frame, row

DATA = {"name": "digits", "fingerprint": made.FINGERPRINT, "classes": ["zero", "<one>"], "test": 4}


def two_seeds() -> Analysis:
    one, two = row("kd", 0.5, 0, data=DATA), row("kd", 0.75, 1, data=DATA)
    plain = frame(one, two, row("at", error="failed"))
    classes = {one[0].id: np.array([0, 1, 0, 1], np.uint8), two[0].id: np.array([0, 0, 0, 1], np.uint8)}
    histories = {
        one[0].id: pd.DataFrame({"epoch": [1.0, 2.0], "loss": [2.0, 1.0], "test_accuracy": [0.4, 0.5]}),
        two[0].id: pd.DataFrame({"epoch": [1.0, 2.0], "loss": [1.0, 0.5], "test_accuracy": [0.6, 0.75]}),
    }
    evidence = Evidence({made.FINGERPRINT: np.array([0, 0, 1, 1])}, classes, {}, histories)
    return Analysis(frame_of(plain.plan, plain.records, plain.profiles, evidence))


def test_an_epoch_s_numbers_are_means_over_seeds() -> None:
    table = two_seeds().epochs
    assert table[["label", "epoch", "seeds", "loss", "test_accuracy"]].values.tolist() == [
        ["kd", 1, 2, 1.5, 0.5],
        ["kd", 2, 2, 0.75, 0.625],
    ]
    page = epochs_markdown(two_seeds())
    assert "## kd" in page
    assert "| 2       | 0.7500 |" in page
    assert "62.50" in page


def test_a_class_s_numbers_are_means_over_seeds() -> None:
    """Class 0 of the first seed: predicted twice, once rightly, of two; of the second: three times, two rightly, of two."""
    table = two_seeds().classes.set_index("class")
    assert table["precision"]["zero"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert table["recall"]["zero"] == pytest.approx((1 / 2 + 1) / 2)
    assert table["f1"]["zero"] == pytest.approx((1 / 2 + 4 / 5) / 2)
    assert table["support"].tolist() == [2, 2, 4]
    assert table["recall"]["macro average"] == pytest.approx((0.75 + 0.5) / 2)
    assert "\\<one\\>" in classes_markdown(two_seeds())


def test_without_predictions_or_histories_there_is_nothing_to_tell() -> None:
    plain = Analysis(frame(row("kd")))
    assert plain.epochs.empty
    assert plain.classes.empty
    assert classes_markdown(plain) == ""
