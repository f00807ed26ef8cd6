"""Stand-ins for vendors: each refuses what its vendor's documents refuse, in the vendor's words.

The rules are written down here from the documents and probes named at each; they share nothing with
``providers/models.json``, so that a row that is wrong is match. What is not refused is answered as
a model that plays every part would, after `THOUGHT` tokens of thought where the model thinks.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import Any, cast

from msgspec import Struct

from .servers import ReceivedRequest, Say, say
from .streams import Wire, chat_events, generation_events, message_events, streamed

THOUGHT = 2_500
"""Tokens that a model thinks before it answers: more than the usual limit of an answer."""

KEY = "stand-in-key-0123456789"


class RefusalError(Exception):
    """A request that the vendor answers with an error."""

    def __init__(self, status: int, message: str, kind: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.status = status
        self.body = {"type": "error", "error": {"type": kind, "message": message}}


class Answer(Struct, frozen=True):
    """What a model answers."""

    text: str
    is_cut: bool
    tokens: int


def serve(vendor: "Vendor") -> Callable[[ReceivedRequest], Say]:
    """Return *vendor* as a server that answers refusals with their status."""

    def always(asked: ReceivedRequest) -> Say:
        try:
            return vendor(asked)
        except RefusalError as refusal:
            return say(refusal.body, status=refusal.status)

    return always


Vendor = Callable[[ReceivedRequest], Say]


def play(text: str) -> str:
    """Return the words of a model that was asked *text*."""
    if "instruction analyzer" in text:
        return "Use case: letters\nSkills: tact"
    if "instruction writer" in text:
        topic = blake2b(text.encode(), digest_size=4).hexdigest()
        return f"1. Write to your aunt about {topic}.\n2. Explain {topic} to a child."
    if "instruction judge" in text:
        return "1. Rubric: Length.\n1. Action: Make it longer."
    if "[Assistant 1 answer start]" in text:
        first = text.partition("[Assistant 1 answer end]")[0]
        return "9 2" if "from the strong model" in first else "2 9"
    return "An answer from the strong model, which is long enough to be one."


def answered(text: str, most: int | None, *, thinks: bool) -> Answer:
    """Return the answer to *text* within *most* tokens, thoughts included."""
    words = play(text)
    tokens = len(words) // 4 + 1 + (THOUGHT if thinks else 0)
    if most is None or tokens <= most:
        return Answer(words, is_cut=False, tokens=tokens)
    return Answer("" if thinks else words[: 4 * most], is_cut=True, tokens=most)


def _check_fields(body: Mapping[str, Any], allowed: Iterable[str], words: str, status: int) -> None:
    for name in body.keys() - set(allowed):
        raise RefusalError(status, words.format(name))


# -- OpenAI -----------------------------------------------------------------------------------
# developers.openai.com: reasoning guide, models' pages, deprecations; litellm-docs#1064 (probes).

_EFFORT_NONE = re.compile(r"gpt-5\.[124](?:-mini|-nano)?$")
"""Models whose effort is none unless a request names another."""
_KNOWS_NONE = re.compile(r"gpt-(?:5\.[1245](?:-mini|-nano)?|5\.6-\w+|6-sol|6-luna|6\.1-terra)$")
_THINKS = re.compile(r"o3$|gpt-(?:5(?:-mini|-nano)?|6-astra|6\.1-sol|6\.2-astra)$")
_PLAIN = re.compile(r"gpt-4(?:o|\.1)(?:-mini)?$")
_RESPONSES_ONLY = re.compile(r"gpt-5(?:\.\d)?-pro$|o3-pro$|gpt-5\.3-codex$")
_CHAT_FIELDS = (
    *("model", "messages", "temperature", "top_p", "max_tokens", "max_completion_tokens", "seed"),
    *("response_format", "stream", "stream_options", "reasoning_effort", "verbosity", "store"),
)
_RESPONSES_FIELDS = (
    *("model", "input", "instructions", "temperature", "top_p", "max_output_tokens", "store"),
    *("text", "reasoning", "stream", "metadata"),
)


def openai(asked: ReceivedRequest) -> Say:
    if asked.headers.get("authorization") != f"Bearer {KEY}":
        raise RefusalError(401, "Incorrect API key provided", "invalid_api_key")
    if asked.path == "/v1/responses":
        return _responses(asked.json)
    if asked.path != "/v1/chat/completions":
        raise RefusalError(404, f"Invalid URL (POST {asked.path})")
    return _openai_chat(asked.json)


def azure(asked: ReceivedRequest) -> Say:
    """Azure's v1 API: OpenAI's rules, the key in a header of its own."""
    if asked.headers.get("api-key") != KEY or "authorization" in asked.headers:
        raise RefusalError(401, "Access denied due to invalid subscription key", "401")
    if asked.path != "/openai/v1/chat/completions":
        raise RefusalError(404, "Resource not match", "404")
    return _openai_chat(asked.json)


def _openai_chat(body: dict[str, Any]) -> Say:
    _check_fields(body, _CHAT_FIELDS, "Unrecognized request argument supplied: {}", 400)
    model = body["model"]
    if _RESPONSES_ONLY.match(model):
        raise RefusalError(404, "This is not a chat model: it is only supported in v1/responses")
    is_thinking = _check_effort(model, body.get("reasoning_effort"))
    _check_sampling(body, is_thinking=is_thinking)
    if not _PLAIN.match(model) and "max_tokens" in body:
        raise RefusalError(
            400,
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use"
            " 'max_completion_tokens' instead.",
        )
    most = body.get("max_completion_tokens", body.get("max_tokens"))
    text = body["messages"][-1]["content"]
    return _chat_completion(body, answered(text, most, thinks=is_thinking))


def _check_effort(model: str, effort: str | None) -> bool:
    """Return whether *model* thinks at *effort*."""
    if _PLAIN.match(model):
        return False
    if not (_KNOWS_NONE.match(model) or _THINKS.match(model) or _RESPONSES_ONLY.match(model)):
        raise RefusalError(404, f"The model '{model}' does not exist", "model_not_found")
    if effort == "none" and not _KNOWS_NONE.match(model):
        raise RefusalError(400, "Unsupported value: 'reasoning_effort' does not support 'none'")
    return effort != "none" if effort else not _EFFORT_NONE.match(model)


def _check_sampling(body: Mapping[str, Any], *, is_thinking: bool) -> None:
    for name in ("temperature", "top_p"):
        value = body.get(name, 1)
        if is_thinking and value != 1:
            raise RefusalError(
                400,
                f"Unsupported value: '{name}' does not support {value} with this model. Only the"
                " default (1) value is supported.",
            )


def _responses(body: dict[str, Any]) -> Say:
    _check_fields(body, _RESPONSES_FIELDS, "Unknown parameter: '{}'.", 400)
    is_thinking = _check_effort(body["model"], body.get("reasoning", {}).get("effort"))
    _check_sampling(body, is_thinking=is_thinking)
    text = body["input"][-1]["content"]
    answer = answered(text, body.get("max_output_tokens"), thinks=is_thinking)
    part: dict[str, Any] = {"type": "output_text", "text": answer.text, "annotations": []}
    reason = {"reason": "max_output_tokens"} if answer.is_cut else None
    return say(
        {
            "object": "response",
            "status": "incomplete" if answer.is_cut else "completed",
            "incomplete_details": reason,
            "model": body["model"],
            "output": [
                {"type": "reasoning", "summary": []},
                {"type": "message", "role": "assistant", "content": [part]},
            ],
            "usage": {"input_tokens": 9, "output_tokens": answer.tokens, "total_tokens": 9},
        }
    )


def _chat_completion(body: Mapping[str, Any], answer: Answer) -> Say:
    finish = "length" if answer.is_cut else "stop"
    usage = {"prompt_tokens": 9, "completion_tokens": answer.tokens}
    if body.get("stream"):
        events = chat_events(answer.text, finish=finish, usage=usage)
        return streamed(Wire().encode(events))
    message = {"role": "assistant", "content": answer.text}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return say({"model": body["model"], "choices": [choice], "usage": usage})


# -- vendors that speak OpenAI's protocol ---------------------------------------------------------

_COMPATIBLE_FIELDS = (
    *("model", "messages", "temperature", "top_p", "max_tokens", "response_format", "stream"),
    "stream_options",
)


def compatible(asked: ReceivedRequest) -> Say:
    """DeepSeek, xAI, Groq: every temperature is taken."""
    body = asked.json
    _check_fields(body, (*_COMPATIBLE_FIELDS, "seed"), "Extra inputs: {}", 422)
    text = body["messages"][-1]["content"]
    return _chat_completion(body, answered(text, body.get("max_tokens"), thinks=True))


def mistral(asked: ReceivedRequest) -> Say:
    """docs.mistral.ai, and the SDK's types: the seed is ``random_seed``; no field is ignored."""
    body = asked.json
    allowed = [name for name in (*_COMPATIBLE_FIELDS, "random_seed") if name != "stream_options"]
    _check_fields(body, allowed, "extra_forbidden: {}: Extra inputs are not permitted", 422)
    thinks = body["model"].startswith("magistral")
    text = body["messages"][-1]["content"]
    return _chat_completion(body, answered(text, body.get("max_tokens"), thinks=thinks))


