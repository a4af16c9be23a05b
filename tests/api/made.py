"""A suite as a dict, that trains in a second or two; and classes as a notebook would define them."""

from __future__ import annotations

import linecache
from pathlib import Path
from typing import Any

import yaml

from tests.support import small

CELL = '''
from torch.nn import functional as F
from kdbench import Method, Needs, PositiveFloat

SCALE = 0.5

def soften(logits):
    return (SCALE * logits).softmax(1)

class Mine(Method):
    """Half of the teacher's probabilities."""

    family = "logit"
    needs = Needs(teachers=1)

    class Params(Method.Params):
        weight: PositiveFloat = 0.5

    def loss(self, step):
        difference = F.mse_loss(soften(step.student.logits), soften(step.teacher.logits))
        return {"ce": F.cross_entropy(step.student.logits, step.targets), "soft": self.params.weight * difference}
'''


def suite(folder: Path, **changes: Any) -> dict[str, Any]:
    """160 training images of 8×8 pixels, 2 epochs, 1 seed, supervised and kd."""
    read: dict[str, Any] = yaml.safe_load(small.write_suite(folder / "written", **changes).read_text())
    return {"name": "small", **read}


def cell(text: str = CELL, number: int = 1, module: str = "__main__") -> dict[str, Any]:
    """What a notebook's cell defines; its text is kept as IPython keeps it."""
    name = f"<ipython-input-{number}-test>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    namespace: dict[str, Any] = {"__name__": module}
    exec(compile(text, name, "exec", dont_inherit=True), namespace)  # not with this file's future annotations
    return namespace
