"""The vocabulary of providers: a request, a reply, and the errors of a call.

ProviderError
├── RateLimited    429: try again later, perhaps at a time that the server names
├── Unavailable    408, 409, 425, 5xx, lost connection, silence, cut-off or odd body: try again
│   └── Stale      a kept-alive connection that the server had closed: try again at once, for free
├── Rejected       any other 4xx, a redirect, too large a response: repeating it is pointless
└── Denied         401, 402, 403, 404, quota used up: no request will succeed; stop the run
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Literal, Protocol

from msgspec import Struct, field, structs

FinishReason = Literal["stop", "length", "content_filter", "refusal", "interrupted", "other"]
"""Why the model stopped, in one vocabulary for all vendors.

``length``: cut off at a token limit; ``content_filter``: by the vendor; ``refusal``: by the model;
``interrupted``: before the end, for another reason that the vendor names; ``other``: the server's
word is not known.
"""


def finish_detail(finish_reason: FinishReason, word: str | None) -> str:
    """Return the vendor's own *word* for *finish_reason* where it says more."""
    is_telling = finish_reason not in {"stop", "length"} and word != finish_reason
    return (word or "") if is_telling else ""


ResponseFormat = Literal["text", "json_object", "json_schema"]
"""Response formats, from the least to the most strict."""

Transport = Literal["aiohttp", "lean"]
"""The transports that carry calls over HTTP."""


class Message(Struct, frozen=True):
    role: Literal["system", "user", "assistant"]
    content: str


class Request(Struct, frozen=True, kw_only=True):
    """One call, in vendor-neutral terms. A setting that is None is left to the server.

    Attributes:
        model: The model's name at its host.
        messages: The conversation so far; the last message is the prompt.
        temperature: Sampling temperature.
        top_p: Nucleus sampling: the probability mass to sample from.
        max_tokens: The most tokens of the reply.
        seed: The server's own sampling seed.
        response_format: The format to ask for; ``json_schema`` needs ``schema``.
        schema: A JSON schema.
        extra: Merged into the request's body last, as it is; it overrides every other setting.
        sample: Tells several samples of one prompt apart. It is never sent, but is part of the
            cache key, and `scripted` and `local` derive their randomness from it.
        purpose: The name of the prompt, for `scripted` and for messages. It is never sent and not
            part of the cache key.
        stream: Ask for the reply as a stream of events, where the provider can. The reply is the
            same, so this is not part of the cache key.
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
    stream: bool = False


class Allowance(Struct, frozen=True):
    """The server's rate limits, as a response reports them; None if it does not.

    ``*_limit`` are per minute or whatever the server counts by, ``*_remaining`` what is left of
    them, ``*_reset`` the seconds until they are full again.
    """

    requests_limit: float | None = None
    requests_remaining: float | None = None
    requests_reset: float | None = None
    tokens_limit: float | None = None
    tokens_remaining: float | None = None
    tokens_reset: float | None = None


class NumberToken(Struct, frozen=True, array_like=True):
    """A token of a reply that is a number, and those that might have stood in its place.

    Attributes:
        text: Its digits.
        alternatives: Natural logarithms of probabilities, by digits; its own among them, unless
            the server gave none for it.
    """

    text: str
    alternatives: dict[str, float]


MOST_TOKENS = 2**40
"""Bound of a reply's token counts: far above any, and sums of them still fit everywhere."""


