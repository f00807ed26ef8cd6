"""A dispatcher keeps limits and uses them, before a provider that enforces them exactly.

Both are on one clock, which the test owns; `scripts/bench --gate quotas` holds whole runs to the
same over a wire.
"""

import asyncio
from collections.abc import Callable
from random import Random, seed

import pytest

from codeclm.engine.calls.dispatcher import Dispatcher
from codeclm.engine.calls.pacing import Limits
from codeclm.engine.config import RetryPolicy
from codeclm.engine.data.errors import Stopping
from codeclm.providers.base import Provider, RateLimited, Reply, Request, ResponseFormat

from .clock import OWNED_CLOCK, OwnedClockLoop
from .dispatching import Outcome, OutcomeCall, dispatching
from .faults.quota import Quota, QuotaSettings
from .limited_servers import FixedWindow, LimitedServer, SlidingWindow

pytestmark = pytest.mark.parametrize("anyio_backend", [OWNED_CLOCK], ids=["owned clock"])

CALLS = 2100
RESERVED = 720.0
"""Tokens: nine in ten calls take less where they vary."""

LEAD = 2.0
"""Seconds after which a pace is taken to have settled."""


class Enforcer:
    """Answers after 20 to 40 ms what a quota lets through, and keeps books."""

    kind: str = "enforcer"
    identity: str = "enforcer"
    structured: ResponseFormat = "text"

    def __init__(
        self, quota: QuotaSettings, *, tokens: Callable[[Random], int] = lambda _: 0
    ) -> None:
        self.quota = Quota(quota)
        self.tokens = tokens
        self.random = Random(7)
        self.refuse_once: frozenset[str] = frozenset()
        """Calls that meet one refusal more, and are asked to come back after a second."""
        self.passed: list[tuple[float, int]] = []
        self.refused: list[str] = []

    async def complete(self, request: Request, /) -> Reply:
        now = asyncio.get_running_loop().time()
        if request.sample in self.refuse_once and request.sample not in self.refused:
            self.refused.append(request.sample)
            raise RateLimited("come back", retry_after=1.0)
        tokens = self.tokens(self.random)
        wait = self.quota.admit(tokens, now)
        if wait:
            self.refused.append(request.sample)
            tells = self.quota.settings.retry_after == "seconds"
            raise RateLimited("too fast", retry_after=wait if tells else None)
        self.passed.append((now, tokens))
        await asyncio.sleep(self.random.uniform(0.02, 0.04))
        return Reply(text="", prompt_tokens=tokens // 2, completion_tokens=tokens - tokens // 2)

    async def aclose(self) -> None:
        return

    def settled(self, span: float) -> list[tuple[float, int]]:
        """What passed in *span* seconds, once the pace had settled."""
        begin = self.passed[0][0] + LEAD
        return [(now, tokens) for now, tokens in self.passed if begin <= now < begin + span]


@pytest.fixture(autouse=True)
def same_waits() -> None:
    """How long a call waits before it is sent again is random."""
    seed(7)


def submit(dispatcher: Dispatcher, number: int, answered: Callable[[Outcome], None]) -> None:
    tokens = RESERVED if dispatcher.reserves else 0.0
    request = Request(model="m", messages=(), sample=str(number))
    dispatcher.submit(
        OutcomeCall(
            request=request, priority=0, tokens=tokens, dispatcher=dispatcher, answered=answered
        )
    )


async def keep_busy(provider: Provider, limits: Limits, *, seconds: float) -> None:
    """Keep more calls waiting than can go out in so many seconds."""
    async with dispatching(provider, limits, RetryPolicy()) as dispatcher:
        for number in range(int(200 * seconds)):
            submit(dispatcher, number, lambda _: None)
        await asyncio.sleep(seconds)
        dispatcher.stop(Stopping())
        await dispatcher.drained()


@pytest.mark.parametrize(
    "quota",
    [
        QuotaSettings(requests_per_minute=6000, kind="bucket", span=0.1),
        QuotaSettings(requests_per_minute=6000, kind="window", span=1.0),
    ],
    ids=["bucket", "window"],
)
async def test_a_known_request_limit_is_used_to_99_percent_without_a_refusal(
    quota: QuotaSettings,
) -> None:
    provider = Enforcer(quota)

    await keep_busy(provider, Limits(requests_per_minute=6000), seconds=LEAD + 10)

    assert provider.refused == []
    assert len(provider.settled(10)) >= 0.99 * 100 * 10


@pytest.mark.parametrize("limit", [FixedWindow, SlidingWindow])
@pytest.mark.parametrize("window", [1, 60])
@pytest.mark.parametrize("per_minute", [3000, 6000])
async def test_a_known_request_limit_holds_in_windows_of_any_length(
    limit: type[FixedWindow | SlidingWindow], window: float, per_minute: int
) -> None:
    """Though requests travel for 3 to 10 ms."""
    server = LimitedServer(limit(per_minute / 60 * window, window), latency=0.1)

    await keep_busy(server, Limits(requests_per_minute=per_minute), seconds=70)

    assert server.refused == []
    assert server.between(5, 65)[0] >= 0.99 * per_minute


async def test_a_busy_machine_makes_up_for_what_it_was_late_with() -> None:
    """Stalled for a tenth of a second, three times a second, it keeps the limit and uses it."""
    server = LimitedServer(SlidingWindow(6000, 60), latency=0.1)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, OwnedClockLoop)
    random = Random(3)

    async def stall() -> None:
        while True:
            await asyncio.sleep(random.uniform(0.1, 0.4))
            loop.now += random.uniform(0.05, 0.15)

    stalling = asyncio.ensure_future(stall())
    await keep_busy(server, Limits(requests_per_minute=6000), seconds=70)
    stalling.cancel()

    assert server.refused == []
    assert server.between(5, 65)[0] >= 0.99 * 6000


