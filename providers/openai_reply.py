"""Chat completions: what a response of OpenAI's protocol says, whichever server wrote it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import msgspec
from msgspec import Struct

from .base import FinishReason, Reply, Unavailable, finish_detail
from .http.endpoint import Endpoint
from .http.failures import decode_response, embedded_error
from .http.rate_limits import read_allowance
from .openai_logprobs import read_number_tokens

_FINISH: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "complete": "stop",
    "completed": "stop",
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "content_filter": "content_filter",
    "content_filtered": "content_filter",
    "safety": "content_filter",
    "sensitive": "content_filter",
    "recitation": "content_filter",
    "prohibited_content": "content_filter",
    "refusal": "refusal",
    "repetition": "interrupted",
    "abort": "interrupted",
}
"""By the servers' words in lower case: OpenAI, Bedrock, Cohere, Gemini, Mistral, SGLang, Zhipu."""

_FAILED: Final = frozenset({"error", "insufficient_system_resource", "network_error"})
"""Finish reasons of replies that the server gave up (OpenRouter, DeepSeek, Zhipu)."""

_TEXT: Final = frozenset({"text", "output_text"})


class _Part(Struct):
    type: str = "text"
    text: str | None = None
    refusal: str | None = None
    thinking: Any = None


class _Message(Struct):
    content: str | list[_Part] | None = None
    refusal: str | None = None
    reasoning_content: Any = None
    """DeepSeek, vLLM, SGLang, llama.cpp, …"""
    reasoning: Any = None
    """OpenRouter, Groq, Ollama, newer vLLM."""


class _Choice(Struct):
    message: _Message
    finish_reason: str | None = None
    error: Any = None
    logprobs: Any = None


class _PromptDetails(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _CompletionDetails(Struct):
    reasoning_tokens: int | None = None


class _Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    """DeepSeek's name."""


class _Completion(Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    model: str | None = None
    error: Any = None


_DECODER: Final = msgspec.json.Decoder(_Completion)
_NO_USAGE: Final = _Usage()
_NO_PROMPT_DETAILS: Final = _PromptDetails()


def read_completion(endpoint: Endpoint, body: bytes, headers: Mapping[str, str]) -> Reply:
    """Read the body of a 2xx response.

    Raises:
        ProviderError: it holds an error, or no reply.
    """
    where = endpoint.where
    completion = decode_response(where, body, _DECODER)
    choice = completion.choices[0] if completion.choices else None
    error = completion.error or (choice and choice.error)
    if error:
        raise embedded_error(where, error, headers=headers, secrets=endpoint.secrets)
    if choice is None:  # seen while a back end starts or fails: the next call may succeed
        raise Unavailable(f"{where}: the response has no choices")
    if choice.finish_reason in _FAILED:
        raise Unavailable(f"{where}: the server gave up the reply ({choice.finish_reason})")
    return _reply(completion, choice, headers)


def _reply(completion: _Completion, choice: _Choice, headers: Mapping[str, str]) -> Reply:
    message = choice.message
    word = choice.finish_reason
    finish_reason = "stop" if word is None else _FINISH.get(word.lower(), "other")
    text, refusal = _content(message)
    if refusal:
        text, finish_reason, word = refusal, "refusal", None
    usage = completion.usage or _NO_USAGE
    details = usage.prompt_tokens_details or _NO_PROMPT_DETAILS
    completion_tokens, reasoning_tokens = _completion_tokens(usage)
    return Reply(
        text=text,
        finish_reason=finish_reason,
        finish_detail=finish_detail(finish_reason, word),
        reasoning=_reasoning(message),
        prompt_tokens=usage.prompt_tokens or 0,
        completion_tokens=completion_tokens,
        cached_tokens=details.cached_tokens or usage.prompt_cache_hit_tokens or 0,
        cache_write_tokens=details.cache_write_tokens or 0,
        reasoning_tokens=reasoning_tokens,
        model=completion.model or "",
        allowance=read_allowance(headers),
        number_tokens=read_number_tokens(choice.logprobs) if choice.logprobs else (),
    )


def _content(message: _Message) -> tuple[str, str]:
    """Return what the model wrote, and its refusal."""
    content, refusal = message.content, message.refusal or ""
    if isinstance(content, list):
        refusal = refusal or "".join(part.refusal or "" for part in content)
        content = "".join(part.text or "" for part in content if part.type in _TEXT)
    return content or "", refusal


def _reasoning(message: _Message) -> str:
    for value in (message.reasoning_content, message.reasoning):
        if isinstance(value, str) and value:
            return value
    if isinstance(message.content, list):
        return "".join(text for part in message.content for text in _texts(part.thinking))
    return ""


def _texts(thinking: object) -> Iterator[str]:
    """Yield the texts of a thinking part: one, or a list of text parts (Mistral)."""
    if isinstance(thinking, str):
        yield thinking
    elif isinstance(thinking, list):
        for part in cast("list[object]", thinking):
            if isinstance(part, dict):
                yield from _texts(cast("dict[str, object]", part).get("text"))


def _completion_tokens(usage: _Usage) -> tuple[int, int]:
    """Return the completion tokens as billed, and how many of them were reasoning."""
    details = usage.completion_tokens_details
    completion = usage.completion_tokens or 0
    reasoning = (details and details.reasoning_tokens) or 0
    if reasoning and usage.total_tokens == (usage.prompt_tokens or 0) + completion + reasoning:
        completion += reasoning  # xAI counts them beside the completion, and bills them
    return completion, reasoning
