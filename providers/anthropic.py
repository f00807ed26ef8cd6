"""Anthropic's Messages API."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from .base import (
    FinishReason,
    Message,
    Reply,
    Request,
    ResponseFormat,
    Unavailable,
    finish_detail,
)
from .extra import encode_with_extra
from .http.endpoint import make_endpoint
from .http.exchange import HttpSession
from .http.failures import decode_response, embedded_error
from .http.rate_limits import read_allowance
from .streams.anthropic import MessageEvents
from .structured import CLAUDE_DROPS, without_keywords

MAX_TOKENS = 4096
"""Sent if the request sets no limit: this API requires one."""

VERSION = "2023-06-01"
"""The API's version, sent with every call.

The next one, 2026-10-21, refuses temperature and top_p at any value on every model
(platform.claude.com, "Versions"); whoever sends it by ``headers`` sets both to "default".
"""

_FINISH: dict[str | None, FinishReason] = {
    None: "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
    "pause_turn": "interrupted",
}


class Anthropic:
    """A provider that speaks the Messages API to one base URL.

    The caller owns the session. The API has no ``seed`` and no ``json_object``: both are left out.
    ``json_schema`` is sent as ``output_config``, which models before Claude 4.5 refuse, so
    ``structured`` is "text" by default.

    Raises:
        ValueError: the base URL or a header cannot be used.
    """

    kind = "anthropic"

    def __init__(
        self,
        session: HttpSession,
        *,
        base_url: str,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        structured: ResponseFormat = "text",
    ) -> None:
        base_url = base_url.rstrip("/").removesuffix("/v1")
        key_header = {"X-Api-Key": api_key} if api_key else {}
        all_headers = {"Anthropic-Version": VERSION, **key_header, **(headers or {})}
        self._session = session
        self._endpoint = make_endpoint(f"{base_url}/v1/messages", headers=all_headers)
        self.identity = base_url
        self.structured: ResponseFormat = structured

    async def complete(self, request: Request, /) -> Reply:
        assembly = MessageEvents() if request.stream else None
        body, headers = await self._session.post(self._endpoint, _encode(request), assembly)
        where = self._endpoint.where
        reply = decode_response(where, body, _DECODER)
        if reply.error:
            raise embedded_error(
                where, reply.error, headers=headers, secrets=self._endpoint.secrets
            )
        if reply.content is None:
            raise Unavailable(f"{where}: the response has no content")
        return _reply(reply, reply.content, headers)

    async def aclose(self) -> None:
        """Do nothing: the caller owns the session."""


class _Body(Struct, omit_defaults=True):
    model: str
    messages: tuple[Message, ...]
    max_tokens: int
    system: str = ""
    temperature: float | None = None
    top_p: float | None = None
    output_config: dict[str, Any] | None = None
    stream: bool = False


class _Block(Struct):
    type: str
    text: str = ""
    thinking: str = ""


class _OutputDetails(Struct):
    thinking_tokens: int | None = None


class _Usage(Struct):
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None


class _StopDetails(Struct):
    category: str | None = None
    explanation: str | None = None


class _Message(Struct):
    content: list[_Block] | None = None
    stop_reason: str | None = None
    stop_details: _StopDetails | None = None
    usage: _Usage = msgspec.field(default_factory=_Usage)
    model: str = ""
    error: Any = None


_DECODER = msgspec.json.Decoder(_Message)


def _reply(message: _Message, content: list[_Block], headers: Mapping[str, str]) -> Reply:
    usage, stop = message.usage, message.stop_details or _StopDetails()
    cached, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    details = usage.output_tokens_details
    finish_reason = _FINISH.get(message.stop_reason, "other")
    text = "".join(block.text for block in content if block.type == "text")
    return Reply(
        text=text or stop.explanation or "",
        finish_reason=finish_reason,
        finish_detail=stop.category or finish_detail(finish_reason, message.stop_reason),
        reasoning="".join(block.thinking for block in content if block.type == "thinking"),
        prompt_tokens=usage.input_tokens + cached + written,
        completion_tokens=usage.output_tokens,
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=(details and details.thinking_tokens) or 0,
        model=message.model,
        allowance=read_allowance(headers),
    )


def _encode(request: Request) -> bytes:
    system = "\n\n".join(
        message.content for message in request.messages if message.role == "system"
    )
    body = _Body(
        model=request.model,
        messages=tuple(message for message in request.messages if message.role != "system"),
        max_tokens=MAX_TOKENS if request.max_tokens is None else request.max_tokens,
        system=system,
        temperature=request.temperature,
        top_p=request.top_p,
        output_config=_output_config(request),
        stream=request.stream,
    )
    return encode_with_extra(body, request.extra, shared="output_config")


def _output_config(request: Request) -> dict[str, Any] | None:
    if request.response_format != "json_schema" or request.schema is None:
        return None
    schema = without_keywords(request.schema, CLAUDE_DROPS)
    return {"format": {"type": "json_schema", "schema": schema}}
