"""The state of a session: whether it continues, and why it ends."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import anyio

from ..data.errors import BudgetSpent, ItemError, RunStopped
from ..disk.event_log import event_logger
from ..disk.sqlite import StorageError

log = event_logger()

Ending = Literal["finished", "stopped", "failed", "out_of_budget"]


class Verdict(NamedTuple):
    """How a session ended. ``reason`` is empty if it finished."""

    ending: Ending
    reason: str = ""


class SessionState:
    """A session's state, which every part of it may read and wait for.

    Attributes:
        stopping: nothing more is admitted and no call is sent; calls in flight still finish.
        enough: all target rows exist.
        cancelled: the session was stopped at once, calls in flight included.
        stopped_by: the error that ended the session early.
        left_for_later: items that failed with transient errors; the next session tries them again.
        requested: somebody has asked to stop.
        stop_begun: set once it is stopping.
    """

    def __init__(self, stop_calls: Callable[[], None]) -> None:
        self._stop_calls = stop_calls
        self._change = anyio.Event()
        self.stop_begun = anyio.Event()
        self.requested = False
        self.stopping = False
        self.enough = False
        self.cancelled = False
        self.stopped_by: RunStopped | None = None
        self.left_for_later = 0

    def stop(self) -> None:
        """Admit nothing more and send no further call; calls in flight still finish."""
        self.stopping = True
        self._stop_calls()
        self.stop_begun.set()
        self.notify()

    def stop_on_request(self) -> None:
        """Stop, and remember that it was on request."""
        self.requested = True
        self.stop()

    def cancel(self) -> None:
        """Note that everything is cancelled now."""
        self.cancelled = True

    def finish(self) -> None:
        """Stop because all target rows exist."""
        self.enough = True
        self.stop()

    def halt(self, error: RunStopped) -> None:
        """Stop because no item can continue.

        While the session is stopping already, only a `StorageError` counts: it loses what has been
        decided.
        """
        if self.stopped_by is None and (isinstance(error, StorageError) or not self.stopping):
            self.stopped_by = error
            log.error("run.stopped", reason=str(error))
        self.stop()

    def item_lost(self, stage: str, error: ItemError) -> None:
        """Log an item that cannot continue, and count it if the next session will retry it."""
        log.warning(
            "item.failed",
            stage=stage,
            reason=error.reason,
            detail=error.detail,
            transient=error.transient,
        )
        if error.transient:
            self.left_for_later += 1

    def notify(self) -> None:
        """Wake every task that waits in `changed`."""
        change, self._change = self._change, anyio.Event()
        change.set()

    async def changed(self) -> None:
        """Wait until something in progress finishes, or the session stops."""
        await self._change.wait()

    def verdict(self) -> Verdict:
        """Say how the session ends if it ends now."""
        if self.stopped_by is not None:
            out_of_budget = isinstance(self.stopped_by, BudgetSpent)
            return Verdict("out_of_budget" if out_of_budget else "failed", str(self.stopped_by))
        if self.cancelled:
            return Verdict("stopped", "stopped at once on request")
        if self.stopping and not self.enough:
            return Verdict("stopped", "stopped on request")
        return Verdict("finished")
