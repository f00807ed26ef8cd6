"""One POST and all the ways it fails, over real sockets."""

import asyncio
import contextlib
import gzip
import shutil
import socket
import ssl
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import chain
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.providers.base import (
    Allowance,
    Denied,
    ProviderError,
    RateLimited,
    Rejected,
    Stale,
    Transport,
    Unavailable,
)
from codeclm.providers.http import exchange, failures, rate_limits
from codeclm.providers.http.endpoint import Endpoint, make_endpoint
from codeclm.providers.http.exchange import HttpSession
from codeclm.providers.http.session import open_session

from .servers import ReceivedRequest, Say, Server, answer, say, serving

KEY = "sk-0123456789abcdef"
OK = answer(b'{"fine": true}')


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


def to(server: Server, path: str = "/v1/chat/completions") -> Endpoint:
    return make_endpoint(
        server.url + path, headers={"Authorization": f"Bearer {KEY}"}, secrets=(KEY,)
    )


async def fail(server: Server, session: HttpSession, *says: Say) -> ProviderError:
    """The error of a call that meets *says*."""
    server.will(*says)
    with pytest.raises(ProviderError) as caught:
        await session.post(to(server), b"{}")
    return caught.value


def reason(error: Exception) -> str:
    """The message without the endpoint it begins with."""
    return str(error).partition("completions: ")[2]


@pytest.mark.parametrize(
    ("said", "is_cut"),
    [
        (Say(b"", "close"), True),
        (Say(b"", "reset"), True),
        (Say(OK.data[:20], "close"), True),
        (Say(OK.data[:-3], "close"), True),
        (answer(status=504), True),
        (answer(status=524), True),
        (answer(status=503), False),
        (answer(status=500), False),
    ],
)
async def test_what_a_gateway_does_is_told_from_what_a_server_does(
    server: Server, session: HttpSession, said: Say, is_cut: bool
) -> None:
    error = await fail(server, session, said)

    assert isinstance(error, Unavailable)
    assert error.is_cut is is_cut


# What goes out and comes back.


async def test_the_body_goes_out_and_the_answer_comes_back_as_bytes(
    server: Server, session: HttpSession
) -> None:
    server.will(answer(b'{"fine": true}', headers={"X-Mark": "1"}))

    body, headers = await session.post(to(server), b'{"ask": 1}')

    assert (body, headers["x-mark"]) == (b'{"fine": true}', "1")
    assert server.asked == [
        ReceivedRequest(
            "POST",
            "/v1/chat/completions",
            {
                "host": server.url.removeprefix("http://"),
                "accept": "application/json",
                "accept-encoding": "identity",
                "content-type": "application/json",
                "user-agent": "codeclm",
                "authorization": f"Bearer {KEY}",
                "content-length": "10",
            },
            b'{"ask": 1}',
        )
    ]


