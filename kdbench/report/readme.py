"""A leaderboard in somebody's markdown file, between markers."""

from __future__ import annotations

import os
import re
from pathlib import Path

from kdbench.errors import KdbenchError, Place


def update_readme(path: Path, suite: str, table: str, *, check: bool = False) -> bool:
    """Put a table between ``<!-- kdbench:leaderboard SUITE -->`` and ``<!-- /kdbench:leaderboard SUITE -->``.

    Every other byte of the file stays as it is.

    Args:
        path: the markdown file (UTF-8).
        suite: the suite that the markers name.
        table: the markdown between them.
        check: change nothing.

    Returns:
        Whether the file was (or with ``check``, would be) changed.

    Raises:
        KdbenchError: the file cannot be read or written, or its markers are missing, doubled or not closed.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise KdbenchError(f"cannot be read: {error.strerror}", Place(path)) from error
    name = re.escape(suite.encode())
    opening = list(re.finditer(rb"<!-- *kdbench:leaderboard +" + name + rb" *-->", content))
    closing = list(re.finditer(rb"<!-- */kdbench:leaderboard +" + name + rb" *-->", content))
    if not opening:
        raise KdbenchError(f"has no marker <!-- kdbench:leaderboard {suite} -->; put it where the table belongs", Place(path))
    if len(opening) > 1 or len(closing) > 1:
        second = (opening if len(opening) > 1 else closing)[1]
        raise KdbenchError(
            f"the marker of leaderboard {suite} stands here a second time", Place(path, _line(content, second.start()))
        )
    if not closing or closing[0].start() < opening[0].end():
        raise KdbenchError(
            f"the marker is not closed by <!-- /kdbench:leaderboard {suite} -->",
            Place(path, _line(content, opening[0].start())),
        )
    newline = b"\r\n" if b"\r\n" in content else b"\n"
    body = newline + newline.join(table.strip().encode().splitlines()) + newline
    renewed = content[: opening[0].end()] + body + content[closing[0].start() :]
    if renewed == content:
        return False
    if not check:
        temporary = path.with_name(f"{path.name}.tmp-{os.getpid()}")
        try:
            temporary.write_bytes(renewed)
            temporary.chmod(path.stat().st_mode)
            os.replace(temporary, path)
        except OSError as error:
            raise KdbenchError(f"cannot be written: {error.strerror}", Place(path)) from error
    return True


def _line(content: bytes, position: int) -> int:
    return content.count(b"\n", 0, position) + 1
