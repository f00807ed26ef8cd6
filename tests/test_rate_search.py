"""Unknown limits are found and kept: whole dispatchers before servers on a clock the test owns."""

from collections.abc import Callable
from functools import partial
from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.calls.block import LONGEST_HOLD
from codeclm.engine.calls.pacing import Limits
from codeclm.engine.calls.rate_search import RateSearch
from codeclm.engine.calls.refusals import Cause, Sending
from codeclm.providers.base import Allowance, RateLimited, Reply, Request

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
RETRY_AFTER = (silent, whole_seconds, exact)


def shares(
    server: LimitedServer, begin: float, end: float, *, rate: float = 50.0
) -> tuple[float, float]:
    """Return the share of the limit that was used in that time, and of requests refused."""
    passed, refused = server.between(begin, end)
    return passed / (rate * (end - begin)), refused / max(1, passed + refused)


@pytest.mark.parametrize(
    ("limit", "latency", "retry_after"),
    [
        (limit, latency, RETRY_AFTER[(row + column) % 3])
        for (row, limit), (column, latency) in product(enumerate(SECONDS), enumerate((0.05, 0.3)))
    ],
)
def test_an_unknown_limit_per_second_is_found_within_20_seconds(
    limit: str, latency: float, retry_after: RetryAfter
) -> None:
    """At 50 ms, three calls in flight are already more than it allows."""
    server = LimitedServer(SECONDS[limit](), latency=latency, retry_after=retry_after)

    drive(server, 35)

    used, refused = shares(server, 20, 35)
    assert used >= (0.8 if limit == "shallow bucket" else 0.9)
    assert refused <= 0.05


@pytest.mark.parametrize("limit", ["fixed window", "bucket", "shallow bucket"])
def test_where_answers_take_longer_than_a_window_the_search_takes_longer(limit: str) -> None:
    """With a hundred calls in flight, their number and their rate look alike for a while."""
    server = LimitedServer(SECONDS[limit](), latency=2.0)

    drive(server, 90)

    used, refused = shares(server, 60, 90)
    assert used >= 0.85
    assert refused <= 0.05


@pytest.mark.parametrize("latency", [0.05, 2.0])
def test_windows_of_ten_seconds_are_found(latency: float) -> None:
    server = LimitedServer(FixedWindow(500, 10, phase=3), latency=latency)

    drive(server, 60)

    used, refused = shares(server, 30, 60)
    assert used >= 0.9
    assert refused <= 0.02


@pytest.mark.parametrize(
    ("limit", "latency", "retry_after"),
    [
        (limit, (0.05, 2.0)[row % 2], RETRY_AFTER[row % 3])
        for row, limit in enumerate((*MINUTES, "fixed window", "sliding window"))
    ],
)
def test_of_a_limit_per_minute_hardly_a_request_is_refused_from_the_second_minute_on(
    limit: str, latency: float, retry_after: RetryAfter
) -> None:
    server = LimitedServer(MINUTES[limit](), latency=latency, retry_after=retry_after)

    drive(server, 180)

    assert max(shares(server, begin, begin + 60)[1] for begin in (60, 120)) <= 0.02
    assert shares(server, 0, 180)[0] >= 0.9


def change(limit: Limit, calls: float) -> Callable[[], None]:
    def to() -> None:
        limit.calls = calls

    return to


@pytest.mark.parametrize(
    ("limit", "latency", "retry_after", "known"),
    [
        (FixedWindow, 0.05, silent, None),
        (FixedWindow, 0.5, whole_seconds, None),
        (SlidingWindow, 0.05, exact, None),
        (SlidingWindow, 0.05, silent, 6000),
    ],
)
def test_a_limit_that_moves_is_followed_within_ten_seconds(
    limit: type[FixedWindow | SlidingWindow],
    latency: float,
    retry_after: RetryAfter,
    known: float | None,
) -> None:
    """6,000 a minute, then 1,500, then 6,000 again."""
    moving = limit(100, 1)
    server = LimitedServer(moving, latency=latency, retry_after=retry_after)

    drive(
        server,
        75,
        limits=Limits(requests_per_minute=known),
        changes={20: change(moving, 25), 50: change(moving, 100)},
    )

    lower = shares(server, 30, 50, rate=25)
    higher = shares(server, 60, 75, rate=100)
    assert lower[0] >= 0.85
    assert lower[1] <= 0.05
    assert higher[0] >= 0.85
    assert higher[1] <= 0.05


@pytest.mark.parametrize(("size", "latency"), [(4, 0.05), (40, 0.05), (40, 0.5), (200, 2.0)])
def test_a_server_with_places_is_known_by_their_number(size: int, latency: float) -> None:
    """Beyond so many in flight it refuses: once they are found, hardly ever again."""
    server = LimitedServer(Slots(size), latency=latency)
    seconds = max(20.0, 30 * latency)

    drive(server, 1.5 * seconds)

    used, refused = shares(server, seconds, 1.5 * seconds, rate=size / latency)
    assert used >= 0.9
    assert refused <= 0.02