@pytest.mark.parametrize(
    "said",
    [
        answer(b"a" * 300_000),
        answer(b"a" * 300_000, chunked=True),
        answer(gzip.compress(b"a" * 300_000, mtime=0), headers={"Content-Encoding": "gzip"}),
        answer(b"a" * 300_000, status=201),
        Say(b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * 300_000, "close"),
        answer(zlib.compress(b"a" * 300_000), headers={"Content-Encoding": "deflate"}),
        Say(b"HTTP/1.1 100 Continue\r\n\r\n" + answer(b"a" * 300_000).data),
        Say(b"HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n" + answer(b"a" * 300_000).data),
        Say(b"HTTP/1.0 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"a" * 300_000),
        Say(b"\r\n" + answer(b"a" * 300_000).data),
    ],
    ids=[
        *("length", "chunked", "gzip", "created", "until closed", "deflate", "continue", "hints"),
        *("http/1.0", "blank line before"),
    ],
)
async def test_an_answer_is_read_whole_however_it_is_framed(
    server: Server, session: HttpSession, said: Say
) -> None:
    server.will(said)

    body, _ = await session.post(to(server), b"{}")

    assert body == b"a" * 300_000


async def test_a_connection_that_turns_into_another_protocol_is_given_up(
    server: Server, session: HttpSession
) -> None:
    upgrade = Say(b"HTTP/1.1 101 Yes\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n", "close")

    assert type(await fail(server, session, upgrade)) is Rejected
    await session.post(to(server), b"{}")
    assert server.connections == 2


async def test_a_connection_is_used_again(server: Server, session: HttpSession) -> None:
    for said in (OK, answer(status=500), OK, answer(b"x" * 100, status=429), OK):
        server.will(said)
        with contextlib.suppress(ProviderError):
            await session.post(to(server), b"{}")

    assert (len(server.asked), server.connections) == (5, 1)


@pytest.mark.parametrize(
    "said",
    [
        Say(OK.data + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
        answer(b'{"fine": true}', headers={"Connection": "close"}),
        Say(OK.data.replace(b"HTTP/1.1", b"HTTP/1.0")),
    ],
    ids=["another answer", "asked to close", "http/1.0"],
)
async def test_after_anything_odd_a_connection_serves_no_other_call(
    server: Server, session: HttpSession, said: Say
) -> None:
    server.will(said, answer(b"mine"))

    first = await session.post(to(server), b"{}")
    second = await session.post(to(server), b"{}")

    assert (first.body, second.body, server.connections) == (b'{"fine": true}', b"mine", 2)


async def test_what_nobody_asked_for_ends_an_idle_connection(
    server: Server, transport: Transport
) -> None:
    """At once, or where aiohttp looks after idle connections."""
    server.will(OK, answer(b"mine"))
    async with aclosing(open_session(keepalive=0.5, transport=transport)) as session:
        await session.post(to(server), b"{}")

        await server.blurt(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        body, _ = await session.post(to(server), b"{}")

    assert (body, server.connections) == (b"mine", 2)


async def test_an_idle_connection_is_closed_in_time(server: Server, transport: Transport) -> None:
    server.always = OK
    async with aclosing(open_session(keepalive=0.2, transport=transport)) as session:
        await session.post(to(server), b"{}")
        await server.deserted()
        await session.post(to(server), b"{}")

    assert server.connections == 2


@pytest.mark.parametrize("rest", [b"HTTP/1.1 2", b"garbage"])
async def test_no_call_gets_what_another_left_behind(server: Server, rest: bytes) -> None:
    """aiohttp keeps such a rest for the next call, which fails of it and is tried again."""
    server.will(Say(OK.data + rest), answer(b"mine"))
    async with aclosing(open_session(transport="lean")) as session:
        first = await session.post(to(server), b"{}")
        second = await session.post(to(server), b"{}")

    assert (first.body, second.body, server.connections) == (b'{"fine": true}', b"mine", 2)


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_an_answer_may_come_before_its_question_was_sent(
    server: Server, session: HttpSession
) -> None:
    """A server that refuses a body for its length does not read it first."""
    server.early = True
    server.always = answer(b"too large", status=413)

    for _ in range(2):
        with pytest.raises(Rejected, match="413 too large"):
            await session.post(to(server), b"x" * 30_000_000)

    assert server.connections == 2


async def test_all_addresses_of_a_host_are_tried(server: Server, session: HttpSession) -> None:
    """Where localhost is ::1 too, nobody listens there."""
    there = make_endpoint(server.url.replace("127.0.0.1", "localhost"), headers={})

    await asyncio.gather(*(session.post(there, b"{}") for _ in range(3)))

    assert server.asked[0].headers["host"] == there.url.authority


async def test_hundreds_of_calls_are_in_flight_at_once(
    server: Server, session: HttpSession
) -> None:
    """The session sets no limit of its own: the engine bounds concurrency."""
    everyone = asyncio.Event()
    server.always = OK

    async def count(asked: ReceivedRequest) -> None:
        if len(server.asked) == 150:
            everyone.set()
        await everyone.wait()

    server.before = count
    answers = await asyncio.gather(*(session.post(to(server), b"{}") for _ in range(150)))

    assert [body for body, _ in answers] == [b'{"fine": true}'] * 150


# The connection fails.


async def test_a_connection_closed_while_idle_is_stale(
    server: Server, session: HttpSession
) -> None:
    """Such a loss says nothing about the request: it is tried again for free."""
    server.will(OK)
    await session.post(to(server), b"{}")

    error = await fail(server, session, Say(b"", "close"))

    assert type(error) is Stale
    assert reason(error) == "the server had closed this connection"


async def test_a_reset_of_a_reused_connection_is_stale(
    server: Server, session: HttpSession
) -> None:
    server.will(OK)
    await session.post(to(server), b"{}")

    assert type(await fail(server, session, Say(b"", "reset"))) is Stale


async def test_after_a_stale_connection_the_next_call_opens_one(
    server: Server, session: HttpSession
) -> None:
    server.will(OK)
    await session.post(to(server), b"{}")
    await fail(server, session, Say(b"", "close"))

    await session.post(to(server), b"{}")

    assert server.connections == 2


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (Say(b"", "close"), "the server closed the connection without a response"),
        (Say(b"", "reset"), "the server closed the connection without a response"),
        (Say(b"HTTP/1.1 200", "close"), "the server closed the connection without a response"),
        (Say(b"HTTP/1.1 200 OK\r\nContent-", "close"), None),
        (Say(b"HTTP/1.1 200 OK\r\nContent-", "reset"), None),
        (Say(answer(b"x" * 50).data[:-9], "close"), "the response was cut off or garbled"),
        (Say(answer(b"x" * 50).data[:-9], "reset"), None),
        (
            Say(answer(b"x" * 50, chunked=True).data[:-9], "close"),
            "the response was cut off or garbled",
        ),
        (Say(b"HTTP/1.1 200 OK\r\nContent-Length: nine\r\n\r\n{}", "close"), None),
        (Say(b"HTTP/1.1 200 OK\r\nContent-Length: -9\r\n\r\n{}", "close"), None),
        (Say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}", "close"), None),
        (Say(b"SSH-2.0-OpenSSH_9.6\r\n", "close"), None),
        (Say(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\n\r\n{}", "close"), None),
        (answer(b"not gzip at all", headers={"Content-Encoding": "gzip"}), None),
        (answer(b"{}", headers={"Content-Encoding": "zstd"}), None),
        (Say(b"", "stall"), "silent for 0.2 s"),
        (Say(b"HTTP/1.1 200 OK\r\nContent-Le", "stall"), "silent for 0.2 s"),
        (Say(answer(b"x" * 50).data[:-9], "stall"), "silent for 0.2 s"),
    ],
    ids=lambda value: repr(value.data[:45] + value.then.encode()) if isinstance(value, Say) else "",
)
async def test_a_lost_or_garbled_answer_may_succeed_later(
    server: Server, transport: Transport, said: Say, expected: str | None
) -> None:
    """Nothing of aiohttp's leaves `post`, whatever comes over the wire."""
    async with aclosing(open_session(timeout=0.2, transport=transport)) as session:
        error = await fail(server, session, said)

    assert type(error) is Unavailable
    assert str(error).startswith(f"POST {server.url}/v1/chat/completions: ")
    assert expected is None or reason(error) == expected
    assert error.__suppress_context__


async def test_an_answer_that_began_on_a_reused_connection_is_not_stale(
    server: Server, session: HttpSession
) -> None:
    server.will(OK)
    await session.post(to(server), b"{}")

    assert (
        type(await fail(server, session, Say(b"HTTP/1.1 200 OK\r\nX: 1\r\n", "close")))
        is Unavailable
    )


@pytest.mark.parametrize("cut", range(0, len(OK.data), 7))
async def test_an_answer_cut_anywhere_is_unavailable(
    server: Server, transport: Transport, cut: int
) -> None:
    async with aclosing(open_session(transport=transport)) as session:
        error = await fail(server, session, Say(OK.data[:cut], "close"))

    assert type(error) is Unavailable


async def test_a_server_that_never_says_hello_is_unavailable(transport: Transport) -> None:
    """It listens, and TLS is never begun."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    there = make_endpoint(f"https://127.0.0.1:{listening.getsockname()[1]}", headers={})
    async with aclosing(open_session(connect_timeout=0.2, transport=transport)) as session:
        with pytest.raises(Unavailable, match=r"no connection within 0\.2 s$"):
            await session.post(there, b"{}")
    listening.close()


async def test_no_server_is_unavailable(session: HttpSession, server: Server) -> None:
    with pytest.raises(Unavailable, match=r"cannot connect to 127\.0\.0\.1: Connection refused"):
        await session.post(make_endpoint("http://127.0.0.1:1/v1", headers={}), b"{}")


@pytest.mark.blocking
async def test_no_such_host_is_unavailable(session: HttpSession) -> None:
    with pytest.raises(Unavailable, match=r"no address for nowhere\.invalid"):
        await session.post(make_endpoint("https://nowhere.invalid/v1", headers={}), b"{}")


async def test_a_server_without_tls_is_unavailable(session: HttpSession) -> None:
    async def answer_in_plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer_in_plain, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable, match=r"cannot connect to 127\.0\.0\.1: .*SSL"):
            await session.post(make_endpoint(f"https://127.0.0.1:{port}", headers={}), b"{}")


async def test_a_cancelled_call_gives_its_connection_up(
    server: Server, session: HttpSession
) -> None:
    """Half an answer is still to come on it: it must not serve another call."""
    server.will(Say(answer(b"x" * 50).data[:-9], "stall"))
    asked = asyncio.Event()

    async def note(_: ReceivedRequest) -> None:
        asked.set()

    server.before = note
    call = asyncio.ensure_future(session.post(to(server), b"{}"))
    await asked.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    body, _ = await session.post(to(server), b"{}")

    assert (body != b"", server.connections) == (True, 2)


# The server refuses.


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, Rejected),
        (401, Denied),
        (402, Denied),
        (403, Denied),
        (404, Denied),
        (405, Rejected),
        (408, Unavailable),
        (409, Unavailable),
        (413, Rejected),
        (422, Rejected),
        (425, Unavailable),
        (429, RateLimited),
        (500, Unavailable),
        (502, Unavailable),
        (503, Unavailable),
        (504, Unavailable),
        (520, Unavailable),
        (529, Unavailable),
        (599, Unavailable),
    ],
)
async def test_a_status_has_one_meaning(
    server: Server, session: HttpSession, status: int, expected: type[ProviderError]
) -> None:
    said = say({"error": {"message": "no", "type": "some_error"}}, status=status)

    error = await fail(server, session, said)

    assert (type(error), reason(error)) == (expected, f"{status} no")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, {"error": {"message": "m", "type": "insufficient_quota", "code": None}}),
        (429, {"error": {"message": "m", "code": "insufficient_quota"}}),
        (429, {"error": {"message": "m", "code": "billing_hard_limit_reached"}}),
        (400, {"error": {"message": "m", "code": "model_not_found"}}),
        (400, {"error": {"message": "m", "details": [{"reason": "API_KEY_INVALID"}]}}),
        (400, {"error": {"message": "Your credit balance is too low to access the API."}}),
    ],
)
async def test_what_no_later_call_will_mend_is_denied(
    server: Server, session: HttpSession, status: int, body: object
) -> None:
    """An empty account comes as a 429, or a 400: waiting, or going on, would burn the seeds."""
    assert type(await fail(server, session, say(body, status=status))) is Denied


async def test_a_403_for_one_flagged_input_does_not_stop_the_run(
    server: Server, session: HttpSession
) -> None:
    body = {"error": {"code": 403, "message": "m", "metadata": {"flagged_input": "…"}}}

    assert type(await fail(server, session, say(body, status=403))) is Rejected


@pytest.mark.parametrize("status", [301, 302, 303, 304, 307, 308])
async def test_a_redirect_is_not_followed(
    server: Server, session: HttpSession, status: int
) -> None:
    """The key goes nowhere that the user has not named."""
    place = {"Location": f"{server.url}/elsewhere?token=secret"}

    error = await fail(server, session, answer(status=status, headers=place))

    assert type(error) is Rejected
    assert reason(error) == f"{status} redirects to {server.url}/elsewhere"
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"error": {"message": "Too  long.\\n"}}', "Too long."),
        (b'{"error": "model \\"x\\" not found"}', 'model "x" not found'),
        (b'{"message": "flat", "object": "error"}', "flat"),
        (b'{"detail": [{"loc": ["body"], "msg": "field required"}]}', None),
        (b'[{"error": {"message": "in a list"}}]', "in a list"),
        (b"plain words", "plain words"),
        (b"", "Bad Request"),
        (b"{}", "Bad Request"),
        (b"null", "Bad Request"),
        (b'{"error": null}', "Bad Request"),
        (b'{"error": {"message": null}}', "Bad Request"),
        (b"<html><head><title>502 Bad\nGateway</title></head><body>x</body>", "502 Bad Gateway"),
        (b"<!doctype html><p>x", "(a web page)"),
        (b'{"error": {"message": "\\u001b[31mred\\u001b[0m\\u0007 \\u202eevil"}}', "red evil"),
        (b"\xff\xfe\x00garbage", None),
        (b"[" * 60_000, None),
    ],
)
async def test_the_servers_own_words_are_kept_in_one_clean_line(
    server: Server, session: HttpSession, body: bytes, expected: str | None
) -> None:
    error = await fail(server, session, answer(body, status=400))
    said = reason(error).removeprefix("400 ")

    assert type(error) is Rejected
    assert said.isprintable()
    assert len(said) <= 301
    assert expected is None or said == expected


async def test_a_long_message_is_cut(server: Server, session: HttpSession) -> None:
    error = await fail(server, session, say({"error": {"message": "long " * 999}}, status=400))

    assert reason(error) == "400 " + ("long " * 60) + "…"


@pytest.mark.parametrize(
    "said",
    [
        say({"error": {"message": f"Incorrect API key provided: {KEY}."}}, status=401),
        say({"error": {"message": "x" * 290 + KEY}}, status=400),
        say({"error": {"message": f"Bearer {KEY} {KEY}"}}, status=500),
        answer(f"<title>{KEY}</title>".encode(), status=503),
        answer(f"no: {KEY}".encode(), status=429),
        answer(status=302, headers={"Location": f"http://x/{KEY}/y"}),
        answer(b"{}", status=200, headers={"Content-Encoding": "gzip", "X-Echo": KEY}),
        Say(f"HTTP/1.1 200 OK\r\nContent-Length: {KEY}\r\n\r\n".encode()),
        Say(f"{KEY} what\r\n\r\n".encode()),
    ],
)
async def test_a_key_never_appears_in_a_message(
    server: Server, session: HttpSession, said: Say
) -> None:
    """Also where the server sends it back; nor in the cause that a traceback would show."""
    error = await fail(server, session, said)

    assert KEY[:12] not in f"{error!s} {error!r} {error.__cause__!r}"


async def test_an_error_answer_without_end_is_not_read_to_it(
    server: Server, session: HttpSession
) -> None:
    error = await fail(server, session, answer(b"x" * 1_000_000, status=500))

    assert (type(error), len(reason(error))) == (Unavailable, 305)


@pytest.mark.parametrize(
    "said",
    [
        answer(b"a" * 5000),
        answer(b"a" * 5000, chunked=True),
        answer(gzip.compress(b"a" * 5_000_000, mtime=0), headers={"Content-Encoding": "gzip"}),
    ],
    ids=["length", "chunked", "gzip"],
)
async def test_an_answer_beyond_all_measure_is_rejected(
    server: Server,
    session: HttpSession,
    said: Say,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A small bound stands in for the real one; compressed bytes count as what they become."""
    monkeypatch.setattr(exchange, "MAX_RESPONSE_BYTES", 4096)

    error = await fail(server, session, said)

    assert (type(error), reason(error)) == (Rejected, "the response is larger than 4096 bytes")


# What a refusal says about waiting.


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "0.25"}, 0.25),
        ({"Retry-After": " 2 "}, 2.0),
        ({"Retry-After-Ms": "1500", "Retry-After": "9"}, 1.5),
        ({"Retry-After-Ms": "soon", "Retry-After": "9"}, 9.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "99999999"}, 3600.0),
        ({"Retry-After-Ms": "1e300"}, 3600.0),
        ({}, None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_how_long_to_wait_is_what_the_server_says(
    server: Server,
    session: HttpSession,
    headers: dict[str, str],
    expected: float | None,
    status: int,
) -> None:
    """Seconds, milliseconds or a date; nonsense is not said, more than an hour is an hour."""
    error = await fail(server, session, answer(status=status, headers=headers))

    assert isinstance(error, RateLimited | Unavailable)
    assert error.retry_after == expected


async def test_a_date_to_come_back_is_counted_from_now(
    server: Server, session: HttpSession
) -> None:
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)

    error = await fail(server, session, answer(status=429, headers={"Retry-After": then}))

    assert isinstance(error, RateLimited)
    assert error.retry_after is not None
    assert 55 < error.retry_after <= 60


