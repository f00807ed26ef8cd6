import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.calls.retry import (
    MAX_STALE,
    Attempts,
    CallFailure,
    Decision,
    GiveUp,
    Retry,
    Stop,
    decide,
)
from codeclm.engine.config import RetryPolicy
from codeclm.providers.base import Denied, RateLimited, Rejected, Stale, Unavailable

POLICY = RetryPolicy()
TOP = math.nextafter(1.0, 0.0)


def after(
    error: CallFailure,
    *,
    attempts: Attempts = Attempts(),  # noqa: B008  immutable
    elapsed: float = 0.0,
    policy: RetryPolicy = POLICY,
    drawn: float = 0.5,
) -> Decision:
    return decide(error, attempts=attempts, elapsed=elapsed, policy=policy, random=lambda: drawn)


@pytest.mark.parametrize(
    ("error", "attempts", "expected"),
    [
        (Unavailable("x"), Attempts(), Retry(0.25, Attempts(failed=1))),
        (Unavailable("x"), Attempts(failed=1), Retry(0.5, Attempts(failed=2))),
        (Unavailable("x"), Attempts(failed=6), Retry(16.0, Attempts(failed=7))),
        (Unavailable("x"), Attempts(failed=7), GiveUp("failed 8 times; last error: x")),
        (Unavailable("x", retry_after=7), Attempts(), Retry(7.2, Attempts(failed=1))),
        (RateLimited("x"), Attempts(), Retry(0.25, Attempts(rate_limited=1))),
        (RateLimited("x"), Attempts(rate_limited=500), Retry(30.0, Attempts(rate_limited=501))),
        (
            RateLimited("x"),
            Attempts(rate_limited=99_999),
            Retry(30.0, Attempts(rate_limited=100_000)),
        ),
        (RateLimited("x", retry_after=1), Attempts(), Retry(1.05, Attempts(rate_limited=1))),
        (RateLimited("x", retry_after=90), Attempts(), Retry(90.5, Attempts(rate_limited=1))),
        (RateLimited("x", retry_after=0.02), Attempts(), Retry(0.0455, Attempts(rate_limited=1))),
        (RateLimited("x", retry_after=0), Attempts(), Retry(0.25, Attempts(rate_limited=1))),
        (RateLimited("x", retry_after=-3), Attempts(), Retry(0.25, Attempts(rate_limited=1))),
        (RateLimited("x", retry_after=math.nan), Attempts(), Retry(0.25, Attempts(rate_limited=1))),
        (Stale("x"), Attempts(), Retry(0.0, Attempts(stale=1))),
        (Stale("x"), Attempts(failed=7, stale=2), Retry(0.0, Attempts(failed=7, stale=3))),
        (Stale("x"), Attempts(stale=MAX_STALE), Retry(0.25, Attempts(failed=1, stale=MAX_STALE))),
        (Rejected("no such field"), Attempts(), GiveUp("no such field")),
        (Denied("wrong key"), Attempts(), Stop("wrong key")),
    ],
)
def test_each_failure_has_its_answer(
    error: CallFailure, attempts: Attempts, expected: Decision
) -> None:
    """Each kind of failure is retried, given up or stops the run, as the table says."""
    decision = after(error, attempts=attempts)

    if isinstance(decision, Retry) and isinstance(expected, Retry):
        assert decision.wait == pytest.approx(expected.wait)
        assert decision.attempts == expected.attempts
    else:
        assert decision == expected


def test_refusals_do_not_use_up_attempts() -> None:
    """A call that was refused many times may still fail as often as any other."""
    decision = after(Unavailable("x"), attempts=Attempts(rate_limited=100))

    assert decision == Retry(0.25, Attempts(failed=1, rate_limited=100))


def test_one_attempt_means_no_second() -> None:
    decision = after(Unavailable("x"), policy=RetryPolicy(attempts=1))

    assert decision == GiveUp("failed 1 times; last error: x")


@pytest.mark.parametrize(
    "error", [RateLimited("full", retry_after=86_400), Unavailable("away", retry_after=601)]
)
def test_a_pause_longer_than_any_call_may_take_stops_the_run(error: CallFailure) -> None:
    """All calls would hear the same: better to stop than to lose every seed, one by one."""
    decision = after(error)

    assert isinstance(decision, Stop)
    assert "asks to come back in" in decision.reason


