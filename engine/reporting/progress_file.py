"""Progress in a run's folder, once a second, for other processes; gone when the session ends."""

import os
import time
from contextlib import suppress

import msgspec
from msgspec import structs

from ...providers import json_codec
from ..data.files import read_bounded
from ..disk.atomic import WriteError, replace_file
from ..store.folder import Folder
from .progress import RunProgress

_progress = msgspec.json.Decoder(RunProgress)


def write_progress(folder: Folder, progress: RunProgress) -> None:
    """Write *progress* for `read_progress`, unless the disk is full. Blocks."""
    with suppress(WriteError, OSError):  # a full disk stops the ledger, which says so
        if folder.path.is_dir():  # nobody wants one back that was deleted during the run
            content = json_codec.dumps(progress)
            replace_file(folder.progress, content, private=True, durable=False)


def remove_progress(folder: Folder) -> None:
    """Delete the file at the end of a session. Blocks."""
    with suppress(OSError):
        folder.progress.unlink(missing_ok=True)


def read_progress(folder: Folder, *, now: float | None = None) -> RunProgress | None:
    """Return how far the session in *folder* is; None where none works or it is too early.

    Args:
        folder: the run's.
        now: seconds since 1970; by default the clock's.
    """
    try:
        content = read_bounded(folder.progress, flags=os.O_NOFOLLOW)
        progress = json_codec.loads(content, _progress)
    except (OSError, msgspec.MsgspecError):
        return None
    silent = max(0.0, (time.time() if now is None else now) - progress.written_at)
    return structs.replace(progress, silent=silent)
