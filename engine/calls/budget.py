"""Stop paying in time: what is in flight is reserved, and nothing beyond the budget is sent."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from msgspec import Struct

from ..config import BudgetConfig, RoleConfig
from ..data.errors import BudgetSpent
from .prices import prices_by_role
from .spending import Spending, Usage

_EXACT: Final = 1e-9
"""Share of a limit that sums of floats may be wrong by."""


class Amount(Struct):
    """What calls take of a budget."""

    calls: float = 0.0
    tokens: float = 0.0
    money: float = 0.0

    def add(self, other: "Amount") -> None:
        self.calls += other.calls
        self.tokens += other.tokens
        self.money += other.money

    def subtract(self, other: "Amount") -> None:
        self.calls -= other.calls
        self.tokens -= other.tokens
        self.money -= other.money


class Budget:
    """Counts what is spent, earlier sessions included, and admits calls as long as they fit in.

    A call is admitted if its estimate fits in beside what was spent and what is in flight. One that
    does not has to wait until calls in flight have taken less than was reserved for them. The run
    stops when none is in flight, so it overshoots by the error of the last estimates alone.

    Args:
        limits: how much may be spent.
        roles: the roles with their prices.
        spent: what earlier sessions of the run paid for.
        stop: called once, when a call does not fit in any more; from then on nothing may be sent.
        has_room: called whenever a call that did not fit in may fit in now.
    """

    def __init__(
        self,
        limits: BudgetConfig,
        roles: Mapping[str, RoleConfig],
        spent: Iterable[Spending],
        *,
        stop: Callable[[BudgetSpent], None],
        has_room: Callable[[], None] = lambda: None,
    ) -> None:
        amounts = {"calls": limits.calls, "tokens": limits.tokens, "money": limits.money}
        self._limits = {name: limit for name, limit in amounts.items() if limit is not None}
        self._prices = prices_by_role(roles)
        self._stop, self._has_room = stop, has_room
        self._reserved = Amount()
        self._in_flight = 0
        self._stopped = self._waiting = False
        self.spent = Amount()
        for session in spent:
            for role, stages in session.usage.items():
                for usage in stages.values():
                    self.spent.add(self.amount(role, usage))

    @property
    def is_limited(self) -> bool:
        """Whether calls must be admitted."""
        return bool(self._limits)

    @property
    def counts_tokens(self) -> bool:
        """Whether calls must say how many tokens they will take."""
        return "tokens" in self._limits or "money" in self._limits

    def amount(self, role: str, usage: Usage) -> Amount:
        """Return what *usage* takes."""
        prices = self._prices.get(role)
        cost = 0.0 if prices is None else prices.cost(usage)
        return Amount(usage.calls, usage.tokens, cost)

    def admit(self, estimate: Amount) -> bool:
        """Reserve *estimate* for a call; false: it may not be sent now."""
        for name, limit in self._limits.items():
            spent, amount = getattr(self.spent, name), getattr(estimate, name)
            total = spent + getattr(self._reserved, name) + amount
            if amount and total > limit * (1 + _EXACT):
                self._refuse(name, spent, limit, amount)
                return False
        self._reserved.add(estimate)
        self._in_flight += 1
        return True

    def release(self, reserved: Amount) -> None:
        """Return what was *reserved* for a call that failed."""
        self._in_flight -= 1
        self._reserved.subtract(reserved)
        if not self._in_flight:
            self._reserved = Amount()  # without what sums of floats are wrong by
        self._note_room()

    def settle(self, role: str, usage: Usage, reserved: Amount | None) -> None:
        """Count a call that was paid for."""
        if not self._limits:
            return
        self.spent.add(self.amount(role, usage))
        if reserved is not None:
            self.release(reserved)

    def _note_room(self) -> None:
        if self._waiting:
            self._waiting = False
            self._has_room()

    def _refuse(self, name: str, spent: float, limit: float, amount: float) -> None:
        self._waiting = True
        if self._in_flight or self._stopped:
            return
        self._stopped = True
        show = _as_money if name == "money" else _as_count
        more = f", and the next call may take {show(amount)}" if spent < limit else ""
        self._stop(BudgetSpent(name, f"budget.{name}: {show(spent)} of {show(limit)} spent{more}"))


def _as_count(amount: float) -> str:
    return f"{amount:,.0f}"


def _as_money(amount: float) -> str:
    """Write money with cents, and small amounts with three digits."""
    return f"{amount:,.2f}" if amount >= 1 or not amount else f"{amount:.3g}"
