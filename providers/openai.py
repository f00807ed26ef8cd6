"""Chat completions: OpenAI's protocol, which most servers speak."""

import re
from collections.abc import Mapping
from typing import Any, cast

import msgspec
from msgspec import Struct

from . import json_codec
from .base import FinishReason, Message, Rejected, Reply, Request, ResponseFormat, Unavailable
from .http.endpoint import make_endpoint
from .http.exchange import HttpSession, Response
from .http.failures import decode_response, embedded_error
from .http.rate_limits import read_allowance
from .streams.openai import ChatCompletion

_FINISH: dict[str | None, FinishReason] = {
    None: "stop",  # omitted by some servers
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
"""Finish reasons of replies that the server gave up (OpenRouter, DeepSeek)."""

_STREAM_OPTIONS = re.compile("stream_options|include_usage")


class OpenAI:
    """A provider that speaks chat completions to one base URL.

    The caller owns the session. ``structured`` is the strictest response format that the server
    honours; every server honours "text".

    Raises:
        ValueError: the base URL or a header cannot be used.
    """

    kind = "openai"

    def __init__(
        self,
        session: HttpSession,
        *,
        base_url: str,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        structured: ResponseFormat = "text",
    ) -> None:
        base_url = base_url.rstrip("/")
        key_header = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._session = session
        self._endpoint = make_endpoint(
            f"{base_url}/chat/completions",
            headers={**key_header, **(headers or {})},
            secrets=(api_key,) if api_key else (),
        )
        self._host = self._endpoint.url.host or ""
        self._streams_usage = True
        """Whether the server takes ``stream_options``; Mistral's, for one, refuses the request."""
        self.identity = base_url
        self.structured: ResponseFormat = structured

    async def complete(self, request: Request, /) -> Reply:
        body, headers = await self._send(request)
        where = self._endpoint.where
        completion = decode_response(where, body, _DECODER)
        choice = completion.choices[0] if completion.choices else None
        error = completion.error or (choice and choice.error)
        if error:
            raise embedded_error(where, error, headers=headers, secrets=self._endpoint.secrets)
        if choice is None:  # seen while a back end starts or fails: the next call may succeed
            raise Unavailable(f"{where}: the response has no choices")
        if choice.finish_reason in _INTERRUPTED:
            raise Unavailable(f"{where}: the server gave up the reply ({choice.finish_reason})")
        return _reply(completion, choice, headers)

    async def aclose(self) -> None:
        """Do nothing: the caller owns the session."""

    async def _send(self, request: Request) -> Response:
        content = encode(request, host=self._host, streams_usage=self._streams_usage)
        if not request.stream:
            return await self._session.post(self._endpoint, content)
        try:
            return await self._session.post(self._endpoint, content, ChatCompletion())
        except Rejected as error:
            if not self._streams_usage or not _STREAM_OPTIONS.search(str(error)):
                raise
        self._streams_usage = False
        return await self._send(request)


def encode(request: Request, *, host: str = "", streams_usage: bool = True) -> bytes:
    """Return the body of the POST to *host*, which decides the name of the token limit.

    *streams_usage* says whether a stream may be asked for its token counts.
    """
    is_renamed = _wants_completion_tokens(host, request.model)
    body = _Body(
        model=request.model,
        messages=request.messages,
        temperature=request.temperature,
        top_p=request.top_p,
        max_tokens=None if is_renamed else request.max_tokens,
        max_completion_tokens=request.max_tokens if is_renamed else None,
        seed=request.seed,
        response_format=_response_format(request),
        stream=request.stream or None,
        stream_options={"include_usage": True} if request.stream and streams_usage else None,
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
    stream: bool | None = None
    stream_options: dict[str, bool] | None = None


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


def _reply(completion: _Completion, choice: _Choice, headers: Mapping[str, str]) -> Reply:
    message = choice.message
    content, finish_reason = message.content, _FINISH.get(choice.finish_reason, "other")
    if content is None and message.refusal:
        content, finish_reason = message.refusal, "refusal"
    elif not isinstance(content, str):
        content = "".join(part.text or "" for part in content or () if part.type in _TEXT)
    usage = completion.usage or _NO_USAGE
    details = usage.prompt_tokens_details
    return Reply(
        text=content,
        finish_reason=finish_reason,
        prompt_tokens=usage.prompt_tokens or 0,
        completion_tokens=usage.completion_tokens or 0,
        cached_tokens=(details and details.cached_tokens) or usage.prompt_cache_hit_tokens or 0,
        model=completion.model or "",
        allowance=read_allowance(headers),
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
    take it, and so does every other vendor's server. An OpenAI model that is unknown here is
    assumed to be newer.
    """
    if host != "api.openai.com" and not host.endswith((".api.openai.com", ".openai.azure.com")):
        return False
    return not model.removeprefix("ft:").startswith(("gpt-3.5", "gpt-4", "chatgpt-4"))
