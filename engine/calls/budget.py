"""What calls cost, and when to stop paying.

Prices are the user's own, for a million tokens: no table of ours could be right for long. Without
prices there is no money, but calls can always be counted.
"""

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct, field

from ...providers.base import Reply
from ..config import BudgetConfig, RoleConfig
from ..data.errors import RunStopped
from .counters import RoleTokens


class Spending(Struct):
    """What one session paid for, as the ledger keeps it."""

    calls: int = 0
    roles: dict[str, RoleTokens] = field(default_factory=dict[str, RoleTokens])
    reused: int = 0
    """Answers that were there already: another run's, or this one's own."""


def money(roles: Mapping[str, RoleConfig], tokens: Mapping[str, RoleTokens]) -> float | None:
    """What *tokens* cost, by role; None where no role has a price."""
    if all(role.price_input is None for role in roles.values()):
        return None
    return sum(price(roles[name], used) for name, used in tokens.items())


def price(role: RoleConfig, used: RoleTokens) -> float:
    """What *role*'s tokens cost; prompt tokens from the vendor's own cache may be cheaper."""
    if role.price_input is None or role.price_output is None:
        return 0.0
    cached = role.price_input if role.price_cached is None else role.price_cached
    fresh = used.prompt_tokens - used.cached_tokens
    whole = fresh * role.price_input + used.cached_tokens * cached
    return (whole + used.completion_tokens * role.price_output) / 1_000_000


class Budget:
    """Counts what is spent, former sessions included, and says stop when it is enough.

    What is in flight at that moment still comes in and is paid.
    """

    def __init__(
        self, most: BudgetConfig, roles: Mapping[str, RoleConfig], before: Iterable[Spending]
    ) -> None:
        self._most = most
        self._roles = roles
        self._halt: Callable[[RunStopped], None] | None = None
        self.calls = 0
        self.money = 0.0
        for spent in before:
            self.calls += spent.calls
            self.money += money(roles, spent.roles) or 0.0

    def use(self, halt: Callable[[RunStopped], None]) -> None:
        """Say whom to tell when it is enough, and tell at once if it already is."""
        self._halt = halt
        self._check()

    def spend(self, role: str, reply: Reply) -> None:
        """Note an answer that was paid for."""
        self.calls += 1
        if self._roles[role].price_input is not None:
            used = RoleTokens(reply.prompt_tokens, reply.cached_tokens, reply.completion_tokens)
            self.money += price(self._roles[role], used)
        self._check()

    def _check(self) -> None:
        most = self._most
        if self._halt is None:
            return
        if most.calls is not None and self.calls >= most.calls:
            self._stop(f"budget.calls: {self.calls:,} calls have been paid for")
        elif most.money is not None and self.money >= most.money:
            self._stop(f"budget.money: {self.money:.2f} has been spent")

    def _stop(self, why: str) -> None:
        if self._halt is not None:
            self._halt(RunStopped(f"{why}: raise it, then go on"))
            self._halt = None
