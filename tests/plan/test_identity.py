"""Keys that are added to the schema later change no id and no seed, unless they are used."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field

from kdbench.plan import identity
from kdbench.plan.trial import DataKey, Trial
from kdbench.results.store import Store
from kdbench.seeding import digest
from kdbench.suite.schema import DatasetSpec, Frozen, Latency, ModelSpec, Recipe
from tests.plan.test_trial import GOLDEN, SPELLED_OUT, changed
from tests.support import small
from tests.support.environment import unmeasured

ROOT = Path(__file__).resolve().parents[2]


class Averaging(Frozen):
    decay: float = 0.0
    every: int = 1


class LaterRecipe(Recipe):
    label_smoothing: float = 0.0
    averaging: Averaging = Averaging()
    milestones: tuple[int, ...] = ()
    tags: dict[str, int] = Field(default_factory=dict)
    note: str | None = None


class LaterModel(ModelSpec):
    mean: tuple[float, ...] | None = None


class LaterDataset(DatasetSpec):
    task: Literal["classification", "text"] = "classification"


class LaterKey(DataKey):
    spec: LaterDataset
    revision: int = 0


class LaterTrial(Trial):
    data: LaterKey
    model: LaterModel
    recipe: LaterRecipe
    phase: str = "only"


def test_keys_at_their_defaults_do_not_count() -> None:
    assert LaterTrial.model_validate(SPELLED_OUT).id == GOLDEN


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("recipe", "label_smoothing"), 0.1),
        (("recipe", "averaging"), {"decay": 0.9}),
        (("recipe", "milestones"), [1]),
        (("recipe", "tags"), {"a": 1}),
        (("recipe", "note"), "x"),
        (("model", "mean"), [0.5]),
        (("data", "spec", "task"), "text"),
        (("data", "revision"), 1),
        (("phase",), "second"),
    ],
)
def test_keys_that_differ_from_their_defaults_count(path: tuple[str, ...], value: Any) -> None:
    spelled = json.loads(json.dumps(SPELLED_OUT))
    here = spelled
    for part in path[:-1]:
        here = here[part]
    here[path[-1]] = value
    assert LaterTrial.model_validate(spelled).id != GOLDEN


def test_a_key_inside_a_later_key_counts_only_where_it_differs_too() -> None:
    recipe = LaterRecipe(averaging=Averaging(decay=0.9))
    assert identity.canonical(recipe)["averaging"] == {"decay": 0.9}


def test_a_later_key_without_a_default_always_counts() -> None:
    class Required(Recipe):
        mode: str

    assert identity.canonical(Required(mode="a"))["mode"] == "a"


def test_a_default_spelled_out_is_the_default() -> None:
    spelled = LaterRecipe.model_validate({"milestones": [], "tags": {}, "averaging": {"decay": 0, "every": 1}})
    assert identity.canonical(spelled) == identity.canonical(Recipe())


def test_labels_options_and_paths_never_count() -> None:
    for key, value in (("label", "MNIST (mine)"), ("options", {"path": "/somewhere"})):
        assert Trial.model_validate(changed("data", "spec", key, to=value)).id == GOLDEN
    one, two = (
        Trial.model_validate({**changed("model", "weights", to=path), "weights_digest": "ab" * 32})
        for path in ("/a/w.safetensors", "b.safetensors")
    )
    assert identity.student_identity(one) == identity.student_identity(two)


def test_the_canonical_form_of_version_1_is_the_whole_dump() -> None:
    """Seeds and ids of profiles and latencies were digests of the dump: they stay as they are."""
    trial = Trial.model_validate(SPELLED_OUT)
    model, recipe = SPELLED_OUT["model"], SPELLED_OUT["recipe"]
    assert identity.student_identity(trial) == model
    assert identity.architecture_identity(trial.model) == {k: v for k, v in model.items() if k != "weights"}
    assert identity.canonical(trial.recipe) == recipe
    assert identity.data_side(trial.recipe) == {k: recipe[k] for k in ("batch_size", "drop_last", "augmentation")}
    assert set(identity.canonical(Latency())) == identity.VERSION_1["Latency"]


def test_later_keys_change_neither_the_batch_stream_nor_the_network_nor_the_latency() -> None:
    class LaterLatency(Latency):
        pause: float = 0.0

    assert identity.data_side(LaterRecipe()) == identity.data_side(Recipe())
    assert identity.architecture_identity(LaterModel(model="m")) == identity.architecture_identity(ModelSpec(model="m"))
    assert identity.canonical(LaterLatency()) == identity.canonical(Latency())


def add_keys(package: Path) -> None:
    """Add a key with a default to every model whose digest is an id or a seed."""
    for file, names in (
        ("suite/schema.py", ("Recipe", "ModelSpec", "DatasetSpec", "Latency")),
        ("plan/trial.py", ("DataKey", "Trial")),
    ):
        text = (package / file).read_text(encoding="utf-8")
        for name in names:
            text, found = re.subn(
                rf'(^class {name}\(\w+\):\n    """.*?"""\n)',
                r"\1\n    added_later: float = 0.0\n",
                text,
                flags=re.DOTALL | re.MULTILINE,
            )
            assert found == 1, name
        (package / file).write_text(text, encoding="utf-8")


SCRIPT = """
import json, sys
from pathlib import Path
import kdbench, torch
from kdbench.plan.trial import Trial
from kdbench.results.store import Store
from kdbench.engine.latency import latency_report_id
from tests.support import small
here, copy = Path(sys.argv[1]), Path(sys.argv[2])
assert Path(kdbench.__file__).is_relative_to(copy), kdbench.__file__
warnings = []
store = Store(here / "runs", warn=warnings.append)
records = store.records()
assert not warnings, warnings
assert all(r.trial.recipe.added_later == r.trial.model.added_later == r.trial.added_later == 0 for r in records.values())
again = small.run(here / "small.yaml", here / "runs")
assert len(again.done_before) == len(records), "trained again"
fresh = small.run(here / "small.yaml", here / "fresh")
trial = next(iter(records.values())).trial
other = trial.model_copy(update={"recipe": trial.recipe.model_copy(update={"added_later": 1.0})})
print(json.dumps({
    "bits": small.bits(here / "fresh"),
    "profiles": sorted(p.name for p in (here / "fresh" / "profiles").iterdir()),
    "latency": latency_report_id(small.prepared(here / "timed.yaml")),
    "used": Trial.model_validate_json(other.model_dump_json()).id not in records,
}))
"""


def test_a_kdbench_with_more_keys_finds_everything_and_trains_the_same(tmp_path: Path) -> None:
    """A copy of kdbench whose schema has a further key in every model: same records, profiles, latencies, same weights."""
    from kdbench.engine.latency import latency_report_id

    small.run(small.write_suite(tmp_path), tmp_path / "runs")
    small.write_suite(tmp_path, name="timed", measure={"latency": {"devices": ["cpu"], "threads": 1}})
    expected = small.bits(tmp_path / "runs")
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "kdbench", copy / "kdbench", ignore=shutil.ignore_patterns("__pycache__"))
    add_keys(copy / "kdbench")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), str(copy)],
        env=unmeasured(PYTHONPATH=os.pathsep.join([str(copy), str(ROOT)])),  # else the copy counts as kdbench
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["used"]
    assert {i: tuple(b) for i, b in found["bits"].items()} == expected
    assert found["profiles"] == sorted(p.name for p in (tmp_path / "runs" / "profiles").iterdir())
    assert found["latency"] == latency_report_id(small.prepared(tmp_path / "timed.yaml"))
    assert set(Store(tmp_path / "runs").records()) == set(expected)


def test_the_digest_of_a_trial_is_that_of_its_identity() -> None:
    trial = Trial.model_validate(SPELLED_OUT)
    assert digest(identity.trial_identity(trial)) == trial.id == GOLDEN
