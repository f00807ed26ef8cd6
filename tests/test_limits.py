"""Pacing is tested on an event loop whose clock the test owns, adaptive concurrency by a
simulation of servers, event by event: nothing here sleeps."""

import asyncio
import heapq
import math
from collections.abc import Callable, Iterator
from itertools import count, pairwise
from random import Random
from typing import NamedTuple, Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeclm.engine.calls.limits import (
    CATCH_UP,
    Concurrency,
    Limits,
    OutputLengths,
    Pacer,
    PromptLengths,
)
from codeclm.engine.calls.retry import Attempts, Retry, decide
from codeclm.engine.config import RetryPolicy
from codeclm.providers.base import Allowance, RateLimited

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
        d.pacer.refused()
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


@settings(deadline=None)
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


@settings(deadline=None)
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
                    pacer.heard(Allowance(requests_remaining=value, requests_reset=30))
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
        assert d.pacer.statistics().held == pytest.approx(7)

        loop.now += 7.001

        assert d.pacer.delay(0) == 0

    drive(loop, Limits(), script)


# -- what the server says -----------------------------------------------------------------------


def test_nothing_left_means_wait_for_the_reset(loop: OwnedLoop) -> None:
    """Of requests or of tokens; afterwards the pace is as before."""

    def script(d: Drive) -> None:
        d.pacer.heard(Allowance(requests_remaining=0, requests_reset=12))

        assert d.pacer.delay(0) == pytest.approx(12, abs=0.001)

        loop.now += 12.001

        assert d.pacer.delay(0) == 0

        d.pacer.heard(Allowance(tokens_remaining=0, tokens_reset=3))

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
        d.pacer.heard(allowance)

        assert d.pacer.delay(1000) == 0

    drive(loop, Limits(), script)


def test_a_used_up_day_is_asked_after_once_a_minute(loop: OwnedLoop) -> None:
    """One call a minute finds out whether it was a day's window or refills all the while."""

    def script(d: Drive) -> None:
        d.pacer.heard(Allowance(requests_remaining=0, requests_reset=86_400))
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
                d.pacer.heard(pending.pop(0)[1])
            elif delay > 0:
                loop.now += delay
            else:
                pending.append((d.send() + 0.5, server.arrive(loop.now)))

    sent = len(drive(loop, Limits(requests_per_minute=known), script).sent)

    assert server.refused == 0
    assert sent >= 0.99 * 5000 if known else sent >= 0.95 * 5000


# -- unknown limits -----------------------------------------------------------------------------


class Server(Protocol):
    def arrive(self, now: float, job: int) -> tuple[bool, float | None]:
        """Serve the call? If not, the Retry-After."""
        ...

    def leave(self) -> None: ...


class Slots:
    """Serves *size* calls at a time."""

    def __init__(self, size: int, retry_after: float | None = None) -> None:
        self.size, self.retry_after, self.busy = size, retry_after, 0

    def arrive(self, now: float, job: int) -> tuple[bool, float | None]:
        if self.busy >= self.size:
            return False, self.retry_after

        self.busy += 1
        return True, None

    def leave(self) -> None:
        self.busy -= 1


class Bucket:
    """Serves *rate* calls a second, *depth* of them at once."""

    def __init__(self, rate: float, depth: float, *, tells: bool = False) -> None:
        self.rate, self.depth, self.tells = rate, depth, tells
        self.level, self.seen = depth, 0.0

    def arrive(self, now: float, job: int) -> tuple[bool, float | None]:
        self.level = min(self.depth, self.level + (now - self.seen) * self.rate)
        self.seen = now
        if self.level < 1:
            return False, (1 - self.level) / self.rate if self.tells else None

        self.level -= 1
        return True, None

    def leave(self) -> None: ...


