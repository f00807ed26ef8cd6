"""Start the event loop: uvloop where it is installed."""

from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import TypeVar

import anyio

T = TypeVar("T")


def run_async(function: Callable[[], Awaitable[T]]) -> T:
    """Run *function* on an event loop of its own and return its result."""
    use_uvloop = find_spec("uvloop") is not None
    return anyio.run(function, backend_options={"use_uvloop": use_uvloop})
