"""How displays speak of the trials of a plan and of their metric."""

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
        self._task = Wording(plan.task if plan is not None else TaskInfo())

    @property
    def units(self) -> str:
        """What is counted: ``images``. A sample may hold several units; the rate is of samples."""
        return self._task.units

    @property
    def metric(self) -> str:
        """What members are judged by, before numbers: ``accuracy %``."""
        return self._task.metric + self._task.percent_sign

    def name(self, trial: Trial) -> str:
        """What a trial is called."""
        return self._names[trial.id]

    def full_name(self, trial: Trial) -> str:
        """The same with its seed."""
        return f"{self._names[trial.id]} (seed {trial.seed})"

    def column(self, split: str) -> str:
        """Heading of the primary metric on a split: ``test %``, ``test perplexity``."""
        return split + (self._task.percent_sign or f" {self._task.metric}")

    def value(self, metrics: Mapping[str, float], split: str) -> str:
        """The primary metric on a split, of a row of the history."""
        return self.number(self.raw(metrics, split))

    def raw(self, metrics: Mapping[str, float], split: str) -> float | None:
        """The same as a number; ``None`` where it is unknown."""
        return metrics.get(f"{split}_{self._task.task.primary}")

    def number(self, value: float | None) -> str:
        """The primary metric as text."""
        return "–" if value is None else self._task.value(value)

    def selection(self, metrics: Mapping[str, float]) -> float | None:
        """The primary metric on the validation split, or on the test split where there is no other."""
        validation = self.raw(metrics, "validation")
        return self.raw(metrics, "test") if validation is None else validation

    def ended(self, trial: Trial, record: Record) -> str:
        """A line on a trial that ended."""
        name = self.full_name(trial)
        if record.failure is not None:
            return f"✗ {name}: {record.failure.kind}: {record.failure.message}"
        value = self.number(record.metrics.get("test", {}).get(self._task.task.primary))
        return f"✓ {name}: {value}{self._task.percent_sign} test {self._task.metric}"


def counted(names: Sequence[str]) -> str:
    """Names on a line, points of one grid as their number: ``supervised, kd ×25``."""
    count = Counter(name.split("[")[0] for name in names)
    return ", ".join(
        f"{short} ×{count[short]}" if count[short] > 1 else next(n for n in names if n.split("[")[0] == short)
        for short in count
    )
