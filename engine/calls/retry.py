"""Which failures are worth another attempt, and when: counts and seconds in, a decision out."""

from collections.abc import Callable
from traceback import extract_tb
from typing import NamedTuple

from ...providers.base import Denied, Provider, RateLimited, Rejected, Stale, Unavailable
from ..config import RetryPolicy
from ..data.errors import REFUSED, ItemError, RunStopped

MAX_STALE = 3
"""Stale connections of one call that cost it no attempt: a pool may hold a few, but a server that
drops all of them is down."""


CallFailure = RateLimited | Unavailable | Rejected | Denied
"""The ways in which a provider may let a call fail; anything else is a broken provider."""

SHORTEST_CUT = 10.0
"""Seconds after which a gateway may cut a silent connection, at the least; what happens to one call
twice in less is a failure like any other, but may be named."""

LEAST_NAMED_CUT = 1.0
"""Seconds below which two cuts after the same time say nothing, and a connection that the server
had closed is told from one that was cut."""

LEAST_OUTAGE_WAIT = 0.01
"""Seconds between two attempts of a call while its endpoint answers nobody."""


class Attempts(NamedTuple):
    """How often a call has failed so far, by kind of failure.

    Attributes:
        failed: while the endpoint answered other calls.
        rate_limited: with a 429.
        stale: on connections that the server had closed.
        in_outage: while the endpoint answered nobody.
        cut_after: seconds after which the connection of the last one was cut; 0 if it was not.
    """

    failed: int = 0
    rate_limited: int = 0
    stale: int = 0
    in_outage: int = 0
    cut_after: float = 0.0


class Retry(NamedTuple):
    """Try again after ``wait`` seconds; pass ``attempts`` to the next decision."""

    wait: float
    attempts: Attempts


class GiveUp(NamedTuple):
    """This call is lost; others may succeed."""

    reason: str


class Stop(NamedTuple):
    """This endpoint serves no calls for now: end the run, which can be resumed."""

    reason: str
    remedy: str = "fix that"
    """What to do before the same command is run again."""


Decision = Retry | GiveUp | Stop


def decide(
    error: CallFailure,
    *,
    attempts: Attempts,
    elapsed: float,
    policy: RetryPolicy,
    random: Callable[[], float],
    hold: float = 0.0,
    outage: float | None = None,
    cut_after: float = 0.0,
    is_streamed: bool = False,
) -> Decision:
    """Decide what follows *error*.

    Args:
        error: how the latest attempt failed.
        attempts: what the last `Retry` carried; ``Attempts()`` at first.
        elapsed: seconds since the call's first attempt was sent.
        policy: how often and how long to try.
        random: returns an evenly distributed number from [0, 1).
        hold: seconds for which nothing is sent to the endpoint.
        outage: seconds for which the endpoint has answered nobody; None if that is not so.
        cut_after: seconds after which the connection was cut; 0: it was not.
        is_streamed: whether the reply was to be streamed.
    """
    is_cut_again = _is_same_cut(cut_after, attempts.cut_after)
    attempts = attempts._replace(cut_after=cut_after)
    if is_cut_again and isinstance(error, Unavailable):
        error = _named_cut(error, cut_after, is_streamed=is_streamed)
        if cut_after >= SHORTEST_CUT:
            return GiveUp(str(error))

    match error:
        case Denied():
            return Stop(str(error))
        case Stale() if attempts.stale < MAX_STALE and cut_after < LEAST_NAMED_CUT:
            return Retry(0.0, attempts._replace(stale=attempts.stale + 1))
        case RateLimited():
            attempts = attempts._replace(rate_limited=attempts.rate_limited + 1)
            wait = _wait(error.retry_after, attempts.rate_limited, policy, random)
        case Unavailable() if outage is not None:
            return _wait_for_endpoint(error, attempts, outage, policy, random)
        case Unavailable():
            attempts = attempts._replace(failed=attempts.failed + 1)
            if attempts.failed >= policy.attempts:
                return GiveUp(f"failed {attempts.failed} times; last error: {error}")

            wait = _wait(error.retry_after, attempts.failed, policy, random)
        case Rejected():  # this request will never do better
            return GiveUp(str(error))

    end = elapsed + max(wait, hold)
    return _within_budget(error, Retry(wait, attempts), elapsed=elapsed, end=end, policy=policy)


