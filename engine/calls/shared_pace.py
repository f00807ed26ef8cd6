"""One pace that several dispatchers keep together: models and keys whose limits are one."""

from typing import Protocol

from .pacing import Pacer

Urgency = tuple[int, float]
"""A call's priority and when it was queued; the least goes first."""


class PaceMember(Protocol):
    """A dispatcher, as the others see it."""

    def urgency(self) -> Urgency | None:
        """Return that of its next call; None if it cannot send one now, whatever the pace."""
        ...

    def pump(self) -> None:
        """Send what can be sent."""
        ...


class SharedPace:
    """A pacer and the dispatchers that keep to it; the most urgent call of all goes next."""

    def __init__(self, pacer: Pacer) -> None:
        self.pacer = pacer
        self.in_flight = 0
        """Calls in flight, of all members."""
        self._members: list[PaceMember] = []

    def join(self, member: PaceMember) -> None:
        self._members.append(member)

    def leave(self, member: PaceMember) -> None:
        self._members.remove(member)

    def more_urgent_than(self, member: PaceMember, urgency: Urgency) -> PaceMember | None:
        """Return a member whose next call should go before one of *member*'s."""
        best, first = urgency, None
        for other in self._members:
            if other is not member and (theirs := other.urgency()) is not None and theirs < best:
                best, first = theirs, other
        return first
