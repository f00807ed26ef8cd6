"""How a role is called."""

from typing import Any

from msgspec import Struct

from ...providers.base import ResponseFormat


class Sampling(Struct, frozen=True):
    """How a role is called; None leaves a setting to the server."""

    model: str
    identity: str = ""
    """What answers are filed under in place of the provider's own; empty: its own."""
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    response_format: ResponseFormat = "text"
    extra: dict[str, Any] = {}
    options: dict[str, Any] = {}
    """The provider's that can change a reply and are not at their default."""
    parse_attempts: int = 3
    run_seed: int = 0
    """The run's seed: above temperature 0, another seed gives other samples."""
    stream: bool = False
    """Whether replies are streamed, where the provider can; they are the same."""
    logprobs: bool = False
    """Whether a score is the mean over its log-probabilities, which ``extra`` asks for."""
    less_thinking: str = 'reasoning_effort = "low"'
    """What to advise for ``extra`` where thinking leaves no room for an answer."""
