"""Names of a plan's trials and numbers of their metric, for displays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from kdbench.plan.trial import Plan, TaskInfo, Trial
from kdbench.report.wording import Wording
from kdbench.results.record import Record


class Words:
    """Names and numbers of a plan.

    Args:
        plan: the plan; ``None`` before it is known.
    """

    def __init__(self, plan: Plan | None = None) -> None:
        self._names = plan.names() if plan is not None else {}
        self._models = {i: t.model.model for i, t in plan.trials.items()} if plan is not None else {}
        self._task = Wording(plan.task if plan is not None else TaskInfo())

    @property
    def units(self) -> str:
        """What the rate counts, in the plural: ``images``.

        It is a rate of samples; a sample may hold several units.
        """
        return self._task.units

    @property
    def metric(self) -> str:
        """The primary metric, as a label before numbers: ``accuracy %``."""
        return self._task.metric + self._task.percent_sign

    def name(self, trial: Trial) -> str:
        """Return the name of a trial."""
        return self._names[trial.id]

    def network(self, trial: Trial) -> str:
        """Return the name of a trial's network; empty if the name of the trial says it."""
        model = trial.model.model
        name = self._names.get(trial.id, "")
        return "" if name == model or f" · {model}" in name else model

    def full_name(self, trial: Trial) -> str:
        """Return the name of a trial with its network and seed."""
        parts = [part for part in (self.network(trial), f"seed {trial.seed}") if part]
        return f"{self._names[trial.id]} ({', '.join(parts)})"

    def model(self, trial: str) -> str:
        """Return the name of a trial's network, by the trial's id."""
        return self._models.get(trial, "")

    def networks(self, trials: Sequence[str]) -> str:
        """Return the networks of some trials: ``on resnet8``; empty if unknown."""
        known = dict.fromkeys(self._models[t] for t in trials if t in self._models)
        return f"on {', '.join(known)}" if known else ""

    def column(self, split: str) -> str:
        """Return the primary metric's heading: ``test %``, ``test perplexity``."""
        return split + (self._task.percent_sign or f" {self._task.metric}")

    def value(self, metrics: Mapping[str, float], split: str) -> str:
        """Format the primary metric on a split, from a row of the history."""
        return self.number(self.raw(metrics, split))

    def raw(self, metrics: Mapping[str, float], split: str) -> float | None:
        """Return the primary metric on a split; ``None`` if unknown."""
        return metrics.get(f"{split}_{self._task.task.primary}")

    def number(self, value: float | None) -> str:
        """Format a value of the primary metric."""
        return "–" if value is None else self._task.value(value)

    def selection(self, metrics: Mapping[str, float]) -> float | None:
        """Return the primary metric on validation data, or on test data if there is none."""
        validation = self.raw(metrics, "validation")
        return self.raw(metrics, "test") if validation is None else validation

    def ended(self, trial: Trial, record: Record) -> str:
        """Return a line about a trial that ended."""
        name = self.full_name(trial)
        if record.failure is not None:
            return f"✗ {name}: {record.failure.kind}: {record.failure.message}"
        value = self.number(record.metrics.get("test", {}).get(self._task.task.primary))
        return f"✓ {name}: {value}{self._task.percent_sign} test {self._task.metric}"


def counted(names: Sequence[str]) -> str:
    """List names on one line, with counts for repeated ones: ``supervised, kd ×25``."""
    count = Counter(name.split("[")[0] for name in names)
    return ", ".join(
        f"{short} ×{count[short]}" if count[short] > 1 else next(n for n in names if n.split("[")[0] == short)
        for short in count
    )
