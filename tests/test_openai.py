"""Chat completions: what is sent, and what is made of every kind of answer."""

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.providers.base import (
    MOST_TOKENS,
    Allowance,
    Denied,
    Message,
    ProviderError,
    RateLimited,
    Rejected,
    Reply,
    Request,
    Unavailable,
)
from codeclm.providers.http.endpoint import Endpoint
from codeclm.providers.http.events import Assembly
from codeclm.providers.http.exchange import HttpSession, Response
from codeclm.providers.openai import Mistral, OpenAI, encode

from .servers import Say, Server, answer, chat, request, say

SCHEMA = {
    "type": "object",
    "properties": {"score": {"type": "integer"}},
    "required": ["score"],
    "additionalProperties": False,
}
ASSISTANT = {"role": "assistant", "content": "x"}


def to(server: Server, session: HttpSession, **settings: Any) -> OpenAI:
    return OpenAI(session, base_url=f"{server.url}/v1", **settings)


async def ask(server: Server, session: HttpSession, said: Say) -> Reply:
    server.will(said)
    return await to(server, session).complete(request())


async def fail(server: Server, session: HttpSession, said: Say) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await ask(server, session, said)
    return caught.value


async def sent(server: Server, session: HttpSession, **settings: Any) -> Any:
    await to(server, session).complete(request(**settings))
    return server.asked[-1].json


async def test_a_call_becomes_a_reply(server: Server, session: HttpSession) -> None:
    reply = await ask(server, session, say(chat("Hello.")))

    assert reply == Reply(text="Hello.", prompt_tokens=5, completion_tokens=3, model="small-2026")


async def test_what_is_not_set_is_not_sent(server: Server, session: HttpSession) -> None:
    """Also `sample` and `purpose`, which are the engine's own affair."""
    assert await sent(server, session, sample="7", purpose="judge") == {
        "model": "small",
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Hi."},
        ],
    }


async def test_what_is_set_is_sent_zero_included(server: Server, session: HttpSession) -> None:
    body = await sent(server, session, temperature=0.0, top_p=0.5, max_tokens=9, seed=0)

    assert (body["temperature"], body["top_p"], body["max_tokens"], body["seed"]) == (0, 0.5, 9, 0)


async def test_extra_goes_last_and_wins(server: Server, session: HttpSession) -> None:
    extra = {"temperature": 1, "top_k": 40, "model": "other"}

    body = await sent(server, session, temperature=0.2, extra=extra)

    assert (body["temperature"], body["top_k"], body["model"]) == (1, 40, "other")


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (SCHEMA, True),
        ({**SCHEMA, "additionalProperties": True}, False),
        ({**SCHEMA, "required": []}, False),
        ({"type": "array", "items": {**SCHEMA, "required": []}}, False),
        ({"anyOf": [SCHEMA, {"type": "null"}]}, True),
    ],
)
async def test_a_schema_is_strict_where_it_can_be(
    server: Server, session: HttpSession, schema: dict[str, Any], strict: bool
) -> None:
    """OpenAI refuses a strict schema with an open object or a property that may be missing."""
    body = await sent(server, session, response_format="json_schema", schema=schema)

    named = {"name": "answer", "schema": schema, "strict": strict}
    assert body["response_format"] == {"type": "json_schema", "json_schema": named}


