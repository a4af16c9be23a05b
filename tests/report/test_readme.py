"""A table between markers in somebody's file; every other byte stays."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.errors import KdbenchError
from kdbench.report.readme import _between, update_readme

OPEN, CLOSE = b"<!-- kdbench:leaderboard mnist -->", b"<!-- /kdbench:leaderboard mnist -->"
TABLE = "| a |\n|---|\n| é |\n"
LF = OPEN + "\n| a |\n|---|\n| é |\n".encode() + CLOSE


@pytest.fixture
def readme(tmp_path: Path) -> Path:
    return tmp_path / "README.md"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"# Mine\n" + OPEN + b"\n" + CLOSE + b"\nend\n", b"# Mine\n" + LF + b"\nend\n"),
        (b"no last newline " + OPEN + b"old | table" + CLOSE + b" end", b"no last newline " + LF + b" end"),
        (b"\xef\xbb\xbf" + OPEN + CLOSE, b"\xef\xbb\xbf" + LF),
        (b"\xff\xfe not utf-8 \x00 " + OPEN + CLOSE, b"\xff\xfe not utf-8 \x00 " + LF),
        (b"a\r\n" + OPEN + b"\r\nx\r\n" + CLOSE + b"\r\n", b"a\r\n" + LF.replace(b"\n", b"\r\n") + b"\r\n"),
    ],
)
def test_every_other_byte_stays(readme: Path, before: bytes, after: bytes) -> None:
    readme.write_bytes(before)
    assert update_readme(readme, "mnist", TABLE, check=True)
    assert readme.read_bytes() == before
    assert update_readme(readme, "mnist", TABLE)
    assert readme.read_bytes() == after
    assert not update_readme(readme, "mnist", TABLE)
    assert not update_readme(readme, "mnist", TABLE, check=True)
    assert [p.name for p in readme.parent.iterdir()] == ["README.md"]


@given(st.binary(), st.binary(), st.binary())
def test_what_is_between_is_found_whatever_is_around(before: bytes, old: bytes, after: bytes) -> None:
    content = before + OPEN + old + CLOSE + after
    assert _between(content, Path("x"), "mnist") == (len(before + OPEN), len(before + OPEN + old))


def test_each_suite_has_its_own_place(readme: Path) -> None:
    other = b"<!-- kdbench:leaderboard mnist-3class -->\nkeep\n<!-- /kdbench:leaderboard mnist-3class -->\n"
    readme.write_bytes(other + OPEN + CLOSE)
    update_readme(readme, "mnist", TABLE)
    assert readme.read_bytes() == other + LF
    update_readme(readme, "mnist-3class", "new")
    assert readme.read_bytes() == other.replace(b"keep", b"new") + LF


@pytest.mark.parametrize(
    ("content", "line", "sentence"),
    [
        (b"# Mine\n", "", "there is no <!-- kdbench:leaderboard mnist -->; put it"),
        (b"\n\n" + CLOSE, ":3", "there is no <!-- kdbench:leaderboard mnist -->; put it"),
        (b"\n" + OPEN + b"\n", ":2", "is not closed by <!-- /kdbench:leaderboard mnist -->"),
        (CLOSE + b"\n" + OPEN, ":2", "is not closed"),
        (OPEN + CLOSE + b"\n\n" + OPEN + CLOSE, ":3", "<!-- kdbench:leaderboard mnist --> appears here a second time"),
        (OPEN + CLOSE + b"\n" + CLOSE, ":2", "<!-- /kdbench:leaderboard mnist --> appears here a second time"),
        (OPEN + b"\n<!-- kdbench:leaderboard other -->\n" + CLOSE, ":1", "is not closed"),
    ],
)
def test_wrong_markers_are_reported_with_their_line_and_nothing_is_written(
    readme: Path, content: bytes, line: str, sentence: str
) -> None:
    readme.write_bytes(content)
    with pytest.raises(KdbenchError) as caught:
        update_readme(readme, "mnist", TABLE)
    assert str(caught.value).startswith(f"{readme}{line}: ")
    assert sentence in str(caught.value)
    assert readme.read_bytes() == content


def test_a_link_stays_a_link_and_a_mode_a_mode(readme: Path) -> None:
    real = readme.with_name("real.md")
    real.write_bytes(OPEN + CLOSE)
    real.chmod(0o640)
    readme.symlink_to(real)
    assert update_readme(readme, "mnist", TABLE)
    assert readme.is_symlink()
    assert real.read_bytes() == LF
    assert real.stat().st_mode & 0o777 == 0o640


def test_a_file_that_is_not_there_or_cannot_be_written_is_told(readme: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KdbenchError, match=r"README\.md: cannot be read: No such file"):
        update_readme(readme, "mnist", TABLE)
    readme.write_bytes(OPEN + CLOSE)

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(KdbenchError, match=r"README\.md: cannot be written: Read-only file system"):
        update_readme(readme, "mnist", TABLE)
    assert readme.read_bytes() == OPEN + CLOSE
