"""A call on its way to an endpoint, as the dispatcher sees it."""

from msgspec import Struct

from ...providers.base import Request
from ..data.errors import RunStopped, Stopping
from .refusals import Sending
from .retry import Attempts

StopReason = RunStopped | Stopping
"""Why nothing more is sent: no call can succeed, or the run is stopping."""


class QueuedCall(Struct, eq=False, kw_only=True):
    """A call to one endpoint, from `Dispatcher.submit` until it is answered or given up."""

    request: Request
    priority: int
    """Lower goes first; among equals the oldest."""
    tokens: float
    """Tokens to reserve of the limit per minute."""
    attempts: Attempts = Attempts()
    queued_at: float = 0.0
    """When it was submitted, on the loop's clock."""
    sending: Sending = Sending()
    """Its latest attempt."""
    answered_at: float = 0.0
    """When its reply had come in, on the loop's clock."""
    order: int = 0
    """Its turn among calls of its priority, which it keeps when it is queued again."""
    clock_started_at: float | None = None
    """When the time that ``retry.budget`` bounds began: with the first attempt, or the end of the
    endpoint's last outage."""

    def admit(self) -> bool:
        """Return whether it may be sent now, as far as the budget is concerned; reserve its share.

        Where it may not, `Dispatcher.pump` must be called when it may.
        """
        return True

    def release(self) -> None:
        """Return what `admit` reserved: the attempt has failed."""

    async def carry_out(self) -> None:
        """Make one attempt with `Dispatcher.send` and handle the result.

        Runs in a sender, when it is this call's turn. An exception from here ends the run.
        """
        raise NotImplementedError

    def abandon(self, reason: StopReason) -> None:
        """Note that the call will not be sent (again)."""
        raise NotImplementedError
