"""No call lasts for ever, whatever the server does and whatever carries it."""

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import anyio
import pytest

from codeclm.engine.calls.deadline import LEAST_RATE, CallBounds, Deadline
from codeclm.engine.config import RetryPolicy
from codeclm.engine.data.errors import Stopping
from codeclm.providers.base import Progress, Reply, Request, ResponseFormat, Transport
from codeclm.providers.http.session import open_session
from codeclm.providers.openai import OpenAI

from .dispatching import dispatching, submit
from .servers import answer, chat, say
from .stubborn import Play, stubborn

# -- the decision ---------------------------------------------------------------------------------


def deadline(*, silence: float | None = 60.0, total: float = 1000.0) -> Deadline:
    return Deadline(silence=silence, total=total, now=0.0)


def ended_at(subject: Deadline, received: Callable[[int], int], *, until: int = 2000) -> int | None:
    """Look once a second; return the second at which the call must end."""
    return next((t for t in range(until) if subject.problem(so_far(received(t)), float(t))), None)


def so_far(received: int, events: int = 0) -> Progress:
    progress = Progress()
    progress.received, progress.events = received, events
    return progress


def test_a_reply_must_begin_within_the_time_out() -> None:
    assert ended_at(deadline(), lambda _: 0) == 60


def test_a_reply_that_has_begun_must_go_on() -> None:
    assert ended_at(deadline(), lambda t: 500 if t >= 50 else 0) == 110


@pytest.mark.parametrize(("rate", "end"), [(LEAST_RATE - 1, 60), (LEAST_RATE + 1, 1000)])
def test_a_trickle_ends_at_the_least_rate_or_at_the_total(rate: float, end: int) -> None:
    assert ended_at(deadline(), lambda t: 1 + int(rate * t)) == end


def test_time_for_which_the_process_was_stopped_does_not_count() -> None:
    subject = deadline(silence=60, total=100)
    assert not subject.problem(so_far(0), 59)

    subject.leave_out(500)

    assert not subject.problem(so_far(0), 559)
    assert subject.problem(so_far(0), 560) == "no reply within 60 s"
    assert subject.problem(so_far(10**6), 600) == "no complete reply within 100 s"


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

    assert not subject.problem(so_far(10**9), seconds - 1)
    assert subject.problem(so_far(10**9), seconds) == f"no complete reply within {seconds:g} s"


# Of a stream: events are signs of life, text raises the total.


def test_a_stream_may_bring_no_text_for_long_if_it_brings_events() -> None:
    """A model thinks, and the server says so from time to time (Anthropic's ``ping``)."""
    subject = deadline(total=1000.0)

    assert not any(subject.problem(so_far(3, events=t // 50), float(t)) for t in range(50, 1000))
    assert subject.problem(so_far(3, events=20), 1000.0) == "no complete reply within 1000 s"


def test_a_stream_without_an_event_for_the_time_out_is_ended() -> None:
    subject = deadline()

    assert not any(subject.problem(so_far(9, events=t), float(t)) for t in range(1, 100))
    assert not any(subject.problem(so_far(t, events=99), float(t)) for t in range(100, 159))
    assert subject.problem(so_far(999, events=99), 159.0) == (
        "the stream stalled: no event in 60 s"
    )


@pytest.mark.parametrize(("rate", "end"), [(1, 1000), (3, 2400), (5, None)])
def test_a_stream_that_goes_on_has_more_time(rate: int, end: int | None) -> None:
    subject = Deadline(silence=600, total=1000, now=0, can_grow=True)
    looks = range(5000)

    assert next((t for t in looks if subject.problem(so_far(rate * t, t), float(t))), None) == end


def test_a_deadline_that_the_user_set_is_the_last_word_for_streams_too() -> None:
    subject = CallBounds(timeout=60, deadline=90).start(Request(model="m", messages=()), 0.0)

    assert subject.problem(so_far(10**9, events=10**6), 90.0) == "no complete reply within 90 s"


# -- real connections -----------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


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
        outcome = submit(dispatcher)
        reply = await outcome
        await server.left.wait()
        counts = dispatcher.statistics()

    assert isinstance(reply, Reply)
    assert (counts.retries, counts.in_flight) == (1, 0)
    by_the_transport = {("lean", endless_continue), ("lean", endless_extension)}
    is_at_once = play in {malformed_chunk, malformed_second_chunk}
    assert counts.timed_out == 1 or is_at_once or (transport, play) in by_the_transport


@pytest.mark.parametrize("play", [malformed_chunk, malformed_second_chunk])
async def test_a_response_that_cannot_end_is_not_waited_for(
    play: Play, transport: Transport
) -> None:
    """Long before the time-out: where its connection is closed, nothing more can come."""
    bounds = CallBounds(timeout=5.0)
    async with (
        stubborn(play) as server,
        aclosing(open_session(timeout=600, transport=transport)) as session,
        dispatching(OpenAI(session, base_url=server.url), bounds=bounds) as dispatcher,
    ):
        reply = await submit(dispatcher)
        counts = dispatcher.statistics()

    assert isinstance(reply, Reply)
    assert (counts.retries, counts.timed_out) == (1, 0)
    assert counts.last_error.endswith(
        ("the connection was lost within the reply", "the response was cut off or garbled")
    )


async def test_a_reply_that_its_connection_closes_after_is_read(transport: Transport) -> None:
    """However slowly, and looked at however often."""

    async def play(writer: asyncio.StreamWriter) -> None:
        body = json.dumps(chat("x" * 100_000)).encode()
        writer.write(HEAD + b"\r\n" + body[:1000])
        await asyncio.sleep(0.05)
        writer.write(body[1000:])
        writer.close()

    async with (
        stubborn(play, times=20) as server,
        aclosing(open_session(transport=transport)) as session,
        dispatching(
            OpenAI(session, base_url=server.url), bounds=CallBounds(timeout=600, deadline=600)
        ) as dispatcher,
    ):
        replies = await asyncio.gather(*(submit(dispatcher) for _ in range(20)))
        counts = dispatcher.statistics()

    assert {len(reply.text) for reply in replies if isinstance(reply, Reply)} == {100_000}
    assert (len(replies), counts.retries) == (20, 0)


async def test_a_gentle_stop_ends_within_the_deadline(transport: Transport) -> None:
    async with (
        stubborn(silence) as server,
        aclosing(open_session(timeout=600, transport=transport)) as session,
        dispatching(OpenAI(session, base_url=server.url), bounds=BOUNDS) as dispatcher,
    ):
        outcome = submit(dispatcher)
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
        outcome = submit(dispatcher)
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
        outcome = submit(dispatcher)
        reply = await outcome
        counts = dispatcher.statistics()

    assert isinstance(reply, Reply)
    assert (counts.retries, counts.timed_out) == (0, 0)
