"""Text for any engine of LaTeX, pdflatex included."""

from __future__ import annotations

import re
import unicodedata

SIGNS = {
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "≈": r"$\approx$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "†": r"$^\dagger$",
    "→": r"$\to$",
    "←": r"$\leftarrow$",
    "·": r"$\cdot$",
    "–": "--",
    "—": "---",
    "…": r"\dots{}",
    "∞": r"$\infty$",
    "²": "$^2$",
    "³": "$^3$",
    "⁶": "$^6$",
    "µ": r"$\mu$",
    "°": r"$^\circ$",
    "÷": r"$\div$",
    "\N{NO-BREAK SPACE}": "~",
    "\N{THIN SPACE}": r"\,",
    "Δ": r"$\Delta$",
}
"""Signs in LaTeX, which pdflatex cannot typeset in text."""
OPTION = re.compile(r"^( *)([\[*])", re.MULTILINE)
"""Start of a row that would be read as an option of the line break before it."""
GREEK = re.compile(
    "GREEK (?:(SMALL) LETTER (ALPHA|BETA|GAMMA|DELTA|EPSILON|ZETA|ETA|THETA|IOTA|KAPPA|LAMDA|MU|NU|XI|PI|RHO|SIGMA|TAU|UPSILON"
    "|PHI|CHI|PSI|OMEGA)|CAPITAL LETTER (GAMMA|DELTA|THETA|LAMDA|XI|PI|SIGMA|UPSILON|PHI|PSI|OMEGA))"
)
"""Greek letters that LaTeX has commands for."""


def latex(text: str) -> str:
    """Replace what pdflatex cannot typeset; other LaTeX commands are left as they are.

    Signs become commands, compatible letters are simplified, and characters of other scripts become their
    code point: ``(U+4E2D)``.
    """
    typeset = "".join(c if c.isascii() else _typeset(c) for c in text)
    return OPTION.sub(r"\1{}\2", typeset)


def _typeset(character: str) -> str:
    if character in SIGNS:
        return SIGNS[character]
    if "\N{LATIN CAPITAL LETTER A WITH GRAVE}" <= character <= "\N{LATIN SMALL LETTER Y WITH DIAERESIS}":
        return character  # in every encoding of fonts
    if greek := GREEK.fullmatch(unicodedata.name(character, "")):
        letter = (greek[2] or greek[3]).lower().replace("lamda", "lambda")
        return f"$\\{letter if greek[1] else letter.capitalize()}$"
    simple = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return simple or f"(U+{ord(character):04X})"
