"""A runs folder: its parts, its lock, and how it is tidied."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from kdbench.errors import StoreError
from kdbench.results.files import disk_errors, tidy, write_whole
from kdbench.results.json_files import JsonFiles
from kdbench.results.reading import Unreadable, is_id, names_in

PARTS = ("trials", "checkpoints", "profiles", "latency", "suites")


class RunsFolder(JsonFiles):
    """A runs folder, which one run at a time may change."""

    def open(self) -> None:
        """Create the folders, check that they are writable, and tidy them.

        Temporary files that dead processes left behind are removed.

        Raises:
            StoreError: the folder cannot be created or written, or the disk is full.
        """
        with disk_errors(self.root):
            self._refuse_links()
            for part in PARTS:
                (self.root / part).mkdir(parents=True, exist_ok=True)
            probe = self.root / ".probe"
            write_whole(probe, b"\0" * 4096)
            probe.unlink(missing_ok=True)
            # Not while another process works here: it may be on another machine, whose process ids mean
            # nothing here.
            with suppress(Timeout, NotImplementedError), FileLock(self.root / ".lock", timeout=0):
                self.tidy()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the folder against other runs; a killed process holds no lock.

        Raises:
            StoreError: another run holds the lock, or the folder cannot be written.
        """
        lock = FileLock(self.root / ".lock")
        holder = self.root / ".lock-holder"
        with disk_errors(self.root):
            self._refuse_links()
            self.root.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                raise StoreError(
                    f"another kdbench run works in {self.root}{_process(holder)}; wait for it, or give --runs another folder"
                ) from None
            except NotImplementedError:
                self.warn(
                    f"the file system of {self.root} does not support locks: make sure that only one kdbench run works there"
                )
            holder.write_text(str(os.getpid()))
        self.owned = True
        self.checks_anew()
        try:
            yield
        finally:
            self.owned = False
            with suppress(OSError):
                holder.unlink(missing_ok=True)
            lock.release()

    def tidy(self, *, own: bool = True) -> None:
        """Remove unfinished files of dead processes.

        Args:
            own: whether those of this process go too.
        """
        for folder in (self.root, *(self.root / part for part in PARTS)):
            tidy(folder, own=own)

    def checks_anew(self) -> None:
        """Forget what was checked before this process had the lock."""

    def ids_in(self, part: str) -> list[str]:
        """Ids of the profiles or latency reports that there are files of."""
        return [n.removesuffix(".json") for n in self.listed(part) if n.endswith(".json") and is_id(n.removesuffix(".json"))]

    def listed(self, part: str) -> list[str]:
        """Names of what is in one of the folder's parts."""
        with disk_errors(self.root, "read"):
            try:
                return names_in(self.root, part)
            except Unreadable as error:
                self.set_apart(f"the folder {part}", f"it {error}", part)
            except PermissionError as error:
                self.unreadable(f"the folder {part}", error, part)
            return []

    def _refuse_links(self) -> None:
        """Refuse to write in a folder whose parts lie elsewhere.

        Raises:
            StoreError: a part is a symbolic link.
        """
        for name in (*PARTS, "quarantine", "reports", ".lock", ".lock-holder", ".probe"):
            if (self.root / name).is_symlink():
                raise StoreError(
                    f"{name} in the runs folder {self.root} is a symbolic link, which kdbench does not follow: "
                    "make the runs folder itself the link"
                )


def _process(holder: Path) -> str:
    try:
        return f" (process {int(holder.read_text()[:20])})"
    except (OSError, ValueError):
        return ""
