"""What calls cost, and when to stop paying.

Prices are the user's own, per million tokens: a built-in table would soon be out of date.
Without prices only calls are counted.
"""

from collections.abc import Callable, Iterable, Mapping

from ..config import BudgetConfig, RoleConfig
from ..data.errors import RunStopped
from .spending import Spending, Usage, UsageByStage


def money(roles: Mapping[str, RoleConfig], usage: UsageByStage) -> float | None:
    """Return what *usage* costs; None if no role has a price."""
    if all(role.price_input is None for role in roles.values()):
        return None
    return sum(
        price(roles[name], used) for name, stages in usage.items() for used in stages.values()
    )


def price(role: RoleConfig, used: Usage) -> float:
    """Return what tokens of *role* cost; those from the vendor's prompt cache may be cheaper."""
    if role.price_input is None or role.price_output is None:
        return 0.0
    price_cached = role.price_input if role.price_cached is None else role.price_cached
    uncached = used.prompt_tokens - used.cached_tokens
    total = uncached * role.price_input + used.cached_tokens * price_cached
    return (total + used.completion_tokens * role.price_output) / 1_000_000


class Budget:
    """Counts what is spent, earlier sessions included, and stops further calls when it is spent.

    Args:
        limits: how many calls and how much money may be spent.
        roles: the roles with their prices.
        spent: what earlier sessions of the run paid for.
        stop: called once, when a limit is reached; from then on nothing may be sent. What is in
            flight at that moment is still answered and paid for.
    """

    def __init__(
        self,
        limits: BudgetConfig,
        roles: Mapping[str, RoleConfig],
        spent: Iterable[Spending],
        *,
        stop: Callable[[RunStopped], None],
    ) -> None:
        self._limits = limits
        self._roles = roles
        self._stop = stop
        self._stopped = False
        self.calls = 0
        self.money = 0.0
        for session in spent:
            self.calls += session.calls
            self.money += money(roles, session.usage) or 0.0
        self._check()

    def spend(self, role: str, usage: Usage) -> None:
        """Count a call that was paid for."""
        self.calls += 1
        if self._roles[role].price_input is not None:
            self.money += price(self._roles[role], usage)
        self._check()

    def _check(self) -> None:
        if self._stopped:
            return
        limits = self._limits
        if limits.calls is not None and self.calls >= limits.calls:
            self._reach(f"budget.calls: {self.calls:,} calls have been paid for")
        elif limits.money is not None and self.money >= limits.money:
            self._reach(f"budget.money: {self.money:.2f} has been spent")

    def _reach(self, what: str) -> None:
        self._stopped = True
        self._stop(RunStopped(f"{what}: raise it, then run `codeclm resume RUN`"))
