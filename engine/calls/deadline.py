"""A deadline for every call, over any transport: how long it may take, and who ends it.

`Deadline` decides, from seconds, bytes and events; `Watchdog` ends the calls in flight that are
past theirs. A call that is ended is cancelled, so its connection is closed, and fails as
`Unavailable`.
"""

import asyncio
from asyncio import Timeout, TimerHandle
from collections.abc import Awaitable, Callable

from msgspec import Struct

from ...providers.base import Progress, Reply, Request, Unavailable, start_progress

LEAST_RATE = 4.0
"""Bytes of content per second that a reply must bring once it has begun: a token a second. A
stream must bring as much in all, not in each span: models think while it is kept alive."""

SLOWEST = 4.0
"""Tokens per second of the slowest model that is waited for."""

EXPECTED_TOKENS = 4096
"""Tokens expected of a reply at most, where ``max_tokens`` does not say."""

_CHECKS = 8
"""How often a call is looked at within the shortest span that it is held to."""

_SHORTEST_PERIOD, _LONGEST_PERIOD = 0.01, 1.0
"""Seconds between two looks at the calls in flight."""


class CallBounds(Struct, frozen=True):
    """What one attempt at a call may take.

    Attributes:
        timeout: Seconds until the reply's content begins. After that, each span of so many seconds
            must bring `LEAST_RATE` bytes a second; of a stream, an event.
        deadline: Seconds for all of it, however much comes in. None: ``timeout``, and as long as
            the slowest model takes for ``max_tokens``, or for what a stream has brought so far.
        tells_progress: Whether the provider notes what comes in; if not, only the total counts.
    """

    timeout: float = 600.0
    deadline: float | None = None
    tells_progress: bool = True

    def start(self, request: Request, now: float) -> "Deadline":
        """Return the deadline of *request*, which is sent at *now*."""
        total = self.deadline
        if total is None:
            tokens = EXPECTED_TOKENS if request.max_tokens is None else request.max_tokens
            total = self.timeout + tokens / SLOWEST
        silence = self.timeout if self.tells_progress else None
        return Deadline(silence=silence, total=total, now=now, can_grow=self.deadline is None)


class Deadline:
    """Whether one attempt is past its time; the clock is the caller's.

    Args:
        silence: Seconds without progress; None where none is told.
        total: Seconds for all of the attempt.
        now: When it is sent.
        can_grow: Whether the text that a stream brings raises *total*.
    """

    __slots__ = (
        *("_can_grow", "_marked_at", "_marked_bytes", "_marked_events"),
        *("_silence", "_start", "_total"),
    )

    def __init__(
        self, *, silence: float | None, total: float, now: float, can_grow: bool = False
    ) -> None:
        self._silence = silence
        self._total = total
        self._can_grow = can_grow
        self._start = now
        self._marked_at = now
        self._marked_bytes = 0
        self._marked_events: int = 0

    def leave_out(self, seconds: float) -> None:
        """Do not count *seconds*, in which this process or its machine was stopped."""
        self._start += seconds
        self._marked_at += seconds

    def problem(self, progress: Progress, now: float) -> str:
        """Return why the attempt must end now that so much has come in, or nothing."""
        received, silence = progress.received, self._silence
        total = self._total
        if progress.events and silence is not None and self._can_grow:
            total = max(total, silence + received / LEAST_RATE)
        if now - self._start >= total:
            return f"no complete reply within {total:g} s"
        if silence is None:
            return ""
        if progress.events:
            return self._stream_problem(progress.events, silence, now)
        return self._body_problem(received, silence, now)

    def _stream_problem(self, events: int, silence: float, now: float) -> str:
        if events != self._marked_events:
            self._marked_at, self._marked_events = now, events
        elif now - self._marked_at >= silence:
            return f"the stream stalled: no event in {silence:g} s"
        return ""

    def _body_problem(self, received: int, silence: float, now: float) -> str:
        if received and not self._marked_bytes:  # the reply begins
            self._mark(received, now)
        elif now - self._marked_at >= silence:
            if not received:
                return f"no reply within {silence:g} s"
            if received - self._marked_bytes < LEAST_RATE * silence:
                count = received - self._marked_bytes
                return f"the reply stalled: {count} bytes in {silence:g} s"
            self._mark(received, now)
        return ""

    def _mark(self, received: int, now: float) -> None:
        self._marked_at, self._marked_bytes = now, received


class _Attempt(Struct, eq=False):
    """A call in flight."""

    deadline: Deadline
    progress: Progress
    scope: Timeout
    problem: str = ""
    is_lost: bool = False
    """Whether its connection was closed when it was last looked at."""

    def connection_problem(self) -> str:
        """Return that the connection is closed, and was at the last look, or nothing.

        In between, a reply that was complete when it closed is read.
        """
        was_lost, is_lost = self.is_lost, self.progress.is_lost
        self.is_lost = is_lost is not None and is_lost()
        return "the connection was lost within the reply" if was_lost and self.is_lost else ""


class Watchdog:
    """Ends calls that are past their deadlines or have lost their connections.

    One timer serves all of an endpoint's calls.

    Attributes:
        timed_out: How many it has ended for their time.
    """

    def __init__(self, name: str, bounds: CallBounds, loop: asyncio.AbstractEventLoop) -> None:
        """Watch calls to the endpoint *name*."""
        self.timed_out = 0
        self._name = name
        self._bounds = bounds
        self._loop = loop
        self._attempts: set[_Attempt] = set()
        self._timer: TimerHandle | None = None
        shortest = min(bounds.timeout, bounds.deadline or bounds.timeout)
        self._period = min(max(shortest / _CHECKS, _SHORTEST_PERIOD), _LONGEST_PERIOD)

    async def run(self, complete: Callable[[Request], Awaitable[Reply]], request: Request) -> Reply:
        """Await ``complete(request)``, unless it takes too long or cannot end.

        Raises:
            ProviderError: what *complete* raises; `Unavailable` past the deadline, or if nothing
                more can come.
        """
        scope = asyncio.timeout(None)
        deadline = self._bounds.start(request, self._loop.time())
        attempt = _Attempt(deadline, start_progress(), scope)
        self._attempts.add(attempt)
        if self._timer is None:
            self._look_again()
        try:
            async with scope:
                return await complete(request)
        except TimeoutError as error:
            if not attempt.problem:
                raise
            raise Unavailable(f"{self._name}: {attempt.problem}") from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Not ours: something that the provider awaited was cancelled.
            raise Unavailable(f"{self._name}: the call was cancelled on the way") from error
        finally:
            self._attempts.discard(attempt)

    def _look_again(self) -> None:
        self._timer = self._loop.call_later(self._period, self._look)

    def _look(self) -> None:
        assert self._timer is not None
        now = self._loop.time()
        late = now - self._timer.when()
        self._timer = None
        for attempt in self._attempts:
            if attempt.problem:
                continue  # ended, and not gone yet
            if late > self._period:  # what came in meanwhile has not been read yet
                attempt.deadline.leave_out(late)
            attempt.problem = attempt.connection_problem()
            if not attempt.problem:
                attempt.problem = attempt.deadline.problem(attempt.progress, now)
                self.timed_out += bool(attempt.problem)
            if attempt.problem:
                attempt.scope.reschedule(now)
        if self._attempts:
            self._look_again()
