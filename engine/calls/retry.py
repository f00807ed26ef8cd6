"""Which failures are worth another attempt, and when. Pure: counts and seconds in, a decision out.

Sends nothing, waits for nothing, reads no clock.
"""

from collections.abc import Callable
from typing import NamedTuple

from ...providers.base import Denied, ProviderError, RateLimited, Stale, Unavailable
from ..config import RetryPolicy


class Attempts(NamedTuple):
    """What has happened to a call so far, by kind."""

    failed: int = 0
    refused: int = 0
    stale: int = 0


class Retry(NamedTuple):
    """Ask again after ``wait`` seconds, remembering ``tries``."""

    wait: float
    tries: Attempts


class GiveUp(NamedTuple):
    """This call is lost; others may do better."""

    reason: str


class Stop(NamedTuple):
    """No call to this endpoint will be served for now: end the run, it can be resumed."""

    reason: str


Decision = Retry | GiveUp | Stop

FREE = 3  # stale connections in a row: a pool may hold a few, a server that drops them all is down


def decide(
    error: ProviderError,
    *,
    tries: Attempts,
    elapsed: float,
    policy: RetryPolicy,
    random: Callable[[], float],
) -> Decision:
    """Say what follows *error*.

    *tries* is what the last ``Retry`` carried (``Tries()`` at first). *elapsed* are seconds spent
    in attempts and in waits decided here; time spent queueing for a turn is not the call's fault
    and should not be in it. *random* draws evenly from [0, 1).
    """
    match error:
        case Denied():
            return Stop(str(error))
        case Stale() if tries.stale < FREE:
            return Retry(0.0, tries._replace(stale=tries.stale + 1))
        case RateLimited():
            tries = tries._replace(refused=tries.refused + 1)
            wait = _wait(error.retry_after, tries.refused, policy, random)
        case Unavailable():
            tries = tries._replace(failed=tries.failed + 1)
            if tries.failed >= policy.attempts:
                return GiveUp(f"failed {tries.failed} times, at last: {error}")

            wait = _wait(error.retry_after, tries.failed, policy, random)
        case _:
            return GiveUp(str(error))

    return _within_budget(error, Retry(wait, tries), elapsed=elapsed, policy=policy)


def _within_budget(
    error: RateLimited | Unavailable, retry: Retry, *, elapsed: float, policy: RetryPolicy
) -> Decision:
    asked = error.retry_after or 0.0
    if asked > policy.budget:
        # A used-up day's quota: every call would hear the same, and giving up call by call would
        # burn all seeds. Stopping loses nothing.
        return Stop(f"the server asks to come back in {asked:.0f} s: {error}")

    if elapsed + retry.wait > policy.budget:
        return GiveUp(
            f"{elapsed:.0f} s spent and {retry.wait:.0f} s more to wait"
            f" exceed the call's {policy.budget:.0f} s, at last: {error}"
        )

    return retry


def _wait(
    asked: float | None, count: int, policy: RetryPolicy, random: Callable[[], float]
) -> float:
    """Seconds to wait: what was *asked* and a little, else full jitter after failure *count*.

    The little spreads a thousand waiters of one refusal over up to a second. A server that asks
    for 0 s gets the jitter, or a full endpoint would be asked in a circle.
    """
    if asked is not None and asked > 0:
        return asked + random() * min(1.0, 0.05 + asked * 0.05)

    doublings = min(count - 1, 64)
    return random() * min(policy.longest_wait, policy.first_wait * 2.0**doublings)