def moonshot(asked: ReceivedRequest) -> Say:
    """platform.moonshot.ai: since kimi-k2.5 the temperature is the model's own."""
    body = asked.json
    if body.get("temperature", 1) != 1:
        raise RefusalError(400, "invalid temperature: only 1 is allowed for this model")
    text = body["messages"][-1]["content"]
    return _chat_completion(body, answered(text, body.get("max_tokens"), thinks=True))


# -- Anthropic ------------------------------------------------------------------------------------
# platform.claude.com: "Versions", "Sampling parameters", "JSON Schema limitations", models' pages.

_SAMPLES = re.compile(r"claude-(?:haiku-4-5|sonnet-4-[56]|opus-4-[56])$")
_SILENT = re.compile(r"claude-(?:haiku|sonnet|opus)-4-")
"""Models that think only when they are told to."""
_MESSAGE_FIELDS = (
    *("model", "messages", "max_tokens", "system", "temperature", "top_p", "top_k", "stream"),
    *("output_config", "thinking", "metadata", "stop_sequences"),
)


def anthropic(asked: ReceivedRequest) -> Say:
    body = asked.json
    if asked.headers.get("x-api-key") != KEY or asked.path != "/v1/messages":
        raise RefusalError(401, "invalid x-api-key", "authentication_error")
    if "anthropic-version" not in asked.headers:
        raise RefusalError(400, "anthropic-version: header is required")
    _check_fields(body, _MESSAGE_FIELDS, "{}: Extra inputs are not permitted", 400)
    if "max_tokens" not in body:
        raise RefusalError(400, "max_tokens: Field required")
    if body["messages"][-1]["role"] != "user" or body["messages"][0]["role"] != "user":
        raise RefusalError(400, "messages: must begin and end with a user turn")
    _check_claude_sampling(body, asked.headers["anthropic-version"])
    _check_claude_schema(body.get("output_config", {}).get("format", {}).get("schema", {}))
    thinks = not _SILENT.match(body["model"])
    return _message(
        body, answered(body["messages"][-1]["content"], body["max_tokens"], thinks=thinks)
    )


