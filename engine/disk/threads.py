"""Use a blocking context manager from the event loop."""

from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, asynccontextmanager
from typing import TypeVar

import anyio
import anyio.to_thread

T = TypeVar("T")


@asynccontextmanager
async def entered_in_thread(blocking: AbstractContextManager[T]) -> AsyncGenerator[T]:
    """Enter and leave *blocking* in a thread.

    It is left even while the task is being cancelled, since it may write what was paid for.
    """
    value = await anyio.to_thread.run_sync(blocking.__enter__)
    try:
        yield value
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(blocking.__exit__, None, None, None)