def test_after_an_outage_of_429s_all_is_as_before_within_seconds() -> None:
    """What refuses everything for a while need not have a limit."""
    server = LimitedServer(Slots(10_000), latency=0.2)
    server.outages = [(1010, 1030)]

    drive(server, 45, limits=Limits(max_concurrent=128))

    assert shares(server, 35, 45, rate=128 / 0.2)[0] >= 0.95
    assert server.between(10, 30)[1] <= 3 * 128


class Whimsical(LimitedServer):
    """Refuses a tenth of what its limit lets through, at random."""

    async def complete(self, request: Request, /) -> Reply:
        if self.random.random() < 0.1:
            raise RateLimited("try again", retry_after=0.1)
        return await super().complete(request)


def test_refusals_that_have_no_reason_do_not_slow_a_limit_down() -> None:
    """The limit is used all the same, however often single requests are refused."""
    server = Whimsical(FixedWindow(50, 1))

    drive(server, 80)

    assert shares(server, 20, 80)[0] >= 0.75
    assert min(shares(server, begin, begin + 10)[0] for begin in range(20, 80, 10)) >= 0.4


class Reporting(LimitedServer):
    """Says with each answer what is left of its minute."""

    async def complete(self, request: Request, /) -> Reply:
        reply = await super().complete(request)
        left = 3000 - len(self.passed)
        return Reply(
            text=reply.text, allowance=Allowance(requests_remaining=left, requests_reset=60.0)
        )


def test_where_the_server_reports_its_limit_nothing_has_to_be_searched() -> None:
    server = Reporting(FixedWindow(3000, 60, phase=1000))

    drive(server, 55)

    assert server.refused == []


def test_the_same_seed_gives_the_same_traffic() -> None:
    def traffic() -> tuple[list[float], list[float]]:
        server = LimitedServer(FixedWindow(50, 1))
        drive(server, 10)
        return server.passed, server.refused

    assert traffic() == traffic()


# -- the search by itself -----------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_refusals_of_single_requests_are_not_the_rates() -> None:
    """One in five, whatever is in flight: a pace is tried, and given up as it does not help."""
    clock, rng = Clock(), Random(1)
    search = RateSearch(clock=clock)
    rates: list[float] = []
    for _ in range(8000):
        clock.now = max(clock.now, search.available_at())
        sending = search.take(32)
        clock.now += 0.01
        if rng.random() < 0.2:
            search.note_refusal(sending, None)
        else:
            search.note_answer(sending)
        rates.append(search.rate)

    assert min(rates) >= 20
    assert sum(rate >= 60 for rate in rates) >= 0.5 * len(rates)


def test_a_blocked_endpoint_is_probed_by_one_request_at_a_time() -> None:
    clock = Clock()
    search = RateSearch(clock=clock)
    causes: list[Cause] = []
    for _ in range(16):  # alone in flight, and refused: it is not for their number
        sending = search.take(1)
        clock.now += 0.01
        causes.append(search.note_refusal(sending, None))
    assert causes[-1] is Cause.FIRST_BLOCK
    holds: list[float] = []
    for _ in range(12):
        holds.append(search.available_at() - clock.now)
        clock.now = search.available_at()
        sending = search.take(1)
        assert search.available_at() > clock.now
        clock.now += 0.01
        assert search.note_refusal(sending, None) is Cause.RATE

    assert holds == sorted(holds)
    assert holds[-1] == pytest.approx(LONGEST_HOLD)


steps = st.lists(
    st.tuples(
        st.sampled_from(["answered", "refused", "lost"]),
        st.floats(0, 100),
        st.integers(1, 100),
        st.none() | st.floats(0, 5),
    ),
    max_size=200,
)


@given(steps=steps)
def test_whatever_happens_the_next_request_may_go_before_long(
    steps: list[tuple[str, float, int, float | None]],
) -> None:
    """The pace stays above zero; only a server that names a longer time is waited for longer."""
    clock = Clock()
    search = RateSearch(clock=clock)
    in_flight: list[Sending] = []
    for event, seconds, width, retry_after in steps:
        clock.now = max(clock.now, search.available_at())
        in_flight.append(search.take(width))
        clock.now += seconds
        if event != "lost":
            sending = in_flight.pop(0)
            if event == "refused":
                search.note_refusal(sending, retry_after)
            else:
                search.note_answer(sending)

        assert search.rate > 0
        patience = max(LONGEST_HOLD, retry_after or 0.0, 2 / search.rate, 10.0)
        assert search.available_at() - clock.now <= patience
