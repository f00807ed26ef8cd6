"""The Messages API: what is sent, and what is made of every kind of answer."""

from typing import Any

import pytest

from codeclm.providers.anthropic import Anthropic
from codeclm.providers.base import (
    Denied,
    Message,
    ProviderError,
    RateLimited,
    Rejected,
    Reply,
    Request,
    Unavailable,
)
from codeclm.providers.http.exchange import HttpSession

from .servers import Say, Server, answer, request, say

TEXT = {"type": "text", "text": "Hello."}


def to(server: Server, session: HttpSession, **settings: Any) -> Anthropic:
    return Anthropic(session, base_url=server.url, **settings)


def message(*content: dict[str, Any], **more: Any) -> Say:
    return say({"type": "message", "role": "assistant", "content": list(content), **more})


async def ask(server: Server, session: HttpSession, said: Say) -> Reply:
    server.will(said)
    return await to(server, session).complete(request())


async def sent(server: Server, session: HttpSession, **settings: Any) -> Any:
    server.will(message(TEXT))
    await to(server, session).complete(request(**settings))
    return server.asked[-1].json


async def test_a_call_becomes_a_reply(server: Server, session: HttpSession) -> None:
    """Tokens read from, or written to, the vendor's cache are part of the prompt."""
    usage = {
        "input_tokens": 5,
        "output_tokens": 3,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 20,
    }

    reply = await ask(
        server, session, message(TEXT, stop_reason="end_turn", model="claude-x", usage=usage)
    )

    assert reply == Reply(
        text="Hello.",
        prompt_tokens=125,
        completion_tokens=3,
        cached_tokens=100,
        cache_write_tokens=20,
        model="claude-x",
    )


async def test_the_system_prompt_and_the_key_go_where_anthropic_wants_them(
    server: Server, session: HttpSession
) -> None:
    server.will(message(TEXT))
    await to(server, session, api_key="sk-ant-key").complete(request(seed=4))

    asked = server.asked[0]
    assert asked.path == "/v1/messages"
    assert (asked.headers["x-api-key"], asked.headers["anthropic-version"]) == (
        "sk-ant-key",
        "2023-06-01",
    )
    assert asked.json == {
        "model": "small",
        "messages": [{"role": "user", "content": "Hi."}],
        "max_tokens": 4096,
        "system": "Be kind.",
    }


async def test_several_system_messages_become_one(server: Server, session: HttpSession) -> None:
    server.will(message(TEXT))
    messages = (Message("system", "a"), Message("user", "x"), Message("system", "b"))

    await to(server, session).complete(Request(model="m", messages=messages))

    assert server.asked[0].json["system"] == "a\n\nb"


async def test_what_is_set_is_sent_and_extra_wins(server: Server, session: HttpSession) -> None:
    extra = {"top_k": 4, "max_tokens": 8}

    body = await sent(server, session, temperature=0.0, top_p=0.5, max_tokens=7, extra=extra)

    assert (body["temperature"], body["top_p"], body["top_k"]) == (0, 0.5, 4)
    assert body["max_tokens"] == 8


async def test_a_schema_goes_as_output_config(server: Server, session: HttpSession) -> None:
    body = await sent(server, session, response_format="json_schema", schema={"type": "object"})

    assert body["output_config"] == {
        "format": {"type": "json_schema", "schema": {"type": "object"}}
    }


