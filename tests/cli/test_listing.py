"""`kdbench list` says what each thing is and takes, and fits where it is printed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kdbench.cli.catalogue import OF_KDBENCH, OF_PLUGINS, Listing
from kdbench.cli.listing import Kind, render
from tests.suite import made


def test_every_kind_can_be_listed() -> None:
    assert [str(kind) for kind in Kind] == [*OF_PLUGINS, *OF_KDBENCH]


@pytest.mark.parametrize("kind", [k for k in Kind if k not in (Kind.models, Kind.suites, Kind.schedules)])
def test_each_thing_says_what_it_is(kind: str) -> None:
    found = OF_PLUGINS[kind](made.registry()) if kind in OF_PLUGINS else OF_KDBENCH[kind]()
    assert found.rows
    what = found.headings.index("what")
    assert [row for row in found.rows if not row[what]] == []


def test_models_of_kdbench_come_first_and_a_filter_finds_by_text_or_pattern() -> None:
    names = [name for (name,) in OF_PLUGINS["models"](made.registry()).rows]
    assert names[0] == "lightcnn"
    assert names.index("wrn_40_2") < names.index("resnet18")
    assert len(names) == len(set(names))
    listing = Listing((), tuple((name,) for name in names))
    assert ("resnet18",) in listing.matching("NET18").rows
    assert [name for (name,) in listing.matching("resnet?").rows] == ["resnet8"]


def test_options_of_a_data_set_stand_below_it(kdbench_command: Any) -> None:
    lines = kdbench_command("list", "datasets").out.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("folder"))
    assert any(line.split()[:1] == ["path"] for line in lines[at + 1 : at + 3])


def test_nothing_that_fits_is_said(kdbench_command: Any) -> None:
    outcome = kdbench_command("list", "methods", "--filter", "zzz")
    assert (outcome.status, outcome.out) == (1, "")
    assert 'no methods fit "zzz"' in outcome.err


def test_a_plugin_s_metric_and_format_are_listed(kdbench_command: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import kdbench\n\ndef half(logits, targets):\n    '''Half of nothing.'''\n    return 0.5\n\n"
        "@kdbench.hookimpl\ndef kdbench_metrics():\n    return {'half': half}\n"
    )
    (line,) = [
        li for li in kdbench_command("list", "metrics", "--plugin", tmp_path / "mine.py").out.splitlines() if "half" in li
    ]
    assert line.split(None, 2) == ["half", "plugin", "Half of nothing."]


def test_a_table_is_as_wide_as_the_terminal_and_a_line_a_row_in_a_pipe() -> None:
    listing = Listing(("name", "what"), (("kd", "word " * 40), ("dkd", "short")))
    assert max(map(len, render(listing, 80).splitlines())) <= 80
    assert len(render(listing, 100_000).splitlines()) == 4
