"""The headers of images: their channels, and which of them are converted."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from PIL import Image

from kdbench.data.files import counted
from kdbench.tasks.images.decode import Channels, Source, check_mode, for_each, open_image, turned

GREY = frozenset({"1", "L", "LA"})
"""Pillow's modes of images without colours."""
MODES = MappingProxyType(
    {"1": "black and white", "L": "grey", "LA": "grey with transparency", "P": "with a palette", "RGBA": "with transparency"}
)
"""Pillow's modes in words; others are called by their names."""


@dataclass
class Survey:
    """The headers of images: what they are before they are converted.

    Args:
        modes: number of images by Pillow's mode.
        turned: number of images that are stored turned or mirrored, as their EXIF data say.
    """

    modes: Counter[str] = field(default_factory=Counter)
    turned: int = 0

    def __add__(self, other: Survey) -> Survey:
        return Survey(self.modes + other.modes, self.turned + other.turned)

    @property
    def channels(self) -> Channels:
        """1 if every image is grayscale or bilevel, else 3."""
        return 1 if self.modes.keys() <= GREY else 3

    def notes(self, channels: Channels) -> list[str]:
        """Say which images are converted."""
        kept = "L" if channels == 1 else "RGB"
        other = {mode: n for mode, n in self.modes.most_common() if mode != kept}
        what = ", ".join(f"{n:,} {MODES.get(mode, mode)}" for mode, n in other.items())
        target = "grey" if channels == 1 else "RGB"
        notes = (
            [f"{sum(other.values()):,} of {counted(self.modes.total(), 'image')} converted to {target} ({what})"]
            if other
            else []
        )
        return notes + ([f"{counted(self.turned, 'image')} turned upright, as EXIF data say"] if self.turned else [])


def survey(sources: Sequence[Source], label: Callable[[int], str]) -> Survey:
    """Read the headers of images, several at a time.

    Raises:
        DataError: files are not images, or have no pixels, or too many.
    """
    found = Survey()
    lock = threading.Lock()

    def header(image: Image.Image, place: str) -> tuple[str, bool]:
        check_mode(image, place)
        return image.mode, turned(image)

    def look(i: int) -> None:
        mode, lies = open_image(sources[i], place := label(i), lambda image: header(image, place))
        with lock:
            found.modes[mode] += 1
            found.turned += lies

    for_each(len(sources), look, label)
    return found
