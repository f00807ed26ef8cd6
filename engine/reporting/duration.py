"""How long a run will probably take: what its endpoints let through, or what its limits allow."""

from collections.abc import Mapping

from ..calls.clients import endpoint_name, limits_of, quota_name
from ..calls.spending import Usage, UsageByStage
from ..config import RoleConfig

SecondsByStage = Mapping[str, Mapping[str, float]]
"""How long calls take, added up: by role, then by stage."""


def likely_duration(
    roles: Mapping[str, RoleConfig], usage: UsageByStage, seconds: SecondsByStage
) -> float:
    """Return the seconds that calls of *usage*, which take *seconds* one by one, take in all.

    Endpoints work side by side, so the slowest decides. Its calls are spread over all that may be
    in flight, or over the minutes that a limit of requests or tokens makes of them. An item's own
    calls, one after the other, are added: while the last one is finished, little else is in flight.
    """
    total = {role: _total(usage.get(role, {})) for role in roles}
    busy = {role: sum(seconds.get(role, {}).values()) for role in roles}
    slowest = 0.0
    for names in _sharing(roles, endpoint_name):
        limits = limits_of([roles[name] for name in names])
        slowest = max(slowest, sum(busy[name] for name in names) / limits.max_concurrent)
    for names in _sharing(roles, quota_name):
        limits = limits_of([roles[name] for name in names])
        calls = sum(total[name].calls for name in names)
        tokens = sum(total[name].tokens for name in names)
        for amount, limit in (
            (calls, limits.requests_per_minute),
            (tokens, limits.tokens_per_minute),
        ):
            slowest = max(slowest, 60 * amount / limit if limit else 0.0)
    return slowest + _path(usage, seconds)