async def test_json_without_a_schema_is_asked_for_as_an_object(
    server: Server, session: HttpSession
) -> None:
    body = await sent(server, session, response_format="json_object")

    assert body["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize(
    ("base_url", "model", "name"),
    [
        ("https://api.openai.com/v1", "gpt-4o-mini", "max_tokens"),
        ("https://api.openai.com/v1", "gpt-4.1", "max_tokens"),
        ("https://api.openai.com/v1", "ft:gpt-4o:me::1", "max_tokens"),
        ("https://api.openai.com/v1", "o3-mini", "max_completion_tokens"),
        ("https://api.openai.com/v1", "gpt-5.1", "max_completion_tokens"),
        ("https://api.openai.com/v1", "new-name", "max_completion_tokens"),
        ("https://eu.api.openai.com/v1", "gpt-9", "max_completion_tokens"),
        ("https://me.openai.azure.com/openai/v1", "my-deployment", "max_completion_tokens"),
        ("https://openrouter.ai/api/v1", "openai/gpt-5", "max_tokens"),
        ("http://localhost:4000", "gpt-5", "max_completion_tokens"),
        ("http://localhost:8000/v1", "o3-lookalike", "max_tokens"),
        ("http://localhost:8000/v1", "gpt-oss-20b", "max_tokens"),
        ("https://api.openai.com.evil.example", "new-name", "max_tokens"),
    ],
)
async def test_only_openais_newer_models_get_the_newer_name_for_max_tokens(
    base_url: str, model: str, name: str
) -> None:
    """Also behind a gateway, which passes the name on."""
    recorder = Recorder()
    asked = Request(model=model, messages=(), max_tokens=7)

    await OpenAI(recorder, base_url=base_url).complete(asked)

    assert recorder.bodies == [f'{{"model":"{model}","messages":[],"{name}":7}}'.encode()]


