"""Profiles and latencies in a runs folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from kdbench.results.migrations import NewerFormat
from kdbench.results.reading import Unreadable, is_id, validated
from kdbench.results.record import LatencyReport, Profile
from kdbench.results.runs_folder import RunsFolder

N = TypeVar("N", Profile, LatencyReport)


class Measurements(RunsFolder):
    """What was measured of networks, whatever trials they are of."""

    def save_profile(self, profile: Profile) -> None:
        """Write a profile."""
        self.save_json("profile", profile, "profiles", f"{profile.id}.json")

    def profile(self, profile_id: str) -> Profile | None:
        """A profile; ``None`` if it is missing, or damaged and so left out."""
        if not is_id(profile_id):
            return None
        make = partial(_named, Profile, profile_id)
        return self.load_json("profile", make, f"the profile {profile_id}", "profiles", f"{profile_id}.json")

    def save_latency(self, report: LatencyReport) -> None:
        """Write what latencies were measured; not the raw data."""
        self.save_json("latency", report, "latency", f"{report.id}.json")

    def latency(self, report_id: str) -> LatencyReport | None:
        """A report of latencies; ``None`` if it is missing, or damaged and so left out."""
        if not is_id(report_id):
            return None
        make = partial(_named, LatencyReport, report_id)
        return self.load_json("latency", make, f"the latency report {report_id}", "latency", f"{report_id}.json")

    def latencies(self) -> list[LatencyReport]:
        """All latency reports, oldest first.

        Those that a newer version of kdbench wrote are left out, with a warning.
        """
        found = []
        for name in self.ids_in("latency"):
            try:
                report = self.latency(name)
            except NewerFormat as error:  # perhaps of another suite's networks
                self.warn(str(error))
            else:
                found += [] if report is None else [report]
        return sorted(found, key=lambda r: r.started)

    def latency_data_path(self, report_id: str) -> Path:
        """Return the path of a latency report's raw data.

        The file has pytest-benchmark's format, so ``pytest-benchmark compare`` can read it.
        """
        return self.root / "latency" / f"{report_id}.pytest-benchmark.json"


def _named(model: type[N], expected: str, content: dict[str, Any]) -> N:
    found = validated(model, content)
    if found.id != expected:
        raise Unreadable(f"describes {found.id}")
    return found
