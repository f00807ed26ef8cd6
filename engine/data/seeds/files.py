"""Find the seed files of a path: itself, or all seed files in a folder."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .source import DATASET_METADATA, FORMATS, SeedError, SeedFormat, SeedSource

FolderId = tuple[int, int]
"""Device and inode."""


class SeedFile(NamedTuple):
    path: Path
    format: SeedFormat


def find_files(source: SeedSource) -> list[SeedFile]:
    """Return the files of *source*, those of a folder in order of name.

    Raises:
        SeedError: a path does not exist or is not a seed file, or a folder has no seed file.
    """
    if not source.paths:
        raise SeedError("no seed file is given")
    files = list[SeedFile]()
    for path in source.paths:
        if stat.S_ISDIR(_stat(path).st_mode):
            files += _in_folder(path, source.format, frozenset())
        else:
            files.append(_file(path, source.format))
    return files


def _format_of(path: Path) -> SeedFormat | None:
    return FORMATS.get(Path(path.name.lower().removesuffix(".gz")).suffix)


def _file(path: Path, requested: SeedFormat | None) -> SeedFile:
    status = _stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise SeedError(
            f"{path}: not a regular file: a resumed run reads its seeds again, so save them to a"
            " file first"
        )
    if status.st_size == 0:
        raise SeedError(f"{path}: the file is empty")
    file_format = requested or _format_of(path)
    if file_format is None:
        raise SeedError(
            f"{path}: unknown file type: use one of {', '.join(FORMATS)} (text also .gz), or set"
            " the format"
        )
    return SeedFile(path, file_format)


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except FileNotFoundError as error:
        if str(path) == "-":
            raise SeedError("-: stdin is not supported; save the seeds to a file") from error
        if _format_of(path) is None and not path.is_absolute() and len(path.parts) <= 2:
            name = path if len(path.parts) == 2 else "OWNER/NAME"
            raise SeedError(
                f"{path}: no such file or folder; a dataset on the Hub is hf://datasets/{name}"
            ) from error
        if re.match(r"\w+:/", str(path)):
            raise SeedError(
                f"{path}: seeds are read from files, https:// and hf://datasets/OWNER/NAME"
            ) from error
        raise SeedError(f"{path}: no such file or folder") from error
    except (OSError, ValueError) as error:
        raise SeedError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def _in_folder(
    folder: Path, requested: SeedFormat | None, parents: frozenset[FolderId]
) -> list[SeedFile]:
    files = list(_walk(folder, requested, parents))
    if not files and not parents:
        raise SeedError(f"{folder}: no seed file in this folder; looked for {', '.join(FORMATS)}")
    return files


def _walk(
    folder: Path, requested: SeedFormat | None, parents: frozenset[FolderId]
) -> Iterator[SeedFile]:
    status = _stat(folder)
    folder_id = (status.st_dev, status.st_ino)
    if folder_id in parents:
        raise SeedError(f"{folder}: the folder contains itself through a link: remove the link")
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - sorted by name, not by path
    except OSError as error:
        raise SeedError(f"{folder}: {error.strerror}") from error
    for path in (folder / name for name in names if not name.startswith(".")):
        if path.is_dir():
            yield from _in_folder(path, requested, parents | {folder_id})
        elif path.name not in DATASET_METADATA:
            file_format = _format_of(path)
            if file_format is not None and requested in {None, file_format}:
                yield _file(path, file_format)
