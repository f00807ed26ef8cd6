"""One endpoint's traffic: who goes next, what a failure costs, and how it all ends."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.calls.clients import Clients
from codeclm.engine.calls.dispatcher import Dispatcher
from codeclm.engine.calls.pacing import Limits
from codeclm.engine.config import RetryPolicy
from codeclm.engine.data.errors import ItemError, RunStopped, Stopping
from codeclm.providers.base import (
    Denied,
    Message,
    ProviderError,
    RateLimited,
    Rejected,
    Reply,
    Request,
    ResponseFormat,
    Stale,
    Unavailable,
)
from codeclm.providers.http.exchange import HttpSession
from codeclm.providers.openai import OpenAI

from .clock import OWNED_CLOCK, OwnedClockLoop
from .dispatching import AT_ONCE, Outcome, OutcomeCall, dispatching
from .examples import examples
from .servers import Server, chat, say

Result = asyncio.Future[Outcome]

on_owned_clock = pytest.mark.parametrize("anyio_backend", [OWNED_CLOCK], ids=["owned clock"])


class Puppet:
    """An endpoint that answers each call when, and with what, the test says."""

    kind: str = "puppet"
    identity: str = "puppet"
    structured: ResponseFormat = "text"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.most = 0
        self._calls: dict[str, deque[Result]] = {}
        self._in_flight = 0
        self._call = asyncio.Event()

    async def complete(self, request: Request, /) -> Reply:
        name = request.messages[0].content
        call: Result = asyncio.get_running_loop().create_future()
        self.asked.append(name)
        self._calls.setdefault(name, deque()).append(call)
        self._in_flight += 1
        self._call.set()
        self.most = max(self.most, self._in_flight)
        try:
            outcome = await call
        finally:
            self._in_flight -= 1
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def aclose(self) -> None:
        return

    async def hears(self, calls: int) -> None:
        """Wait until there have been so many calls."""
        while len(self.asked) < calls:
            self._call.clear()
            await self._call.wait()

    async def says(self, name: str, outcome: Outcome | None = None) -> None:
        """End the oldest call of *name*, and let everyone do what follows from it."""
        self._calls[name].popleft().set_result(outcome or Reply(text=name))
        await anyio.wait_all_tasks_blocked()


def ask(dispatcher: Dispatcher, name: str, *, priority: int = 0, tokens: float = 0) -> Result:
    answer: Result = asyncio.get_running_loop().create_future()
    request = Request(model="m", messages=(Message("user", name),))
    dispatcher.submit(
        OutcomeCall(
            request=request,
            priority=priority,
            tokens=tokens,
            dispatcher=dispatcher,
            answered=answer.set_result,
        )
    )
    return answer


async def test_those_closest_to_finishing_an_example_go_first_and_else_the_oldest() -> None:
    puppet = Puppet()
    async with dispatching(puppet, Limits(max_concurrent=1)) as dispatcher:
        answers = [ask(dispatcher, "first", priority=9)]
        await anyio.wait_all_tasks_blocked()
        for name, priority in (("c1", 3), ("d", 4), ("c2", 3), ("a", 0), ("b", 1)):
            answers.append(ask(dispatcher, name, priority=priority))
        while len(puppet.asked) < 6:
            await puppet.says(puppet.asked[-1])
        await puppet.says(puppet.asked[-1])
        said = [await answer for answer in answers]

    assert puppet.asked == ["first", "a", "b", "c1", "c2", "d"]
    assert said == [Reply(text=name) for name in ("first", "c1", "d", "c2", "a", "b")]


async def test_a_call_that_waits_for_its_retry_holds_no_place() -> None:
    puppet = Puppet()
    async with dispatching(puppet, Limits(max_concurrent=1)) as dispatcher:
        failed, other = ask(dispatcher, "failed"), ask(dispatcher, "other")
        await anyio.wait_all_tasks_blocked()
        await puppet.says("failed", Unavailable("down", retry_after=30))
        during = dispatcher.statistics()
        await puppet.says("other")
        dispatcher.stop(Stopping())
        after = dispatcher.statistics()
        outcomes = [await other, type(await failed)]

    assert (during.in_flight, during.queued, during.waiting_for_retry) == (1, 0, 1)
    assert (after.in_flight, after.queued, after.waiting_for_retry) == (0, 0, 0)
    assert outcomes == [Reply(text="other"), Stopping]


class StoringCall(OutcomeCall, eq=False, kw_only=True):
    """A call that goes on after its reply, as one that waits for the disk does."""

    stored: asyncio.Event

    async def carry_out(self) -> None:
        reply = await self.dispatcher.send(self)
        assert reply is not None
        await self.stored.wait()
        self.answered(reply)


async def test_a_call_that_stores_its_reply_holds_no_place_and_is_waited_for_at_the_end() -> None:
    puppet, stored, answers = Puppet(), asyncio.Event(), list[Outcome]()
    names = ["a", "b"]
    async with dispatching(puppet, Limits(max_concurrent=1)) as dispatcher:
        for name in names:
            call = StoringCall(
                request=Request(model="m", messages=(Message("user", name),)),
                priority=0,
                tokens=0,
                dispatcher=dispatcher,
                answered=answers.append,
                stored=stored,
            )
            dispatcher.submit(call)
        for number, name in enumerate(names, start=1):
            await puppet.hears(number)
            await puppet.says(name)
        draining = asyncio.ensure_future(dispatcher.drained())
        await anyio.wait_all_tasks_blocked()
        before = (list(answers), draining.done(), dispatcher.statistics().in_flight)
        stored.set()
        await draining

    assert before == ([], False, 0)
    assert puppet.most == 1
    assert answers == [Reply(text=name) for name in names]


async def test_a_429_of_one_call_does_not_stop_the_others() -> None:
    puppet = Puppet()
    names = [str(n) for n in range(24)]
    async with dispatching(puppet) as dispatcher:
        answers = {name: ask(dispatcher, name) for name in names}
        await anyio.wait_all_tasks_blocked()
        await puppet.says("3", RateLimited("slow down", retry_after=30))
        for name in names:
            if name != "3":
                await puppet.says(name)
        waiting = dispatcher.statistics()
        done = [name for name in names if answers[name].done()]

    assert done == [name for name in names if name != "3"]
    assert (waiting.waiting_for_retry, waiting.rate_limited, waiting.paused) == (1, 1, 0.0)


async def test_after_its_wait_a_call_is_sent_again_and_answered_once() -> None:
    puppet = Puppet()
    policy = RetryPolicy(attempts=3, first_wait=0.02)
    async with dispatching(puppet, policy=policy) as dispatcher:
        answer = ask(dispatcher, "a")
        await anyio.wait_all_tasks_blocked()
        await puppet.says("a", Unavailable("down"))
        await puppet.hears(2)
        await puppet.says("a")
        outcome = await answer
        counts = dispatcher.statistics()

    assert outcome == Reply(text="a")
    assert puppet.asked == ["a", "a"]
    assert (counts.retries, counts.in_flight, counts.waiting_for_retry) == (1, 0, 0)


async def test_a_stale_connection_costs_no_attempt() -> None:
    puppet = Puppet()
    async with dispatching(puppet, policy=RetryPolicy(attempts=1)) as dispatcher:
        answer = ask(dispatcher, "a")
        await anyio.wait_all_tasks_blocked()
        await puppet.says("a", Stale("closed"))
        await puppet.says("a")
        outcome = await answer

    assert outcome == Reply(text="a")


async def test_a_gentle_stop_sends_nothing_more_and_delivers_what_is_in_flight() -> None:
    puppet = Puppet()
    async with dispatching(puppet, Limits(max_concurrent=2)) as dispatcher:
        answers = [ask(dispatcher, name) for name in ("a", "b", "queued")]
        await anyio.wait_all_tasks_blocked()
        dispatcher.stop(Stopping())
        answers.append(ask(dispatcher, "late"))
        draining = asyncio.ensure_future(dispatcher.drained())
        await puppet.says("a")
        early = draining.done()
        await puppet.says("b")
        await draining
        outcomes = [await answer for answer in answers]

    assert not early
    assert puppet.asked == ["a", "b"]
    assert outcomes[:2] == [Reply(text="a"), Reply(text="b")]
    assert [type(outcome) for outcome in outcomes[2:]] == [Stopping, Stopping]


async def test_while_one_endpoint_drains_no_other_sends() -> None:
    slow, quick = Puppet(), Puppet()
    async with dispatching(slow) as first, dispatching(quick, Limits(max_concurrent=1)) as second:
        answers = [ask(first, "a"), ask(second, "b"), ask(second, "c")]
        await slow.hears(1)
        await quick.hears(1)
        async with anyio.create_task_group() as group:
            group.start_soon(Clients({}, {"slow": first, "quick": second}).drained)
            await anyio.wait_all_tasks_blocked()
            await quick.says("b")
            assert quick.asked == ["b"]
            await slow.says("a")
        outcomes = [await answer for answer in answers]

    assert [type(outcome) for outcome in outcomes] == [Reply, Reply, Stopping]


async def test_a_call_that_fails_during_a_stop_is_not_tried_again() -> None:
    puppet = Puppet()
    async with dispatching(puppet) as dispatcher:
        answer = ask(dispatcher, "a")
        await anyio.wait_all_tasks_blocked()
        dispatcher.stop(Stopping())
        await puppet.says("a", Unavailable("down"))
        await dispatcher.drained()
        outcome = await answer

    assert isinstance(outcome, Stopping)
    assert puppet.asked == ["a"]


async def test_a_wrong_key_stops_all_and_only_what_was_in_flight_reached_the_server(
    server: Server, session: HttpSession
) -> None:
    server.always = say({"error": {"message": "no such key"}}, status=401)
    provider = OpenAI(session, base_url=server.url, api_key="wrong")
    async with dispatching(provider, Limits(max_concurrent=4)) as dispatcher:
        answers = [ask(dispatcher, str(n)) for n in range(50)]
        outcomes = [await answer for answer in answers]
        late = await ask(dispatcher, "late")

    assert 1 <= len(server.asked) <= 4
    assert {type(outcome) for outcome in outcomes} == {RunStopped}
    assert "no such key" in str(outcomes[0])
    assert str(outcomes[0]).endswith("; fix that, then run the same command again")
    assert late is outcomes[-1]


class Broken(Puppet):
    """An endpoint that fails for a while, and answers from then on."""

    def __init__(self, *, until: float, error: ProviderError) -> None:
        super().__init__()
        self._until = until
        self._error = error

    async def complete(self, request: Request, /) -> Reply:
        self.asked.append(request.messages[0].content)
        await asyncio.sleep(0.01)
        if asyncio.get_running_loop().time() < self._until:
            raise self._error
        return Reply(text=self.asked[-1])


@on_owned_clock
async def test_an_endpoint_that_answers_nobody_ends_the_run_once_it_was_waited_for() -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    broken = Broken(until=float("inf"), error=Unavailable("POST there: 500 broken"))
    policy = RetryPolicy(outage=1800)
    async with dispatching(broken, Limits(max_concurrent=4), policy) as dispatcher:
        answers = [ask(dispatcher, str(n)) for n in range(10)]
        await asyncio.sleep(60)
        during = dispatcher.statistics()
        outcomes = [await answer for answer in answers]

    assert 1800 <= loop.time() - start <= 1801
    assert {type(outcome) for outcome in outcomes} == {RunStopped}
    assert str(outcomes[0]) == (
        "no call to this endpoint has succeeded for 1800 s; last error: POST there: 500 broken;"
        " start the server or check the network, then run the same command again"
    )
    assert 59 < during.outage < 61
    assert during.last_error == "POST there: 500 broken"
    assert len(broken.asked) < 10 * 100


@on_owned_clock
async def test_an_outage_costs_no_call_however_often_it_failed() -> None:
    """Ten minutes: longer than any call may take on its own, and far more than three attempts."""
    loop = asyncio.get_running_loop()
    broken = Broken(until=loop.time() + 600, error=Unavailable("down"))
    async with dispatching(broken, Limits(max_concurrent=4), RetryPolicy(attempts=3)) as dispatcher:
        outcomes = [await answer for answer in [ask(dispatcher, str(n)) for n in range(20)]]
        after = dispatcher.statistics()

    assert {type(outcome) for outcome in outcomes} == {Reply}
    assert after.outage == 0.0


@on_owned_clock
@pytest.mark.parametrize("retry_after", [None, 0.0, 0.3, 2.0])
async def test_the_time_of_a_call_that_is_refused_counts_queues_and_holds(
    retry_after: float | None,
) -> None:
    """128 calls share one endpoint that refuses all: the run ends when one call's time is up."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    error = RateLimited("slow down", retry_after=retry_after)
    broken = Broken(until=float("inf"), error=error)
    async with dispatching(broken, policy=RetryPolicy(budget=10)) as dispatcher:
        answers = [ask(dispatcher, str(n)) for n in range(128)]
        ended, _ = await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
        seconds = loop.time() - start

    assert seconds <= 11
    assert {type(answer.result()) for answer in ended} == {RunStopped}


