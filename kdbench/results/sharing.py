"""Equal parts of many records as one object.

Thousands of records name a handful of machines, data sets and recipes.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel

from kdbench.results.record import Record

T = TypeVar("T")


class SharedParts:
    """The parts of the records that were read so far.

    Whoever gets a record must not change its dictionaries, as with any record.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[type, str], Any] = {}

    def of(self, record: Record) -> Record:
        """Return an equal record that shares its parts with earlier ones."""
        trial, provenance = record.trial, record.provenance
        trial = trial.model_copy(
            update={"data": self._one(trial.data), "model": self._one(trial.model), "recipe": self._one(trial.recipe)}
        )
        provenance = provenance.model_copy(
            update={"libraries": self._one(provenance.libraries), "machine": self._one(provenance.machine)}
        )
        return record.model_copy(update={"trial": trial, "provenance": provenance, "data": self._one(record.data)})

    def _one(self, part: T) -> T:
        text = part.model_dump_json() if isinstance(part, BaseModel) else json.dumps(part)
        found: T = self._known.setdefault((type(part), text), part)
        return found
