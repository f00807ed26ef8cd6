"""What tokens cost: at the user's own prices, else at those of the dated table of models."""

from collections.abc import Mapping

from msgspec import Struct

from ...providers.models import find_model, model_table
from ..config import NO_KEY, ConfigError, RoleConfig, base_url, hosted_model
from ..data.errors import UserError
from .spending import Usage, UsageByStage

_PER = 1_000_000


class Prices(Struct, frozen=True):
    """Money per million tokens, and where the figures are from."""

    input: float
    cached: float
    """Of prompt tokens read from the vendor's prompt cache."""
    written: float
    """Of prompt tokens written to it."""
    output: float
    source: str

    def cost(self, usage: Usage) -> float:
        """Return what *usage* costs."""
        fresh = usage.prompt_tokens - usage.cached_tokens - usage.cache_write_tokens
        prompt = fresh * self.input
        prompt += usage.cached_tokens * self.cached + usage.cache_write_tokens * self.written
        return (prompt + usage.completion_tokens * self.output) / _PER


def role_prices(role: RoleConfig) -> Prices | None:
    """Return the prices of *role*; None: it has none, or none is known."""
    if role.price_input is not None and role.price_output is not None:
        return _prices(
            role.price_input, role.price_cached, role.price_written, role.price_output, "yours"
        )
    try:
        host, name = hosted_model(role)
    except UserError:  # the provider's plugin is not installed: its run can be read all the same
        return None
    row = find_model(host.name, name) if host.owns(base_url(role)) else None
    if row is None or row.price_input is None or row.price_output is None:
        return None
    source = f"table of {model_table().date}"
    return _prices(row.price_input, row.price_cached, row.price_written, row.price_output, source)


def _prices(
    fresh: float, cached: float | None, written: float | None, output: float, source: str
) -> Prices:
    """Return prices; a prompt's token has the price of a fresh one where no other is known."""
    return Prices(
        fresh,
        fresh if cached is None else cached,
        fresh if written is None else written,
        output,
        source,
    )


def is_paid(role: RoleConfig) -> bool:
    """Whether calls of *role* cost money, as far as can be seen: those that send a key do."""
    host = hosted_model(role).host
    if not host.kind.over_http:
        return False
    if role.api_key is not None:
        return role.api_key != NO_KEY
    return host.needs_key and (not role.base_url or host.may_send_key(role.base_url))


def prices_by_role(roles: Mapping[str, RoleConfig]) -> dict[str, Prices]:
    """Return the prices of those *roles* that have any."""
    prices = {name: role_prices(role) for name, role in roles.items()}
    return {name: of_role for name, of_role in prices.items() if of_role is not None}


def check_prices(roles: Mapping[str, RoleConfig], where: str) -> None:
    """Check that what *roles* cost is known.

    Raises:
        ConfigError: a role that is paid for has no price, or none has; starts with *where*.
    """
    prices = prices_by_role(roles)
    unknown = [name for name, role in roles.items() if name not in prices and is_paid(role)]
    missing = unknown or ([] if prices else list(roles))
    if missing:
        raise ConfigError(
            f"{where}: no price is known for {', '.join(missing)}: set price_input and"
            " price_output there, per million tokens (0 if it costs nothing)"
        )


def money(roles: Mapping[str, RoleConfig], usage: UsageByStage) -> float | None:
    """Return what *usage* costs; None if no role has a price."""
    prices = prices_by_role(roles)
    if not prices:
        return None
    return sum(
        prices[role].cost(of_stage)
        for role, stages in usage.items()
        if role in prices
        for of_stage in stages.values()
    )
