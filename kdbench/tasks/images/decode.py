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
from types import MappingProxyType
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
import psutil
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
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

MANY = 100
"""Faulty images after which no others are looked for."""

SHOWN = 3
"""Faulty images that a message names, after the first one."""

ORIENTATION = 0x0112
"""EXIF's tag of how an image is to be turned; 1 is as it is stored."""

SQUARE = MappingProxyType({"interpolation": "bicubic", "crop_mode": "center", "crop_pct": 1.0})
"""What ``size`` does to images, in the keys of timm's ``pretrained_cfg``."""


def decode_images(sources: Sequence[Source], label: Callable[[int], str], size: int | None, channels: Channels) -> Tensor:
    """Decode images, several at a time, upright as their EXIF data say.

    Args:
        sources: encoded images, or paths of files; at least one.
        label: names the source of the image at a given position, for messages.
        size: side of the square that images are resized to (shorter side resized, then center crop); ``None``
            keeps their size, which must be the same for all.
        channels: 1 for grayscale, 3 for RGB; images are converted.

    Returns:
        uint8, N×C×H×W.

    Raises:
        DataError: images cannot be decoded, their size differs from the first one's, or all together do not
            fit into memory.
    """
    wanted = (channels, size, size) if size is not None else _first_shape(sources, label, channels)
    check_memory(math.prod(wanted), len(sources))
    out = np.empty((len(sources), *wanted), dtype=np.uint8)

    def decode(i: int) -> None:
        pixels = _decode(sources[i], label(i), size, channels)
        if pixels.shape != wanted:
            has, first = (f"{s[2]}×{s[1]}" for s in (pixels.shape, wanted))
            raise DataError(f"{label(i)} has {has} pixels and the first has {first}: set the option size to resize all")
        out[i] = pixels

    for_each(len(sources), decode, label)
    return torch.from_numpy(out)


def _first_shape(sources: Sequence[Source], label: Callable[[int], str], channels: Channels) -> tuple[int, ...]:
    """Return the shape of the first image that is not damaged."""
    damage: DataError | None = None
    for i, source in enumerate(sources[:MANY]):
        try:
            return _decode(source, label(i), None, channels).shape
        except DataError as error:
            damage = damage or error
    assert damage is not None
    raise damage


def for_each(count: int, look: Callable[[int], None], label: Callable[[int], str]) -> None:
    """Look at every image, several at a time.

    Args:
        count: number of images.
        look: looks at the image at a position, and raises a DataError if it is faulty.
        label: names the image at a position.

    Raises:
        DataError: images are faulty; it tells the first one's fault, and how many others there are.
    """
    faults: dict[int, DataError] = {}

    def chunk(start: int) -> None:
        for i in range(start, min(start + CHUNK, count)):
            if len(faults) >= MANY:
                return
            try:
                look(i)
            except DataError as error:
                faults[i] = error

    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:  # Pillow's decoders release the interpreter's lock
        list(pool.map(chunk, range(0, count, CHUNK)))
    if faults:
        first, *others = sorted(faults)
        if not others:
            raise faults[first]
        named = ", ".join(cut(label(i)) for i in others[:SHOWN]) + (", …" if len(others) > SHOWN else "")
        least = "at least " if len(faults) >= MANY else ""
        more = f"{least}{len(others)} other{'s' * (len(others) != 1)} cannot be used either ({named})"
        raise DataError(f"{faults[first].message}; {more}")


def _decode(source: Source, place: str, size: int | None, channels: Channels) -> Pixels:
    def pixels(image: Image.Image) -> Pixels:
        check_mode(image, place)
        upright = ImageOps.exif_transpose(image) if turned(image) else image
        converted = upright.convert("L" if channels == 1 else "RGB")
        array = np.asarray(converted if size is None else _square(converted, size, place))
        return array[None] if channels == 1 else array.transpose(2, 0, 1)

    return open_image(source, place, pixels)


def resize_images(images: Tensor, size: int) -> Tensor:
    """Resize decoded images as ``size`` resizes files.

    Args:
        images: uint8, N×C×H×W, with 1 or 3 channels.
        size: side of the square.

    Returns:
        uint8, N×C×size×size.

    Raises:
        DataError: they do not fit into memory.
    """
    if images.shape[2:] == (size, size):
        return images
    channels = images.shape[1]
    check_memory(channels * size * size, len(images))
    out = np.empty((len(images), channels, size, size), dtype=np.uint8)

    def resize(i: int) -> None:
        pixels = images[i, 0].numpy() if channels == 1 else np.ascontiguousarray(images[i].permute(1, 2, 0).numpy())
        array = np.asarray(_square(Image.fromarray(pixels), size, f"image {i}"))
        out[i] = array[None] if channels == 1 else array.transpose(2, 0, 1)

    for_each(len(images), resize, lambda i: f"image {i}")
    return torch.from_numpy(out)


_one_at_a_time = threading.Lock()


def open_image(source: Source, place: str, use: Callable[[Image.Image], T]) -> T:
    """Open an image, and return what ``use`` makes of it.

    Args:
        source: an encoded image, or the path of a file.
        place: names it in messages.
        use: receives the open image, whose pixels have not been read.

    Raises:
        DataError: it is not an image, or is damaged.
    """
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


def turned(image: Image.Image) -> bool:
    """Whether EXIF data say that an image is not upright, as far as they are legible."""
    if image.format == "PNG" and "exif" not in image.info:  # Pillow would decode the whole image to look further
        return False
    try:
        return image.getexif().get(ORIENTATION, 1) in range(2, 9)
    except Exception:  # any kind, from damaged EXIF data
        return False


def check_mode(image: Image.Image, place: str) -> None:
    """Check that an image has 8 bits a pixel.

    Raises:
        DataError: it has more, which would be clipped.
    """
    if image.mode.startswith(("I", "F")):
        raise DataError(f"{place} has pixels of more than 8 bits (mode {image.mode}): convert it to 8 bits")


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


def check_memory(image: int, count: int) -> None:
    """Check that decoded images fit into memory.

    Args:
        image: bytes of one image.
        count: number of images.

    Raises:
        DataError: they do not.
    """
    needed = image * count
    available = psutil.virtual_memory().available
    if needed > available:
        raise DataError(
            f"the {count} decoded images need {needed / 1e9:.1f} GB, but only {available / 1e9:.1f} GB of memory are free:"
            " set the option size to a smaller value"
        )
