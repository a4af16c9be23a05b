"""Digests of content, kept beside it: an edit by hand is noticed.

A digest is no defence against somebody who computes it again. Metrics of the test set have a better one: they
are computed again from the predictions when a report is made (:mod:`kdbench.analysis.audit`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from kdbench.results.reading import Unreadable
from kdbench.seeding import canonical_json

KEY = "digest"
"""The key under which a JSON file carries the digest of its other keys."""


def seal(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a JSON file with its digest."""
    return {**content, KEY: _digest(content)}


def unseal(content: Any) -> tuple[Any, bool]:
    """The content of a JSON file without its digest, and whether it had one.

    Raises:
        Unreadable: it is not what it was when it was written.
    """
    if not isinstance(content, dict) or KEY not in content:
        return content, False
    rest = {k: v for k, v in content.items() if k != KEY}
    try:
        whole = _digest(rest) == content[KEY]
    except ValueError:  # not a number that JSON has
        whole = False
    if not whole:
        raise Unreadable("is not what it was when it was written")
    return rest, True


def file_digest(content: bytes) -> str:
    """Digest of a file's content, whatever Git made of its line ends."""
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()
