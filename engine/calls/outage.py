"""Whether an endpoint answers anybody: synchronous, on an injected clock."""

from collections.abc import Callable
from math import inf

LONG_OUTAGE = 5.0
"""Seconds without an answer for anybody after which users are told."""


class Outage:
    """Tells a server that is down from a call that it cannot answer.

    An endpoint is *out* when no call has succeeded since two different ones failed, or since the
    call in question was queued. Then the calls are not at fault, and wait for it.
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last_success = -inf
        self._failing_since: float | None = None
        self._failing: object = None
        self._is_shared = False

    @property
    def last_success(self) -> float:
        """When a call last succeeded; minus infinity if none has."""
        return self._last_success

    @property
    def seconds(self) -> float:
        """For how long every call has failed; 0 where the last one did not."""
        return 0.0 if self._failing_since is None else self._clock() - self._failing_since

    def note_success(self) -> None:
        self._last_success = self._clock()
        self.note_response()

    def note_response(self) -> None:
        """Note a refusal: the server cannot or will not help now, but it is there."""
        self._failing_since = self._failing = None
        self._is_shared = False

    def note_failure(self, call: object) -> None:
        """Note that *call* met no server, or one that is broken."""
        if self._failing_since is None:
            self._failing_since, self._failing = self._clock(), call
        elif self._failing is not call:
            self._is_shared = True

    def concerns(self, queued_at: float) -> bool:
        """Whether a call that was queued at *queued_at*, and has failed, may blame the endpoint."""
        return self._is_shared or self._last_success < queued_at
