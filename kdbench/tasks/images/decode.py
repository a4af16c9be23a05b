"""Decoding image files into one uint8 tensor."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
import psutil
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from kdbench.data.files import reason
from kdbench.errors import DataError

Channels = Literal[1, 3]
Source = bytes | Path
Pixels = npt.NDArray[np.uint8]
T = TypeVar("T")

CHUNK = 256
"""Images that a thread decodes at a time."""


def decode_images(sources: Sequence[Source], place: Callable[[int], str], size: int | None, channels: Channels) -> Tensor:
    """Decode images, several at a time.

    Args:
        sources: encoded images, or paths of files; at least one.
        place: says where the image with a given position comes from, for messages.
        size: side of the square that images are brought to (shorter side resized, centre cut out); ``None`` leaves
            them as they are, and they must be of one size.
        channels: 1 for grey, 3 for RGB; images are converted.

    Returns:
        uint8, N×C×H×W.

    Raises:
        DataError: an image cannot be decoded, is of another size than the first, or all together do not fit in memory.
    """
    wanted = (channels, size, size) if size is not None else _decode(sources[0], place(0), None, channels).shape
    _check_memory(math.prod(wanted), len(sources))
    out = np.empty((len(sources), *wanted), dtype=np.uint8)

    def decode(start: int) -> None:
        for i in range(start, min(start + CHUNK, len(sources))):
            pixels = _decode(sources[i], place(i), size, channels)
            if pixels.shape != wanted:
                has, first = (f"{s[2]}×{s[1]}" for s in (pixels.shape, wanted))
                raise DataError(f"{place(i)} has {has} pixels and the first has {first}: set the option size to resize all")
            out[i] = pixels

    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:  # Pillow's decoders release the interpreter's lock
        try:
            for _ in pool.map(decode, range(0, len(sources), CHUNK)):
                pass
        except DataError:
            pool.shutdown(cancel_futures=True)
            raise
    return torch.from_numpy(out)


def guess_channels(source: Source, place: str) -> Channels:
    """1 if an image is grey (or black and white), else 3."""
    return 1 if _open(source, place, lambda image: image.mode) in ("1", "L", "LA") else 3


def _decode(source: Source, place: str, size: int | None, channels: Channels) -> Pixels:
    def pixels(image: Image.Image) -> Pixels:
        if image.mode.startswith(("I", "F")):
            raise DataError(f"{place} has pixels of more than 8 bits (mode {image.mode}): convert it to 8 bits")
        converted = image.convert("L" if channels == 1 else "RGB")
        array = np.asarray(converted if size is None else _square(converted, size))
        return array[None] if channels == 1 else array.transpose(2, 0, 1)

    return _open(source, place, pixels)


def _open(source: Source, place: str, use: Callable[[Image.Image], T]) -> T:
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            return use(image)
    except UnidentifiedImageError as error:
        raise DataError(f"{place} is no image that Pillow can read: mend or remove it") from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise DataError(f"{place} cannot be decoded ({reason(error)}): mend or remove it") from error


def _square(image: Image.Image, size: int) -> Image.Image:
    """Resize the shorter side to ``size`` and cut the centre out."""
    width, height = image.size
    if min(width, height) != size:
        scale = size / min(width, height)
        width, height = max(size, round(width * scale)), max(size, round(height * scale))
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - size) // 2, (height - size) // 2
    return image.crop((left, top, left + size, top + size))


def _check_memory(image: int, count: int) -> None:
    needed = image * count
    available = psutil.virtual_memory().available
    if needed > available:
        raise DataError(
            f"the {count} decoded images take {needed / 1e9:.1f} GB, and {available / 1e9:.1f} GB of memory are free:"
            " set the option size to a smaller value"
        )
