"""Whether other processes have a folder open. Knows nothing of what is in it."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path


class Company:
    """Says, in half a microsecond, whether this process has *folder* to itself.

    Whoever opens it rings first: one byte more in a file that is only for this. Its length tells
    whether anybody came after us, and the lock that everyone holds while inside whether anybody was
    there before. Where files can't be locked nobody is ever taken to be alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bell = -1
        self._length = -1

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
            self._ring()
            yield
        except BaseException:
            self.leave()
            raise
        finally:
            os.close(folder)

    @property
    def alone(self) -> bool:
        """Whether nobody else is inside, and nobody has been since we entered."""
        now = os.fstat(self._bell)
        return now.st_size == self._length and now.st_nlink == 1

    def leave(self) -> None:
        if self._bell >= 0:
            os.close(self._bell)
            self._bell = -1

    def _ring(self) -> None:
        self._bell = os.open(
            self._folder / "openers", os.O_WRONLY | os.O_APPEND | os.O_CREAT, mode=0o600
        )
        os.write(self._bell, b".")
        with suppress(OSError):
            fcntl.flock(self._bell, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._length = os.fstat(self._bell).st_size
        with suppress(OSError):
            fcntl.flock(self._bell, fcntl.LOCK_SH)
