"""Unknown limits are found and kept: whole dispatchers before servers on a clock the test owns."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.calls.pacing import Limits
from codeclm.engine.calls.rate_search import FIRST_HOLD, LONGEST_HOLD, RateSearch, Sending

from .limited_servers import (
    FixedWindow,
    Limit,
    LimitedServer,
    RetryAfter,
    SlidingWindow,
    Slots,
    TokenBucket,
    drive,
    exact,
    silent,
    whole_seconds,
)

MakeLimit = Callable[[], Limit]

SECONDS: dict[str, MakeLimit] = {
    "fixed window": partial(FixedWindow, 50, 1, phase=0.3),
    "sliding window": partial(SlidingWindow, 50, 1),
    "bucket": partial(TokenBucket, 50, 1, depth=50),
    "shallow bucket": partial(TokenBucket, 50, 1, depth=5),
}
MINUTES: dict[str, MakeLimit] = {
    "fixed window": partial(FixedWindow, 3000, 60, phase=1000),
    "fixed window, half over": partial(FixedWindow, 3000, 60, phase=970),
    "fixed window, nearly over": partial(FixedWindow, 3000, 60, phase=950),
    "sliding window": partial(SlidingWindow, 3000, 60),
    "bucket": partial(TokenBucket, 3000, 60, depth=3000),
}
RETRY_AFTER = [silent, whole_seconds, exact]


def shares(
    server: LimitedServer, begin: float, end: float, *, rate: float = 50.0
) -> tuple[float, float]:
    """Return the share of the limit that was used in that time, and of requests refused."""
    passed, refused = server.between(begin, end)
    return passed / (rate * (end - begin)), refused / max(1, passed + refused)


@pytest.mark.parametrize("retry_after", RETRY_AFTER)
@pytest.mark.parametrize("latency", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("limit", SECONDS)
def test_an_unknown_limit_per_second_is_found_within_20_seconds(
    limit: str, latency: float, retry_after: RetryAfter
) -> None:
    """At 50 ms, three calls in flight are already more than it allows."""
    server = LimitedServer(SECONDS[limit](), latency=latency, retry_after=retry_after)

    drive(server, 40)

    used, refused = shares(server, 20, 40)
    assert used >= 0.9
    assert refused <= 0.05


@pytest.mark.parametrize("retry_after", RETRY_AFTER)
@pytest.mark.parametrize("latency", [1.0, 2.0])
@pytest.mark.parametrize("limit", SECONDS)
def test_where_answers_take_longer_than_a_window_the_search_takes_longer(
    limit: str, latency: float, retry_after: RetryAfter
) -> None:
    """With a hundred calls in flight, their number and their rate look alike for a while."""
    server = LimitedServer(SECONDS[limit](), latency=latency, retry_after=retry_after)

    drive(server, 100)

    used, refused = shares(server, 60, 100)
    assert used >= 0.8
    assert refused <= 0.06


@pytest.mark.parametrize("retry_after", RETRY_AFTER)
@pytest.mark.parametrize("latency", [0.05, 0.5, 2.0])
def test_windows_of_ten_seconds_are_found(latency: float, retry_after: RetryAfter) -> None:
    server = LimitedServer(FixedWindow(500, 10, phase=3), latency=latency, retry_after=retry_after)

    drive(server, 110)

    used, refused = shares(server, 30, 110)
    assert used >= 0.9
    assert refused <= 0.02


@pytest.mark.parametrize("retry_after", RETRY_AFTER)
@pytest.mark.parametrize("latency", [0.05, 2.0])
@pytest.mark.parametrize("limit", MINUTES)
def test_of_a_limit_per_minute_hardly_a_request_is_refused_from_the_second_minute_on(
    limit: str, latency: float, retry_after: RetryAfter
) -> None:
    server = LimitedServer(MINUTES[limit](), latency=latency, retry_after=retry_after)

    drive(server, 240)

    refused = [shares(server, begin, begin + 60)[1] for begin in (60, 120, 180)]
    used, _ = shares(server, 0, 240)
    assert max(refused) <= 0.02
    assert used >= 0.9


def change(limit: Limit, calls: float) -> Callable[[], None]:
    def to() -> None:
        limit.calls = calls

    return to


@pytest.mark.parametrize("known", [None, 6000], ids=["unknown", "told"])
@pytest.mark.parametrize("retry_after", RETRY_AFTER)
@pytest.mark.parametrize("latency", [0.05, 0.5])
@pytest.mark.parametrize("kind", [FixedWindow, SlidingWindow])
def test_a_limit_that_moves_is_followed_within_ten_seconds(
    kind: type[FixedWindow | SlidingWindow],
    latency: float,
    retry_after: RetryAfter,
    known: float | None,
) -> None:
    """6,000 a minute, then 1,500, then 6,000 again."""
    limit = kind(100, 1)
    server = LimitedServer(limit, latency=latency, retry_after=retry_after)

    drive(
        server,
        110,
        limits=Limits(requests_per_minute=known),
        changes={40: change(limit, 25), 80: change(limit, 100)},
    )

    lower = shares(server, 50, 80, rate=25)
    higher = shares(server, 90, 110, rate=100)
    assert lower[0] >= 0.85
    assert lower[1] <= 0.05
    assert higher[0] >= 0.9
    assert higher[1] <= 0.05


@pytest.mark.parametrize("latency", [0.05, 0.5, 2.0])
@pytest.mark.parametrize("size", [4, 40, 200])
def test_a_server_with_places_is_still_known_by_their_number(size: int, latency: float) -> None:
    """Beyond so many in flight it refuses, however fast they come: once found, hardly ever again."""
    server = LimitedServer(Slots(size), latency=latency)
    seconds = max(60.0, 60 * latency)

    drive(server, 2 * seconds)

    used, refused = shares(server, seconds, 2 * seconds, rate=size / latency)
    assert used >= (0.9 if size > 4 else 0.7)
    assert refused <= 0.03


@pytest.mark.parametrize("latency", [0.05, 0.5])
def test_after_an_outage_of_429s_all_is_as_before_within_seconds(latency: float) -> None:
    """What refuses everything for a while need not have a limit."""
    server = LimitedServer(Slots(10_000), latency=latency)
    server.outages = [(1020, 1040)]

    drive(server, 60, limits=Limits(max_concurrent=128))

    _, refused = server.between(20, 40)
    used, _ = shares(server, 45, 60, rate=128 / latency)
    assert used >= 0.95
    assert refused <= 128


@pytest.mark.parametrize("limit", [FixedWindow, SlidingWindow])
@pytest.mark.parametrize("seconds", [1, 10, 60])
@pytest.mark.parametrize("latency", [0.05, 0.5])
def test_a_limit_that_is_told_is_used_without_a_refusal(
    limit: type[FixedWindow | SlidingWindow], seconds: float, latency: float
) -> None:
    """Also by servers that count each second."""
    server = LimitedServer(limit(100 * seconds, seconds), latency=latency)

    drive(server, 70, limits=Limits(requests_per_minute=6000))

    assert server.refused == []
    assert shares(server, 5, 65, rate=100)[0] >= 0.985


def test_the_same_seed_gives_the_same_traffic() -> None:
    def traffic() -> tuple[list[float], list[float]]:
        server = LimitedServer(FixedWindow(50, 1))
        drive(server, 10)
        return server.passed, server.refused

    assert traffic() == traffic()


# -- the search alone -------------------------------------------------------------------------


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_without_refusals_nothing_is_limited() -> None:
    clock = Clock()
    search = RateSearch(clock=clock)
    for _ in range(1000):
        assert search.available_at() <= clock.now
        search.note_answer(search.take(1))
        clock.now += 0.001

    assert search.rate == float("inf")


def test_refusals_of_single_requests_are_not_the_rates() -> None:
    """One in five, whatever is in flight: nothing is concluded from them."""
    clock, rng = Clock(), Random(1)
    search = RateSearch(clock=clock)
    for _ in range(2000):
        sending = search.take(32)
        clock.now += 0.01
        if rng.random() < 0.2:
            assert not search.note_refusal(sending, None)
        else:
            search.note_answer(sending)

    assert search.rate == float("inf")


def test_a_blocked_endpoint_is_probed_by_one_request_at_a_time() -> None:
    clock = Clock()
    search = RateSearch(clock=clock)
    for _ in range(16):  # alone in flight, and refused: it is not for their number
        sending = search.take(1)
        clock.now += 0.01
        for_rate = search.note_refusal(sending, None)
    assert for_rate
    holds: list[float] = []
    for _ in range(12):
        holds.append(search.available_at() - clock.now)
        clock.now = search.available_at()
        sending = search.take(1)
        assert search.available_at() > clock.now
        clock.now += 0.01
        assert search.note_refusal(sending, None)

    assert holds == sorted(holds)
    assert holds[0] == pytest.approx(FIRST_HOLD)
    assert holds[-1] == pytest.approx(LONGEST_HOLD)


steps = st.lists(
    st.tuples(
        st.sampled_from(["answered", "refused", "lost"]),
        st.floats(0, 3),
        st.integers(1, 100),
        st.none() | st.floats(0, 5),
    ),
    max_size=300,
)


@given(steps=steps)
def test_whatever_happens_the_next_request_may_go_before_long(
    steps: list[tuple[str, float, int, float | None]],
) -> None:
    """The pace stays above zero; only a server that names a longer time is waited for longer."""
    clock = Clock()
    search = RateSearch(clock=clock)
    in_flight: list[Sending] = []
    for event, passed, width, retry_after in steps:
        clock.now = max(clock.now, search.available_at())
        in_flight.append(search.take(width))
        clock.now += passed
        if event != "lost":
            sending = in_flight.pop(0)
            if event == "refused":
                search.note_refusal(sending, retry_after)
            else:
                search.note_answer(sending)

        assert search.rate > 0
        patience = max(LONGEST_HOLD, retry_after or 0.0, 2 / search.rate, 10.0)
        assert search.available_at() - clock.now <= patience