@on_owned_clock
async def test_a_call_that_is_sent_again_keeps_its_turn() -> None:
    puppet = Puppet()
    async with dispatching(puppet, Limits(max_concurrent=1)) as dispatcher:
        for name in ("first", "second", "third"):
            ask(dispatcher, name)
        await anyio.wait_all_tasks_blocked()
        await puppet.says("first", Stale("closed"))
        order = list(puppet.asked)
        for name in ("first", "second", "third"):
            await puppet.says(name)

    assert order == ["first", "first"]
    assert puppet.asked == ["first", "first", "second", "third"]


async def test_a_call_that_fails_while_others_are_answered_loses_its_item_for_now(
    server: Server, session: HttpSession
) -> None:
    broken = say({"error": "broken"}, status=500)
    server.always = lambda asked: broken if b"bad" in asked.body else say(chat())
    provider = OpenAI(session, base_url=server.url)
    async with dispatching(provider, Limits(max_concurrent=1)) as dispatcher:
        bad = ask(dispatcher, "bad", priority=1)
        good = [ask(dispatcher, f"good {n}") for n in range(5)]
        texts = [await answer for answer in good]
        outcome = await bad

    assert {type(text) for text in texts} == {Reply}
    assert isinstance(outcome, ItemError)
    assert (outcome.reason, outcome.transient) == ("unavailable", True)
    assert len(server.asked) == 8


