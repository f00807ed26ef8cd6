"""Responses: OpenAI's other API, the only one of its pro and codex models."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from .base import FinishReason, Message, Reply, Request, ResponseFormat, Unavailable, finish_detail
from .extra import encode_with_extra
from .http.endpoint import Endpoint, bearer_endpoint
from .http.exchange import HttpSession, Response
from .http.failures import decode_response, embedded_error
from .http.rate_limits import read_allowance
from .streams.fallback import StreamFallback, StreamLevel
from .streams.responses import ResponseEvents
from .structured import is_strict


class Responses:
    """A provider that speaks OpenAI's Responses API to one base URL.

    The caller owns the session. The API has no ``seed``: it is left out. Nothing is stored at the
    vendor's (``store`` is false), as with chat completions.

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
        self._session = session
        self._endpoint = bearer_endpoint(f"{base_url}/responses", api_key, headers)
        self._fallback = StreamFallback(self._endpoint.where, "events", "whole")
        self.identity = base_url
        self.structured: ResponseFormat = structured

    async def complete(self, request: Request, /) -> Reply:
        if request.stream:
            body, headers = await self._fallback.send(partial(self._send, request))
        else:
            body, headers = await self._send(request)
        return read_response(self._endpoint, body, headers)

    async def aclose(self) -> None:
        """Do nothing: the caller owns the session."""

    async def _send(self, request: Request, level: StreamLevel = "whole") -> Response:
        assembly = None if level == "whole" else ResponseEvents()
        return await self._session.post(self._endpoint, encode(request, level), assembly)


def encode(request: Request, level: StreamLevel = "whole") -> bytes:
    """Return the body of the POST; *level* says whether a stream is asked for."""
    body = _Body(
        model=request.model,
        input=request.messages,
        store=False,
        temperature=request.temperature,
        top_p=request.top_p,
        max_output_tokens=request.max_tokens,
        text=_text_format(request),
        stream=level != "whole",
    )
    extra = dict(request.extra)
    if effort := extra.pop("reasoning_effort", None):  # chat completions' name for it
        extra = {"reasoning": {"effort": effort}, **extra}
    return encode_with_extra(body, extra, shared="text")


class _Body(Struct, omit_defaults=True):
    model: str
    input: tuple[Message, ...]
    store: bool = True
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    text: dict[str, Any] | None = None
    stream: bool = False


def _text_format(request: Request) -> dict[str, Any] | None:
    if request.response_format == "json_object":
        return {"format": {"type": "json_object"}}
    if request.response_format == "json_schema" and request.schema is not None:
        strict = is_strict(request.schema)
        schema = {"name": "answer", "schema": request.schema, "strict": strict}
        return {"format": {"type": "json_schema", **schema}}
    return None


# -- the reply --------------------------------------------------------------------------------

_INCOMPLETE: Final[dict[str, FinishReason]] = {
    "max_output_tokens": "length",
    "content_filter": "content_filter",
}


class _Part(Struct):
    type: str = ""
    text: str | None = None
    refusal: str | None = None


class _Item(Struct):
    type: str = ""
    phase: str | None = None
    content: list[_Part] | None = None
    summary: list[_Part] | None = None


class _InputDetails(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(Struct):
    reasoning_tokens: int | None = None


class _Usage(Struct):
    input_tokens: int = 0
    output_tokens: int = 0
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


class _Incomplete(Struct):
    reason: str | None = None


class _Response(Struct):
    output: list[_Item] | None = None
    status: str | None = None
    incomplete_details: _Incomplete | None = None
    usage: _Usage | None = None
    model: str = ""
    error: Any = None


_DECODER: Final = msgspec.json.Decoder(_Response)
_NO_INPUT_DETAILS: Final = _InputDetails()
_NO_OUTPUT_DETAILS: Final = _OutputDetails()


def read_response(endpoint: Endpoint, body: bytes, headers: Mapping[str, str]) -> Reply:
    """Read the body of a 2xx response.

    Raises:
        ProviderError: it holds an error, or no reply.
    """
    where = endpoint.where
    response = decode_response(where, body, _DECODER)
    if response.error:
        raise embedded_error(where, response.error, headers=headers, secrets=endpoint.secrets)
    if response.output is None:
        raise Unavailable(f"{where}: the response has no output")
    if response.status not in {"completed", "incomplete", None}:
        raise Unavailable(f"{where}: the server gave up the reply ({response.status})")
    return structs.replace(
        _reply(response, response.output),
        model=response.model,
        allowance=read_allowance(headers),
    )


def _reply(response: _Response, output: list[_Item]) -> Reply:
    parts = list(_message_parts(output))
    refusal = "".join(part.refusal or "" for part in parts)
    finish_reason, word = _finish(response)
    usage = response.usage or _Usage()
    details = usage.input_tokens_details or _NO_INPUT_DETAILS
    output_details = usage.output_tokens_details or _NO_OUTPUT_DETAILS
    return Reply(
        text=refusal or "".join(part.text or "" for part in parts),
        finish_reason="refusal" if refusal else finish_reason,
        finish_detail="" if refusal else finish_detail(finish_reason, word),
        reasoning="\n\n".join(_thoughts(output)),
        prompt_tokens=usage.input_tokens,
        completion_tokens=usage.output_tokens,
        cached_tokens=details.cached_tokens or 0,
        cache_write_tokens=details.cache_write_tokens or 0,
        reasoning_tokens=output_details.reasoning_tokens or 0,
    )


def _finish(response: _Response) -> tuple[FinishReason, str | None]:
    """Return why the model stopped, and the server's word for it."""
    if response.status != "incomplete":
        return "stop", None
    details = response.incomplete_details
    word = None if details is None else details.reason
    return _INCOMPLETE.get(word or "", "interrupted"), word


def _message_parts(output: list[_Item]) -> Iterator[_Part]:
    """Yield the parts of the answer; what the model remarked on its way to it is none."""
    messages = [item for item in output if item.type == "message"]
    answers = [item for item in messages if item.phase != "commentary"]
    for item in answers or messages:
        yield from item.content or ()


def _thoughts(output: list[_Item]) -> Iterator[str]:
    for item in output:
        if item.type == "reasoning":
            yield from (part.text for part in item.summary or () if part.text)
