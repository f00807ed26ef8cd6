"""Display a session's progress while it works, here and for other processes."""

import sys
from contextlib import suppress
from functools import partial
from typing import TextIO

import anyio
import anyio.to_thread

from ..disk.threads import finish_in_thread
from ..pipeline.session import Session, Watcher
from .progress_file import remove_progress, write_progress
from .progress_meter import ProgressMeter
from .views import Display, opened_view

WRITING_INTERVAL = 1.0
"""Seconds between two writes of ``progress.json``."""


def watcher(display: Display, *, stream: TextIO | None = None) -> Watcher:
    """Return a display of a session, which runs until it is cancelled. By default on stderr."""

    async def watch(session: Session) -> None:
        meter = ProgressMeter(session)
        # Whoever read the stream may have gone: that is no reason to stop a run.
        with suppress(OSError), opened_view(display, stream or sys.stderr) as view:
            try:
                while True:
                    await _pause(session, view.interval)
                    view.update(meter.read())
            finally:
                view.close(meter.read())

    return watch


async def _pause(session: Session, seconds: float) -> None:
    """Wait for *seconds*, or until the session begins to stop, which is shown at once."""
    state = session.state
    if state is None or state.stop_begun.is_set():
        await anyio.sleep(seconds)
        return
    with anyio.move_on_after(seconds):
        await state.stop_begun.wait()


async def publish_progress(watch: Watcher, session: Session) -> None:
    """Keep the folder's ``progress.json`` up to date while *watch* displays *session*."""
    async with anyio.create_task_group() as group:
        group.start_soon(_publish, session)
        await watch(session)


async def _publish(session: Session) -> None:
    meter, folder = ProgressMeter(session), session.plan.folder
    try:
        while True:
            await anyio.to_thread.run_sync(write_progress, folder, meter.read())
            await anyio.sleep(WRITING_INTERVAL)
    finally:
        await finish_in_thread(partial(remove_progress, folder))
