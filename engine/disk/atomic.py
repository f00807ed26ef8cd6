"""Atomic writes: whoever reads a file finds its old content or its new content, never a mixture.

The content goes to a hidden temporary file beside the target, which is synced to disk and renamed;
then the folder is synced, so that the rename survives a power cut.
"""

import os
import secrets
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ..data.errors import UserError


class WriteError(UserError):
    """A file cannot be written. What it held before is untouched."""


@contextmanager
def replacing(path: Path, *, private: bool = False, durable: bool = True) -> Generator[IO[bytes]]:
    """Open a file that replaces *path* when the block ends without an exception.

    Missing parent folders are created; a symbolic link keeps pointing where it did. A pipe or a
    device cannot be replaced and is written directly.

    Args:
        path: the file.
        private: whether it is one of our own, in a run's folder: only its owner may read it, and
            a link, pipe or device in its place is replaced.
        durable: whether it must survive a power cut, which takes a sync.

    Raises:
        WriteError: the file cannot be written.
    """
    if path.is_dir():
        raise WriteError(f"{path}: is a folder; name a file in it")
    try:
        if not private and path.exists() and not path.is_file():
            with path.open("wb") as file:
                yield file
        else:
            target = path if private else path.resolve()
            mode = 0o600 if private else 0o666
            with _replacement(target, mode, durable=durable) as file:
                yield file
    except OSError as error:
        raise WriteError(f"{path}: cannot be written ({error.strerror or error})") from error


def replace_file(
    path: Path, content: bytes, *, private: bool = False, durable: bool = True
) -> None:
    """Replace the content of *path*, as `replacing` does.

    Raises:
        WriteError: the file cannot be written.
    """
    with replacing(path, private=private, durable=durable) as file:
        file.write(content)


def check_replaceable(path: Path, *, force: bool) -> None:
    """Check that writing *path* destroys nothing, or that the user wants it to.

    Raises:
        WriteError: there is a file that the user has not said to overwrite.
    """
    if not force and path.is_file():
        raise WriteError(f"{path}: already exists (overwrite it with --force)")


def remove_leftovers(targets: Iterable[Path]) -> None:
    """Delete the temporary files that a killed process left beside *targets*.

    Only safe while no other process writes these files.
    """
    for path in targets:
        for leftover in path.parent.glob(f".{path.name}.*.tmp"):
            leftover.unlink(missing_ok=True)


_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


@contextmanager
def _replacement(path: Path, mode: int, *, durable: bool) -> Generator[IO[bytes]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with os.fdopen(os.open(temporary, _NEW, mode), "wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)  # missing after the rename
    if durable:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename in *folder* durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
