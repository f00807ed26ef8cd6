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
def replacing(path: Path) -> Generator[IO[bytes]]:
    """Open a file that replaces *path* when the block ends without an exception.

    Missing parent folders are created; a symbolic link keeps pointing where it did. A pipe or a
    device cannot be replaced and is written directly.

    Raises:
        WriteError: the file cannot be written.
    """
    if path.is_dir():
        raise WriteError(f"{path}: is a folder; name a file in it")
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as file:
                yield file
        else:
            with _replacement(path.resolve()) as file:
                yield file
    except OSError as error:
        raise WriteError(f"{path}: cannot be written ({error.strerror or error})") from error


def replace_file(path: Path, content: bytes) -> None:
    """Replace the content of *path*, as `replacing` does.

    Raises:
        WriteError: the file cannot be written.
    """
    with replacing(path) as file:
        file.write(content)


def remove_leftovers(targets: Iterable[Path]) -> None:
    """Delete the temporary files that a killed process left beside *targets*.

    Only safe while no other process writes these files.
    """
    for path in targets:
        for leftover in path.parent.glob(f".{path.name}.*.tmp"):
            leftover.unlink(missing_ok=True)


@contextmanager
def _replacement(path: Path) -> Generator[IO[bytes]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)  # missing after the rename
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename in *folder* durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
