"""How long calls take: as many at once as endpoints take, or as limits allow."""

from collections.abc import Callable, Iterable, Mapping

from ..calls.clients import endpoint_name, limits_of, quota_name
from ..calls.spending import Usage, UsageByStage
from ..config import RoleConfig
from ..pipeline.expectation import SecondsByStage


def busiest(roles: Mapping[str, RoleConfig], usage: UsageByStage, seconds: SecondsByStage) -> float:
    """Return for how many seconds calls of *usage* keep the busiest endpoint or limit busy.

    An endpoint takes as many calls at once as may be in flight; *seconds* are those of one after
    the other. Endpoints work side by side, so the slowest decides.
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
    return slowest


def _total(stages: Mapping[str, Usage]) -> Usage:
    total = Usage()
    for usage in stages.values():
        total.add(usage)
    return total


def _sharing(
    roles: Mapping[str, RoleConfig], key: Callable[[RoleConfig], str]
) -> Iterable[list[str]]:
    """Return the names of the roles for which *key* is the same."""
    groups: dict[str, list[str]] = {}
    for name, role in roles.items():
        groups.setdefault(key(role), []).append(name)
    return groups.values()
