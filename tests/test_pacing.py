"""Pacing on an event loop whose clock the test owns: nothing here sleeps."""

import asyncio
import heapq
import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.calls.pacing import CATCH_UP, Limits, Pacer
from codeclm.engine.calls.refusals import Sending
from codeclm.providers.base import Allowance

EPSILON = 1e-6


class OwnedLoop(asyncio.SelectorEventLoop):
    now = 1000.0

    def time(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def loop() -> Iterator[OwnedLoop]:
    owned = OwnedLoop()
    yield owned
    owned.close()


class Drive:
    """A dispatcher with endless work: it sends as soon as the pacer lets it, timers being late."""

    def __init__(
        self, loop: OwnedLoop, limits: Limits, late: Callable[[], float] = lambda: 0.0
    ) -> None:
        self.loop = loop
        self.pacer = Pacer(limits, clock=loop.time)
        self.late = late
        self.sent: list[tuple[float, float]] = []

    def send(self, tokens: float = 0.0) -> float:
        """Wait out the delay, send, and return the time."""
        while (delay := self.pacer.delay(tokens)) > 0:
            self.loop.now += delay + self.late()
        self.pacer.take(tokens)
        self.sent.append((self.loop.now, tokens))
        return self.loop.now


def drive(
    loop: OwnedLoop, limits: Limits, script: Callable[[Drive], None], **options: Callable[[], float]
) -> Drive:
    async def scenario() -> Drive:
        driven = Drive(loop, limits, **options)
        script(driven)
        return driven

    return loop.run_until_complete(scenario())


def busiest(times: list[float], span: float) -> int:
    """Most events in any half-open window of *span* seconds."""
    first = best = 0
    for last, time in enumerate(times):
        while times[first] <= time - span:
            first += 1
        best = max(best, last - first + 1)
    return best


# -- known limits -------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [0.0, 0.002], ids=["punctual", "2 ms late"])
@pytest.mark.parametrize("per_minute", [0.5, 7, 60, 600, 1_000, 3_000, 60_000])
def test_a_known_limit_is_used_to_99_percent_and_never_exceeded(
    loop: OwnedLoop, per_minute: float, late: float
) -> None:
    """From the first second on, in any minute and in any second; also below one a second."""
    rng = Random(1)
    minutes = max(2.0, 4 / per_minute)

    def script(d: Drive) -> None:
        begin = loop.now
        while loop.now < begin + minutes * 60:
            d.send()

    driven = drive(
        loop, Limits(requests_per_minute=per_minute), script, late=lambda: rng.uniform(0, late)
    )
    times = [time for time, _ in driven.sent]

    assert len(times) - 1 >= math.floor(0.99 * per_minute * (times[-1] - times[0]) / 60)
    assert busiest(times, 60) <= max(1, per_minute)
    assert busiest(times, 1) <= max(1.0, per_minute / 60 * 1.05)
    assert sum(time < times[0] + 1 for time in times) <= max(1.0, per_minute / 60 * 1.05)


def test_after_a_refusal_nothing_is_caught_up_where_a_second_holds_few(loop: OwnedLoop) -> None:
    """A server with room for one request refuses whatever follows a late one early."""
    rng = Random(1)

    def script(d: Drive) -> None:
        d.pacer.note_refusal(Sending(), None)
        for _ in range(300):
            d.send()

    driven = drive(
        loop, Limits(requests_per_minute=600), script, late=lambda: rng.uniform(0, 0.004)
    )
    times = [time for time, _ in driven.sent]

    assert min(b - a for a, b in pairwise(times)) >= 0.1
    assert times[-1] - times[0] <= 299 * 0.1 * 1.04


def test_very_large_rates_work(loop: OwnedLoop) -> None:
    """100,000 a second, with timers of a millisecond."""

    def script(d: Drive) -> None:
        begin = loop.now
        while loop.now < begin + 0.5:
            d.send()

    driven = drive(loop, Limits(requests_per_minute=6e6), script, late=lambda: 0.001)

    assert 0.99 * 50_000 <= len(driven.sent) <= 50_500


def test_requests_and_tokens_are_kept_together(loop: OwnedLoop) -> None:
    """Whichever is scarcer decides, with answers shorter than reserved; both stay in bounds."""
    rng = Random(2)
    used: list[tuple[float, float]] = []
    open_calls: list[tuple[float, float, float]] = []

    def script(d: Drive) -> None:
        begin = loop.now
        while loop.now < begin + 240:
            cost = rng.randint(200, 900)
            time = d.send(1000)
            used.append((time, cost))
            heapq.heappush(open_calls, (time + 3, 1000, cost))
            while open_calls and open_calls[0][0] <= loop.now:
                _, reserved, cost_then = heapq.heappop(open_calls)
                d.pacer.settle(reserved, cost_then)

    drive(loop, Limits(requests_per_minute=600, tokens_per_minute=100_000), script)
    late = [(time, cost) for time, cost in used if time >= used[0][0] + 60]
    tokens = sum(cost for _, cost in late)
    span = late[-1][0] - late[0][0]

    assert busiest([time for time, _ in used], 60) <= 600
    assert 0.95 * 100_000 / 60 <= tokens / span <= 100_000 / 60


amounts = st.lists(st.tuples(st.floats(0, 20), st.floats(0, 5000)), min_size=1, max_size=40)
rates = st.floats(0.5, 1e6)


@given(per_minute=rates, steps=amounts)
def test_grants_in_any_window_stay_within_the_allowance(
    loop: OwnedLoop, per_minute: float, steps: list[tuple[float, float]]
) -> None:
    """In S seconds at most S and CATCH_UP's worth of tokens, or one call more than was left."""

    def script(d: Drive) -> None:
        for idle, tokens in steps:
            loop.now += idle
            d.send(tokens)

    sent = drive(loop, Limits(tokens_per_minute=per_minute), script).sent
    rate = per_minute / 60

    for first, (begin, _) in enumerate(sent):
        total = 0.0
        for end, tokens in sent[first:]:
            assert total <= rate * (end - begin + CATCH_UP + EPSILON) + EPSILON
            total = min(total, rate * 600 - 5000) + tokens  # a longer debt is forgiven


@given(
    limits=st.builds(
        Limits,
        requests_per_minute=st.none() | st.floats(0.01, 1e7),
        tokens_per_minute=st.none() | st.floats(1, 1e9),
    ),
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("wait"), st.floats(0, 1000)),
            st.tuples(st.just("take"), st.floats(0, 1e6)),
            st.tuples(st.just("refund"), st.floats(0, 1e6)),
            st.tuples(st.just("charge"), st.floats(0, 1e9)),
            st.tuples(st.just("hold"), st.floats(0, 100)),
            st.tuples(st.just("left"), st.floats(-5, 1e5)),
        ),
        max_size=30,
    ),
)
def test_a_delay_is_never_negative_and_always_ends(
    loop: OwnedLoop, limits: Limits, steps: list[tuple[str, float]]
) -> None:
    """Whatever is taken, given back or heard: looking changes nothing, and waiting is enough."""

    def script(d: Drive) -> None:
        pacer = d.pacer
        for step, value in steps:
            match step:
                case "wait":
                    loop.now += value
                case "take":
                    pacer.take(value)
                case "refund":
                    pacer.settle(value, 0)
                case "charge":
                    pacer.settle(0, value)
                case "hold":
                    pacer.hold(value)
                case _:
                    pacer.note_allowance(Allowance(requests_remaining=value, requests_reset=30))
            delay = pacer.delay(10)

            assert delay >= 0
            assert pacer.delay(10) == delay
        for _ in range(3):
            loop.now += pacer.delay(10) * (1 + EPSILON)

        assert pacer.delay(10) == 0

    drive(loop, limits, script)


