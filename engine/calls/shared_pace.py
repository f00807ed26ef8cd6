"""One pace that several dispatchers keep together: models and keys whose limits are one."""

from typing import Protocol

from .pacing import Pacer

Urgency = tuple[int, float]
"""A call's priority and when it was queued; the least goes first."""


class PaceMember(Protocol):
    """A dispatcher, as the others see it."""

    def urgency(self) -> Urgency | None:
        """Return that of its next call; None if it cannot be sent now, whatever the pace."""
        ...

    def pump(self) -> None:
        """Send what can be sent."""
        ...


class SharedPace:
    """A pacer and the dispatchers that keep to it; the most urgent call of all goes next.

    Attributes:
        pacer: lets out the requests of all.
        members: the dispatchers.
    """

    def __init__(self, pacer: Pacer) -> None:
        self.pacer = pacer
        self.members: list[PaceMember] = []

    @property
    def is_shared(self) -> bool:
        """Whether several dispatchers keep to it."""
        return len(self.members) > 1

    def more_urgent_than(self, member: PaceMember, urgency: Urgency) -> PaceMember | None:
        """Return the member whose next call goes before the one of *member*, if there is one."""
        most_urgent = None
        for other in self.members:
            theirs = None if other is member else other.urgency()
            if theirs is not None and theirs < urgency:
                urgency, most_urgent = theirs, other
        return most_urgent