async def test_a_429_tells_the_limits(server: Server, session: HttpSession) -> None:
    headers = {
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "120ms",
        "x-ratelimit-limit-tokens": "30000",
        "x-ratelimit-remaining-tokens": "29000",
        "x-ratelimit-reset-tokens": "6m0s",
    }

    error = await fail(server, session, answer(status=429, headers=headers))

    assert isinstance(error, RateLimited)
    assert error.allowance == Allowance(500, 0, 0.12, 30000, 29000, 360)


def test_anthropics_limits_are_read() -> None:
    then = (datetime.now(UTC) + timedelta(seconds=30)).isoformat().replace("+00:00", "Z")
    headers = {
        "Anthropic-RateLimit-Requests-Limit": "50",
        "Anthropic-RateLimit-Requests-Remaining": "49",
        "Anthropic-RateLimit-Requests-Reset": then,
        "Anthropic-RateLimit-Tokens-Limit": "40000",
        "Anthropic-RateLimit-Tokens-Remaining": "39000",
        "Anthropic-RateLimit-Tokens-Reset": "2015-10-21T07:28:00Z",
    }

    told = rate_limits.read_allowance(headers)

    assert told is not None
    assert told.requests_reset is not None
    assert 25 < told.requests_reset <= 30
    assert told == Allowance(50, 49, told.requests_reset, 40000, 39000, 0)


