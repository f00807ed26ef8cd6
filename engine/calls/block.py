"""A block: time during which an endpoint refuses everything, and the probes that find its end."""

import math

LONGEST_HOLD = 5.0
"""Seconds between two probes; they begin with fewer, which double with each that is refused."""

LONGEST_DOUBLING, MOST_DOUBLINGS = 0.1, 12
"""After a block, the seconds in which the pace doubles at most, and how often."""


class Block:
    """Lets one request at a time out until one is admitted.

    A probe is taken to be admitted when it is answered, or when a refusal would have come by now.

    Attributes:
        began: when the first refusal came.
        hold: seconds between the latest refusal and the next probe.
        hold_until: when the next request may be sent.
        probe: when the latest probe was sent, unless it was refused.
        refused_probes: how many were; the block may be a coincidence if there are none.
    """

    def __init__(
        self, *, now: float, sent_at: float, hold: float, retry_after: float | None
    ) -> None:
        """Begin with the refusal of a request that was sent at *sent_at*."""
        self.began = now
        self.hold = min(hold, LONGEST_HOLD)
        self.hold_until = now + self.hold
        self.probe: float | None = None
        self.refused_probes = 0
        self._refused_at = sent_at
        self._named = _named_end(now, retry_after)

    def send_probe(self, now: float, refusal_time: float) -> None:
        """Note that a probe is sent, whose refusal would take *refusal_time* seconds."""
        self.probe = now
        self.hold_until = now + 3 * refusal_time + 0.002

    def note_refusal(self, *, now: float, sent_at: float, retry_after: float | None) -> None:
        """Note that a request was refused that was sent at *sent_at*."""
        self._refused_at = max(self._refused_at, sent_at)
        self._named = max(self._named, _named_end(now, retry_after))
        if self.probe is None or sent_at < self.probe:
            return  # sent before the block was noticed
        self.probe = None
        self.refused_probes += 1
        self.hold = min(self.hold * 2, LONGEST_HOLD)
        self.hold_until = max(now + self.hold, _named_end(now, retry_after))

    def end(self, probe: float) -> float:
        """Return when it ended, since a request that was sent at *probe* was admitted."""
        refused_at = min(max(self._refused_at, self._named), probe)
        return min((refused_at + probe) / 2, refused_at + self.hold)


def _named_end(now: float, retry_after: float | None) -> float:
    """Return until when the server surely refuses requests, by what a refusal names."""
    if retry_after is None:
        return -math.inf
    # Whole seconds are rounded up: the time is at least a second less.
    return now + (retry_after - 1 if retry_after == int(retry_after) else retry_after)


class SlowStart:
    """The pace after a block, which may not have ended: few requests meet it if it goes on.

    It begins at one request in the time that a refusal takes, and doubles in as long.
    """

    def __init__(self) -> None:
        self._began = -math.inf
        self._doubling = 0.0
        self.is_over = True

    def begin(self, now: float, refusal_time: float) -> None:
        self._began, self._doubling = now, min(refusal_time, LONGEST_DOUBLING)
        self.is_over = False

    def gap(self, now: float, least: float) -> float:
        """Return the seconds to leave before the next request, *least* when it is over."""
        doublings = (now - self._began) / self._doubling
        gap = self._doubling * math.pow(0.5, min(doublings, MOST_DOUBLINGS))
        self.is_over = gap <= least or doublings >= MOST_DOUBLINGS
        return max(gap, least)