class Recorder:
    """A session that notes what it should send, to servers that no test may call."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def post(
        self, endpoint: Endpoint, body: bytes, /, assembly: Assembly | None = None
    ) -> Response:
        self.bodies.append(body)
        return Response(json.dumps(chat()).encode(), {})

    async def aclose(self) -> None: ...


async def test_mistral_s_seed_has_a_name_of_its_own(server: Server, session: HttpSession) -> None:
    await Mistral(session, base_url=f"{server.url}/v1").complete(request(seed=7))

    body = server.asked[0].json
    assert body["random_seed"] == 7
    assert "seed" not in body


async def test_half_an_emoji_travels_both_ways(server: Server, session: HttpSession) -> None:
    server.will(answer(b'{"choices": [{"message": {"content": "a\\ud83d"}}]}'))

    reply = await to(server, session).complete(request("b\ud83d"))

    assert (reply.text, server.asked[0].json["messages"][1]["content"]) == ("a\ud83d", "b\ud83d")


async def test_the_key_and_the_users_headers_are_sent(server: Server, session: HttpSession) -> None:
    provider = to(server, session, api_key="sk-key", headers={"X-Title": "t", "user-agent": "me"})
    await provider.complete(request())

    headers = server.asked[0].headers
    assert (headers["authorization"], headers["x-title"]) == ("Bearer sk-key", "t")
    assert headers["user-agent"] == "me"


async def test_without_a_key_none_is_sent(server: Server, session: HttpSession) -> None:
    await to(server, session).complete(request())

    assert "authorization" not in server.asked[0].headers


async def test_replies_are_filed_under_the_base_url(session: HttpSession) -> None:
    """Never under anything that holds the key."""
    provider = OpenAI(session, base_url="http://host/v1/", api_key="sk-key")

    assert (provider.kind, provider.identity) == ("openai", "http://host/v1")


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        (None, "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("refusal", "refusal"),
        ("CONTENT_FILTERED", "content_filter"),
        ("sensitive", "content_filter"),
        ("repetition", "interrupted"),
        ("tool_calls", "other"),
        ("new in 2027", "other"),
    ],
)
async def test_why_the_model_stopped_is_said_in_one_vocabulary(
    server: Server, session: HttpSession, reason: str | None, expected: str
) -> None:
    said = say({"choices": [{"message": ASSISTANT, "finish_reason": reason}]})

    reply = await ask(server, session, said)
    assert (reply.text, reply.finish_reason) == ("x", expected)
    assert reply.finish_detail in {"", reason}


MESSAGES: list[tuple[dict[str, Any], tuple[str, str, str]]] = [
    ({"content": None, "refusal": "I will not."}, ("I will not.", "refusal", "")),
    ({"content": "{}", "refusal": "I will not."}, ("I will not.", "refusal", "")),
    ({"content": [{"type": "refusal", "refusal": "No."}]}, ("No.", "refusal", "")),
    ({"content": "x", "refusal": None}, ("x", "stop", "")),
    ({"content": None}, ("", "stop", "")),
    ({}, ("", "stop", "")),
    ({"content": []}, ("", "stop", "")),
    ({"content": "x", "reasoning_content": "hm"}, ("x", "stop", "hm")),
    ({"content": "x", "reasoning": "hm", "reasoning_details": [{}]}, ("x", "stop", "hm")),
    ({"content": "x", "reasoning": {"effort": "low"}}, ("x", "stop", "")),
    ({"content": "<think>hm</think>x"}, ("<think>hm</think>x", "stop", "")),
    (
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                {"type": "text", "text": "a"},
                {"type": "text", "text": "b"},
            ]
        },
        ("ab", "stop", "hm"),
    ),
]


@pytest.mark.parametrize(("message", "expected"), MESSAGES)
async def test_a_message_in_any_form_gives_its_text(
    server: Server,
    session: HttpSession,
    message: dict[str, Any],
    expected: tuple[str, str, str],
) -> None:
    said = say({"choices": [{"message": message, "finish_reason": "stop"}]})

    reply = await ask(server, session, said)

    assert (reply.text, reply.finish_reason, reply.reasoning) == expected


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cache_write_tokens": 7}}, (0, 7, 0)),
        ({"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 6}}, (9, 0, 6)),
        ({"completion_tokens": 9, "completion_tokens_details": None}, (9, 0, 0)),
        (  # xAI bills reasoning beside the completion
            {
                "prompt_tokens": 5,
                "completion_tokens": 2,
                "total_tokens": 17,
                "completion_tokens_details": {"reasoning_tokens": 10},
            },
            (12, 0, 10),
        ),
    ],
)
async def test_reasoning_and_cache_writes_are_figures_of_their_own(
    server: Server, session: HttpSession, usage: dict[str, Any], expected: tuple[int, int, int]
) -> None:
    reply = await ask(server, session, say(chat(usage=usage)))

    figures = (reply.completion_tokens, reply.cache_write_tokens, reply.reasoning_tokens)
    assert figures == expected


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, (0, 0, 0)),
        ({}, (0, 0, 0)),
        ({"prompt_tokens": None, "completion_tokens": 3}, (0, 3, 0)),
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 8}}, (9, 0, 8)),
        ({"prompt_tokens": 9, "prompt_tokens_details": None}, (9, 0, 0)),
        ({"prompt_tokens": 9, "prompt_cache_hit_tokens": 4}, (9, 0, 4)),
    ],
)
async def test_tokens_are_the_servers_own_count(
    server: Server,
    session: HttpSession,
    usage: dict[str, Any] | None,
    expected: tuple[int, int, int],
) -> None:
    reply = await ask(server, session, say(chat("x", usage=usage)))

    assert (reply.prompt_tokens, reply.completion_tokens, reply.cached_tokens) == expected


async def test_limits_ride_on_every_reply(server: Server, session: HttpSession) -> None:
    headers = {"x-ratelimit-limit-requests": "500", "x-ratelimit-reset-requests": "1s"}

    reply = await ask(server, session, say(chat(), headers=headers))

    assert reply.allowance == Allowance(requests_limit=500, requests_reset=1)


@pytest.mark.parametrize(
    "said",
    [
        answer(b'\n\n  \n{"choices": [{"message": {"content": "x"}}]}\n'),
        answer(b'{"choices": [], "choices": [{"message": {"content": "x"}}]}'),
        answer(
            b'{"choices": [{"message": {"content": "x"}}]}', headers={"Content-Type": "text/plain"}
        ),
    ],
    ids=["blank lines sent to keep the line open", "a key twice", "called text"],
)
async def test_an_unusual_answer_is_still_an_answer(
    server: Server, session: HttpSession, said: Say
) -> None:
    assert await ask(server, session, said) == Reply(text="x")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"message": "m", "code": 429}, RateLimited),
        ({"message": "m", "type": "rate_limit_exceeded"}, RateLimited),
        ({"message": "m", "status": "RESOURCE_EXHAUSTED"}, RateLimited),
        ({"message": "m", "code": "insufficient_quota"}, Denied),
        ({"message": "m", "code": "rate_limit_exceeded", "type": "insufficient_quota"}, Denied),
        ({"message": "m", "code": 502}, Unavailable),
        ({"message": "m", "type": "server_error"}, Unavailable),
        ({"message": "m", "type": "overloaded_error"}, Unavailable),
        ({"message": "m", "code": 401}, Denied),
        ({"message": "m", "code": "invalid_api_key"}, Denied),
        ({"message": "m", "type": "authentication_error"}, Denied),
        ({"message": "m", "type": "invalid_request_error"}, Rejected),
        ({"message": "m", "code": "context_length_exceeded"}, Rejected),
        ({"message": "m"}, Unavailable),
        ({"message": "m", "code": "E17"}, Unavailable),
        ({"message": "m", "code": None, "type": None}, Unavailable),
        ("m", Unavailable),
    ],
)
@pytest.mark.parametrize("place", ["body", "choice"])
async def test_an_error_inside_a_200_is_an_error(
    server: Server,
    session: HttpSession,
    error: object,
    expected: type[ProviderError],
    place: str,
) -> None:
    choice = {"message": ASSISTANT, "finish_reason": "error", "error": error}
    body = {"error": error} if place == "body" else {"choices": [choice]}

    caught = await fail(server, session, say(body, headers={"Retry-After": "4"}))

    assert type(caught) is expected
    assert str(caught).endswith(" m")
    if isinstance(caught, RateLimited | Unavailable):
        assert caught.retry_after == 4


@pytest.mark.parametrize(
    "said",
    [
        answer(b'{"choices": [{"message": {"content": "x'),
        answer(b""),
        answer(b"\n\n\n"),
        answer(b"<!doctype html><title>Hello</title>"),
        answer(b'{"choices": [{"message": {"content": NaN}}]}'),
        answer(b'{"choices": [{"message": {"content": "\xff"}}]}'),
        answer(
            gzip.compress(b'{"choices": [{"message": {"content": "' + b"x" * 99, mtime=0)[:-20],
            headers={"Content-Encoding": "gzip"},
        ),
        say({"choices": []}),
        say({"choices": [{"message": ASSISTANT, "finish_reason": "error"}]}),
        say({"choices": None}),
        say({}),
        say([]),
        say(None),
        say("x"),
        say({"choices": [{}]}),
        say({"choices": [{"message": {"content": 7}}]}),
        answer(b'{"more":' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
    ],
    ids=lambda value: repr(value.data[-40:]) if isinstance(value, Say) else "",
)
async def test_an_answer_that_is_cut_or_of_another_shape_may_come_whole(
    server: Server,
    session: HttpSession,
    said: Say,
) -> None:
    caught = await fail(server, session, said)

    assert type(caught) is Unavailable
    assert str(caught).startswith(f"POST {server.url}/v1/chat/completions: ")


@given(st.text(), st.text())
def test_messages_arrive_as_they_were_written(system: str, text: str) -> None:
    messages = (Message("system", system), Message("user", text))

    body = json.loads(encode(Request(model="m", messages=messages)))

    assert body["messages"] == [
        {"role": "system", "content": system},
        {"role": "user", "content": text},
    ]


async def test_counts_beyond_all_bounds_are_bounded(server: Server, session: HttpSession) -> None:
    """They become sums, money and floats."""
    usage = {"prompt_tokens": 10**400, "completion_tokens": -5, "total_tokens": 0}
    server.always = say(chat(usage=usage))

    reply = await OpenAI(session, base_url=server.url).complete(request())

    assert (reply.prompt_tokens, reply.completion_tokens) == (MOST_TOKENS, 0)
