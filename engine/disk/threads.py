"""Call blocking code from the event loop."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
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
        await finish_in_thread(partial(blocking.__exit__, None, None, None))


async def finish_in_thread(function: Callable[[], T]) -> T:
    """Call *function* in a thread and return its result, even while the task is being cancelled."""
    with anyio.CancelScope(shield=True):
        return await anyio.to_thread.run_sync(function)
    raise AssertionError("nobody cancels a scope that nobody knows")
