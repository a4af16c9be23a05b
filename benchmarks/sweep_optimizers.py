"""Every optimizer of timm with every schedule: two epochs, stored and resumed in between, compared to the bit.

    python benchmarks/sweep_optimizers.py

It prints those that cannot be used, with the reason that ``kdbench plan`` gives, and fails if a resumed trial
has other bits. It takes two minutes on one core.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path

import torch
from timm.optim import list_optimizers

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from kdbench.errors import KdbenchError
from kdbench.suite.resolve import SCHEDULES
from kdbench.train.checkpoint import load_checkpoint, save_checkpoint
from kdbench.train.optim import check_recipe
from tests.train.test_checkpoint import make_member, train_epoch


def main() -> int:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for optimizer in list_optimizers():
            try:
                same = [schedule for schedule in SCHEDULES if resumes(optimizer, schedule, Path(folder) / "c.safetensors")]
            except KdbenchError as error:
                print(f"refused: {error}")
                continue
            different = [s for s in SCHEDULES if s not in same]
            print(f"{optimizer}: {'ok' if not different else 'DIFFERENT with ' + ', '.join(different)}", flush=True)
            wrong += bool(different)
    return 1 if wrong else 0


def resumes(optimizer: str, schedule: str, file: Path) -> bool:
    """Whether a trial that is resumed has the bits of one that is not."""
    kwargs = {"multistep": {"decay_milestones": [1]}, "step": {"decay_epochs": 1}}.get(schedule, {})
    recipe = {"schedule": schedule, "schedule_kwargs": kwargs}
    member = make_member(optimizer, **recipe)
    check_recipe(member.trial.recipe)
    train_epoch(member)
    save_checkpoint(member, file, {})
    train_epoch(member)
    resumed = make_member(optimizer, **recipe)
    load_checkpoint(resumed, file)
    train_epoch(resumed)
    return all(
        torch.equal(a, b)
        for a, b in zip(member.student.state_dict().values(), resumed.student.state_dict().values(), strict=True)
    )


if __name__ == "__main__":
    raise SystemExit(main())
