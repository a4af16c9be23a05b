"""A leaderboard between markers in a user's markdown file."""

from __future__ import annotations

import re
from pathlib import Path

from kdbench.errors import KdbenchError, Location
from kdbench.results.files import write_whole

MARKER = re.compile(rb"<!--[ \t]*(/?)kdbench:leaderboard[ \t]+(.*?)[ \t]*-->")


def update_readme(path: Path, suite: str, table: str, *, check: bool = False) -> bool:
    """Put a table between the markers of a suite in a markdown file.

    The markers are ``<!-- kdbench:leaderboard SUITE -->`` and ``<!-- /kdbench:leaderboard SUITE
    -->``. Every other byte of the file stays as it is; the table gets the file's line ends.

    Args:
        path: the markdown file.
        suite: the suite that the markers name.
        table: the markdown between them.
        check: whether only to check, without changing the file.

    Returns:
        Whether the file was (or with ``check``, would be) changed.

    Raises:
        KdbenchError: the file cannot be read or written, or its markers are missing, doubled or not
        closed.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise KdbenchError(f"cannot be read: {error.strerror or error}", Location(path)) from error
    begin, end = _between(content, path, suite)
    newline = b"\r\n" if b"\r\n" in content else b"\n"
    updated = content[:begin] + newline + newline.join(table.strip().encode().splitlines()) + newline + content[end:]
    if updated == content:
        return False
    if not check:
        try:
            write_whole(path.resolve(), updated)  # replaces the file, not a link to it
        except OSError as error:
            raise KdbenchError(f"cannot be written: {error.strerror or error}", Location(path)) from error
    return True


def _between(content: bytes, path: Path, suite: str) -> tuple[int, int]:
    """Return the offsets at which the bytes between the markers start and end."""

    def wrong(message: str, marker: re.Match[bytes] | None = None) -> KdbenchError:
        line = None if marker is None else content.count(b"\n", 0, marker.start()) + 1
        return KdbenchError(message, Location(path, line))

    opening, closing = f"<!-- kdbench:leaderboard {suite} -->", f"<!-- /kdbench:leaderboard {suite} -->"
    markers = list(MARKER.finditer(content))
    mine = [m for m in markers if m[2] == suite.encode()]
    begins, ends = [m for m in mine if not m[1]], [m for m in mine if m[1]]
    for same, spelling in ((begins, opening), (ends, closing)):
        if len(same) > 1:
            raise wrong(f"{spelling} appears here a second time; keep one", same[1])
    if not begins:
        raise wrong(f"there is no {opening}; put it, and {closing}, where the table belongs", ends[0] if ends else None)
    after = next((m for m in markers if m.start() > begins[0].start()), None)
    if not ends or after is not ends[0]:
        raise wrong(f"{opening} is not closed by {closing}", begins[0])
    return begins[0].end(), ends[0].start()
