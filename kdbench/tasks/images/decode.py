"""Decoding image files into one uint8 tensor."""

from __future__ import annotations

import io
import math
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
import psutil
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from kdbench.data.files import reason
from kdbench.errors import DataError, cut

Channels = Literal[1, 3]
Source = bytes | Path
Pixels = npt.NDArray[np.uint8]
T = TypeVar("T")

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Formats that are decoded, by Pillow's names.

Others are refused, whatever a file is called: Pillow runs Ghostscript for some.
"""

MAX_PIXELS = 64_000_000
"""Maximum number of pixels of an image, before and after resizing.

It bounds the memory that a small file can take.
"""

LARGE = 4_000_000
"""Pixels from which images are decoded one at a time."""

CHUNK = 256
"""Number of images that a thread decodes at a time."""


def decode_images(sources: Sequence[Source], label: Callable[[int], str], size: int | None, channels: Channels) -> Tensor:
    """Decode images, several at a time.

    Args:
        sources: encoded images, or paths of files; at least one.
        label: names the source of the image at a given position, for messages.
        size: side of the square that images are resized to (shorter side resized, then center crop); ``None``
            keeps their size, which must be the same for all.
        channels: 1 for grayscale, 3 for RGB; images are converted.

    Returns:
        uint8, N×C×H×W.

    Raises:
        DataError: an image cannot be decoded, its size differs from the first one's, or all together do not
            fit into memory.
    """
    wanted = (channels, size, size) if size is not None else _decode(sources[0], label(0), None, channels).shape
    _check_memory(math.prod(wanted), len(sources))
    out = np.empty((len(sources), *wanted), dtype=np.uint8)

    def decode(start: int) -> None:
        for i in range(start, min(start + CHUNK, len(sources))):
            pixels = _decode(sources[i], label(i), size, channels)
            if pixels.shape != wanted:
                has, first = (f"{s[2]}×{s[1]}" for s in (pixels.shape, wanted))
                raise DataError(f"{label(i)} has {has} pixels and the first has {first}: set the option size to resize all")
            out[i] = pixels

    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:  # Pillow's decoders release the interpreter's lock
        try:
            for _ in pool.map(decode, range(0, len(sources), CHUNK)):
                pass
        except DataError:
            pool.shutdown(cancel_futures=True)
            raise
    return torch.from_numpy(out)


def guess_channels(source: Source, label: str) -> Channels:
    """Guess the number of channels: 1 if an image is grayscale or bilevel, else 3."""
    return 1 if _open(source, label, lambda image: image.mode) in ("1", "L", "LA") else 3


def _decode(source: Source, place: str, size: int | None, channels: Channels) -> Pixels:
    def pixels(image: Image.Image) -> Pixels:
        if image.mode.startswith(("I", "F")):
            raise DataError(f"{place} has pixels of more than 8 bits (mode {image.mode}): convert it to 8 bits")
        converted = image.convert("L" if channels == 1 else "RGB")
        array = np.asarray(converted if size is None else _square(converted, size, place))
        return array[None] if channels == 1 else array.transpose(2, 0, 1)

    return _open(source, place, pixels)


_one_at_a_time = threading.Lock()


def _open(source: Source, place: str, use: Callable[[Image.Image], T]) -> T:
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as image:
            _check_size(image.size, place)
            with _one_at_a_time if math.prod(image.size) > LARGE else nullcontext():
                return use(image)
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(f"{place} is not an image of a known format ({', '.join(FORMATS)}): mend or remove it") from error
    except Exception as error:  # Pillow's decoders raise anything on damaged files
        raise DataError(f"{place} cannot be decoded ({cut(reason(error))}): mend or remove it") from error


def _check_size(size: tuple[int, int], place: str) -> None:
    """Check that an image has pixels, and not too many."""
    shape = f"{size[0]}×{size[1]}"
    if min(size) < 1:
        raise DataError(f"{place} has no pixels ({shape}): mend or remove it")
    if math.prod(size) > MAX_PIXELS:
        raise DataError(f"{place} has {shape} pixels, more than {MAX_PIXELS // 10**6} million: shrink or remove it")


def _square(image: Image.Image, size: int, place: str) -> Image.Image:
    """Resize the shorter side to ``size`` and crop the center."""
    width, height = image.size
    if min(width, height) != size:
        scale = size / min(width, height)
        width, height = max(size, round(width * scale)), max(size, round(height * scale))
        _check_size((width, height), f"{place}, resized,")
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - size) // 2, (height - size) // 2
    return image.crop((left, top, left + size, top + size))


def _check_memory(image: int, count: int) -> None:
    needed = image * count
    available = psutil.virtual_memory().available
    if needed > available:
        raise DataError(
            f"the {count} decoded images need {needed / 1e9:.1f} GB, but only {available / 1e9:.1f} GB of memory are free:"
            " set the option size to a smaller value"
        )
