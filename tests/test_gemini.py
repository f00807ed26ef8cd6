"""generateContent: what is sent, and what is made of every kind of answer."""

from typing import Any

import pytest

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
from codeclm.providers.gemini import Gemini
from codeclm.providers.http.exchange import HttpSession

from .servers import Say, Server, answer, request, say

CONTENT = {"role": "model", "parts": [{"text": "Hello."}]}


def to(server: Server, session: HttpSession, **settings: Any) -> Gemini:
    return Gemini(session, base_url=server.url, **settings)


def generated(**candidate: Any) -> Say:
    return say({"candidates": [{"content": CONTENT, "finishReason": "STOP", **candidate}]})


async def ask(server: Server, session: HttpSession, said: Say) -> Reply:
    server.will(said)
    return await to(server, session).complete(request())


async def fail(server: Server, session: HttpSession, said: Say) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await ask(server, session, said)
    return caught.value


async def sent(server: Server, session: HttpSession, **settings: Any) -> Any:
    server.will(generated())
    await to(server, session).complete(request(**settings))
    return server.asked[-1].json


async def test_a_call_becomes_a_reply(server: Server, session: HttpSession) -> None:
    """Thoughts are billed as output, so they count; their text is not the answer's."""
    parts = [{"text": "hm", "thought": True}, {"text": "Hel"}, {"text": "lo."}]
    usage = {
        "promptTokenCount": 9,
        "candidatesTokenCount": 3,
        "thoughtsTokenCount": 40,
        "cachedContentTokenCount": 8,
    }
    said = say(
        {
            "candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}],
            "usageMetadata": usage,
            "modelVersion": "gemini-x-001",
        }
    )

    assert await ask(server, session, said) == Reply(
        text="Hello.",
        prompt_tokens=9,
        completion_tokens=43,
        cached_tokens=8,
        reasoning="hm",
        reasoning_tokens=40,
        model="gemini-x-001",
    )


async def test_a_conversation_is_sent_in_googles_roles(
    server: Server, session: HttpSession
) -> None:
    server.will(generated())
    messages = (
        Message("system", "Be kind."),
        Message("user", "Hi."),
        Message("assistant", ""),
        Message("user", "And?"),
    )

    await to(server, session).complete(Request(model="m", messages=messages))

    assert server.asked[0].json == {
        "systemInstruction": {"parts": [{"text": "Be kind."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Hi."}]},
            {"role": "model", "parts": [{"text": ""}]},
            {"role": "user", "parts": [{"text": "And?"}]},
        ],
    }


async def test_what_is_set_is_sent_zero_included(server: Server, session: HttpSession) -> None:
    body = await sent(server, session, temperature=0.0, top_p=0.5, max_tokens=9, seed=0)

    assert body["generationConfig"] == {
        "temperature": 0,
        "topP": 0.5,
        "maxOutputTokens": 9,
        "seed": 0,
    }


async def test_a_schema_goes_with_the_json_type(server: Server, session: HttpSession) -> None:
    one = await sent(server, session, response_format="json_schema", schema={"type": "object"})
    other = await sent(server, session, response_format="json_object")

    assert one["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object"},
    }
    assert other["generationConfig"] == {"responseMimeType": "application/json"}


async def test_extra_wins_and_leaves_the_other_settings(
    server: Server, session: HttpSession
) -> None:
    extra: dict[str, Any] = {"generationConfig": {"topK": 4, "seed": 2}, "safetySettings": []}

    body = await sent(server, session, temperature=0.5, seed=1, extra=extra)

    assert body["generationConfig"] == {"temperature": 0.5, "topK": 4, "seed": 2}
    assert body["safetySettings"] == []


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-2.5-flash", "gemini-2.5-flash"),
        ("models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("../../v2/evil?key=1#x", "..%2F..%2Fv2%2Fevil%3Fkey%3D1%23x"),
        ("a b\r\nHost: evil", "a%20b%0D%0AHost%3A%20evil"),
        ("modèle", "mod%C3%A8le"),
    ],
)
async def test_a_models_name_is_a_name_and_never_a_path(
    server: Server, session: HttpSession, model: str, path: str
) -> None:
    server.always = generated()
    provider = to(server, session)
    for _ in range(2):
        await provider.complete(Request(model=model, messages=(Message("user", "x"),)))

    assert [asked.path for asked in server.asked] == [f"/v1beta/models/{path}:generateContent"] * 2


