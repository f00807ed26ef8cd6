"""Streams over real connections, and what bounds them."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from contextlib import aclosing

import anyio
import pytest

from codeclm.engine.calls.deadline import CallBounds
from codeclm.providers.anthropic import Anthropic
from codeclm.providers.base import (
    ProviderError,
    RateLimited,
    Rejected,
    Reply,
    Transport,
    Unavailable,
)
from codeclm.providers.gemini import Gemini
from codeclm.providers.http.exchange import HttpSession
from codeclm.providers.http.masking import MaskedSession
from codeclm.providers.http.session import open_session
from codeclm.providers.openai import OpenAI
from codeclm.providers.responses import Responses

from .dispatching import dispatching, submit
from .servers import ReceivedRequest, Say, Server, answer, chat, request, say
from .streams import (
    Wire,
    chat_events,
    generation_events,
    message_events,
    streamed,
)
from .stubborn import stubborn

BEGUN = chat_events("Hello.", sizes=[2])[:3]


@pytest.fixture(params=["aiohttp", "lean"])
def transport(request: pytest.FixtureRequest) -> Transport:
    name: Transport = request.param
    return name


@pytest.fixture
async def session(transport: Transport) -> AsyncIterator[HttpSession]:
    async with aclosing(
        open_session(timeout=60, connect_timeout=60, transport=transport)
    ) as opened:
        yield opened


BODY = Wire().encode(chat_events("Hello.", sizes=[1]))
REPLY = Reply(text="Hello.", prompt_tokens=5, completion_tokens=3, model="small-2026")


async def ask(server: Server, session: HttpSession, *says: Say) -> Reply:
    server.will(*says)
    return await OpenAI(session, base_url=f"{server.url}/v1").complete(request(stream=True))


async def test_a_stream_is_asked_for_and_its_connection_used_again(
    server: Server, session: HttpSession
) -> None:
    replies = [await ask(server, session, streamed(BODY, size=7)) for _ in range(3)]

    assert replies == [REPLY] * 3
    assert server.connections == 1
    assert server.asked[0].json["stream"] is True
    assert server.asked[0].json["stream_options"] == {"include_usage": True}


async def test_each_dialect_asks_in_its_own_way(server: Server, session: HttpSession) -> None:
    usage = {"promptTokenCount": 4, "candidatesTokenCount": 3}
    generation = generation_events([{"text": "Hello."}], usage=usage, sizes=[2])
    message = message_events(
        [{"type": "text", "text": "Hello."}], usage={"input_tokens": 4, "output_tokens": 3}
    )
    server.will(*(streamed(Wire().encode(stream)) for stream in (generation, message)))

    first = await Gemini(session, base_url=server.url).complete(request(stream=True))
    second = await Anthropic(session, base_url=server.url).complete(request(stream=True))

    assert (first.text, second.text) == ("Hello.", "Hello.")
    assert server.asked[0].path == "/v1beta/models/small:streamGenerateContent?alt=sse"
    assert "stream" not in server.asked[0].json
    assert (server.asked[1].path, server.asked[1].json["stream"]) == ("/v1/messages", True)


@pytest.mark.parametrize(
    "said",
    [
        streamed(BODY, size=1),
        answer(BODY),
        answer(gzip.compress(BODY), headers={"Content-Encoding": "gzip"}),
        answer(zlib.compress(BODY), headers={"Content-Encoding": "deflate"}),
        Say(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + BODY, "close"),
        Say(b"HTTP/1.1 200 OK\r\n\r\n" + BODY, "stall"),
        streamed(BODY, ended=False, then="close"),
        streamed(BODY, ended=False, then="reset"),
        say({**chat("Hello."), "model": "small-2026"}),
    ],
    ids=[
        *("bytes", "length", "gzip", "deflate", "until closed", "never closed", "no last chunk"),
        *("reset at the end", "plain"),
    ],
)
async def test_a_reply_that_has_ended_is_whole_whatever_comes_after(
    server: Server, session: HttpSession, said: Say
) -> None:
    assert await ask(server, session, said) == REPLY
    assert await ask(server, session, streamed(BODY)) == REPLY


CUT = Wire().encode(BEGUN)


@pytest.mark.parametrize(
    ("said", "kind", "reason"),
    [
        (streamed(CUT), Unavailable, "the stream ended before the reply did"),
        (streamed(CUT, ended=False, then="close"), Unavailable, "cut off or garbled"),
        (streamed(CUT, ended=False, then="reset"), Unavailable, "POST"),
        (Say(b"HTTP/1.1 200 OK\r\n\r\n" + CUT, "close"), Unavailable, "the stream ended before"),
        (streamed(CUT + b"data: {]\n\n", then="stall", ended=False), Unavailable, "garbled"),
        (
            streamed(
                CUT + Wire().encode([("", {"error": {"code": 429}})]), then="stall", ended=False
            ),
            RateLimited,
            "429",
        ),
        (say({"error": {"message": "no"}}, status=400), Rejected, "400 no"),
        (say({"error": {"message": "slow"}}, status=429), RateLimited, "429 slow"),
        (answer(BODY, headers={"Content-Encoding": "gzip"}), Unavailable, "cut off or garbled"),
        (streamed(BODY, status=503), Unavailable, "503"),
    ],
)
async def test_a_stream_that_fails_closes_its_connection_at_once(
    server: Server,
    session: HttpSession,
    said: Say,
    kind: type[ProviderError],
    reason: str,
) -> None:
    with pytest.raises(kind, match=reason):
        await ask(server, session, said)

    assert await ask(server, session, streamed(BODY)) == REPLY


async def test_a_server_without_stream_options_is_asked_without_them_from_then_on(
    server: Server, session: HttpSession
) -> None:
    """Mistral's says so with a 422; what it refuses costs nothing."""
    refusal = {"detail": [{"loc": ["body", "stream_options", "include_usage"], "msg": "forbidden"}]}
    both = asyncio.Barrier(2)

    async def wait_for_both(asked: ReceivedRequest) -> None:
        if "stream_options" in asked.json:
            await both.wait()

    server.before = wait_for_both
    server.always = lambda asked: (
        say(refusal, status=422) if "stream_options" in asked.json else streamed(BODY)
    )
    provider = OpenAI(session, base_url=f"{server.url}/v1")

    two = await asyncio.gather(*(provider.complete(request(stream=True)) for _ in range(2)))
    third = await provider.complete(request(stream=True))

    assert (*two, third) == (REPLY, REPLY, REPLY)
    assert sum("stream_options" in asked.json for asked in server.asked) == 2
    assert len(server.asked) == 5