async def test_a_request_the_server_rejects_loses_its_item_alone_and_is_not_repeated(
    server: Server, session: HttpSession
) -> None:
    rejected = say({"error": {"message": "too long"}}, status=400)
    server.always = lambda asked: rejected if b"bad" in asked.body else say(chat())
    provider = OpenAI(session, base_url=server.url)
    async with dispatching(provider) as dispatcher:
        answers = [ask(dispatcher, name) for name in ("bad", "good")]
        bad, good = [await answer for answer in answers]

    assert isinstance(bad, ItemError)
    assert (bad.reason, bad.transient) == ("rejected", False)
    assert "too long" in bad.detail
    assert isinstance(good, Reply)
    assert len(server.asked) == 2


@on_owned_clock
async def test_tokens_are_paced_and_what_was_reserved_too_much_is_given_back() -> None:
    """1,000 tokens a second: five calls of 100 reserved take 0.4 s, unless they used less."""
    loop = asyncio.get_running_loop()
    limits = Limits(tokens_per_minute=60_000)

    async def spent(used: int) -> float:
        class Counting(Puppet):
            async def complete(self, request: Request, /) -> Reply:
                return Reply(text="", completion_tokens=used)

        async with dispatching(Counting(), limits) as dispatcher:
            began = loop.time()
            for _ in range(5):
                await ask(dispatcher, "a", tokens=100)
            return loop.time() - began

    whole, silent, little = await spent(100), await spent(0), await spent(1)

    assert 0.3 < whole < 0.5
    assert silent == whole  # a server that does not say what it used
    assert little < 0.2


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), ProviderError("of no kind")])
async def test_an_error_that_no_provider_may_raise_stops_the_run_and_names_the_provider(
    error: Exception,
) -> None:
    puppet = Puppet()
    async with dispatching(puppet) as dispatcher:
        answers = [ask(dispatcher, name) for name in ("a", "b")]
        await puppet.hears(1)
        await puppet.says("a", error)
        outcome = await answers[0]
        await puppet.says("b")
        await dispatcher.drained()
        late = await ask(dispatcher, "c")

    assert isinstance(outcome, RunStopped)
    assert f"the provider 'puppet' is broken: it raised {error!r} (" in str(outcome)
    assert "test_dispatch.py, line" in str(outcome)
    assert "check the network" not in str(outcome)
    assert await answers[1] == Reply(text="b")
    assert late is outcome


