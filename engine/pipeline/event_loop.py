"""Start the event loop of a command: uvloop where it is installed, and a calm collector."""

import gc
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import TypeVar

import anyio

from .signals import late_signals_held

T = TypeVar("T")


def run_async(function: Callable[[], Awaitable[T]]) -> T:
    """Run *function* on an event loop of its own and return its result.

    Raises:
        KeyboardInterrupt: a signal arrived that nothing in *function* handles.
    """
    _tune_collector()
    use_uvloop = find_spec("uvloop") is not None
    try:
        with late_signals_held():
            return anyio.run(function, backend_options={"use_uvloop": use_uvloop})
    except BaseExceptionGroup as group:  # task groups wrap what is raised in their block
        if group.subgroup(KeyboardInterrupt) is None:
            raise
        raise KeyboardInterrupt from group


def _tune_collector() -> None:
    """Make the garbage collector run rarely, for the rest of the process.

    Calls in flight make many objects and few cycles: the default thresholds cost more than half of
    all CPU at 2,000 in flight (docs/decisions.md).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 1000)
