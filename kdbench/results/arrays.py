"""Arrays and tables from untrusted files, of bounded size.

Nothing in an ``.npz`` file is unpickled, and a ``.csv`` file holds numbers only.
"""

from __future__ import annotations

import csv
import io
import math
import sys
import zipfile
import zlib
from array import array

import numpy as np
import pandas as pd

from kdbench.errors import cut
from kdbench.results.reading import MB, Unreadable

MOST_INFLATED = 512 * MB
"""Most bytes of all arrays of a file."""
MOST_ARRAYS = 500_000
MOST_CELLS = 12_000_000
"""Most cells of a table: 5,000 trials of 150 epochs and 16 columns."""
MOST_COLUMNS = 1_000
LONGEST_COLUMN = 300
MOST_EPOCHS = 20_000
LONGEST_HEADER = 1 << 17
"""Bytes of an array's header: NumPy reads no more than 10,000 characters of it."""
_NUMBERS = "biuf"
"""Kinds of dtypes that are numbers."""


def read_arrays(content: bytes) -> dict[str, np.ndarray]:
    """Arrays of numbers, by name, of an ``.npz`` file; they cannot be written to.

    Raises:
        Unreadable: it is not such a file, or unpacks to more than :data:`MOST_INFLATED`.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if len(members) > MOST_ARRAYS:
                raise Unreadable(f"holds more than {MOST_ARRAYS:,} arrays")
            if sum(m.file_size for m in members) > MOST_INFLATED:
                raise Unreadable(f"unpacks to more than the {MOST_INFLATED / MB:,.0f} MB that kdbench reads")
            return {m.filename.removesuffix(".npy"): _array(archive, m) for m in members}
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        NotImplementedError,
        RuntimeError,
        OverflowError,
        ValueError,
    ) as error:
        raise Unreadable(f"is not a whole file of arrays ({cut(str(error), 100)})") from None


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """Read one array, whose shape must agree with its number of bytes."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or not member.filename.endswith(".npy"):
        raise Unreadable("is not a file of arrays")
    content = _unpacked(archive, member)
    data = io.BytesIO(content[:LONGEST_HEADER])
    try:
        version = np.lib.format.read_magic(data)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, fortran, dtype = read_header(data)
    except (ValueError, KeyError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise Unreadable("holds something that is not an array") from None
    if dtype.kind not in _NUMBERS or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise Unreadable("holds an array of something else than numbers")
    if math.prod(shape) * dtype.itemsize != len(content) - data.tell():
        raise Unreadable("holds an array of another size than it says")
    flat = np.frombuffer(content, dtype, offset=data.tell())
    flat.flags.writeable = False
    return flat.reshape(shape, order="F" if fortran else "C")


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> memoryview:
    """Unpack into memory of the right size, without a second copy on the way."""
    content = memoryview(bytearray(member.file_size))
    filled = 0
    with archive.open(member) as file:
        while part := file.read(1 << 20):
            content[filled : filled + len(part)] = part  # a longer one is refused: it does not fit
            filled += len(part)
    if filled != len(content):
        raise Unreadable("holds an array of another size than it says")
    return content


def read_table(content: bytes, text: str | None = None) -> pd.DataFrame:
    """Read a table of numbers (float64) from CSV, each exact; empty cells are NaN.

    Args:
        content: of the file.
        text: the column that holds text instead; it must be the first.

    Raises:
        Unreadable: it is not such a table, or is too large.
    """
    cells = content.count(b",") + content.count(b"\n")
    if cells > MOST_CELLS or content.partition(b"\n")[0].count(b",") >= MOST_COLUMNS:
        raise Unreadable(f"is a table of more than {MOST_CELLS:,} cells or {MOST_COLUMNS:,} columns")
    names, words, values = _cells(content, text is not None)
    for name in names:
        if not 0 < len(name) <= LONGEST_COLUMN or not name.isprintable() or name[0] in "=+-@":
            raise Unreadable(f"has a column of a name that kdbench does not write: {cut(ascii(name))}")
    if len(set(names)) < len(names) or (text is not None and names[:1] != [text]):
        raise Unreadable("does not have the columns that kdbench writes")
    numbers = names[1:] if text is not None else names
    rows = len(words) if text is not None else len(values) // max(1, len(numbers))
    table = pd.DataFrame(np.array(values).reshape(rows, len(numbers)), columns=numbers)
    if text is not None:
        table.insert(0, text, words)
    return table


def _cells(content: bytes, first_is_text: bool) -> tuple[list[str], list[str], array[float]]:
    """Names of the columns, texts of the first, and all numbers row by row."""
    words: list[str] = []
    values: array[float] = array("d")
    try:
        rows = csv.reader(io.StringIO(content.decode(), newline=""), strict=True)
        names = next(rows, [])
        for row in rows:
            if len(row) != len(names):
                raise Unreadable("has rows of different lengths")
            if first_is_text:
                words.append(sys.intern(row.pop(0)))
            values.extend([float(cell) if cell else math.nan for cell in row])
    except Unreadable:
        raise
    except (ValueError, csv.Error) as error:
        raise Unreadable(f"is not a table of numbers ({cut(str(error), 100)})") from None
    return names, words, values


def check_history(table: pd.DataFrame) -> pd.DataFrame:
    """Check that a trial's epochs are numbered, and not absurdly many.

    Raises:
        Unreadable: they are not.
    """
    if len(table) > MOST_EPOCHS:
        raise Unreadable(f"has more than {MOST_EPOCHS:,} epochs")
    if len(table):
        epochs = table["epoch"].to_numpy() if "epoch" in table else np.empty(0)
        if len(np.unique(epochs)) != len(table) or not ((epochs >= 0) & (epochs < 1e9)).all():
            raise Unreadable("does not number its epochs")
    return table