@on_owned_clock
async def test_a_group_cancelled_with_retries_pending_leaves_no_error_behind() -> None:
    """Their timers may still fire while others clean up."""
    puppet = Puppet()
    loop = asyncio.get_running_loop()
    heard: list[str] = []
    loop.set_exception_handler(lambda _, context: heard.append(str(context)))
    policy = RetryPolicy(attempts=3, first_wait=0.01)
    async with dispatching(puppet, policy=policy) as dispatcher:
        for name in ("a", "b", "c"):
            ask(dispatcher, name)
        await anyio.wait_all_tasks_blocked()
        for name in ("a", "b", "c"):
            await puppet.says(name, Unavailable("down"))
    await asyncio.sleep(1.0)  # longer than any of the timers

    assert heard == []


# -- whatever happens ---------------------------------------------------------------------------


class Life(NamedTuple):
    """How an endpoint treats one call: failures first, then success or a rejection."""

    priority: int
    failures: tuple[str, ...]
    rejected: bool


ERRORS: dict[str, Callable[[], ProviderError]] = {
    "unavailable": partial(Unavailable, "down"),
    "stale": partial(Stale, "closed"),
    "limited": partial(RateLimited, "slow down"),
}

lives = st.builds(
    Life,
    st.integers(0, 4),
    st.lists(st.sampled_from(sorted(ERRORS)), max_size=3).map(tuple),
    st.booleans(),
)


