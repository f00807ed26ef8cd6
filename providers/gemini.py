"""``generateContent`` of Google's Gemini API."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct
from yarl import URL

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
from .http.endpoint import Endpoint, make_endpoint
from .http.exchange import HttpSession
from .http.failures import decode_response, embedded_error
from .http.rate_limits import read_allowance
from .streams.gemini import Generation
from .structured import GEMINI_DROPS, without_keywords

VERSION = "v1beta"
"""The API's version, in the path. The SDK moved to v1 in 3.0; v1beta has every model, previews
included, and the same bodies (ai.google.dev, "API versions")."""

_FINISH: dict[str | None, FinishReason] = {
    None: "stop",
    "STOP": "stop",
    "FINISH_REASON_UNSPECIFIED": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "LANGUAGE": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "ESCALATION": "content_filter",
    "CONTINUATION": "interrupted",
    "MALFORMED_RESPONSE": "interrupted",
    "OTHER": "interrupted",
}


class Gemini:
    """A provider that speaks the Gemini API to one base URL.

    The caller owns the session. The key is sent in a header, never in the URL. Thoughts count as
    completion tokens, as they are billed; their text is kept apart.

    Raises:
        ValueError: the base URL or a header cannot be used.
    """

    kind = "gemini"

    def __init__(
        self,
        session: HttpSession,
        *,
        base_url: str,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        structured: ResponseFormat = "json_schema",
    ) -> None:
        base_url = base_url.rstrip("/").removesuffix(f"/{VERSION}")
        key_header = {"X-Goog-Api-Key": api_key} if api_key else {}
        self._session = session
        self._models = make_endpoint(
            f"{base_url}/{VERSION}/models", headers={**key_header, **(headers or {})}
        )
        self._endpoints: dict[tuple[str, str], Endpoint] = {}
        self.identity = base_url
        self.structured: ResponseFormat = structured

    async def complete(self, request: Request, /) -> Reply:
        method = _STREAM_GENERATE if request.stream else _GENERATE
        target = self._endpoints.get((request.model, method)) or self._endpoint_of(
            request.model, method
        )
        assembly = Generation() if request.stream else None
        body, headers = await self._session.post(target, _encode(request), assembly)
        generation = decode_response(target.where, body, _DECODER)
        if generation.error:
            raise embedded_error(
                target.where, generation.error, headers=headers, secrets=target.secrets
            )
        return _reply(target.where, generation, headers)

    async def aclose(self) -> None:
        """Do nothing: the caller owns the session."""

    def _endpoint_of(self, model: str, method: str) -> Endpoint:
        name = quote(model.removeprefix("models/"), safe="")  # a name, never a path of its own
        url = URL(f"{self._models.url}/{name}:{method}", encoded=True)
        endpoint = self._endpoints[model, method] = self._models.at(url)
        return endpoint


_GENERATE, _STREAM_GENERATE = "generateContent", "streamGenerateContent?alt=sse"


class _Text(Struct):
    text: str


class _Turn(Struct, omit_defaults=True):
    parts: tuple[_Text, ...]
    role: str | None = None


class _Config(Struct, omit_defaults=True, rename="camel"):
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    seed: int | None = None
    response_mime_type: str | None = None
    response_json_schema: dict[str, Any] | None = None


class _Body(Struct, omit_defaults=True, rename="camel"):
    contents: tuple[_Turn, ...]
    system_instruction: _Turn | None = None
    generation_config: _Config | None = None


class _Part(Struct):
    text: str = ""
    thought: bool = False


class _Content(Struct):
    parts: tuple[_Part, ...] = ()


class _Candidate(Struct, rename="camel"):
    content: _Content = msgspec.field(default_factory=_Content)
    finish_reason: str | None = None


class _Usage(Struct, rename="camel"):
    prompt_token_count: int = 0
    candidates_token_count: int = 0
    thoughts_token_count: int = 0
    cached_content_token_count: int = 0


class _Feedback(Struct, rename="camel"):
    block_reason: str | None = None


class _Generation(Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: _Usage | None = None
    model_version: str = ""
    error: Any = None


_DECODER = msgspec.json.Decoder(_Generation)
_NO_USAGE = _Usage()
_NO_CONFIG = _Config()


def _reply(where: str, generation: _Generation, headers: Mapping[str, str]) -> Reply:
    feedback = generation.prompt_feedback
    word = None if feedback is None else feedback.block_reason
    candidate = generation.candidates[0] if generation.candidates else None
    if candidate is None and not word:
        raise Unavailable(f"{where}: the response has no candidates")
    usage = generation.usage_metadata or _NO_USAGE
    parts: tuple[_Part, ...] = ()
    reason: FinishReason = "content_filter"
    if candidate is not None:
        parts = candidate.content.parts
        reason = _FINISH.get(candidate.finish_reason, "other")
        word = candidate.finish_reason
    return Reply(
        text="".join(part.text for part in parts if not part.thought),
        finish_reason=reason,
        finish_detail=finish_detail(reason, word),
        reasoning="".join(part.text for part in parts if part.thought),
        prompt_tokens=usage.prompt_token_count,
        completion_tokens=usage.candidates_token_count + usage.thoughts_token_count,
        cached_tokens=usage.cached_content_token_count,
        reasoning_tokens=usage.thoughts_token_count,
        model=generation.model_version,
        allowance=read_allowance(headers),
    )


def _encode(request: Request) -> bytes:
    system = tuple(
        _Text(message.content) for message in request.messages if message.role == "system"
    )
    config = _config(request)
    body = _Body(
        contents=tuple(_turn(message) for message in request.messages if message.role != "system"),
        system_instruction=_Turn(system) if system else None,
        generation_config=None if config == _NO_CONFIG else config,
    )
    return encode_with_extra(body, request.extra, shared="generationConfig")


def _turn(message: Message) -> _Turn:
    role = "model" if message.role == "assistant" else "user"
    return _Turn((_Text(message.content),), role)


def _config(request: Request) -> _Config:
    is_text = request.response_format == "text"
    is_shaped = request.response_format == "json_schema" and request.schema is not None
    return _Config(
        temperature=request.temperature,
        top_p=request.top_p,
        max_output_tokens=request.max_tokens,
        seed=request.seed,
        response_mime_type=None if is_text else "application/json",
        response_json_schema=without_keywords(request.schema or {}, GEMINI_DROPS)
        if is_shaped
        else None,
    )
