"""Progress in a run's folder, once a second, for other processes; gone when the session ends."""

import os
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
from msgspec import structs

from ...providers import json_codec
from ..data.files import read_bounded
from ..disk.atomic import WriteError, replace_file
from ..disk.threads import finish_in_thread
from ..pipeline.session import Session, Watcher
from ..store.folder import Folder
from .progress import Progress
from .progress_meter import ProgressMeter

INTERVAL = 1.0
"""Seconds between two writes."""

_progress = msgspec.json.Decoder(Progress)


async def publish_progress(watch: Watcher, session: Session) -> None:
    """Keep the folder's ``progress.json`` up to date while *watch* displays *session*."""
    async with anyio.create_task_group() as group:
        group.start_soon(_publish, session)
        await watch(session)


async def _publish(session: Session) -> None:
    meter, path = ProgressMeter(session), session.plan.folder.progress
    try:
        while True:
            content = json_codec.dumps(meter.read())
            await anyio.to_thread.run_sync(_write, path, content)
            await anyio.sleep(INTERVAL)
    finally:
        await finish_in_thread(partial(_remove, path))


def _write(path: Path, content: bytes) -> None:
    if path.parent.is_dir():  # nobody wants a folder back that was deleted during the run
        with suppress(WriteError):  # a full disk stops the ledger, which says so
            replace_file(path, content, private=True, durable=False)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)


def read_progress(folder: Folder, *, now: float | None = None) -> Progress | None:
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
