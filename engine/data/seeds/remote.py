"""Seeds named by an address: https://… and hf://datasets/OWNER/NAME….

They are downloaded once, into the cache's folder, and read from there ever after: a run that is
resumed needs no network, and its manifest holds their digests.
"""

import json
import re
import secrets
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from ..files import write_private
from . import hub, web
from .source import SeedError

_FETCHERS: Final[dict[str, Callable[[str, Path], dict[str, str]]]] = {
    "https": web.download,
    "http": web.download,
    "hf": hub.download,
}
"""By scheme: what downloads an address into a folder, and returns what is worth a note."""

_SECRET: Final = re.compile(
    r"token|key|sig|secret|passw|credential|auth|x-amz|x-goog", re.IGNORECASE
)


def is_url(name: str) -> bool:
    """Whether *name* is an address, not a path."""
    return urlsplit(name).scheme in _FETCHERS and "://" in name


def check_url(name: str) -> None:
    """Check that *name* can be downloaded and holds no secret, without a connection.

    Raises:
        SeedError: it cannot, or does; the message repeats no secret.
    """
    parts = urlsplit(name)
    if parts.username or parts.password or _SECRET.search(parts.query):
        raise SeedError(
            f"{parts.scheme}://{parts.hostname}{parts.path}: the address holds a secret, which"
            " would be in the run's files: download the file, and name it"
        )
    if parts.scheme == "hf":
        hub.parse(name)
    else:
        web.check(name)


def local_path(name: str, cache: Path) -> Path:
    """Return where the file or folder of the address *name* is, once `fetch` has been there.

    Args:
        name: the address.
        cache: the cache's folder.
    """
    folder = cache / "seeds" / blake2b(name.encode(), digest_size=8).hexdigest()
    path = urlsplit(name).path.strip("/").split("/")
    # hf://datasets/OWNER/NAME@REVISION/…: what is read is a folder
    last = path[min(1, len(path) - 1)].partition("@")[0] if name.startswith("hf:") else path[-1]
    last = unquote(last)
    return folder / (re.sub(r"[^\w.-]+", "-", last).strip(".-")[:100] or "seeds")


def fetch(name: str, cache: Path) -> None:
    """Download what *name* names, unless it is there. Blocks.

    Raises:
        SeedError: it cannot be downloaded or written.
    """
    target = local_path(name, cache)
    if target.exists():
        return
    check_url(name)
    folder = target.parent
    partial = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.partial")
    try:
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial.mkdir(parents=True, mode=0o700)
        facts = _FETCHERS[urlsplit(name).scheme](name, partial / target.name)
        facts |= {"address": name, "time": datetime.now(UTC).isoformat(timespec="seconds")}
        write_private(partial / "source.json", json.dumps(facts, indent=2).encode())
        if folder.exists():  # another process was first, or an earlier one was killed
            shutil.rmtree(folder)
        partial.rename(folder)
    except OSError as error:
        raise SeedError(f"{name}: cannot be written to {folder} ({error.strerror})") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