async def test_the_key_travels_in_a_header_only(server: Server, session: HttpSession) -> None:
    server.will(generated())
    await to(server, session, api_key="AIza-key").complete(request())

    asked = server.asked[0]
    assert asked.headers["x-goog-api-key"] == "AIza-key"
    assert "AIza-key" not in asked.path


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("STOP", "stop"),
        (None, "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("OTHER", "interrupted"),
        ("MALFORMED_FUNCTION_CALL", "other"),
    ],
)
async def test_why_the_model_stopped_is_said_in_one_vocabulary(
    server: Server, session: HttpSession, reason: str | None, expected: str
) -> None:
    reply = await ask(server, session, generated(finishReason=reason))

    assert (reply.text, reply.finish_reason) == ("Hello.", expected)


@pytest.mark.parametrize(
    "said",
    [
        say(
            {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 5}}
        ),
        say(
            {
                "candidates": [{"finishReason": "SAFETY"}],
                "usageMetadata": {"promptTokenCount": 5},
            }
        ),
    ],
    ids=["the prompt", "the answer"],
)
async def test_a_blocked_call_is_an_empty_filtered_reply(
    server: Server, session: HttpSession, said: Say
) -> None:
    """It is an answer, paid for, and asking again would bring the same."""
    expected = Reply(
        text="", finish_reason="content_filter", finish_detail="SAFETY", prompt_tokens=5
    )

    assert await ask(server, session, said) == expected


async def test_a_cut_off_answer_may_have_no_text(server: Server, session: HttpSession) -> None:
    said = say({"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}]})

    assert await ask(server, session, said) == Reply(text="", finish_reason="length")


async def test_a_retry_delay_among_the_details_is_how_long_to_wait(
    server: Server, session: HttpSession
) -> None:
    details: list[dict[str, Any]] = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": []},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"},
    ]
    error: dict[str, Any] = {
        "code": 429,
        "message": "m",
        "status": "RESOURCE_EXHAUSTED",
        "details": details,
    }

    caught = await fail(server, session, say({"error": error}, status=429))

    assert isinstance(caught, RateLimited)
    assert caught.retry_after == 34.5


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (say({"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}), Unavailable),
        (say([{"error": {"message": "m"}}], status=400), Rejected),
        (
            say(
                {"error": {"message": "m", "details": [{"reason": "API_KEY_INVALID"}]}}, status=400
            ),
            Denied,
        ),
        (say({"error": {"message": "m", "status": "NOT_FOUND"}}, status=404), Denied),
        (say({"candidates": []}), Unavailable),
        (say({"usageMetadata": {}}), Unavailable),
        (say({"hello": 1}), Unavailable),
        (say(None), Unavailable),
        (say([]), Unavailable),
        (say({"error": "m"}), Unavailable),
        (say({"error": {"message": "m"}}), Unavailable),
        (say({"error": {"message": "m", "status": "INVALID_ARGUMENT"}}), Rejected),
        (answer(b'{"candidates": [{"con'), Unavailable),
    ],
)
async def test_a_failure_is_named_as_everywhere(
    server: Server,
    session: HttpSession,
    said: Say,
    expected: type[ProviderError],
) -> None:
    caught = await fail(server, session, said)

    assert type(caught) is expected
    assert str(caught).startswith(f"POST {server.url}/v1beta/models/small:generateContent: ")
