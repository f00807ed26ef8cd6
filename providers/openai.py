"""Chat completions: OpenAI's protocol, which most servers speak."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import msgspec
from msgspec import Struct

from . import json_codec
from .base import Message, Reply, Request, ResponseFormat
from .http.endpoint import bearer_endpoint
from .http.exchange import HttpSession, Response
from .openai_reply import read_completion
from .streams.fallback import StreamFallback, StreamLevel
from .streams.openai import ChatCompletion
from .structured import is_strict


class Dialect(Struct, frozen=True):
    """In what servers of this protocol differ.

    Attributes:
        is_openai: Whether OpenAI's own models answer, at OpenAI or on Azure: they take the token
            limit as ``max_completion_tokens``, and those of former families as ``max_tokens`` too.
        seed: What the sampling seed is called.
        streams_usage: Whether ``stream_options`` is taken, as far as known.
    """

    is_openai: bool = False
    seed: Literal["seed", "random_seed"] = "seed"
    streams_usage: bool = True


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
        if "?api-version=" in base_url:
            raise ValueError("this is an Azure address: write the model as azure/DEPLOYMENT")
        base_url = base_url.rstrip("/")
        self._session = session
        self._endpoint = bearer_endpoint(f"{base_url}/chat/completions", api_key, headers)
        self._dialect = self._choose_dialect()
        levels: tuple[StreamLevel, ...] = ("with_usage", "events", "whole")
        self._fallback = StreamFallback(
            self._endpoint.where, *levels[0 if self._dialect.streams_usage else 1 :]
        )
        self.identity = base_url
        self.structured: ResponseFormat = structured

    def _choose_dialect(self) -> Dialect:
        host = self._endpoint.url.host or ""
        is_openai = host == "api.openai.com" or host.endswith(_OPENAI_DOMAINS)
        return Dialect(is_openai=is_openai)

    async def complete(self, request: Request, /) -> Reply:
        if request.stream:
            body, headers = await self._fallback.send(partial(self._send, request))
        else:
            body, headers = await self._send(request)
        return read_completion(self._endpoint, body, headers)

    async def aclose(self) -> None:
        """Do nothing: the caller owns the session."""

    async def _send(self, request: Request, level: StreamLevel = "whole") -> Response:
        content = encode(request, self._dialect, level)
        assembly = None if level == "whole" else ChatCompletion()
        return await self._session.post(self._endpoint, content, assembly)


class Mistral(OpenAI):
    """A provider that speaks chat completions as Mistral does.

    The seed has another name, and streams end with the usage unasked.
    """

    kind = "mistral"

    def _choose_dialect(self) -> Dialect:
        return Dialect(seed="random_seed", streams_usage=False)


_OPENAI_DOMAINS = (".api.openai.com", ".openai.azure.com")


_PLAIN = Dialect()


def encode(request: Request, dialect: Dialect = _PLAIN, level: StreamLevel = "whole") -> bytes:
    """Return the body of the POST to a server that speaks *dialect*.

    *level* says whether a stream is asked for.
    """
    is_renamed = _wants_completion_tokens(dialect, request.model)
    body = _Body(
        model=request.model,
        messages=request.messages,
        temperature=request.temperature,
        top_p=request.top_p,
        max_tokens=None if is_renamed else request.max_tokens,
        max_completion_tokens=request.max_tokens if is_renamed else None,
        response_format=_response_format(request),
        stream=None if level == "whole" else True,
        stream_options={"include_usage": True} if level == "with_usage" else None,
    )
    if request.seed is not None:
        setattr(body, dialect.seed, request.seed)
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
    random_seed: int | None = None
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


_REASONING_MODEL = re.compile(
    r"(?:ft:)?(?:gpt-(?:[5-9]|\d\d)(?:[-.:].*)?|o[1-9](?:-(?:mini|pro|preview|\d{4}).*)?)"
)
"""OpenAI's o-series and all its models since gpt-5."""


def _wants_completion_tokens(dialect: Dialect, model: str) -> bool:
    """Whether *model* takes its token limit only as ``max_completion_tokens``.

    OpenAI's reasoning models refuse ``max_tokens``, also behind a gateway; the families before them
    take it, and so does every other vendor's server. A model of OpenAI's that is unknown here is
    assumed to be newer.
    """
    if _REASONING_MODEL.fullmatch(model):
        return True
    is_former = model.removeprefix("ft:").startswith(("gpt-3.5", "gpt-4", "chatgpt-4"))
    return dialect.is_openai and not is_former
