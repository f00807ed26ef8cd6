"""Chat completions: OpenAI's protocol, which most servers speak."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from . import json_codec
from .base import Message, Rejected, Reply, Request, ResponseFormat
from .http.endpoint import make_endpoint
from .http.exchange import HttpSession, Response
from .openai_reply import read_completion
from .streams.openai import ChatCompletion
from .structured import is_strict

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
        return read_completion(self._endpoint, body, headers)

    async def aclose(self) -> None:
        """Do nothing: the caller owns the session."""

    async def _send(self, request: Request) -> Response:
        if not request.stream:
            return await self._session.post(self._endpoint, encode(request, host=self._host))
        streams_usage = self._streams_usage
        content = encode(request, host=self._host, streams_usage=streams_usage)
        try:
            return await self._session.post(self._endpoint, content, ChatCompletion())
        except Rejected as error:
            if not streams_usage or not _STREAM_OPTIONS.search(str(error)):
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


def _response_format(request: Request) -> dict[str, Any] | None:
    if request.response_format == "json_object":
        return {"type": "json_object"}
    if request.response_format == "json_schema" and request.schema is not None:
        strict = is_strict(request.schema)
        schema = {"name": "answer", "schema": request.schema, "strict": strict}
        return {"type": "json_schema", "json_schema": schema}
    return None


def _wants_completion_tokens(host: str, model: str) -> bool:
    """Whether *model* takes its token limit only as ``max_completion_tokens``.

    OpenAI's o-series and all its models since gpt-5 refuse ``max_tokens``; the families before them
    take it, and so does every other vendor's server. An OpenAI model that is unknown here is
    assumed to be newer.
    """
    if host != "api.openai.com" and not host.endswith((".api.openai.com", ".openai.azure.com")):
        return False
    return not model.removeprefix("ft:").startswith(("gpt-3.5", "gpt-4", "chatgpt-4"))