class Reply(Struct, frozen=True, kw_only=True):
    """A model's reply. Token counts are the server's own, 0 where it gave none, and bounded.

    Attributes:
        text: What the model wrote, without reasoning that the vendor keeps apart; the explanation,
            where it refused.
        finish_reason: Why it stopped.
        finish_detail: The vendor's own word for a refusal, a filter or an interruption.
        reasoning: What the model thought first, where the vendor keeps that apart.
        prompt_tokens: Tokens of the prompt, the cached ones included.
        completion_tokens: Tokens of the reply as billed, hidden reasoning included.
        cached_tokens: How many of the prompt tokens came from the vendor's own prompt cache.
        cache_write_tokens: How many of the prompt tokens were written to it.
        reasoning_tokens: How many of the completion tokens were reasoning.
        model: The model as the server names it, often with a date.
        allowance: What is left of the server's rate limits.
        number_tokens: The numbers in the text, where log-probabilities were asked for.
    """

    text: str
    finish_reason: FinishReason = "stop"
    finish_detail: str = ""
    reasoning: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    model: str = ""
    allowance: Allowance | None = None
    number_tokens: tuple[NumberToken, ...] = ()

    def __post_init__(self) -> None:
        """Bound the counts: servers can say any number, and these become sums and money."""
        counts = (
            self.prompt_tokens,
            self.completion_tokens,
            self.cached_tokens,
            self.cache_write_tokens,
            self.reasoning_tokens,
        )
        if min(counts) < 0 or max(counts) > MOST_TOKENS:
            for name in _COUNTS:
                count = min(max(getattr(self, name), 0), MOST_TOKENS)
                structs.force_setattr(self, name, count)


_COUNTS = (
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)


class Progress:
    """How much of the reply to one call has come in; the engine ends calls that make too little.

    Attributes:
        received: Bytes of content so far; of a stream, characters of the reply. Heads, framing and
            blank space before the content are none: a server can send them without end and never
            answer.
        events: Events of a stream so far, those without content included, which only say that the
            server is still at work.
        is_lost: Tells whether the connection is closed, from a transport that may not notice it.
    """

    __slots__ = ("events", "is_lost", "received")

    def __init__(self) -> None:
        self.received = 0
        self.events = 0
        self.is_lost: Callable[[], bool] | None = None

    def add(self, data: bytes) -> None:
        """Note *data*, as the body's next part."""
        if self.received or not data.isspace():
            self.received += len(data)


_progress: ContextVar[Progress] = ContextVar("_progress")


def start_progress() -> Progress:
    """Return the progress of the call that the current task makes next."""
    progress = Progress()
    _progress.set(progress)
    return progress


def current_progress() -> Progress:
    """Return the progress of the call that the current task makes, for a transport to add to."""
    return _progress.get(None) or Progress()


class ProviderError(Exception):
    """A call failed. The message names the endpoint and never holds a key."""


class RateLimited(ProviderError):  # noqa: N818  (named after what happened, as anyio does)
    """429: the server asks for a pause.

    Attributes:
        retry_after: Seconds the server asks to wait, None if it does not say.
        allowance: The server's rate limits, where it names them.
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
    """The server or the connection failed; the same request may succeed later.

    Attributes:
        retry_after: Seconds the server asks to wait, None if it does not say.
        is_cut: Whether the connection was lost, or a gateway gave up (502, 504, 524), while the
            reply was awaited.
    """

    def __init__(
        self, message: str, *, retry_after: float | None = None, is_cut: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.is_cut = is_cut


class Stale(Unavailable):
    """The server closed a reused connection before it responded."""


class Rejected(ProviderError):  # noqa: N818
    """The request was refused, or its response is too large; repeating it is pointless.

    Attributes:
        is_filtered: Whether the vendor's content filter refused the prompt.
    """

    def __init__(self, message: str, *, is_filtered: bool = False) -> None:
        super().__init__(message)
        self.is_filtered = is_filtered


class Denied(ProviderError):  # noqa: N818
    """No request to this endpoint will succeed: wrong key, unknown model, no money left."""


class Provider(Protocol):
    """One endpoint.

    Attributes:
        kind: The name of its `kinds.ProviderKind`; part of every cache key.
        identity: What replies depend on besides the request and the options, usually the base URL.
            Part of every cache key; never holds an API key.
        structured: The strictest response format that this endpoint honours.
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
        """Close what this provider alone owns; that excludes the session."""
        ...
