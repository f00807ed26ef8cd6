"""Open files that somebody else may have put there: only regular ones, only so much of them."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from .errors import UserError

CONFIGURATION = 4 << 20
"""Most bytes of a file of settings, a prompt template, a ``.env`` or a manifest."""


def open_regular(path: Path, flags: int = os.O_RDONLY, *, mode: int = 0o600) -> int:
    """Open *path* and return its descriptor; never wait for a pipe or read a device.

    Pass ``os.O_NOFOLLOW`` in *flags* for a file of our own: nobody but an attacker links it.

    Raises:
        OSError: it cannot be opened, or is not a regular file; ``strerror`` says which.
    """
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    except ValueError as error:
        raise _refused(path, "a path cannot hold a NUL character") from error
    except OSError as error:
        if error.errno == errno.ELOOP and flags & os.O_NOFOLLOW:
            raise _refused(path, "is a symbolic link, which codeclm does not follow") from error
        if error.errno == errno.ENXIO:  # a pipe that nobody reads
            raise _refused(path, "not a regular file") from error
        raise
    status = os.fstat(descriptor).st_mode
    if stat.S_ISREG(status):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(status):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise _refused(path, "not a regular file")


def open_input(path: Path) -> BinaryIO:
    """Open a file of the user's for reading; never wait for a pipe or read a device.

    Raises:
        OSError: as for `open_regular`.
    """
    return os.fdopen(open_regular(path), "rb")


def read_input(path: Path) -> bytes:
    """Return the content of a file of the user's.

    Raises:
        OSError: as for `open_regular`.
    """
    with open_input(path) as file:
        return file.read()


def read_bounded(path: Path, limit: int = CONFIGURATION, *, flags: int = 0) -> bytes:
    """Return the content of the regular file *path*.

    Raises:
        OSError: it cannot be read, is not a regular file, or has more than *limit* bytes.
    """
    with os.fdopen(open_regular(path, os.O_RDONLY | flags), "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit:,} bytes", str(path))
    return content


def write_private(path: Path, content: bytes) -> None:
    """Write *content* to the new file *path*, which its owner alone may read.

    Raises:
        OSError: it exists, or cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(open_regular(path, flags), "wb") as file:
        file.write(content)


def user_path(path: str | Path) -> Path:
    """Return the path that *path* names; a leading ``~`` stands for a home folder.

    Raises:
        UserError: there is no such user, or *path* cannot be a path.
    """
    text = str(path)
    if "\0" in text:
        raise UserError(f"{text.partition(chr(0))[0]}: a path cannot hold a NUL character")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise UserError(f"{text}: there is no such home folder") from error


def _refused(path: Path, problem: str) -> OSError:
    return OSError(errno.EINVAL, problem, str(path))