async def test_an_effort_leaves_the_schema_in_the_request(
    server: Server, session: HttpSession
) -> None:
    schema = {"type": "object"}
    body = await sent(
        server,
        session,
        response_format="json_schema",
        schema=schema,
        extra={"output_config": {"effort": "low"}},
    )

    assert body["output_config"] == {
        "effort": "low",
        "format": {"type": "json_schema", "schema": schema},
    }


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
async def test_a_base_url_with_or_without_its_version_is_the_same(
    server: Server, session: HttpSession, suffix: str
) -> None:
    server.will(message(TEXT))
    provider = Anthropic(session, base_url=server.url + suffix)
    await provider.complete(request())

    assert (provider.identity, server.asked[0].path) == (server.url, "/v1/messages")


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        (None, "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "refusal"),
        ("pause_turn", "interrupted"),
        ("tool_use", "other"),
    ],
)
async def test_why_the_model_stopped_is_said_in_one_vocabulary(
    server: Server, session: HttpSession, reason: str | None, expected: str
) -> None:
    reply = await ask(server, session, message(TEXT, stop_reason=reason))

    assert reply.finish_reason == expected


async def test_a_refusal_names_its_category(server: Server, session: HttpSession) -> None:
    details = {"type": "refusal", "category": "frontier_llm", "explanation": "Competing models."}
    said = message(stop_reason="refusal", stop_details=details)

    reply = await ask(server, session, said)

    assert (reply.finish_reason, reply.finish_detail) == ("refusal", "frontier_llm")
    assert reply.text == "Competing models."


async def test_thinking_and_cache_writes_are_figures_of_their_own(
    server: Server, session: HttpSession
) -> None:
    usage = {
        "input_tokens": 2,
        "output_tokens": 9,
        "cache_creation_input_tokens": 3,
        "cache_read_input_tokens": 4,
        "output_tokens_details": {"thinking_tokens": 8},
    }

    reply = await ask(server, session, message(TEXT, usage=usage))

    assert (reply.prompt_tokens, reply.cached_tokens, reply.cache_write_tokens) == (9, 4, 3)
    assert (reply.completion_tokens, reply.reasoning_tokens) == (9, 8)


async def test_only_blocks_of_text_are_text(server: Server, session: HttpSession) -> None:
    thinking = {"type": "thinking", "thinking": "hm", "signature": "x"}

    reply = await ask(server, session, message(thinking, TEXT, TEXT))
    assert (reply.text, reply.reasoning) == ("Hello.Hello.", "hm")
    assert (await ask(server, session, message())).text == ""


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            say({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}),
            Unavailable,
        ),
        (
            say({"type": "error", "error": {"type": "rate_limit_error", "message": "m"}}),
            RateLimited,
        ),
        (say({"error": {"type": "overloaded_error", "message": "m"}}, status=529), Unavailable),
        (say({"error": {"type": "billing_error", "message": "m"}}, status=402), Denied),
        (say({"error": {"type": "not_found_error", "message": "m"}}, status=404), Denied),
        (say({"error": {"type": "request_too_large", "message": "m"}}, status=413), Rejected),
        (say({}), Unavailable),
        (say(None), Unavailable),
        (say([]), Unavailable),
        (say({"error": "m"}), Unavailable),
        (say({"error": {"message": "m"}}), Unavailable),
        (say({"error": {"type": "invalid_request_error", "message": "m"}}), Rejected),
        (answer(b'{"content": [{"type": "te'), Unavailable),
    ],
)
async def test_a_failure_is_named_as_everywhere(
    server: Server,
    session: HttpSession,
    said: Say,
    expected: type[ProviderError],
) -> None:
    with pytest.raises(ProviderError) as caught:
        await ask(server, session, said)

    assert type(caught.value) is expected


async def test_a_key_sent_back_is_masked(server: Server, session: HttpSession) -> None:
    server.will(say({"error": {"message": "bad key sk-ant-key-1"}}, status=401))

    with pytest.raises(Denied, match=r"401 bad key \*\*\*$"):
        await to(server, session, api_key="sk-ant-key-1").complete(request())


async def test_limits_ride_on_every_reply(server: Server, session: HttpSession) -> None:
    headers = {"anthropic-ratelimit-requests-remaining": "7"}
    server.will(answer(b'{"content": []}', headers=headers))

    reply = await to(server, session).complete(request())

    assert reply.allowance is not None
    assert reply.allowance.requests_remaining == 7