def _check_claude_sampling(body: Mapping[str, Any], version: str) -> None:
    sent = {name: body[name] for name in ("temperature", "top_p", "top_k") if name in body}
    for name, value in sent.items():
        if version != "2023-06-01":
            raise RefusalError(400, f"{name}: Extra inputs are not permitted")
        if value != 1 and not _SAMPLES.match(body["model"]):
            raise RefusalError(400, f"`{name}` is deprecated for this model.")
    if {"temperature", "top_p"} <= sent.keys():
        raise RefusalError(400, "`temperature` and `top_p` cannot both be specified")


def _check_claude_schema(schema: object) -> None:
    if isinstance(schema, list):
        for item in cast("list[object]", schema):
            _check_claude_schema(item)
    if not isinstance(schema, dict):
        return
    for name, value in cast("dict[str, Any]", schema).items():
        refused = {"maxItems", "minLength", "maxLength", "minimum", "maximum", "pattern"}
        if name in refused or (name == "minItems" and value > 1):
            raise RefusalError(400, f"output_config.format.schema: '{name}' is not supported")
        _check_claude_schema(value)


def _message(body: Mapping[str, Any], answer: Answer) -> Say:
    usage = {"input_tokens": 9, "output_tokens": answer.tokens}
    stop = "max_tokens" if answer.is_cut else "end_turn"
    blocks = [{"type": "text", "text": answer.text}] if answer.text else []
    if body.get("stream"):
        return streamed(Wire().encode(message_events(blocks, usage=usage, stop_reason=stop)))
    return say({"model": body["model"], "content": blocks, "stop_reason": stop, "usage": usage})


# -- Gemini ---------------------------------------------------------------------------------------
# ai.google.dev: unknown names are refused; models from 3.6 on ignore temperature, topP and topK.

_GENERATION_FIELDS = (
    *("temperature", "topP", "topK", "maxOutputTokens", "seed", "responseMimeType"),
    *("responseJsonSchema", "thinkingConfig"),
)


def gemini(asked: ReceivedRequest) -> Say:
    match = re.fullmatch(
        r"/v1(?:beta)?/models/([\w.-]+):(generateContent|streamGenerateContent\?alt=sse)",
        asked.path,
    )
    if asked.headers.get("x-goog-api-key") != KEY or match is None:
        raise RefusalError(403, "Method doesn't allow unregistered callers", "PERMISSION_DENIED")
    body = asked.json
    _check_fields(
        body, ("contents", "systemInstruction", "generationConfig"), "Unknown name {}", 400
    )
    config = body.get("generationConfig", {})
    _check_fields(config, _GENERATION_FIELDS, "Unknown name {} at generation_config", 400)
    text = body["contents"][-1]["parts"][0]["text"]
    answer = answered(text, config.get("maxOutputTokens"), thinks=True)
    finish = "MAX_TOKENS" if answer.is_cut else "STOP"
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 9, "thoughtsTokenCount": THOUGHT}
    parts = [{"text": answer.text}] if answer.text else []
    if "stream" in match[2]:
        return streamed(Wire().encode(generation_events(parts, usage=usage, finish=finish)))
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": finish}
    return say({"candidates": [candidate], "usageMetadata": usage})


def path_of(provider: str, url: str) -> str:
    """Return the base URL under which *provider*'s stand-in is reached."""
    return url if provider in {"anthropic", "gemini", "azure"} else f"{url}/v1"