def test_of_anthropics_two_kinds_of_tokens_the_scarcer_counts() -> None:
    then = (datetime.now(UTC) + timedelta(seconds=30)).isoformat()
    headers = {
        "Anthropic-RateLimit-Input-Tokens-Limit": "30000",
        "Anthropic-RateLimit-Input-Tokens-Remaining": "29000",
        "Anthropic-RateLimit-Input-Tokens-Reset": then,
        "Anthropic-RateLimit-Output-Tokens-Limit": "8000",
        "Anthropic-RateLimit-Output-Tokens-Remaining": "400",
        "Anthropic-RateLimit-Output-Tokens-Reset": then,
    }

    told = rate_limits.read_allowance(headers)

    assert told is not None
    assert (told.requests_limit, told.tokens_limit, told.tokens_remaining) == (None, 8000, 400)


@pytest.mark.parametrize(
    ("status", "word", "kind"),
    [
        (400, "true", Unavailable),
        (404, "true", Unavailable),
        (500, "false", Rejected),
        (409, "false", Rejected),
        (429, "false", RateLimited),
        (429, "true", RateLimited),
        (500, "perhaps", Unavailable),
        (400, "", Rejected),
    ],
)
async def test_a_server_s_word_on_retries_goes_before_the_status(
    server: Server, session: HttpSession, status: int, word: str, kind: type[ProviderError]
) -> None:
    headers = {"x-should-retry": word} if word else {}

    assert type(await fail(server, session, answer(status=status, headers=headers))) is kind