UNVERIFIED = say(
    {
        "error": {
            "message": "Your organization must be verified to stream this model. Please go to: …",
            "type": "invalid_request_error",
            "param": "stream",
            "code": "unsupported_value",
        }
    },
    status=400,
)
"""What OpenAI tells organizations that have not shown a passport; without a stream, they are
served."""


@pytest.mark.parametrize("provider", [OpenAI, Responses])
async def test_a_model_that_is_not_streamed_is_asked_for_the_whole_from_then_on(
    server: Server, session: HttpSession, provider: type[OpenAI] | type[Responses]
) -> None:
    whole = {"output": [{"type": "message", "content": [{"type": "output_text", "text": "Hi."}]}]}
    server.always = lambda asked: (
        UNVERIFIED if asked.json.get("stream") else say({**chat("Hi."), **whole})
    )
    subject = provider(session, base_url=f"{server.url}/v1")

    replies = [await subject.complete(request(stream=True)) for _ in range(2)]

    assert [reply.text for reply in replies] == ["Hi.", "Hi."]
    streams = [asked.json.get("stream", False) for asked in server.asked]
    assert streams[-2:] == [False, False]
    assert sum(streams) == len(streams) - 2


async def test_a_refusal_that_only_mentions_streams_changes_nothing(
    server: Server, session: HttpSession
) -> None:
    refusal = say({"error": {"message": "Write no live stream chats."}}, status=400)
    server.will(refusal, refusal, refusal, streamed(BODY))
    provider = OpenAI(session, base_url=f"{server.url}/v1")

    with pytest.raises(Rejected, match="live stream"):
        await provider.complete(request(stream=True))
    reply = await provider.complete(request(stream=True))

    assert reply == REPLY
    assert server.asked[-1].json["stream_options"] == {"include_usage": True}


async def test_what_a_server_echoes_of_a_key_is_masked_though_it_comes_in_pieces(
    server: Server, session: HttpSession
) -> None:
    key = "sk-0123456789abcdef"
    server.will(streamed(Wire().encode(chat_events(f"Your key is {key}.", sizes=[3]))))
    masked = MaskedSession(session, [key])

    reply = await OpenAI(masked, base_url=server.url).complete(request(stream=True))

    assert reply.text == "Your key is ***."


async def test_a_model_that_thinks_for_long_is_waited_for_while_it_says_so(
    transport: Transport,
) -> None:
    """Each pause is shorter than the time-out, all of them together far longer."""
    text = {"type": "text", "text": "Hi."}
    pings = [("ping", {"type": "ping"})] * 12
    first, *rest = message_events([text], usage={"input_tokens": 4, "output_tokens": 3})

    async def play(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for event in (first, *pings, *rest):
            writer.write(Wire().encode([event]))
            await writer.drain()
            await asyncio.sleep(0.1)
        writer.close()

    async with (
        stubborn(play) as server,
        aclosing(open_session(timeout=600, transport=transport)) as session,
        dispatching(
            Anthropic(session, base_url=server.url), bounds=CallBounds(timeout=0.5)
        ) as dispatcher,
    ):
        reply = await submit(dispatcher, stream=True)
        counts = dispatcher.statistics()

    assert isinstance(reply, Reply)
    assert (reply.text, counts.retries) == ("Hi.", 0)


async def test_a_stream_that_falls_silent_is_ended_and_asked_for_again(
    transport: Transport,
) -> None:
    async def play(writer: asyncio.StreamWriter) -> None:
        writer.write(streamed(CUT, ended=False).data)
        await anyio.sleep_forever()

    async with (
        stubborn(play) as server,
        aclosing(open_session(timeout=600, transport=transport)) as session,
        dispatching(
            OpenAI(session, base_url=server.url), bounds=CallBounds(timeout=0.3)
        ) as dispatcher,
    ):
        reply = await submit(dispatcher, stream=True)
        await server.left.wait()
        counts = dispatcher.statistics()

    assert isinstance(reply, Reply)  # the second answer is plain: it does not stream
    assert (counts.timed_out, counts.retries) == (1, 1)
    assert counts.last_error.endswith("the stream stalled: no event in 0.3 s")