@given(calls=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 5000)), max_size=30))
def test_settling_keeps_the_sum(loop: OwnedLoop, calls: list[tuple[int, int]]) -> None:
    """After all is settled, the tokens counted are the tokens used."""

    def script(d: Drive) -> None:
        for reserved, used in calls:
            d.pacer.take(reserved)
            d.pacer.settle(reserved, used)

    driven = drive(loop, Limits(tokens_per_minute=60_000), script)

    assert driven.pacer.statistics()[:2] == (len(calls), sum(used for _, used in calls))


def test_a_refund_is_had_by_the_next(loop: OwnedLoop) -> None:
    """600 of 1,000 reserved tokens come back: the next call waits for 400."""

    def script(d: Drive) -> None:
        d.send(1000)
        before = d.pacer.delay(1000)
        d.pacer.settle(1000, 400)

        assert before == pytest.approx(1000 / 98, abs=0.01)
        assert d.pacer.delay(1000) == pytest.approx(400 / 98, abs=0.01)

    drive(loop, Limits(tokens_per_minute=6_000), script)


def test_refunds_do_not_pile_up_to_a_burst(loop: OwnedLoop) -> None:
    """A hundred refunds at once are worth one second of tokens, not a hundred calls."""

    def script(d: Drive) -> None:
        d.pacer.settle(1_000_000, 0)
        begin = loop.now
        while loop.now < begin + 1:
            d.send(100)

    driven = drive(loop, Limits(tokens_per_minute=60_000), script)

    assert sum(tokens for _, tokens in driven.sent) <= 2 * 1000 + 200


def test_a_call_larger_than_a_minute_goes_and_is_waited_off(loop: OwnedLoop) -> None:
    def script(d: Drive) -> None:
        d.send(20_000)

        assert d.pacer.delay(1) == pytest.approx(20_000 / (10_000 / 60 * 0.98), rel=0.01)

    drive(loop, Limits(tokens_per_minute=10_000), script)