def test_a_call_out_of_time_is_given_up_with_the_cause() -> None:
    decision = after(RateLimited("HTTP 429", retry_after=30), elapsed=580)

    assert isinstance(decision, GiveUp)
    assert decision.reason.endswith("exceed the call's 600 s; last error: HTTP 429")


@given(
    asked=st.none() | st.floats(allow_nan=True, allow_infinity=True),
    refused=st.integers(0, 10**6),
    elapsed=st.floats(0, 10**4),
    drawn=st.floats(0, TOP),
)
def test_a_wait_keeps_every_bound(
    asked: float | None, refused: int, elapsed: float, drawn: float
) -> None:
    """It is at least what the server asked, never negative, and ends within the budget."""
    decision = after(
        RateLimited("x", retry_after=asked),
        attempts=Attempts(rate_limited=refused),
        elapsed=elapsed,
        drawn=drawn,
    )

    if isinstance(decision, Retry):
        assert decision.wait >= 0
        assert elapsed + decision.wait <= POLICY.budget
        if asked is not None and asked > 0:
            assert asked <= decision.wait <= asked + 1
        else:
            assert decision.wait <= POLICY.longest_wait


@given(st.lists(st.sampled_from([Unavailable("x"), Stale("x")]), min_size=40, max_size=40))
def test_failures_end(errors: list[CallFailure]) -> None:
    """Whatever the mixture, no call is attempted more often than counted and free tries allow."""
    attempts, count = Attempts(), 0
    for error in errors:
        count += 1
        decision = after(error, attempts=attempts)
        if not isinstance(decision, Retry):
            break

        attempts = decision.attempts

    assert count <= POLICY.attempts + MAX_STALE


# Gateways that cut silent connections.

GATEWAY_TIMEOUT = Unavailable("504 Gateway Timeout", is_cut=True)


def after_cuts(
    *seconds: float,
    outage: float | None = None,
    error: Unavailable = GATEWAY_TIMEOUT,
    is_streamed: bool = False,
) -> Decision:
    """What follows attempts at one call, each cut after so many seconds."""
    attempts = Attempts()
    decision: Decision = Retry(0.0, attempts)
    for cut_after in seconds:
        decision = decide(
            error,
            attempts=attempts,
            elapsed=0.0,
            policy=POLICY,
            random=lambda: 0.5,
            outage=outage,
            cut_after=cut_after,
            is_streamed=is_streamed,
        )
        if isinstance(decision, Retry):
            attempts = decision.attempts
    return decision


@pytest.mark.parametrize("outage", [None, 60.0])
def test_a_call_that_is_cut_twice_after_the_same_time_is_given_up_with_the_remedy(
    outage: float | None,
) -> None:
    """Also where nobody is answered any more: perhaps only long answers are still to come."""
    decision = after_cuts(60.02, 60.1, outage=outage)

    assert decision == GiveUp(
        "504 Gateway Timeout (cut after 60 s, like the attempt before: a gateway on the way may cut"
        " silent connections; set stream = true for this model)"
    )


@pytest.mark.parametrize("seconds", [(60.0,), (60.0, 30.0), (60.0, 0.0, 60.0), (5.0, 5.0)], ids=str)
def test_other_failures_are_tried_again(seconds: tuple[float, ...]) -> None:
    assert isinstance(after_cuts(*seconds), Retry)


def test_a_connection_that_was_used_before_is_cut_all_the_same() -> None:
    """Stale is what the server closed before the call, not what is closed a minute later."""
    stale = Stale("closed", is_cut=True)

    assert after_cuts(0.01, 0.01, error=stale) == Retry(0.0, Attempts(stale=2, cut_after=0.01))
    assert isinstance(after_cuts(60.0, 60.0, error=stale), GiveUp)


def test_a_stream_that_is_cut_has_another_remedy() -> None:
    decision = after_cuts(300.0, 300.0, is_streamed=True)

    assert isinstance(decision, GiveUp)
    assert decision.reason.endswith("raise its limit, or lower max_tokens)")


def test_the_remedy_is_named_in_the_end_where_the_time_is_short() -> None:
    decision = after_cuts(*[2.0] * POLICY.attempts)

    assert isinstance(decision, GiveUp)
    assert "stream = true" in decision.reason
