"""OpenAI's Responses API: what is sent, and what is made of every kind of answer."""

from typing import Any

import pytest

from codeclm.engine.data.providers import PROVIDERS
from codeclm.providers.base import FinishReason, ProviderError, Rejected, Reply, Unavailable
from codeclm.providers.hosts import open_provider
from codeclm.providers.http.exchange import HttpSession
from codeclm.providers.kinds import ProviderSettings
from codeclm.providers.models import model_table
from codeclm.providers.openai import OpenAI
from codeclm.providers.responses import Responses

from .servers import Server, request, say

model_table()  # as the check of a role does, before there is a loop that it would block

SCHEMA = {
    "type": "object",
    "properties": {"score": {"type": "number"}},
    "required": ["score"],
    "additionalProperties": False,
}


def message(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": list(parts), **more}


def text(words: str) -> dict[str, Any]:
    return {"type": "output_text", "text": words, "annotations": []}


def response(*output: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "model": "gpt-5.5-pro-2026-04-23",
        "output": list(output),
        "usage": {
            "input_tokens": 9,
            "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
            "output_tokens": 30,
            "output_tokens_details": {"reasoning_tokens": 20},
            "total_tokens": 39,
        },
        **more,
    }


async def ask(server: Server, session: HttpSession, **settings: Any) -> Reply:
    provider = Responses(session, base_url=f"{server.url}/v1/", api_key="k")
    return await provider.complete(request(**settings))


async def test_a_question_is_sent_as_the_api_wants_it(server: Server, session: HttpSession) -> None:
    server.always = say(response(message(text("Hello."))))

    await ask(server, session, temperature=0.5, top_p=0.9, max_tokens=7, seed=3)

    (asked,) = server.asked
    assert (asked.path, asked.headers["authorization"]) == ("/v1/responses", "Bearer k")
    assert asked.json == {
        "model": "small",
        "input": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Hi."},
        ],
        "store": False,
        "temperature": 0.5,
        "top_p": 0.9,
        "max_output_tokens": 7,
    }


async def test_a_schema_and_an_effort_have_places_of_their_own(
    server: Server, session: HttpSession
) -> None:
    server.always = say(response(message(text("{}"))))
    extra = {"reasoning_effort": "low", "text": {"verbosity": "low"}}

    await ask(server, session, response_format="json_schema", schema=SCHEMA, extra=extra)

    body = server.asked[0].json
    assert body["text"]["format"] == {
        "type": "json_schema",
        "name": "answer",
        "schema": SCHEMA,
        "strict": True,
    }
    assert (body["reasoning"], body["text"]["verbosity"]) == ({"effort": "low"}, "low")


async def test_an_answer_is_read_without_what_was_thought_or_remarked(
    server: Server, session: HttpSession
) -> None:
    thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}
    remark = message(text("Let me see."), phase="commentary")
    answer = message(text("Hel"), text("lo."), phase="final_answer")
    server.always = say(response(thought, remark, answer))

    reply = await ask(server, session)

    assert (reply.text, reply.reasoning, reply.finish_reason) == ("Hello.", "Hm.", "stop")
    assert (reply.prompt_tokens, reply.cached_tokens, reply.cache_write_tokens) == (9, 4, 2)
    assert (reply.completion_tokens, reply.reasoning_tokens) == (30, 20)
    assert reply.model == "gpt-5.5-pro-2026-04-23"


@pytest.mark.parametrize(
    ("status", "reason", "finish_reason"),
    [
        ("completed", None, "stop"),
        ("incomplete", "max_output_tokens", "length"),
        ("incomplete", "content_filter", "content_filter"),
        ("incomplete", "steered", "interrupted"),
        ("incomplete", None, "interrupted"),
    ],
)
async def test_why_the_model_stopped(
    server: Server,
    session: HttpSession,
    status: str,
    reason: str | None,
    finish_reason: FinishReason,
) -> None:
    details = None if reason is None else {"reason": reason}
    server.always = say(response(message(text("Hel")), status=status, incomplete_details=details))

    reply = await ask(server, session)

    assert (reply.text, reply.finish_reason) == ("Hel", finish_reason)


async def test_thoughts_without_an_answer_are_an_empty_one(
    server: Server, session: HttpSession
) -> None:
    cut = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    server.always = say(response({"type": "reasoning", "summary": []}, **cut))

    reply = await ask(server, session)

    assert (reply.text, reply.finish_reason, reply.reasoning_tokens) == ("", "length", 20)


async def test_a_refusal_is_marked(server: Server, session: HttpSession) -> None:
    server.always = say(response(message({"type": "refusal", "refusal": "I can't."})))

    reply = await ask(server, session)

    assert (reply.text, reply.finish_reason) == ("I can't.", "refusal")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (response(status="failed", error={"code": "server_error", "message": "x"}), Unavailable),
        (response(status="failed", error={"code": "invalid_prompt", "message": "x"}), Unavailable),
        ({"error": {"code": "invalid_request_error", "message": "x"}}, Rejected),
        (response(status="cancelled"), Unavailable),
        (response(output=None), Unavailable),
        ({}, Unavailable),
        ([], Unavailable),
    ],
)
async def test_a_200_that_holds_no_answer(
    server: Server, session: HttpSession, body: Any, kind: type[ProviderError]
) -> None:
    server.always = say(body)

    with pytest.raises(kind):
        await ask(server, session)


@pytest.mark.parametrize(
    ("host", "model", "options", "kind"),
    [
        ("openai", "gpt-5.5-pro", {}, Responses),
        ("openai", "gpt-5.3-codex", {}, Responses),
        ("openai", "gpt-6.9-pro-2027-01-01", {}, Responses),
        ("openai", "gpt-6-sol", {}, OpenAI),
        ("openai", "gpt-6-sol", {"api": "responses"}, Responses),
        ("openai", "gpt-5.5-pro", {"api": "chat"}, OpenAI),
        ("openai", "my-model", {}, OpenAI),
        ("openrouter", "openai/gpt-5.5-pro", {}, OpenAI),
    ],
)
async def test_only_models_that_have_nothing_else_are_asked_by_it(
    session: HttpSession, host: str, model: str, options: dict[str, str], kind: type
) -> None:
    settings = ProviderSettings(model=model, api_key="k", options=options, session=session)

    provider = await open_provider(PROVIDERS[host], settings)

    assert type(provider) is kind
    assert provider.kind == "openai"
