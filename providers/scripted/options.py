"""The options of scripted models."""

from msgspec import Struct


class ScriptedOptions(Struct, frozen=True, kw_only=True):
    """How the scripted model behaves. Rates are shares from 0 to 1, times are in seconds."""

    model_seed: str = ""
    """Another seed is another model, with other replies to every request."""
    latency: float = 0.0
    jitter: float = 0.0
    """The most that a call's latency deviates from ``latency``."""
    error_rate: float = 0.0
    """Share of requests whose first attempt fails with `Unavailable`."""
    rate_limit_rate: float = 0.0
    """Share of requests whose first attempt fails with `RateLimited`."""
    retry_after: float | None = None
    """The wait that `RateLimited` asks for."""
    unreadable_rate: float = 0.0
    """Share of requests with a reply that no parser accepts."""
    replies: dict[str, str] = {}
    """Fixed replies by the name of the prompt, for prompts that have no script."""