async def test_a_used_up_quota_is_final_whatever_is_said_of_retries(
    server: Server, session: HttpSession
) -> None:
    body = b'{"error": {"message": "You exceeded your quota.", "code": "insufficient_quota"}}'
    said = answer(body, status=429, headers={"x-should-retry": "true"})

    assert type(await fail(server, session, said)) is Denied


@pytest.mark.parametrize("name", ["X-Request-Id", "request-id", "apim-request-id"])
async def test_a_failure_names_the_request_for_the_vendor_s_support(
    server: Server, session: HttpSession, name: str
) -> None:
    error = await fail(server, session, answer(status=400, headers={name: "req_011CT\x1b[2J7"}))
    long = await fail(server, session, answer(status=400, headers={name: "x" * 200}))

    assert str(error).endswith("400 Bad Request (request req_011CT7)")
    assert str(long).endswith("400 Bad Request")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("6m0s", 360),
        ("12ms", 0.012),
        ("1s", 1),
        ("1h2m3.5s", 3723.5),
        ("1d", 86400),
        ("7", 7),
        ("7.5", 7.5),
        ("", None),
        ("-1s", None),
        ("s", None),
        ("1x", None),
        ("nan", None),
        ("1" * 99 + "ms", None),
    ],
)
def test_durations_are_read_as_vendors_write_them(text: str, expected: float | None) -> None:
    assert rate_limits.parse_duration(text) == expected


