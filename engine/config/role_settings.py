"""The settings of one model: each one's meaning, unit, range and default."""

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from ...providers.base import Transport
from .values import LONGEST, Count, Money, NotSent, Positive, RandomSeed, SettingsTable


class RoleConfig(SettingsTable, frozen=True):
    """One model, and how it is called."""

    default_temperature: ClassVar[float] = 0.7
    """Sent where the user sets none and the model takes it."""

    model: Annotated[str, Meta(min_length=1)] = ""
    """``provider/model``, such as ``openai/gpt-6-luna`` or ``ollama/llama3.2``."""
    base_url: Annotated[str, Meta(min_length=1)] | None = None
    """An OpenAI-compatible server. None: the provider's own address."""
    api_key: str | None = None
    """NAME of the environment variable that holds the key. None: the provider's usual one, at the
    vendor's own addresses. "none": no key is sent."""
    identity: Annotated[str, Meta(min_length=1)] | None = None
    """What answers are filed under, wherever the server is. None: its address."""
    temperature: Annotated[float, Meta(ge=0, le=2)] | NotSent | None = None
    """None: `default_temperature`, or not sent where the model takes none. "default" (in JSON and
    YAML also null): not sent."""
    top_p: Annotated[float, Meta(gt=0, le=1)] | NotSent | None = None
    max_tokens: Count | NotSent | None = None
    """None: 2,048; 16,384 for a model that thinks first, whose thoughts count."""
    seed: RandomSeed | NotSent | None = None
    """Sent with each request; a retry after an unreadable reply sends the next number."""
    extra: dict[str, Any] = {}  # noqa: RUF012  (msgspec copies it)
    """Merged into the body of every request (``reasoning_effort``, ``top_k``, …)."""
    headers: dict[str, str] = {}  # noqa: RUF012  (msgspec copies it)
    """Extra HTTP headers. ``$NAME`` is replaced by that environment variable."""
    structured_output: Literal["auto", "text", "json_object", "json_schema"] = "auto"
    """auto: plain text, as in the paper; ``json_schema`` for the embedded model."""
    prompts: str | None = None
    """A prompt set for this role alone. None: the run's."""
    stream: bool | None = None
    """Ask for replies as streams of events: the same replies, and no gateway on the way takes a
    model that thinks for minutes for a dead connection. None: for models known to think."""
    timeout: Annotated[float, Meta(gt=0, le=LONGEST)] = 600.0
    """Seconds without a byte of the reply after which a call is retried; of a stream, without an
    event. A reply that has begun, and is not streamed, must bring 4 bytes a second. A call that is
    silent for longer than ``retry.budget`` has no second attempt."""
    deadline: Annotated[float, Meta(gt=0, le=LONGEST)] | None = None
    """Most seconds of one attempt, however much comes in; then it is retried. None: ``timeout``,
    and a second more for every 4 tokens of ``max_tokens`` (4,096 if that is not set), or for every
    4 characters that a stream has brought."""
    transport: Transport = "aiohttp"
    """The HTTP client. lean takes less CPU per call and needs ``codeclm[lean]``."""
    max_concurrent: Annotated[int, Meta(ge=1, le=100_000)] = 256
    """Most calls in flight at this endpoint; fewer while it answers 429."""
    requests_per_minute: Positive | None = None
    tokens_per_minute: Positive | None = None
    """Prompt and completion together."""
    quota: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    """Roles that give the same name share one limit, stated or not, whatever their models and keys;
    the tightest of the limits that they state holds for all. None: a limit per model and key."""
    price_input: Money | None = None
    """Per million prompt tokens, with ``price_output``. None: that of `codeclm models`, if any."""
    price_cached: Money | None = None
    """Of prompt tokens that the vendor's prompt cache holds. None: ``price_input``."""
    price_written: Money | None = None
    """Of prompt tokens that are written to that cache. None: ``price_input``."""
    price_output: Money | None = None
    """Per million tokens of replies, reasoning included."""
    options: dict[str, Any] = {}  # noqa: RUF012  (msgspec copies it)
    """For ``scripted`` (latency, jitter, error_rate, …) and ``local`` (slots, context, …)."""

    def without_temperature(self) -> dict[str, Any]:
        """Return the settings, for a role of its own default; what is not sent stays so."""
        settings: dict[str, Any] = msgspec.to_builtins(self)
        if settings.get("temperature") != "default":
            settings.pop("temperature", None)
        return settings


class JudgeConfig(RoleConfig, frozen=True):
    """The model that scores; greedy by default (paper A.3)."""

    default_temperature: ClassVar[float] = 0.0

    score: Literal["text", "logprobs"] = "text"
    """text: the score that it writes. logprobs: the mean of its distribution over the scores, which
    costs no further call and needs a server that gives log-probabilities. Of a run's judges."""