class Fickle:
    """An endpoint that treats each call as it was drawn."""

    kind: str = "fickle"
    identity: str = "fickle"
    structured: ResponseFormat = "text"

    def __init__(self, drawn: list[Life], *, denies_at: int | None) -> None:
        self._left = {str(n): deque(life.failures) for n, life in enumerate(drawn)}
        self._rejected = {str(n) for n, life in enumerate(drawn) if life.rejected}
        self._denies_at = denies_at
        self.calls = 0
        self.in_flight = 0
        self.most = 0

    async def complete(self, request: Request, /) -> Reply:
        self.calls += 1
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            if self.calls == self._denies_at:
                raise Denied("no money left")
            await asyncio.sleep(0)
            self._fail(request.messages[0].content)
            return Reply(text=request.messages[0].content)
        finally:
            self.in_flight -= 1

    def _fail(self, name: str) -> None:
        """Fail as *name*'s life says.

        Raises:
            ProviderError: it is not its time to succeed.
        """
        if self._left[name]:
            make = ERRORS[self._left[name].popleft()]
            error = make()
            raise error
        if name in self._rejected:
            raise Rejected("no")

    async def aclose(self) -> None:
        return


@examples(150)
@given(
    st.lists(lives, max_size=20),
    st.integers(1, 6),
    st.one_of(st.none(), st.integers(1, 15)),
    st.one_of(st.none(), st.integers(0, 30)),
)
def test_every_call_is_answered_once_and_never_more_than_allowed_are_in_flight(
    drawn: list[Life], most: int, denies_at: int | None, stops_at: int | None
) -> None:
    fickle = Fickle(drawn, denies_at=denies_at)
    answers: Counter[str] = Counter()
    kinds: dict[str, type[object]] = {}

    def answered(name: str, outcome: Outcome) -> None:
        answers[name] += 1
        kinds[name] = type(outcome)

    async def main() -> None:
        limits = Limits(max_concurrent=most)
        async with dispatching(fickle, limits) as dispatcher:
            for n, life in enumerate(drawn):
                request = Request(model="m", messages=(Message("user", str(n)),))
                dispatcher.submit(
                    OutcomeCall(
                        request=request,
                        priority=life.priority,
                        tokens=0,
                        dispatcher=dispatcher,
                        answered=partial(answered, str(n)),
                    )
                )
            turn = 0
            while len(answers) < len(drawn):
                await asyncio.sleep(0 if turn < 100 else 0.01)  # where some wait for their time
                if turn == stops_at:
                    dispatcher.stop(Stopping())
                turn += 1
            await dispatcher.drained()
            left = dispatcher.statistics()

            assert (left.in_flight, left.queued, left.waiting_for_retry) == (0, 0, 0)

    with asyncio.Runner(loop_factory=OwnedClockLoop) as runner:
        runner.run(main())

    assert answers == Counter({str(n): 1 for n in range(len(drawn))})
    assert fickle.most <= most
    if denies_at is None and stops_at is None:
        for n, life in enumerate(drawn):
            if life.failures.count("unavailable") < AT_ONCE.attempts:  # others may outlast more
                assert kinds[str(n)] is (ItemError if life.rejected else Reply)


async def test_a_disk_that_stalls_stops_the_sending() -> None:
    """A kill costs twice the calls that may be in flight at most."""
    puppet, stored, answers = Puppet(), asyncio.Event(), list[Outcome]()
    async with dispatching(puppet, Limits(max_concurrent=3)) as dispatcher:
        for n in range(20):
            call = StoringCall(
                request=Request(model="m", messages=(Message("user", str(n)),)),
                priority=0,
                tokens=0,
                dispatcher=dispatcher,
                answered=answers.append,
                stored=stored,
            )
            dispatcher.submit(call)
        for n in range(6):
            await puppet.hears(n + 1)
            await puppet.says(str(n))

        assert len(puppet.asked) == 6
        stored.set()
        await puppet.hears(7)