def varied(random: Random) -> int:
    return random.randint(200, 780)


async def test_a_known_token_limit_is_used_to_95_percent_without_a_refusal() -> None:
    """Though more is reserved for most calls than they take, and too little for some."""
    quota = QuotaSettings(tokens_per_minute=1_500_000, kind="bucket", span=2.0)
    provider = Enforcer(quota, tokens=varied)

    await keep_busy(provider, Limits(tokens_per_minute=1_500_000), seconds=LEAD + 20)

    assert provider.refused == []
    assert sum(tokens for _, tokens in provider.settled(20)) >= 0.95 * 25_000 * 20


@pytest.mark.parametrize("told", ["seconds", "none"])
async def test_an_unknown_limit_is_found_and_used_to_85_percent(told: str) -> None:
    """Under steady refusals the pace neither freezes nor swings."""
    provider = Enforcer(
        QuotaSettings(requests_per_minute=6000, kind="bucket", span=1.0, retry_after=told)
    )

    await keep_busy(provider, Limits(), seconds=LEAD + 10)

    passed = provider.settled(10)
    begin = provider.passed[0][0] + LEAD
    by_second = [sum(int(now - begin) == second for now, _ in passed) for second in range(10)]
    assert len(passed) >= 0.85 * 100 * 10
    assert min(by_second) >= 60


async def test_one_refusal_in_seven_costs_less_than_a_third_of_the_time() -> None:
    async def seconds(refused: frozenset[str]) -> float:
        loop = asyncio.get_running_loop()
        provider = Enforcer(QuotaSettings())
        provider.refuse_once = refused
        answers: list[Outcome] = []
        done = asyncio.Event()

        def answered(answer: Outcome) -> None:
            answers.append(answer)
            if len(answers) == CALLS:
                done.set()

        async with dispatching(provider, Limits(max_concurrent=16), RetryPolicy()) as dispatcher:
            began = loop.time()
            for number in range(CALLS):
                submit(dispatcher, number, answered)
            await done.wait()
            took = loop.time() - began

        assert sorted(provider.refused) == sorted(refused)
        assert len(provider.passed) == CALLS
        assert {type(answer) for answer in answers} == {Reply}
        return took

    ideal = await seconds(frozenset())
    disturbed = await seconds(frozenset(str(number) for number in range(0, CALLS, 7)))

    assert disturbed <= 1.3 * ideal
