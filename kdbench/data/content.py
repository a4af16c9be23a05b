"""The fingerprint of data: a digest of every byte."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from kdbench.data.inputs import tensors
from kdbench.data.types import Split
from kdbench.seeding import canonical_json


def fingerprint(splits: Mapping[str, Split], class_names: tuple[str, ...]) -> str:
    """Hash the shapes, types and bytes of all splits, and the class names.

    Returns:
        The first 16 hexadecimal digits of the SHA-256.
    """
    sha = hashlib.sha256(canonical_json(list(class_names)).encode())
    for name, split in splits.items():
        parts = {f"inputs.{key}" if key else "inputs": t for key, t in tensors(split.inputs).items()}
        for part, tensor in (*sorted(parts.items()), ("targets", split.targets)):
            sha.update(canonical_json([name, part, list(tensor.shape), str(tensor.dtype)]).encode())
            sha.update(tensor.contiguous().numpy().data)
    return sha.hexdigest()[:16]
