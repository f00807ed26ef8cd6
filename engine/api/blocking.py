"""Call coroutines from blocking code: a program, a thread, or a notebook's cell."""

import asyncio
import gc
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from ..pipeline.event_loop import run_async
from ..pipeline.signals import StopButton, StopRequests, no_requests, process_signals

T = TypeVar("T")


def wait_for(work: Callable[[StopRequests], Coroutine[Any, Any, T]]) -> T:
    """Run *work* on an event loop of its own and return its result.

    Called in the main thread, it takes Ctrl-C and SIGTERM as requests to stop. Called where a loop
    runs already, as in a notebook, it works in a thread of its own, which Ctrl-C stops.

    Args:
        work: given where requests to stop come from.
    """
    if _has_running_loop():
        return _in_thread(work)
    owns_process = threading.current_thread() is threading.main_thread()
    return _on_own_loop(work, process_signals if owns_process else no_requests)


def _has_running_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _on_own_loop(work: Callable[[StopRequests], Coroutine[Any, Any, T]], stop: StopRequests) -> T:
    thresholds = gc.get_threshold()
    try:
        return run_async(partial(work, stop))
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def _in_thread(work: Callable[[StopRequests], Coroutine[Any, Any, T]]) -> T:
    """Run *work* in a thread, since a loop runs in this one (a notebook's); Ctrl-C stops it."""
    outcome: Future[T] = Future()
    button = StopButton()

    def target() -> None:
        try:
            outcome.set_result(_on_own_loop(work, button))
        except BaseException as error:  # noqa: BLE001  (raised again by the waiting thread)
            outcome.set_exception(error)

    threading.Thread(target=target, name="codeclm-run", daemon=True).start()
    while True:
        try:
            return outcome.result()
        except KeyboardInterrupt:
            if outcome.done():
                raise
            button.press()