def _is_same_cut(seconds: float, before: float) -> bool:
    """Whether two attempts were cut after the same time, as by a gateway's limit."""
    same = abs(seconds - before) <= max(0.25, 0.02 * seconds)
    return same and min(seconds, before) >= LEAST_NAMED_CUT


def _named_cut(error: Unavailable, seconds: float, *, is_streamed: bool) -> Unavailable:
    cause = "cut silent connections; set stream = true for this model"
    if is_streamed:
        cause = "limit how long a response takes; raise its limit, or lower max_tokens"
    return Unavailable(
        f"{error} (cut after {seconds:.0f} s, like the attempt before: a gateway on the way may"
        f" {cause})",
        retry_after=error.retry_after,
    )


def _wait_for_endpoint(
    error: Unavailable,
    attempts: Attempts,
    outage: float,
    policy: RetryPolicy,
    random: Callable[[], float],
) -> Decision:
    """Wait for an endpoint that answers nobody: that costs a call no attempt."""
    retry_after = error.retry_after or 0.0
    if retry_after > policy.budget:
        return _later(error, retry_after)

    if outage >= policy.outage:
        reason = f"no call to this endpoint has succeeded for {outage:.0f} s; last error: {error}"
        return Stop(reason, "start the server or check the network")

    attempts = attempts._replace(in_outage=attempts.in_outage + 1)
    wait = _wait(error.retry_after, attempts.in_outage, policy, random)
    if not retry_after:
        wait = min(wait, policy.outage - outage)
    return Retry(max(wait, LEAST_OUTAGE_WAIT), attempts)


def _within_budget(
    error: RateLimited | Unavailable,
    retry: Retry,
    *,
    elapsed: float,
    end: float,
    policy: RetryPolicy,
) -> Decision:
    retry_after = error.retry_after or 0.0
    if retry_after > policy.budget:
        # A used-up daily quota: every call would be told the same, and giving up call by call
        # would burn all seeds. Stopping loses nothing.
        return _later(error, retry_after)

    if end > policy.budget:
        return GiveUp(
            f"{elapsed:.0f} s spent and {end - elapsed:.0f} s more to wait"
            f" exceed the call's {policy.budget:.0f} s; last error: {error}"
        )

    return retry


def _later(error: CallFailure, retry_after: float) -> Stop:
    return Stop(f"the server asks to come back in {retry_after:.0f} s: {error}")


def _wait(
    retry_after: float | None, failures: int, policy: RetryPolicy, random: Callable[[], float]
) -> float:
    """Return the seconds to wait: *retry_after* and a little, else full jitter.

    The little spreads a thousand calls refused at once over up to a second. A server that names
    0 s gets the jitter, or a full endpoint would be asked in a tight loop.
    """
    if retry_after is not None and retry_after > 0:
        return retry_after + random() * min(1.0, 0.05 + retry_after * 0.05)

    doublings = min(failures - 1, 64)
    return random() * min(policy.longest_wait, policy.first_wait * 2.0**doublings)


def broken_provider(provider: Provider, error: Exception) -> RunStopped:
    """Build the error for a provider that raises what no provider may."""
    place = extract_tb(error.__traceback__)[-1]
    return RunStopped(
        f"the provider {provider.kind!r} is broken: it raised {error!r} ({place.filename}, line"
        f" {place.lineno}), which is none of the errors that a provider may raise: report this to"
        " its author"
    )


def given_up(error: CallFailure, reason: str, *, answers_others: bool) -> ItemError | RunStopped:
    """Build the error for a lost call; one to an endpoint that answers nobody ends the run.

    Args:
        error: how the last attempt failed.
        reason: why there is no further one.
        answers_others: whether another call has succeeded since this one was queued.
    """
    if isinstance(error, Rejected):
        return ItemError("content_filter" if error.is_filtered else REFUSED, reason)
    if answers_others:
        return ItemError("unavailable", reason, transient=True)
    return RunStopped(
        f"{reason}; no other call to this endpoint has succeeded since:"
        " fix that, then run the same command again"
    )
