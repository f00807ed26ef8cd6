"""An event loop that owns its clock: where it would wait for a timer, the clock jumps there.

Hours pass in milliseconds and always in the same order, however busy the machine is. It is for
code that waits for timers and for other tasks; what waits for a thread or a socket needs real time.
"""

import asyncio
import selectors
from collections.abc import Mapping
from typing import Any


class OwnedClockLoop(asyncio.SelectorEventLoop):
    """Make one for each scenario: its clock starts at 1000 s."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self.now


class _Jumping(selectors.SelectSelector):
    def __init__(self, loop: OwnedClockLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(None if timeout is None else 0)
        if not ready and timeout is not None and timeout > 0:
            self._loop.now += timeout
        return ready


OWNED_CLOCK: tuple[str, Mapping[str, Any]] = ("asyncio", {"loop_factory": OwnedClockLoop})
"""For ``anyio_backend``: runs a test on that loop."""