class Window:
    """Serves *calls* in each span of *seconds*, as fast as they come."""

    def __init__(self, calls: int, seconds: float, *, tells: bool = False) -> None:
        self.calls, self.seconds, self.tells = calls, seconds, tells
        self.number, self.served = -1, 0

    def arrive(self, now: float, job: int) -> tuple[bool, float | None]:
        number = int(now // self.seconds)
        if number != self.number:
            self.number, self.served = number, 0
        if self.served >= self.calls:
            left = (number + 1) * self.seconds - now
            return False, math.ceil(left) if self.tells else None

        self.served += 1
        return True, None

    def leave(self) -> None: ...


class Whim:
    """Refuses a share of the jobs, each once, and asks for a second: no limit at all."""

    def __init__(self, share: float, rng: Random) -> None:
        self.share, self.rng = share, rng
        self.seen: set[int] = set()

    def arrive(self, now: float, job: int) -> tuple[bool, float | None]:
        if job in self.seen or self.rng.random() >= self.share:
            return True, None

        self.seen.add(job)
        return False, 1.0

    def leave(self) -> None: ...


class Outcome(NamedTuple):
    answered: int
    refused: int
    ended: float
    limits: list[tuple[float, int]]


class Simulation:
    """A dispatcher and a server, event by event. A refusal takes 5 ms at most."""

    def __init__(self, server: Server, *, latency: float, ceiling: int, start: int | None) -> None:
        self.now = 0.0
        self.server, self.latency = server, latency
        self.rng = Random(7)
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.order = count()
        self.fresh: Iterator[int] = count()
        self.back: list[int] = []
        self.tries: dict[int, Attempts] = {}
        self.in_flight = self.answered = self.refused = 0
        self.held_until = 0.0
        self.ended = 0.0
        self.limits: list[tuple[float, int]] = []
        self.concurrency = Concurrency(ceiling=ceiling, start=start, clock=lambda: self.now)

    def run(self, *, until: float = math.inf, jobs: int | None = None) -> Outcome:
        if jobs is not None:
            self.fresh = iter(range(jobs))
        self.pump()
        while self.events and self.events[0][0] <= until:
            self.now, _, happen = heapq.heappop(self.events)
            happen()
            self.limits.append((self.now, self.concurrency.limit))
            self.pump()
        return Outcome(self.answered, self.refused, self.ended, self.limits)

    def after(self, seconds: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self.events, (self.now + seconds, next(self.order), happen))

    def pump(self) -> None:
        while self.in_flight < self.concurrency.limit and self.now >= self.held_until:
            job = heapq.heappop(self.back) if self.back else next(self.fresh, None)
            if job is None:
                return
            self.send(job)

    def send(self, job: int) -> None:
        self.in_flight += 1
        sent_at = self.now
        served, retry_after = self.server.arrive(self.now, job)
        spread = self.rng.uniform(0.8, 1.2)
        if served:
            self.after(self.latency * spread, lambda: self.answer(sent_at))
        else:
            quick = min(0.005, self.latency / 10) * spread
            self.after(quick, lambda: self.refuse(job, sent_at, retry_after))

    def answer(self, sent_at: float) -> None:
        self.server.leave()
        self.concurrency.succeeded(self.in_flight, sent_at)
        self.in_flight -= 1
        self.answered += 1
        self.ended = self.now

    def refuse(self, job: int, sent_at: float, retry_after: float | None) -> None:
        hold = self.concurrency.refused(self.in_flight, sent_at, retry_after=retry_after)
        self.in_flight -= 1
        self.refused += 1
        if self.now + hold > self.held_until and hold > 0:
            self.held_until = self.now + hold
            self.after(hold, lambda: None)
        decision = decide(
            RateLimited("full", retry_after=retry_after),
            tries=self.tries.get(job, Attempts()),
            elapsed=0.0,
            policy=RetryPolicy(),
            random=self.rng.random,
        )
        assert isinstance(decision, Retry)
        self.tries[job] = decision.tries
        self.after(decision.wait, lambda: heapq.heappush(self.back, job))


def simulate(
    server: Server,
    *,
    latency: float = 0.05,
    ceiling: int = 512,
    start: int | None = None,
    until: float = math.inf,
    jobs: int | None = None,
) -> Outcome:
    simulation = Simulation(server, latency=latency, ceiling=ceiling, start=start)
    return simulation.run(until=until, jobs=jobs)


@pytest.mark.parametrize(
    ("server", "capacity", "latency"),
    [
        (lambda: Slots(1), 1 / 0.05, 0.05),
        (lambda: Slots(4), 4 / 0.05, 0.05),
        (lambda: Slots(4, 1.0), 4 / 0.05, 0.05),
        (lambda: Slots(4, 1.0), 4 / 2, 2.0),
        (lambda: Slots(100), 100 / 1, 1.0),
        (lambda: Slots(100, 1.0), 100 / 1, 1.0),
        (lambda: Bucket(10, 1), 10, 0.05),
        (lambda: Bucket(100, 10), 100, 0.05),
        (lambda: Bucket(100, 10, tells=True), 100, 0.05),
        (lambda: Bucket(50, 5), 50, 1.0),
        (lambda: Bucket(300, 300, tells=True), 300, 1.0),
        (lambda: Window(100, 1), 100, 0.05),
        (lambda: Window(100, 1, tells=True), 100, 0.05),
        (lambda: Window(300, 1), 300, 1.0),
        (lambda: Window(500, 60), 500 / 60, 2.0),
        (lambda: Window(500, 60, tells=True), 500 / 60, 2.0),
    ],
)
def test_an_unknown_limit_is_found_and_used(
    server: Callable[[], Server], capacity: float, latency: float
) -> None:
    """85 % of what the server can do, over two minutes that begin with no idea of it."""
    outcome = simulate(server(), latency=latency, start=64, until=120)

    assert outcome.answered >= 0.85 * capacity * 120


def test_the_limit_settles() -> None:
    """It neither freezes at the floor nor swings: the last minute stays near the server's size."""
    limits = [
        limit for time, limit in simulate(Slots(100), latency=1.0, until=180).limits if time > 120
    ]

    assert min(limits) >= 80
    assert max(limits) <= 115


def test_a_server_that_grows_is_followed() -> None:
    """Twenty times the room, after a minute: most of it is in use within the next."""
    server = Slots(10)
    simulation = Simulation(server, latency=0.5, ceiling=512, start=None)
    simulation.run(until=60)
    server.size = 200
    before = simulation.answered
    simulation.run(until=120)

    assert simulation.concurrency.limit >= 150
    assert simulation.answered - before >= 0.5 * 200 / 0.5 * 60


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("jobs", [200, 2000])
def test_single_refusals_do_not_slow_the_others(seed: int, jobs: int) -> None:
    """15 % of the jobs hear one 429 and wait their second: at most 1.3 times the least."""
    outcome = simulate(Whim(0.15, Random(seed)), ceiling=64, jobs=jobs)
    least = jobs * 0.05 / 64 + 1.0 + 0.05  # the last job sent may be one of those that wait

    assert outcome.answered == jobs
    assert outcome.ended <= 1.3 * least
    assert outcome.limits[-1][1] == 64


def test_a_burst_of_refusals_counts_once() -> None:
    """What was sent before the decrease cannot decrease again, however much of it is refused."""
    now = 10.0
    concurrency = Concurrency(ceiling=100, start=100, clock=lambda: now)
    for in_flight in range(100, 0, -1):
        concurrency.refused(in_flight, 9.5)

    assert concurrency.limit == 85


def test_unused_room_does_not_grow() -> None:
    """Below four fifths of the limit in flight, an answer says nothing about a higher one."""
    concurrency = Concurrency(ceiling=100, start=10, clock=lambda: 1.0)
    for _ in range(100):
        concurrency.succeeded(7, 0.5)
    idle = concurrency.limit
    for _ in range(10):
        concurrency.succeeded(10, 0.5)

    assert (idle, concurrency.limit) == (10, 13)  # 8 of 10, 9 of 11, 10 of 12; not 10 of 13


def test_it_starts_slowly_and_doubles() -> None:
    """From 32, twice as many per round trip, to the ceiling."""
    limits = simulate(Slots(10_000), latency=1.0, ceiling=500, until=6).limits

    assert limits[0][1] in {32, 33}
    assert next(limit for time, limit in limits if time > 1.3) == pytest.approx(64, abs=8)
    assert limits[-1][1] == 500


def test_an_endpoint_that_refuses_all_is_held_as_long_as_it_asks() -> None:
    """One refused share shrinks, a second one in a row holds everything for its Retry-After."""
    now = 0.0
    concurrency = Concurrency(ceiling=64, start=64, clock=lambda: now)
    holds: list[float] = []
    for _ in range(2):
        now += 1
        holds += [concurrency.refused(n, now - 0.1, retry_after=7.0) for n in range(50, 0, -1)]

    assert sorted(set(holds)) == [0.0, 7.0]
    assert holds.count(7.0) == 1


@given(
    ceiling=st.integers(1, 1000),
    start=st.none() | st.integers(1, 2000),
    steps=st.lists(
        st.tuples(st.booleans(), st.floats(0, 5), st.floats(0, 5), st.none() | st.floats(0, 5)),
        max_size=200,
    ),
)
def test_the_limit_stays_between_one_and_the_ceiling(
    ceiling: int, start: int | None, steps: list[tuple[bool, float, float, float | None]]
) -> None:
    now = 0.0
    concurrency = Concurrency(ceiling=ceiling, start=start, clock=lambda: now)
    for success, passed, took, retry_after in steps:
        now += passed
        if success:
            concurrency.succeeded(concurrency.limit, now - took)
        else:
            assert concurrency.refused(concurrency.limit, now - took, retry_after=retry_after) >= 0

        assert 1 <= concurrency.limit <= ceiling


# -- what a call will cost ----------------------------------------------------------------------


def test_a_stage_is_reserved_what_its_answers_need() -> None:
    """At first a fair part of what it may use, soon what nine in ten of its answers needed."""
    lengths = OutputLengths()
    first = lengths.reserve("judge", 16_000), lengths.reserve("judge", None)
    for used in range(1, 101):
        lengths.learn("judge", used)

    assert first == (4000, 1024)
    assert 90 <= lengths.reserve("judge", 16_000) <= 95
    assert lengths.reserve("encode", 300) == 300


@given(used=st.lists(st.integers(0, 10**6), max_size=200), bound=st.integers(1, 10**5))
def test_a_reservation_is_an_answer_heard_lately_and_within_bounds(
    used: list[int], bound: int
) -> None:
    lengths = OutputLengths()
    for length in used:
        lengths.learn("judge", length)
    reserved = lengths.reserve("judge", bound)

    assert 0 <= reserved <= bound
    if len(used) >= 8:
        assert reserved in {*used[-64:], bound}
        assert sum(length <= lengths.reserve("judge", 10**6) for length in used[-64:]) >= 0.9 * min(
            len(used), 64
        )


def test_prompts_are_estimated_as_the_server_counts() -> None:
    """Four characters a token until usage says otherwise; answers without usage say nothing."""
    prompts = PromptLengths()
    first = prompts.estimate(4001)
    prompts.learn(4000, 0)
    unmoved = prompts.estimate(4001)
    for _ in range(300):
        prompts.learn(1000, 800)

    assert (first, unmoved) == (1001, 1001)
    assert prompts.estimate(1000) == pytest.approx(800, rel=0.01)
