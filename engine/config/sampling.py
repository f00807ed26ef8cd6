"""What a role's requests ask of sampling: what the user set, else what its model takes."""

from datetime import date, timedelta
from typing import Final, TypeVar

from msgspec import Struct

from ...providers.models import ModelFacts, find_model
from ..data.errors import UserError
from ..data.providers import resolve_model
from .role_settings import RoleConfig
from .values import ConfigError

T = TypeVar("T", float, int)

MAX_TOKENS: Final = 2048
"""The length limit where none is set."""
THINKING_MAX_TOKENS: Final = 16_384
"""The same for models that think first: their thoughts count as answer tokens."""
NOTICE: Final = timedelta(days=60)
"""How long before a model retires `retirement` says so."""


class SamplingSettings(Struct, frozen=True):
    """What a role's requests hold; None: the parameter is not sent."""

    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    seed: int | None


def model_facts(role: RoleConfig) -> ModelFacts | None:
    """Return what the table of models says of the role's model; None: nothing.

    Raises:
        UserError: the provider or the model is missing or unknown.
    """
    host, model = resolve_model(role.model, has_base_url=bool(role.base_url))
    return find_model(host.name, model)


def sampling_settings(role: RoleConfig) -> SamplingSettings:
    """Return the sampling of *role*: the user's word, else by its model, else the defaults.

    Raises:
        UserError: the provider or the model is missing or unknown.
    """
    facts = model_facts(role)
    return SamplingSettings(
        _default_temperature(role, facts) if role.temperature is None else _sent(role.temperature),
        _sent(role.top_p),
        _default_max_tokens(role, facts) if role.max_tokens is None else _sent(role.max_tokens),
        _sent(role.seed),
    )


def is_streamed(role: RoleConfig) -> bool:
    """Whether replies to *role* are streamed: the user's word, else where its model thinks.

    Raises:
        UserError: the provider or the model is missing or unknown.
    """
    if role.stream is not None:
        return role.stream
    facts = model_facts(role)
    return facts is not None and facts.thinks_with(role.extra)


def describe_temperature(role: RoleConfig) -> str:
    """Return the temperature of *role*, for display; also where its provider is not installed."""
    try:
        temperature = sampling_settings(role).temperature
    except UserError:
        temperature = _sent(role.temperature)
    return "the model's own" if temperature is None else str(temperature)


def check_sampling(role: RoleConfig, where: str) -> None:
    """Check that the role's model takes what the user set, as far as the table knows.

    Raises:
        ConfigError: it would refuse every request; the message says what to write.
    """
    facts = model_facts(role)
    if facts is None:
        return
    for name, value in (("temperature", role.temperature), ("top_p", role.top_p)):
        is_default = value == 1 and (name == "temperature" or facts.takes_both)
        if _sent(value) is None or is_default or facts.temperature == "ignores":
            continue
        if not facts.takes_sampling(role.extra):
            raise ConfigError(f"{where}.{name}: {role.model} {_refusal(name, facts)}")
    is_both = None not in {_sent(role.temperature), _sent(role.top_p)}
    if is_both and not facts.takes_both:
        raise ConfigError(
            f"{where}.top_p: {role.model} takes temperature or top_p, not both: remove one"
        )
    longest = facts.longest_output
    if isinstance(role.max_tokens, int) and longest is not None and role.max_tokens > longest:
        raise ConfigError(
            f"{where}.max_tokens: {role.model} writes at most {longest:,} tokens,"
            f" got {role.max_tokens:,}"
        )


def retirement(role: RoleConfig, today: date) -> str | None:
    """Say that the role's model retires within `NOTICE`, or has; None: not that we know of."""
    facts = model_facts(role)
    if facts is None or facts.retires is None or facts.retires - today > NOTICE:
        return None
    is_past = facts.retires <= today
    return f"{role.model} {'was' if is_past else 'will be'} shut down on {facts.retires}"


def _sent(value: T | str | None) -> T | None:
    return None if isinstance(value, str) else value


def _default_temperature(role: RoleConfig, facts: ModelFacts | None) -> float | None:
    if facts is None:
        return role.default_temperature
    is_ruled_out = _sent(role.top_p) is not None and not facts.takes_both
    takes = facts.takes_sampling(role.extra) and not is_ruled_out
    return role.default_temperature if takes else None


def _default_max_tokens(role: RoleConfig, facts: ModelFacts | None) -> int:
    if facts is None:
        return MAX_TOKENS
    most = THINKING_MAX_TOKENS if facts.thinks_with(role.extra) else MAX_TOKENS
    return min(most, facts.longest_output or most)


def _refusal(name: str, facts: ModelFacts) -> str:
    remedy = f'remove it, or write {name} = "default"'
    if facts.temperature == "without_effort":
        remedy += ', or extra = { reasoning_effort = "none" }'
    when = "" if facts.temperature == "refuses" else " while it thinks"
    return f"takes no {name} but its own{when}: {remedy}"
