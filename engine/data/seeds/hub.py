"""Download seed files of a dataset on the Hugging Face Hub, by the Hub's own client.

An address is ``hf://datasets/OWNER/NAME``, then ``@REVISION``, then ``/FILE``, ``/FOLDER`` or
``/SPLIT``. Without a part, it is the split ``train``, or all files where none is called so.
"""

import re
import shutil
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from ....providers.optional import install_command
from .source import DATASET_METADATA, FORMATS, SeedError

_MOST: Final = 32 << 30
"""Bytes of all files."""

_ADDRESS: Final = re.compile(
    r"hf://datasets/(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^/]+))?(?:/(?P<part>.+?))?/*"
)


class DatasetUrl(NamedTuple):
    """A part of a dataset on the Hub; ``part`` is empty for the usual one."""

    repo: str
    revision: str | None
    part: str


def parse(address: str) -> DatasetUrl:
    """Read *address*.

    Raises:
        SeedError: it is not one of a dataset.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise SeedError(
            f"{address}: write hf://datasets/OWNER/NAME, and where you want them @REVISION and"
            " /FILE, /FOLDER or /SPLIT"
        )
    revision = match["revision"]
    return DatasetUrl(match["repo"], unquote(revision) if revision else None, match["part"] or "")


def download(address: str, to: Path) -> dict[str, str]:
    """Download the files of *address* into the new folder *to*; return their commit. Blocks.

    The Hub's client finds its address, token and proxies in the environment (``HF_ENDPOINT``,
    ``HF_TOKEN``).

    Raises:
        SeedError: huggingface_hub is missing, or the files cannot be downloaded.
        OSError: *to* cannot be written.
    """
    wanted = parse(address)
    hub = _library(address)
    try:
        info = hub.HfApi().dataset_info(
            wanted.repo, revision=wanted.revision, files_metadata=True, timeout=60
        )
        files = {file.rfilename: file.size or 0 for file in info.siblings or ()}
        names = choose(address, list(files), wanted.part)
        _check_size(address, sum(files[name] for name in names))
        for name in names:
            hub.hf_hub_download(
                wanted.repo, name, repo_type="dataset", revision=info.sha, local_dir=to
            )
    except SeedError:
        raise
    except Exception as error:  # its transport's errors come through, and differ by version
        problem = " ".join(str(error).split())[:300]
        raise SeedError(
            f"{address}: {problem}; a private or gated dataset needs a token: set HF_TOKEN"
        ) from error
    shutil.rmtree(to / ".cache", ignore_errors=True)
    return {"commit": info.sha, "files": ", ".join(names)}


def _check_size(address: str, size: int) -> None:
    if size > _MOST:
        raise SeedError(f"{address}: {size:,} bytes, at most {_MOST:,}: name a file or a split")


def choose(address: str, files: Sequence[str], part: str) -> list[str]:
    """Return which of a repository's *files* the *part* of *address* names.

    Raises:
        SeedError: none; the message names those that there are.
    """
    data = sorted(filter(_is_data, files))
    if part in data:
        return [part]
    in_folder = [name for name in data if name.startswith(f"{part}/")] if part else []
    chosen = in_folder or _of_split(data, part or "train") or ([] if part else data)
    if not chosen:
        names = ", ".join(data[:20]) or "none that can be read"
        raise SeedError(f"{address}: no such file, folder or split; its data files: {names}")
    return chosen


def _of_split(files: Iterable[str], split: str) -> list[str]:
    """Return the files that the datasets library takes for *split*: by name, or by folder."""
    is_part = re.compile(rf"(?:^|/)(?:[^/]*[-._ ])?{re.escape(split)}(?:[-._ ][^/]*|/.*)$").search
    return [name for name in files if is_part(name)]


def _is_data(name: str) -> bool:
    path = PurePosixPath(name)
    is_safe = not path.is_absolute() and not any(part.startswith(".") for part in path.parts)
    suffix = PurePosixPath(path.name.lower().removesuffix(".gz")).suffix
    return is_safe and suffix in FORMATS and path.name not in DATASET_METADATA


def _library(address: str) -> Any:
    try:
        import_module("huggingface_hub.utils").disable_progress_bars()
        return import_module("huggingface_hub")
    except ImportError as error:
        raise SeedError(
            f"{address}: reading it needs huggingface_hub: {install_command('hub')}"
        ) from error
