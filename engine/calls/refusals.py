"""What refused requests have in common: whether their rate is at fault, or their number."""

from collections.abc import Callable
from enum import Enum, auto
from math import inf

from msgspec import Struct

RECENT, OVERRUN = 32, 16
"""Of so many requests sent last, the refusals from which on the endpoint is at fault rather than
single calls."""

NARROW, WIDTH_MEMORY = 0.75, 30.0
"""Share of the most requests that were admitted at a time in the latest seconds: a refusal at no
more cannot be for their number."""

LONGEST_REFUSAL = 1.0
"""Seconds that a refusal is expected to take at most."""


class Cause(Enum):
    """What a request was refused for, as far as can be told."""

    NUMBER = auto()
    """The calls in flight, or nothing that others share."""
    CROWD = auto()
    """The calls in flight, most likely: too many are refused, and at their highest number."""
    FIRST_BLOCK = auto()
    """The rate, which was not limited so far."""
    RATE = auto()
    """The rate."""


class Sending(Struct, frozen=True, gc=False):
    """One request that was sent."""

    number: int = 0
    at: float = 0.0
    in_flight: int = 0
    """Requests in flight, itself included."""


class Refusals:
    """The latest refusals, and the most requests that the server had at a time.

    Attributes:
        seconds: how long a refusal takes to come back.
        width: the most requests that the server had at a time lately.
        sample: a request, while others that were in flight with it may yet be refused.
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.seconds = 0.02
        self.width = 0
        self._width_at = -inf
        self._numbers = [-RECENT] * RECENT
        """Of the latest requests, the numbers of those that were refused."""
        self.sample: Sending | None = None
        self._sample_refused = 0
        """Those of them that were."""

    def begin_sample(self, sending: Sending) -> None:
        self.sample, self._sample_refused = sending, 0

    def note_refusal(self, sending: Sending) -> None:
        self._numbers[sending.number % RECENT] = sending.number
        took = min(self._clock() - sending.at, LONGEST_REFUSAL)
        self.seconds = max(took, self.seconds + (took - self.seconds) * 0.1)
        if self.sample is not None:
            self._sample_refused += sending.number <= self.sample.number
            self.learn_width(self.sample)

    def forget(self) -> None:
        """Forget which requests were refused: a block has ended, and with it what they showed."""
        self._numbers = [-RECENT] * RECENT

    def is_next_to_another(self, sending: Sending) -> bool:
        """Whether the request sent before *sending*, or after, was refused as well."""
        number = sending.number
        neighbours = self._numbers[(number - 1) % RECENT], self._numbers[(number + 1) % RECENT]
        return neighbours[0] == number - 1 or neighbours[1] == number + 1

    def is_narrow(self, sending: Sending) -> bool:
        """Whether the server had more at a time than there were when *sending* was refused."""
        return sending.in_flight <= max(1.0, self.width * NARROW)

    def are_most(self, sent: int) -> bool:
        """Whether most of the latest of *sent* requests were refused."""
        oldest = sent - RECENT
        return sum([number > oldest for number in self._numbers]) >= OVERRUN

    def learn_width(self, sample: Sending) -> None:
        """Learn how many requests the server had when a sample was sent, once it is known.

        Those that it had refused by then, though nobody knew yet, were never its load.
        """
        if self._clock() < sample.at + 3 * self.seconds + 0.005:
            return
        self.sample = None
        width = sample.in_flight - self._sample_refused
        if width >= self.width or sample.at > self._width_at + WIDTH_MEMORY:
            self.width, self._width_at = width, sample.at
