"""One pace that several dispatchers keep together: models and keys whose limits are one."""

from typing import Protocol

from .pacing import Pacer

Urgency = tuple[int, float]
"""A call's priority and when it was queued; the least goes first."""


PAUSE = 0.001
"""Seconds until a dispatcher looks again after it has given way to another one."""


class PaceMember(Protocol):
    """A dispatcher, as the others see it."""

    @property
    def in_flight(self) -> int: ...

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
        is_shared: whether several dispatchers keep to it.
    """

    def __init__(self, pacer: Pacer) -> None:
        self.pacer = pacer
        self.is_shared = False
        self._members: list[PaceMember] = []

    @property
    def in_flight(self) -> int:
        """The calls of all members that are in flight."""
        return sum([member.in_flight for member in self._members])

    def join(self, member: PaceMember) -> None:
        self._members.append(member)
        self.is_shared = len(self._members) > 1

    def leave(self, member: PaceMember) -> None:
        self._members.remove(member)
        self.is_shared = len(self._members) > 1

    def give_way(self, member: PaceMember, urgency: Urgency, tokens: float) -> float:
        """Let another member send first if its call is more urgent than the next of *member*.

        Returns the seconds until *member* may send that call, which reserves *tokens*.
        """
        most_urgent = None
        for other in self._members:
            theirs = None if other is member else other.urgency()
            if theirs is not None and theirs < urgency:
                urgency, most_urgent = theirs, other
        if most_urgent is None:
            return 0.0
        most_urgent.pump()
        return max(self.pacer.delay(tokens), PAUSE)
