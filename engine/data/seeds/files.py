"""Which files a path stands for: itself, or all that a folder holds."""

import os
import re
import stat
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from .source import FORMATS, SeedError, SeedSource

_ABOUT_A_DATASET = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"}


def find(source: SeedSource) -> list[tuple[Path, str]]:
    _check_format(source.format)
    if not source.paths:
        raise SeedError("no seed file is given")
    return [
        file
        for path in source.paths
        for file in (
            _inside(path, source.format, frozenset())
            if stat.S_ISDIR(_stat(path).st_mode)
            else [_file(path, source.format)]
        )
    ]


def _check_format(name: str | None) -> None:
    known = dict.fromkeys(FORMATS.values())
    if name is not None and name not in known:
        near = get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise SeedError(f"seed format {name!r} is not one of {', '.join(known)}{hint}")


def _kind(path: Path) -> str | None:
    return FORMATS.get(Path(path.name.lower().removesuffix(".gz")).suffix)


def _file(path: Path, kind: str | None) -> tuple[Path, str]:
    state = _stat(path)
    if not stat.S_ISREG(state.st_mode):
        raise SeedError(
            f"{path}: not a regular file; a run that is resumed reads its seeds again, "
            "so save them to a file first"
        )
    if state.st_size == 0:
        raise SeedError(f"{path}: the file is empty")
    kind = kind or _kind(path)
    if kind is None:
        raise SeedError(
            f"{path}: unknown kind of file; name it {', '.join(FORMATS)} (text also .gz), "
            "or say which format it has"
        )
    return path, kind


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except FileNotFoundError as error:
        if _kind(path) is None and not path.is_absolute() and len(path.parts) <= 2:
            raise SeedError(
                f"{path}: no such file or folder. Datasets are not fetched by name: download it "
                f"(hf download --repo-type dataset {path} --local-dir DIR) and give the folder"
            ) from error
        if re.match(r"\w+:/", str(path)):
            raise SeedError(
                f"{path}: addresses are not fetched; download the file and give its path"
            ) from error
        raise SeedError(f"{path}: no such file or folder") from error
    except (OSError, ValueError) as error:
        raise SeedError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def _inside(
    folder: Path, kind: str | None, above: frozenset[tuple[int, int]]
) -> list[tuple[Path, str]]:
    found = list(_walk(folder, kind, above))
    if not found and not above:
        raise SeedError(f"{folder}: no seed file in it; looked for {', '.join(FORMATS)}")
    return found


def _walk(
    folder: Path, kind: str | None, above: frozenset[tuple[int, int]]
) -> Iterator[tuple[Path, str]]:
    state = _stat(folder)
    here = (state.st_dev, state.st_ino)
    if here in above:
        raise SeedError(f"{folder}: the folder holds itself through a link; remove the link")
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - names, to sort by
    except OSError as error:
        raise SeedError(f"{folder}: {error.strerror}") from error
    for path in (folder / name for name in names if not name.startswith(".")):
        if path.is_dir():
            yield from _inside(path, kind, above | {here})
        elif (own := _kind(path)) and own == (kind or own) and path.name not in _ABOUT_A_DATASET:
            yield _file(path, own)


# What the rows of a file are
