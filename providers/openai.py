"""Chat completions, as OpenAI speaks them and most servers do after it."""

from collections.abc import Mapping
from typing import Any, cast

import msgspec
from msgspec import Struct

from . import json_codec
from .base import FinishReason, Message, Rejected, Reply, Request, ResponseFormat, Unavailable
from .exchange import Session, endpoint
from .faults import allowance, decode, embedded

_FINISH: dict[str | None, FinishReason] = {
    None: "stop",  # some servers leave it out
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "content_filter",
    "refusal": "refusal",
}

_INTERRUPTED = frozenset({"error", "insufficient_system_resource"})
"""Finish reasons of an answer that the server gave up (OpenRouter, DeepSeek)."""


class OpenAI:
    """Speak chat completions to one base URL.

    The session is the caller's and outlives the provider. ``structured`` says what the server
    honours; "text" asks for nothing and is refused by none.

    Raises:
        ValueError: the base URL or a header cannot be used.
    """

    kind = "openai"

    def __init__(
        self,
        session: Session,
        *,
        base_url: str,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        identity: str | None = None,
        structured: ResponseFormat = "text",
    ) -> None:
        base_url = base_url.rstrip("/")
        sent = {**({"Authorization": f"Bearer {api_key}"} if api_key else {}), **(headers or {})}
        self._session = session
        self._endpoint = endpoint(
            f"{base_url}/chat/completions", headers=sent, secrets=(api_key,) if api_key else ()
        )
        self._host = self._endpoint.url.host or ""
        self.identity = identity or base_url
        self.structured: ResponseFormat = structured

    async def complete(self, request: Request, /) -> Reply:
        sent = encode(request, host=self._host)
        body, headers = await self._session.post(self._endpoint, sent)
        where = self._endpoint.where
        answer = decode(where, body, _DECODER)
        choice = answer.choices[0] if answer.choices else None
        error = answer.error or (choice and choice.error)
        if error:
            raise embedded(where, error, headers=headers, secrets=self._endpoint.secrets)
        if answer.choices is None:
            raise Rejected(f"{where}: an answer of another shape: it has no `choices`")
        if choice is None:  # seen where a back end starts or fails: the next call may fare better
            raise Unavailable(f"{where}: an answer without choices")
        if choice.finish_reason in _INTERRUPTED:
            raise Unavailable(f"{where}: the server gave the answer up ({choice.finish_reason})")
        return _reply(answer, choice, headers)

    async def aclose(self) -> None:
        """Nothing is owned here."""


def encode(request: Request, *, host: str = "") -> bytes:
    """The body of the POST to *host*; only the name of the token limit depends on it."""
    new_name = _wants_completion_tokens(host, request.model)
    body = _Body(
        model=request.model,
        messages=request.messages,
        temperature=request.temperature,
        top_p=request.top_p,
        max_tokens=None if new_name else request.max_tokens,
        max_completion_tokens=request.max_tokens if new_name else None,
        seed=request.seed,
        response_format=_response_format(request),
    )
    if not request.extra:
        return json_codec.dumps(body)
    return json_codec.dumps({**msgspec.to_builtins(body), **request.extra})


class _Body(Struct, omit_defaults=True):
    model: str
    messages: tuple[Message, ...]
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    seed: int | None = None
    response_format: dict[str, Any] | None = None


class _Part(Struct):
    text: str | None = None
    type: str = "text"


class _Message(Struct):
    content: str | list[_Part] | None = None
    refusal: str | None = None


class _Choice(Struct):
    message: _Message
    finish_reason: str | None = None
    error: Any = None


class _Details(Struct):
    cached_tokens: int | None = None


class _Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    prompt_cache_hit_tokens: int | None = None  # DeepSeek's name


class _Completion(Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    model: str | None = None
    error: Any = None


_DECODER = msgspec.json.Decoder(_Completion)
_NO_USAGE = _Usage()


def _reply(answer: _Completion, choice: _Choice, headers: Mapping[str, str]) -> Reply:
    message = choice.message
    content, finish_reason = message.content, _FINISH.get(choice.finish_reason, "other")
    if content is None and message.refusal:
        content, finish_reason = message.refusal, "refusal"
    elif not isinstance(content, str):
        content = "".join(part.text or "" for part in content or () if part.type in _TEXT)
    usage = answer.usage or _NO_USAGE
    details = usage.prompt_tokens_details
    return Reply(
        text=content,
        finish_reason=finish_reason,
        prompt_tokens=usage.prompt_tokens or 0,
        completion_tokens=usage.completion_tokens or 0,
        cached_tokens=(details and details.cached_tokens) or usage.prompt_cache_hit_tokens or 0,
        model=answer.model or "",
        allowance=allowance(headers),
    )


_TEXT = frozenset({"text", "output_text"})


def _response_format(request: Request) -> dict[str, Any] | None:
    if request.response_format == "json_object":
        return {"type": "json_object"}
    if request.response_format == "json_schema" and request.schema is not None:
        strict = _is_strict(request.schema)
        schema = {"name": "answer", "schema": request.schema, "strict": strict}
        return {"type": "json_schema", "json_schema": schema}
    return None


def _is_strict(schema: object) -> bool:
    """Whether OpenAI takes *schema* as strict: every object closed, every property required."""
    if isinstance(schema, list):
        return all(map(_is_strict, cast("list[object]", schema)))
    if not isinstance(schema, dict):
        return True
    node = cast("dict[str, Any]", schema)
    if isinstance(properties := node.get("properties"), dict):
        named = set(cast("dict[str, Any]", properties))
        if node.get("additionalProperties") is not False or named != set(node.get("required", ())):
            return False
    return all(map(_is_strict, node.values()))


def _wants_completion_tokens(host: str, model: str) -> bool:
    """Whether *model* takes its token limit only as ``max_completion_tokens``.

    OpenAI's o-series and all its models since gpt-5 refuse ``max_tokens``; the families before them
    take it, and so does every other vendor's server. A model of OpenAI's that is not known here is
    taken for a newer one.
    """
    if host != "api.openai.com" and not host.endswith((".api.openai.com", ".openai.azure.com")):
        return False
    return not model.removeprefix("ft:").startswith(("gpt-3.5", "gpt-4", "chatgpt-4"))
