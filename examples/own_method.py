"""A method of your own, in a notebook: define it, compare it with kd, look at the results, use the student.

Its cells run in Jupyter (with jupytext), VS Code and Spyder, and all of it as a plain script.
"""

# %% A method is a class: what it needs of the networks, and its loss.
import os

import torch
from torch import Tensor
from torch.nn import functional as F

import kdbench
from kdbench import Method, Needs, PositiveFloat, Step

EPOCHS = int(os.environ.get("EPOCHS", "20"))
"""Fewer are faster, and say less."""


class MatchLogits(Method):
    """Cross-entropy, and the mean squared difference of the logits (Ba and Caruana 2014, arXiv:1312.6184)."""

    family = "logit"
    needs = Needs(teachers=1)

    class Params(Method.Params):
        """Hyper-parameters.

        Args:
            weight: of the difference.
        """

        weight: PositiveFloat = 0.1

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Both terms; logits are N×C."""
        difference = F.mse_loss(step.student.logits, step.teacher.logits)
        return {"ce": F.cross_entropy(step.student.logits, step.targets), "logits": self.params.weight * difference}


# %% Train it beside kd, on the suite that comes with kdbench; the student trained alone is always there.
results = kdbench.run(
    "digits",
    methods=["kd", MatchLogits, {"method": MatchLogits, "name": "match_strongly", "params": {"weight": 1.0}}],
    seeds=2,
    epochs=EPOCHS,
    settings={"measure.latency": False, "tuning": None},  # in a hurry
)
results

# %% The same in numbers: a row for each method, and a row for each trial.
results.standings[["label", "test_accuracy", "test_accuracy_sd", "delta", "place"]]

# %%
results.frame.groupby("label")["validation_accuracy"].describe()

# %% Figures are matplotlib's.
results.plot("curves")

# %%
results.plot("scores")

# %% The best student, an ordinary module that knows its preprocessing and its classes.
student = results.student()
student.pretrained_cfg["mean"], student.pretrained_cfg["label_names"]

# %% Let it read some digits.
from sklearn.datasets import load_digits

digits = load_digits()
images = torch.tensor(digits.images[:10], dtype=torch.float32)[:, None] / 16
mean, std = (torch.tensor(student.pretrained_cfg[name])[:, None, None] for name in ("mean", "std"))
with torch.inference_mode():
    predictions = student((images - mean) / std).argmax(1)
list(zip(digits.target[:10].tolist(), predictions.tolist(), strict=True))

# %% Come back another day: the records are in the runs folder.
again = kdbench.load_results("runs")
print(again.leaderboard())
