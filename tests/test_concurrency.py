"""Adaptive concurrency against simulated servers, event by event: nothing here sleeps."""

import heapq
import math
from collections.abc import Callable, Iterator
from itertools import count
from random import Random
from typing import NamedTuple, Protocol

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from codeclm.engine.calls.concurrency import Concurrency
from codeclm.engine.calls.retry import Attempts, Retry, decide
from codeclm.engine.config import RetryPolicy
from codeclm.providers.base import RateLimited


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
        self.attempts: dict[int, Attempts] = {}
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
        self.concurrency.note_success(self.in_flight, sent_at)
        self.in_flight -= 1
        self.answered += 1
        self.ended = self.now

    def refuse(self, job: int, sent_at: float, retry_after: float | None) -> None:
        hold = self.concurrency.note_refusal(self.in_flight, sent_at, retry_after=retry_after)
        self.in_flight -= 1
        self.refused += 1
        if self.now + hold > self.held_until and hold > 0:
            self.held_until = self.now + hold
            self.after(hold, lambda: None)
        decision = decide(
            RateLimited("full", retry_after=retry_after),
            attempts=self.attempts.get(job, Attempts()),
            elapsed=0.0,
            policy=RetryPolicy(),
            random=self.rng.random,
        )
        assert isinstance(decision, Retry)
        self.attempts[job] = decision.attempts
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
        concurrency.note_refusal(in_flight, 9.5)

    assert concurrency.limit == 85


def test_unused_room_does_not_grow() -> None:
    """Below four fifths of the limit in flight, an answer says nothing about a higher one."""
    concurrency = Concurrency(ceiling=100, start=10, clock=lambda: 1.0)
    for _ in range(100):
        concurrency.note_success(7, 0.5)
    idle = concurrency.limit
    for _ in range(10):
        concurrency.note_success(10, 0.5)

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
        holds += [concurrency.note_refusal(n, now - 0.1, retry_after=7.0) for n in range(50, 0, -1)]

    assert sorted(set(holds)) == [0.0, 7.0]
    assert holds.count(7.0) == 1


@example(
    ceiling=1,
    start=None,
    steps=[(False, 0.0, 0.0, None)] * 2 + [(True, 1.0, 0.0, None)] + [(False, 0.0, 0.0, None)] * 2,
)
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
            concurrency.note_success(concurrency.limit, now - took)
        else:
            assert (
                concurrency.note_refusal(concurrency.limit, now - took, retry_after=retry_after)
                >= 0
            )

        assert 1 <= concurrency.limit <= ceiling
