"""No call lasts for ever, whatever the server does and whatever carries it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from typing import Any

import anyio
import pytest

from codeclm.engine.calls.deadline import LEAST_RATE, CallBounds, Deadline
from codeclm.engine.calls.dispatcher import Dispatcher
from codeclm.engine.config import RetryPolicy
from codeclm.engine.data.errors import Stopping
from codeclm.providers.base import Message, Reply, Request, ResponseFormat, Transport
from codeclm.providers.http.session import open_session
from codeclm.providers.openai import OpenAI

from .dispatching import Outcome, OutcomeCall, dispatching
from .servers import answer, chat, say


def ask(dispatcher: Dispatcher) -> asyncio.Future[Outcome]:
    outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    call = OutcomeCall(
        request=Request(model="m", messages=(Message("user", "Hi."),)),
        priority=0,
        tokens=0,
        dispatcher=dispatcher,
        answered=outcome.set_result,
    )
    dispatcher.submit(call)
    return outcome


# -- the decision ---------------------------------------------------------------------------------


def deadline(*, silence: float | None = 60.0, total: float = 1000.0) -> Deadline:
    return Deadline(silence=silence, total=total, now=0.0)


def ended_at(subject: Deadline, received: Callable[[int], int], *, until: int = 2000) -> int | None:
    """Look once a second; return the second at which the call must end."""
    return next((t for t in range(until) if subject.problem(received(t), float(t))), None)


def test_a_reply_must_begin_within_the_time_out() -> None:
    assert ended_at(deadline(), lambda _: 0) == 60


def test_a_reply_that_has_begun_must_go_on() -> None:
    assert ended_at(deadline(), lambda t: 500 if t >= 50 else 0) == 110


@pytest.mark.parametrize(("rate", "end"), [(LEAST_RATE - 1, 60), (LEAST_RATE + 1, 1000)])
def test_a_trickle_ends_at_the_least_rate_or_at_the_total(rate: float, end: int) -> None:
    assert ended_at(deadline(), lambda t: 1 + int(rate * t)) == end


def test_a_provider_that_tells_no_progress_has_all_the_time() -> None:
    assert ended_at(deadline(silence=None), lambda _: 0) == 1000


@pytest.mark.parametrize(
    ("bounds", "max_tokens", "seconds"),
    [
        (CallBounds(), None, 600 + 1024),
        (CallBounds(), 100_000, 600 + 25_000),
        (CallBounds(timeout=10), 400, 110),
        (CallBounds(deadline=5), 100_000, 5),
    ],
)
def test_the_total_follows_from_the_length_that_is_expected(
    bounds: CallBounds, max_tokens: int | None, seconds: float
) -> None:
    request = Request(model="m", messages=(), max_tokens=max_tokens)
    subject = bounds.start(request, 0.0)

    assert not subject.problem(10**9, seconds - 1)
    assert subject.problem(10**9, seconds) == f"no complete reply within {seconds:g} s"


# -- real connections -----------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
Play = Callable[[asyncio.StreamWriter], Coroutine[Any, Any, None]]


async def malformed_chunk(writer: asyncio.StreamWriter) -> None:
    """The head, then garbage for a chunk's size in a packet of its own: aiohttp never returns."""
    writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.write(b"lskdu018\r\n")
    await writer.drain()
    writer.close()


