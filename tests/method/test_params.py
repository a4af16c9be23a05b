"""A parameter that a method gets later loses no result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest

import kdbench
from kdbench import AddedLater, Method
from kdbench.method.params import plain_data
from tests.support import small

BEFORE = '''
"""A method."""

from typing import Annotated

from torch.nn import functional as F

from kdbench import AddedLater, Method


class Mine(Method):
    """Cross-entropy, scaled."""

    family = "test"

    class Params(Method.Params):
        scale: float = 1.0{later}

    def loss(self, step):
        return {{"ce": self.params.scale * F.cross_entropy(step.student.logits, step.targets)}}
'''


class Params(Method.Params):
    scale: float = 1.0
    margin: Annotated[float, AddedLater] = 0.5
    names: Annotated[tuple[str, ...], AddedLater()] = ("a",)


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ({}, {"scale": 1.0}),
        ({"margin": 0.5, "names": ["a"]}, {"scale": 1.0}),
        ({"margin": 0.25}, {"scale": 1.0, "margin": 0.25}),
        ({"names": ()}, {"scale": 1.0, "names": []}),
        ({"scale": 2.0}, {"scale": 2.0}),
    ],
)
def test_it_counts_where_it_differs_from_its_default(given: dict[str, Any], plain: dict[str, Any]) -> None:
    assert plain_data(Params(**given)) == plain
    assert Params(**plain) == Params(**given)


def test_it_needs_a_default() -> None:
    class Wrong(Method.Params):
        margin: Annotated[float, AddedLater]

    with pytest.raises(ValueError, match="margin, which was added later, needs a default"):
        plain_data(Wrong(margin=1.0))


def test_earlier_records_are_found_and_another_value_is_another_trial(tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(BEFORE.format(later=""))
    suite = small.write_suite(tmp_path, methods=["supervised", "mine"], plugins=["mine.py"])

    def run(**more: Any) -> kdbench.Results:
        return kdbench.run(suite, runs=tmp_path / "runs", data_root=tmp_path, trust=True, progress=False, **more)

    first = run()
    plugin.write_text(BEFORE.format(later="\n        margin: Annotated[float, AddedLater] = 0.0"))
    again = run()
    assert set(again.done_before) == set(first.asked)
    small.write_suite(tmp_path, methods=["supervised", {"method": "mine", "params": {"margin": 1.0}}], plugins=["mine.py"])
    changed = run()
    assert len(set(changed.asked) - set(first.asked)) == 1


@pytest.mark.parametrize("command", [["plan", "small.yaml"], ["list", "methods"], ["show", "mine"]])
def test_params_that_are_no_model_are_told_in_a_sentence(
    command: list[str], kdbench_command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(BEFORE.format(later="") + "\n    Params = None\n")
    small.write_suite(tmp_path, methods=["supervised", "mine"])
    monkeypatch.chdir(tmp_path)
    outcome = kdbench_command(*command, "--plugin", "mine.py")
    assert outcome.status == 2
    assert 'method "mine": its Params must be a subclass of Method.Params, not None' in outcome.err
