"""What it means to talk to a model: a request, a reply, and how it can fail.

ProviderError
├── RateLimited    429: come back later, perhaps at a time the server names
├── Unavailable    408, 409, 425, 5xx, lost connection, silence, cut-off body: worth another try
│   └── Stale      a kept-alive connection the server had closed: try again at once, for free
├── Rejected       any other 4xx, or an answer we cannot read: this request will not do better
└── Denied         401, 402, 403, 404, quota used up: no request will do better; stop the run

Knows no stage, no cache, no limit.
"""

from typing import Any, Literal, Protocol

from msgspec import Struct, field

FinishReason = Literal["stop", "length", "content_filter", "refusal", "other"]
"""Why the model stopped, in one vocabulary for all vendors.

``length`` is a cut-off answer, ``content_filter`` a vendor's filter, ``refusal`` the model's own.
"""

ResponseFormat = Literal["text", "json_object", "json_schema"]
Transport = Literal["aiohttp", "lean"]


class Message(Struct, frozen=True):
    role: Literal["system", "user", "assistant"]
    content: str


class Request(Struct, frozen=True, kw_only=True):
    """One call, in no vendor's words.

    ``None`` leaves a setting to the server. ``response_format`` is what to ask the server for; with
    ``json_schema`` the schema is in ``schema``. ``extra`` is merged into the body last, as it is,
    and wins. ``sample`` and ``purpose`` are never sent. ``sample`` names one of several samples of
    the same prompt: it is part of the cache key, and `scripted` answers from it. ``purpose`` is the
    stage that asks, for `scripted` and for messages; it is not in the key.
    """

    model: str
    messages: tuple[Message, ...]
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    response_format: ResponseFormat = "text"
    schema: dict[str, Any] | None = None
    extra: dict[str, Any] = field(default_factory=dict[str, Any])
    sample: str = ""
    purpose: str = ""


class Allowance(Struct, frozen=True):
    """What a server said of its limits on one answer; None where it said nothing.

    ``*_reset`` are seconds from now until the allowance is full again.
    """

    requests_limit: float | None = None
    requests_remaining: float | None = None
    requests_reset: float | None = None
    tokens_limit: float | None = None
    tokens_remaining: float | None = None
    tokens_reset: float | None = None


class Reply(Struct, frozen=True, kw_only=True):
    """A model's answer. Token counts are the server's own; 0 where it gave none."""

    text: str
    finish_reason: FinishReason = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """How many of the prompt tokens the vendor served from its own prompt cache."""
    model: str = ""
    """The model as the server names it, often with a date."""
    allowance: Allowance | None = None


class ProviderError(Exception):
    """A call that gave no reply. The message names the endpoint and never holds a key."""


class RateLimited(ProviderError):  # noqa: N818  (named after what happened, as anyio does)
    """429: the server asks for a pause.

    Attributes:
        retry_after: Seconds the server asks to wait, None if it did not say.
        allowance: Its limits, where the answer told them.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        allowance: Allowance | None = None,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.allowance = allowance


class Unavailable(ProviderError):  # noqa: N818
    """The server or the way to it failed; the same request may succeed later.

    Attributes:
        retry_after: Seconds the server asks to wait, None if it did not say.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Stale(Unavailable):
    """A reused connection was closed by the server before it answered."""


class Rejected(ProviderError):  # noqa: N818
    """This request was refused, or its answer cannot be read; repeating it is no use."""


class Denied(ProviderError):  # noqa: N818
    """No request to this endpoint will be served: wrong key, no such model, no money left."""


class Provider(Protocol):
    """One endpoint of one vendor.

    Attributes:
        kind: The vendor's name: part of every cache key.
        identity: What answers are filed under, usually the base URL; never holds a key.
        structured: The strictest response format this endpoint honours.
    """

    kind: str
    identity: str
    structured: ResponseFormat

    async def complete(self, request: Request, /) -> Reply:
        """Make one call.

        Raises:
            ProviderError: one of the tree above, and nothing else.
        """
        ...

    async def aclose(self) -> None:
        """Give back what this provider alone owns; a shared session is not."""
        ...
