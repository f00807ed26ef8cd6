"""Whether other processes have a folder open. Knows nothing of what is in it."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from mmap import ACCESS_READ, mmap
from pathlib import Path


class ExclusiveUse:
    """Says, in a tenth of a microsecond, whether this process has *folder* to itself.

    Whoever opens it counts itself first, in eight bytes that all who have it open share: their
    value tells whether anybody came after us. Whether anybody was there before, the lock tells that
    everyone holds while inside. Where files can't be locked nobody is ever taken to be alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = -1
        self._count = b""
        self._shared: mmap | None = None

    @contextmanager
    def entering(self) -> Generator[None]:
        """Enter; those who come at the same moment wait until the block is left.

        Raises:
            OSError: the folder can't be written.
        """
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            with suppress(OSError):
                fcntl.flock(folder, fcntl.LOCK_EX)
            self._enter()
            yield
        except BaseException:
            self.leave()
            raise
        finally:
            os.close(folder)

    @property
    def alone(self) -> bool:
        """Whether nobody else is inside, and nobody has been since we entered."""
        return self._shared is not None and self._shared[:8] == self._count

    def leave(self) -> None:
        if self._shared is not None:
            self._shared.close()  # it holds the file, and with it the lock, by a number of its own
            self._shared = None
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _enter(self) -> None:
        self._file = os.open(self._folder / "openers", os.O_RDWR | os.O_CREAT, mode=0o600)
        before = int.from_bytes(os.pread(self._file, 8, 0), "little")
        count = ((before + 1) % 2**64).to_bytes(8, "little")
        os.pwrite(self._file, count, 0)  # through the map a full disk kills
        self._shared = mmap(self._file, 8, access=ACCESS_READ)
        with suppress(OSError):
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._count = count
        with suppress(OSError):
            fcntl.flock(self._file, fcntl.LOCK_SH)
