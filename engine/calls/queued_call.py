"""A call on its way to an endpoint, as the dispatcher sees it."""

from msgspec import Struct

from ...providers.base import Request
from ..data.errors import RunStopped, Stopping
from .rate_search import Sending
from .retry import Attempts

StopReason = RunStopped | Stopping
"""Why nothing more is sent: no call can succeed, or the run is being stopped."""


class QueuedCall(Struct, eq=False, kw_only=True):
    """A call to one endpoint, from `Dispatcher.submit` until it is answered or given up."""

    request: Request
    priority: int
    """Lower goes first; among equals the oldest."""
    tokens: float
    """To reserve of the tokens per minute."""
    attempts: Attempts = Attempts()
    queued_at: float = 0.0
    """When it was submitted, on the loop's clock."""
    sending: Sending = Sending()
    """Its latest attempt."""
    elapsed: float = 0.0
    """Seconds spent in attempts and in waits between them."""

    async def carry_out(self) -> None:
        """Make one attempt with `Dispatcher.send` and deal with what comes of it.

        Runs in a sender, when it is this call's turn. An exception from here ends the run.
        """
        raise NotImplementedError

    def abandon(self, reason: StopReason) -> None:
        """Note that the call will not be sent (again)."""
        raise NotImplementedError