def test_without_limits_nothing_waits(loop: OwnedLoop) -> None:
    def script(d: Drive) -> None:
        for _ in range(1000):
            assert d.pacer.delay(1e9) == 0
            d.pacer.take(1e9)

    drive(loop, Limits(), script)


def test_a_hold_stops_all_and_ends(loop: OwnedLoop) -> None:
    """A shorter hold does not cut a longer one."""

    def script(d: Drive) -> None:
        d.pacer.hold(7)
        d.pacer.hold(2)

        assert d.pacer.delay(0) == pytest.approx(7, abs=0.001)
        assert d.pacer.statistics().hold == pytest.approx(7)

        loop.now += 7.001

        assert d.pacer.delay(0) == 0

    drive(loop, Limits(), script)


# -- what the server says -----------------------------------------------------------------------


def test_nothing_left_means_wait_for_the_reset(loop: OwnedLoop) -> None:
    """Of requests or of tokens; afterwards the pace is as before."""

    def script(d: Drive) -> None:
        d.pacer.note_allowance(Allowance(requests_remaining=0, requests_reset=12))

        assert d.pacer.delay(0) == pytest.approx(12, abs=0.001)

        loop.now += 12.001

        assert d.pacer.delay(0) == 0

        d.pacer.note_allowance(Allowance(tokens_remaining=0, tokens_reset=3))

        assert d.pacer.delay(500) == pytest.approx(3, abs=0.001)

    drive(loop, Limits(), script)


@pytest.mark.parametrize(
    "allowance",
    [
        Allowance(),
        Allowance(requests_remaining=0),
        Allowance(requests_remaining=-1, requests_reset=60),
        Allowance(requests_remaining=0, requests_reset=0),
        Allowance(requests_limit=1, tokens_limit=1),
    ],
)
def test_half_a_statement_is_no_statement(loop: OwnedLoop, allowance: Allowance) -> None:
    def script(d: Drive) -> None:
        d.pacer.note_allowance(allowance)

        assert d.pacer.delay(1000) == 0

    drive(loop, Limits(), script)


def test_a_used_up_day_is_asked_after_once_a_minute(loop: OwnedLoop) -> None:
    """One call a minute finds out whether it was a day's window or refills all the while."""

    def script(d: Drive) -> None:
        d.pacer.note_allowance(Allowance(requests_remaining=0, requests_reset=86_400))
        for _ in range(5):
            d.send()

    times = [time for time, _ in drive(loop, Limits(), script).sent]

    assert [b - a for a, b in pairwise(times)] == pytest.approx([60] * 4, abs=1)


class Telling:
    """A server that names what is left: a fixed window, or a bucket that refills steadily."""

    def __init__(self, per_minute: int, *, steady: bool, whole_seconds: bool) -> None:
        self.limit, self.steady, self.whole_seconds = per_minute, steady, whole_seconds
        self.left = float(per_minute)
        self.since = 1000.0
        self.refused = 0

    def arrive(self, now: float) -> Allowance:
        if self.steady:
            self.left = min(self.limit, self.left + (now - self.since) * self.limit / 60)
            self.since = now
        elif now >= self.since + 60:
            self.since += (now - self.since) // 60 * 60
            self.left = self.limit
        if self.left >= 1:
            self.left -= 1
        else:
            self.refused += 1
        full = (self.limit - self.left) * 60 / self.limit
        reset = full if self.steady else self.since + 60 - now
        if self.whole_seconds:
            reset = math.ceil(reset)
        return Allowance(requests_remaining=math.floor(self.left), requests_reset=reset)


@pytest.mark.parametrize("steady", [False, True], ids=["window", "bucket"])
@pytest.mark.parametrize("whole_seconds", [False, True])
@pytest.mark.parametrize("known", [None, 500], ids=["unknown", "known"])
def test_the_pace_follows_the_server_before_it_refuses(
    loop: OwnedLoop, known: float | None, *, steady: bool, whole_seconds: bool
) -> None:
    """Answers come half a second late: not one 429, and the allowance is used."""
    server = Telling(500, steady=steady, whole_seconds=whole_seconds)
    pending: list[tuple[float, Allowance]] = []
    begin = loop.now
    server.since = begin

    def script(d: Drive) -> None:
        while loop.now < begin + 600:
            delay = d.pacer.delay(0)
            if pending and (pending[0][0] <= loop.now + delay or len(pending) >= 16):
                loop.now = max(loop.now, pending[0][0])
                d.pacer.note_allowance(pending.pop(0)[1])
            elif delay > 0:
                loop.now += delay
            else:
                pending.append((d.send() + 0.5, server.arrive(loop.now)))

    sent = len(drive(loop, Limits(requests_per_minute=known), script).sent)

    assert server.refused == 0
    assert sent >= 0.99 * 5000 if known else sent >= 0.95 * 5000