async def malformed_second_chunk(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.write(b"ZZ\r\n")
    await writer.drain()
    writer.close()


async def trickled_body(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"Content-Length: 100000\r\n\r\n{")
    await repeat(writer, b" ", pause=0.5)


async def trickled_blanks(writer: asyncio.StreamWriter) -> None:
    """What some servers send to keep a connection alive, without end."""
    writer.write(HEAD + b"Content-Length: 100000\r\n\r\n")
    await repeat(writer, b"\n", pause=0.001)


async def trickled_head(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"X-Slow: ")
    await repeat(writer, b"x", pause=0.02)


async def endless_continue(writer: asyncio.StreamWriter) -> None:
    await repeat(writer, b"HTTP/1.1 100 Continue\r\n\r\n", pause=0.001)


async def endless_extension(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;")
    await repeat(writer, b"x" * 100, pause=0.001)


async def endless_body(writer: asyncio.StreamWriter) -> None:
    """Fast enough at any moment."""
    writer.write(HEAD + b"Content-Length: 10000000\r\n\r\n")
    await repeat(writer, b"x" * 100, pause=0.001)


async def silence(writer: asyncio.StreamWriter) -> None:
    await anyio.sleep_forever()


async def repeat(writer: asyncio.StreamWriter, data: bytes, *, pause: float) -> None:
    """Send *data* until the client goes."""
    while True:
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(pause)


class Stubborn:
    """A server that plays something on the first connections, and answers on all others."""

    def __init__(self, play: Play, times: int) -> None:
        self.url = ""
        self.left = asyncio.Event()
        """Set when the client has gone from a connection that something was played on."""
        self._play = play
        self._times = times

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._times -= 1
        is_played = self._times >= 0
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            if is_played:
                await self._until_gone(reader, writer)
            else:
                writer.write(say(chat()).data)
                await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            if is_played:
                self.left.set()
            writer.close()

    async def _until_gone(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        playing = asyncio.ensure_future(self._play(writer))
        await reader.read()
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)


@asynccontextmanager
async def stubborn(play: Play, times: int = 1) -> AsyncGenerator[Stubborn]:
    server = Stubborn(play, times)
    listening = await asyncio.start_server(server.connected, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        listening.close()


@pytest.fixture(params=["aiohttp", "lean"])
def transport(request: pytest.FixtureRequest) -> Any:
    return request.param


BOUNDS = CallBounds(timeout=0.4, deadline=2.0)

PLAYS: list[Play] = [
    malformed_chunk,
    malformed_second_chunk,
    trickled_body,
    trickled_blanks,
    trickled_head,
    endless_continue,
    endless_extension,
    endless_body,
    silence,
]


@pytest.mark.parametrize("play", PLAYS, ids=lambda play: play.__name__)
async def test_a_call_that_never_ends_is_ended_and_sent_again(
    play: Play, transport: Transport
) -> None:
    """Its connection is closed. The transport's own patience is far longer."""
    async with (
        stubborn(play) as server,
        aclosing(open_session(timeout=600, transport=transport)) as session,
        dispatching(OpenAI(session, base_url=server.url), bounds=BOUNDS) as dispatcher,
    ):
        outcome = ask(dispatcher)
        reply = await outcome
        await server.left.wait()
        counts = dispatcher.statistics()

    assert isinstance(reply, Reply)
    assert (counts.retries, counts.in_flight) == (1, 0)
    by_the_transport = {("lean", malformed_chunk), ("lean", malformed_second_chunk)}
    by_the_transport |= {("lean", endless_continue), ("lean", endless_extension)}
    assert counts.timed_out == 1 or (transport, play) in by_the_transport


async def test_a_gentle_stop_ends_within_the_deadline(transport: Transport) -> None:
    async with (
        stubborn(silence) as server,
        aclosing(open_session(timeout=600, transport=transport)) as session,
        dispatching(OpenAI(session, base_url=server.url), bounds=BOUNDS) as dispatcher,
    ):
        outcome = ask(dispatcher)
        await anyio.wait_all_tasks_blocked()
        dispatcher.stop(Stopping())
        await dispatcher.drained()

    assert isinstance(outcome.result(), Stopping)


class Confused:
    """A provider that awaits something which is cancelled the first time."""

    kind: str = "confused"
    identity: str = "confused"
    structured: ResponseFormat = "text"

    def __init__(self) -> None:
        self.calls = 0

    async def complete(self, request: Request, /) -> Reply:
        self.calls += 1
        inner: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.calls == 1:
            inner.cancel()
            await inner
        return Reply(text="done")

    async def aclose(self) -> None:
        return


async def test_a_cancellation_from_within_a_provider_costs_an_attempt_and_no_sender() -> None:
    provider = Confused()
    policy = RetryPolicy(attempts=2, first_wait=0)
    async with dispatching(provider, policy=policy) as dispatcher:
        outcome = ask(dispatcher)
        reply = await outcome
        await dispatcher.drained()

    assert (reply, provider.calls) == (Reply(text="done"), 2)


async def test_a_sound_answer_is_in_time(transport: Transport) -> None:
    """Blank lines come first, as from a server that is busy."""

    async def play(writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"\n\n\n" + say(chat()).data.partition(b"\r\n\r\n")[2]).data)
        await writer.drain()

    async with (
        stubborn(play) as server,
        aclosing(open_session(transport=transport)) as session,
        dispatching(OpenAI(session, base_url=server.url), bounds=CallBounds()) as dispatcher,
    ):
        outcome = ask(dispatcher)
        reply = await outcome
        counts = dispatcher.statistics()

    assert isinstance(reply, Reply)
    assert (counts.retries, counts.timed_out) == (0, 0)
