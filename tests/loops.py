"""Both event loops, and a way to run in one that overlooks nothing."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import anyio
from hypothesis import strategies as st

T = TypeVar("T")

loops = st.booleans()
"""Whether to use uvloop."""


def complaints(loop: asyncio.AbstractEventLoop) -> list[str]:
    """Collect what a loop would only have logged: errors in callbacks, futures nobody awaited."""
    heard: list[str] = []
    loop.set_exception_handler(lambda _, context: heard.append(str(context)))
    return heard


def in_loop(main: Callable[[], Coroutine[Any, Any, T]], *, uvloop: bool) -> T:
    """Run *main*, which must end, leave no task, and cause no error that nobody sees."""

    async def watched() -> T:
        heard = complaints(asyncio.get_running_loop())
        result = await main()
        await asyncio.sleep(0)
        left = asyncio.all_tasks() - {asyncio.current_task()}

        assert (heard, left) == ([], set())
        return result

    return anyio.run(watched, backend_options={"use_uvloop": uvloop})