@given(st.text(max_size=80))
def test_no_header_breaks_the_reader(text: str) -> None:
    """What is read is a number that can be waited for, or nothing."""
    names = (
        "Retry-After",
        "Retry-After-Ms",
        *rate_limits.OPENAI_HEADERS,
        *chain.from_iterable(rate_limits.ANTHROPIC_HEADERS.values()),
    )
    for name in names:
        wait = rate_limits.read_retry_after({name: text})
        told = rate_limits.read_allowance({"X-RateLimit-Limit-Requests": "1", name: text})

        assert wait is None or 0 <= wait <= rate_limits.LONGEST_WAIT
        assert told is not None


@given(cut=st.integers(0, 90))
def test_no_cut_of_an_answer_passes_for_one(cut: int) -> None:
    whole = b'{"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "model": "m"}'

    try:
        read = failures.decode_response("POST x", whole[:cut], msgspec.json.Decoder())
    except Unavailable:
        read = None

    assert (read is None) == (cut < len(whole))


@given(st.binary(max_size=200))
def test_no_error_body_breaks_the_reader(body: bytes) -> None:
    said = failures.sanitize(failures.parse_error_body(body).message)

    assert said.isprintable()


_names = st.sampled_from(
    ["error", "message", "detail", "code", "type", "status", "details", "reason", "retryDelay"]
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=4),
    max_leaves=12,
)


