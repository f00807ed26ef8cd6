"""What calls cost, and that a spent budget stops further ones."""

import pytest

from codeclm.engine.calls.budget import Budget, money, price
from codeclm.engine.calls.spending import Spending, Usage
from codeclm.engine.config import BudgetConfig, RoleConfig
from codeclm.engine.data.errors import RunStopped

FREE = RoleConfig(model="vllm/m")
PRICED = RoleConfig(model="openai/m", price_input=2.0, price_output=8.0)
CACHING = RoleConfig(model="openai/m", price_input=2.0, price_output=8.0, price_cached=0.5)
ROLES = {"strong": PRICED, "target": FREE}
USAGE = Usage(1, prompt_tokens=100_000, completion_tokens=50_000)  # 0.60 at PRICED


class Stops(list[str]):
    """Why a budget stopped."""

    def __call__(self, reason: RunStopped) -> None:
        self.append(str(reason))


@pytest.mark.parametrize(("role", "cost"), [(FREE, 0.0), (PRICED, 6.0), (CACHING, 4.5)])
def test_a_role_costs_what_its_prices_say(role: RoleConfig, cost: float) -> None:
    """A million prompt tokens and half a million of answers; those cached are cheaper if priced."""
    used = Usage(1, 1_000_000, cached_tokens=1_000_000, completion_tokens=500_000)

    assert price(role, used) == pytest.approx(cost)


def test_without_prices_there_is_no_money() -> None:
    used = {"target": {"respond": Usage(1, 5, completion_tokens=5)}}

    assert money({"target": FREE}, used) is None
    assert money(ROLES, used) == 0.0


def test_a_budget_of_calls_stops_once_and_counts_on() -> None:
    stops = Stops()
    budget = Budget(BudgetConfig(calls=3), ROLES, (), stop=stops)
    for n in range(5):
        budget.spend("target", USAGE)
        assert len(stops) == (n >= 2)

    assert budget.calls == 5
    assert stops == [
        "budget.calls: 3 calls have been paid for: raise it, then run `codeclm resume RUN`"
    ]


def test_a_budget_of_money_counts_roles_with_prices() -> None:
    stops = Stops()
    budget = Budget(BudgetConfig(money=1.2), ROLES, (), stop=stops)
    for role in ("strong", "target", "target"):
        budget.spend(role, USAGE)
    before = list(stops)
    budget.spend("strong", USAGE)

    assert before == []
    assert stops == ["budget.money: 1.20 has been spent: raise it, then run `codeclm resume RUN`"]


def test_what_earlier_sessions_spent_counts_from_the_start() -> None:
    stops = Stops()
    earlier = [
        Spending({"strong": {"encode": Usage(4, 100_000, completion_tokens=50_000)}}),
        Spending({"strong": {"respond": Usage(6, 100_000, completion_tokens=50_000)}}),
    ]
    budget = Budget(BudgetConfig(calls=10), ROLES, earlier, stop=stops)

    assert (budget.calls, round(budget.money, 6)) == (10, 1.2)
    assert len(stops) == 1
