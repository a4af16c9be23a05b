"""Output on terminals and in files that cannot show every character."""

from __future__ import annotations

import codecs
import io
import sys

HANDLER = "kdbench.plain"
PLAIN = str.maketrans(
    {
        "Δ": "d", "δ": "d", "α": "alpha", "β": "beta", "±": "+-", "−": "-", "–": "-", "—": "-", "×": "x", "·": "*", "≈": "~",
        "≤": "<=", "≥": ">=", "→": "->", "←": "<-", "…": "...", "✓": "ok", "✗": "FAILED", "†": "+", "‡": "++", "●": "*",
        "━": "-", "╸": "-", "╺": "-", "“": '"', "”": '"', "‘": "'", "’": "'", "²": "^2",
    }
)  # fmt: skip
"""What is written for a character that an encoding lacks.

Any other becomes a question mark.
"""


def keep_printing() -> None:
    """Let both standard streams replace characters that their encoding lacks.

    By default Python raises ``UnicodeEncodeError`` there, at the end of a run, when the leaderboard is
    printed.
    """
    codecs.register_error(HANDLER, _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end].translate(PLAIN)
    return missing.encode("ascii", "replace").decode("ascii"), error.end