@given(_json)
def test_no_shape_of_error_breaks_the_reader(tree: object) -> None:
    error = failures.embedded_error("POST x", tree, headers={})

    assert str(error).startswith("POST x: ")


# Endpoints and sessions.


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8000/v1",
        "ftp://host/v1",
        "http://",
        "http:///v1",
        "http://user:hunter22@host/v1",
        "http://host/v1?key=hunter22",
        "http://host/v1#hunter22",
        "http://host:port/v1",
        "http://host:99999/v1",
        "http://[::1/v1",
    ],
)
def test_a_base_url_that_cannot_work_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="base URL") as caught:
        make_endpoint(url, headers={})

    assert "hunter22" not in str(caught.value)


@pytest.mark.parametrize("key", ["sk-abc\nX-Evil: 1", "sk-abc\r", "sk\x00abc"])
def test_a_key_with_a_line_break_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ValueError, match="the header Authorization holds") as caught:
        make_endpoint("http://host/v1", headers={"Authorization": key})

    assert "abc" not in str(caught.value)


@pytest.mark.parametrize("name", ["X: 1", "X Y", "", "Content-Length", "transfer-encoding"])
def test_a_header_that_would_change_the_request_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="the header"):
        make_endpoint("http://host/v1", headers={name: "1"})


@pytest.mark.parametrize(
    ("url", "environ", "expected"),
    [
        ("https://api.example/v1", {"HTTPS_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        ("https://api.example/v1", {"https_proxy": "proxy:3128"}, "http://proxy:3128"),
        ("https://api.example/v1", {"HTTP_PROXY": "http://proxy:3128"}, None),
        ("http://api.example/v1", {"HTTP_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        ("https://api.example/v1", {"ALL_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        (
            "https://api.example/v1",
            {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": ".example"},
            None,
        ),
        ("http://localhost:8000/v1", {"HTTP_PROXY": "http://proxy:3128"}, None),
        ("http://127.0.0.1:8000/v1", {"HTTP_PROXY": "http://proxy:3128"}, None),
        ("http://[::1]:8000/v1", {"HTTP_PROXY": "http://proxy:3128"}, None),
    ],
)
def test_the_environment_names_the_proxy(
    url: str, environ: dict[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("REQUEST_METHOD", "")
    monkeypatch.delenv("REQUEST_METHOD")

    proxy = make_endpoint(url, headers={}).proxy

    assert (None if proxy is None else str(proxy)) == expected


async def test_a_call_goes_through_the_proxy(
    server: Server, session: HttpSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url.replace("//", "//me:hunter22@"))
    server.will(OK)

    body, _ = await session.post(make_endpoint("http://api.example/v1", headers={}), b"{}")

    assert body == b'{"fine": true}'
    assert server.asked[0].path == "http://api.example/v1"
    assert server.asked[0].headers["proxy-authorization"] == "Basic bWU6aHVudGVyMjI="


@pytest.mark.parametrize(("said", "expected"), [(407, Denied), (403, Denied), (502, Unavailable)])
async def test_a_proxy_that_refuses_is_named_without_its_password(
    server: Server,
    session: HttpSession,
    monkeypatch: pytest.MonkeyPatch,
    said: int,
    expected: type[ProviderError],
) -> None:
    monkeypatch.setenv("https_proxy", server.url.replace("//", "//me:hunter22@"))
    server.will(answer(status=said))

    with pytest.raises(expected) as caught:
        await session.post(make_endpoint("https://api.example/v1", headers={}), b"{}")

    assert str(caught.value).endswith(f"the proxy {server.url} responded with {said}")
    assert "hunter22" not in f"{caught.value.__cause__!r}"


async def test_a_proxy_out_of_reach_is_unavailable(
    session: HttpSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")

    with pytest.raises(Unavailable, match=r"cannot reach the proxy http://127\.0\.0\.1:1: Conn"):
        await session.post(make_endpoint("https://api.example/v1", headers={}), b"{}")


def test_a_socks_proxy_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "socks5://me:hunter22@proxy:1080")

    with pytest.raises(ValueError, match=r"^the proxy socks5://proxy:1080 is not an HTTP proxy$"):
        make_endpoint("https://api.example/v1", headers={})


async def test_a_closed_session_leaves_no_task_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look-up of addresses is shared by calls, so it outlives the call that began it."""

    async def look_up(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
    before = asyncio.all_tasks()
    endpoint = make_endpoint("http://a.invalid/", headers={})
    async with aclosing(open_session(transport="lean")) as session:
        call = asyncio.create_task(session.post(endpoint, b""))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        looking_up = asyncio.all_tasks() - before

    assert looking_up
    assert asyncio.all_tasks() == before


def test_a_transport_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httptools", None)

    with pytest.raises(ValueError, match=r"needs an extra: .*pip install .*\[lean\]"):
        open_session(transport="lean")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1 that nobody has signed but itself."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed: it makes the certificate")
    file = tmp_path_factory.mktemp("tls") / "self.pem"
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    name = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    command = (openssl, "req", "-x509", *curve, *name, "-keyout", file, "-out", f"{file}.crt")
    subprocess.run(command, check=True, capture_output=True)
    file.write_bytes(file.read_bytes() + Path(f"{file}.crt").read_bytes())
    return file


@pytest.mark.blocking
async def test_ssl_cert_file_decides_whom_to_trust(
    monkeypatch: pytest.MonkeyPatch, certificate: Path, transport: Transport
) -> None:
    """It is read when the endpoint is made, not with an import: .env may have named it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with serving(tls=context) as server:
        server.always = OK
        async with aclosing(open_session(transport=transport)) as session:
            with pytest.raises(
                Unavailable, match=r"the certificate of 127\.0\.0\.1 is not trusted"
            ):
                await session.post(to(server), b"{}")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        async with aclosing(open_session(transport=transport)) as session:
            body, _ = await session.post(to(server), b"{}")

    assert body == b'{"fine": true}'


@pytest.mark.blocking
async def test_ssl_cert_file_that_holds_no_certificate_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, said in (("none.pem", "No such file"), ("empty.pem", "no certificate")):
        (tmp_path / "empty.pem").touch()
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / name))

        with pytest.raises(ValueError, match=rf"SSL_CERT_FILE=.*{name}: .*{said}"):
            make_endpoint("https://host/v1", headers={})
