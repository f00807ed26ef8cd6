"""The Messages API, as Anthropic speaks it."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from . import json_codec
from .base import FinishReason, Message, Rejected, Reply, Request, ResponseFormat
from .exchange import Session, endpoint
from .faults import allowance, decode, embedded

MAX_TOKENS = 4096
"""What is asked for where the request leaves it open: this API has no default of its own."""

_VERSION = "2023-06-01"

_FINISH: dict[str | None, FinishReason] = {
    None: "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
}


class Anthropic:
    """Speak to the Messages API at one base URL.

    The session is the caller's and outlives the provider. There is no ``seed`` here, and no
    ``json_object``: both are left out. ``json_schema`` goes as ``output_config``, which models
    before Claude 4.5 refuse; so ``structured`` promises nothing unless told to.

    Raises:
        ValueError: the base URL or a header cannot be used.
    """

    kind = "anthropic"

    def __init__(
        self,
        session: Session,
        *,
        base_url: str = "https://api.anthropic.com",
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        identity: str | None = None,
        structured: ResponseFormat = "text",
    ) -> None:
        base_url = base_url.rstrip("/").removesuffix("/v1")
        sent = {**({"X-Api-Key": api_key} if api_key else {}), **(headers or {})}
        sent.setdefault("Anthropic-Version", _VERSION)
        self._session = session
        self._endpoint = endpoint(f"{base_url}/v1/messages", headers=sent)
        self.identity = identity or base_url
        self.structured: ResponseFormat = structured

    async def complete(self, request: Request, /) -> Reply:
        body, headers = await self._session.post(self._endpoint, _encode(request))
        where = self._endpoint.where
        answer = decode(where, body, _DECODER)
        if answer.error:
            raise embedded(where, answer.error, headers=headers, secrets=self._endpoint.secrets)
        if answer.content is None:
            raise Rejected(f"{where}: an answer of another shape: it has no `content`")
        usage = answer.usage
        cached = usage.cache_read_input_tokens or 0
        return Reply(
            text="".join(block.text for block in answer.content if block.type == "text"),
            finish_reason=_FINISH.get(answer.stop_reason, "other"),
            prompt_tokens=usage.input_tokens + cached + (usage.cache_creation_input_tokens or 0),
            completion_tokens=usage.output_tokens,
            cached_tokens=cached,
            model=answer.model,
            allowance=allowance(headers),
        )

    async def aclose(self) -> None:
        """Nothing is owned here."""


class _Body(Struct, omit_defaults=True):
    model: str
    messages: tuple[Message, ...]
    max_tokens: int
    system: str = ""
    temperature: float | None = None
    top_p: float | None = None
    output_config: dict[str, Any] | None = None


class _Block(Struct):
    type: str
    text: str = ""


class _Usage(Struct):
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class _Answer(Struct):
    content: list[_Block] | None = None
    stop_reason: str | None = None
    usage: _Usage = msgspec.field(default_factory=_Usage)
    model: str = ""
    error: Any = None


_DECODER = msgspec.json.Decoder(_Answer)


def _encode(request: Request) -> bytes:
    system = "\n\n".join(each.content for each in request.messages if each.role == "system")
    body = _Body(
        model=request.model,
        messages=tuple(each for each in request.messages if each.role != "system"),
        max_tokens=MAX_TOKENS if request.max_tokens is None else request.max_tokens,
        system=system,
        temperature=request.temperature,
        top_p=request.top_p,
        output_config=_output_config(request),
    )
    if not request.extra:
        return json_codec.dumps(body)
    return json_codec.dumps({**msgspec.to_builtins(body), **request.extra})


def _output_config(request: Request) -> dict[str, Any] | None:
    if request.response_format != "json_schema" or request.schema is None:
        return None
    return {"format": {"type": "json_schema", "schema": request.schema}}
