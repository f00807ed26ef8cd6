"""What one endpoint does at the moment."""

from typing import NamedTuple

LONG_PAUSE = 30.0
"""Seconds of a pause from which on users are told why nothing is sent."""


class DispatchStatistics(NamedTuple):
    """A snapshot of one endpoint."""

    in_flight: int
    queued: int
    waiting_for_retry: int
    next_retry: float
    """Seconds until the first of them is tried again; 0 where none waits."""
    concurrency: int
    """Calls that may be in flight now."""
    paused: float
    """Seconds until the pace lets the next call out; 0 if it may go now."""
    retries: int
    rate_limited: int
    tokens: float
    """Charged so far: tokens used if known, else reserved."""
    timed_out: int
    """Attempts ended because they took too long."""
    outage: float
    """Seconds for which every call has failed; 0 where the last one did not."""
    last_error: str
    """How the last attempt failed."""
