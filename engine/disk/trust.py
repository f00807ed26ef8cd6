"""What this user has begun or trusts, by digest, in a file of the user's own state folder.

A run's folder may come from anyone. Its ``config.toml`` counts as the user's if this user's own
codeclm wrote it, or if the user has said ``--trust`` for it.
"""

import os
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from ..data.files import open_regular

_MOST = 64 << 20
"""Bytes of the list that are read: a million digests."""


def remember(content: bytes) -> None:
    """Count *content* as the user's own from now on.

    Where the state folder cannot be written, the user is asked again.
    """
    if is_remembered(content):
        return
    path = _path()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        descriptor = open_regular(path, flags)
        try:
            os.write(descriptor, _digest(content) + b"\n")  # one write: lines never mix
        finally:
            os.close(descriptor)


def is_remembered(content: bytes) -> bool:
    """Whether this user began or trusted exactly *content*."""
    try:
        with os.fdopen(open_regular(_path(), os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            return _digest(content) in file.read(_MOST).split()
    except OSError:
        return False


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=16).hexdigest().encode()


def _path() -> Path:
    base = Path(os.environ.get("XDG_STATE_HOME", ""))
    # The specification has relative paths ignored: they would be a stranger's folder.
    folder = base if base.is_absolute() else Path.home() / ".local" / "state"
    return folder / "codeclm" / "trusted"
