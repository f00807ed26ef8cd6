"""What calls cost, and that a budget is not overrun."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.calls.budget import Amount, Budget
from codeclm.engine.calls.prices import check_prices, is_paid, money, role_prices
from codeclm.engine.calls.spending import Spending, Usage, total_spending
from codeclm.engine.config import BudgetConfig, ConfigError, RoleConfig
from codeclm.engine.data.errors import RunStopped
from codeclm.providers.models import find_model, model_table

from .examples import examples

FREE = RoleConfig(model="vllm/m")
PRICED = RoleConfig(model="openai/m", price_input=2.0, price_output=8.0)
CACHING = RoleConfig(
    model="openai/m", price_input=2.0, price_output=8.0, price_cached=0.5, price_written=2.5
)
ROLES = {"strong": PRICED, "target": FREE}
USAGE = Usage(1, prompt_tokens=100_000, completion_tokens=50_000)  # 0.60 at PRICED


class Stops(list[str]):
    """Why a budget stopped."""

    def __call__(self, reason: RunStopped) -> None:
        self.append(str(reason))


@pytest.mark.parametrize(("role", "cost"), [(PRICED, 6.0), (CACHING, 5.3)])
def test_a_role_costs_what_its_prices_say(role: RoleConfig, cost: float) -> None:
    """Of a million prompt tokens 600,000 are cached and 400,000 written: 0.3 + 1.0 + 4.0."""
    usage = Usage(1, 1_000_000, 600_000, 400_000, completion_tokens=500_000, reasoning_tokens=9)
    prices = role_prices(role)

    assert prices is not None
    assert prices.cost(usage) == pytest.approx(cost)
    assert prices.source == "yours"


def test_the_tables_price_is_the_default_and_only_at_the_vendor_itself() -> None:
    row = find_model("openai", "gpt-5-mini")
    at_vendor = role_prices(RoleConfig(model="openai/gpt-5-mini"))
    elsewhere = role_prices(RoleConfig(model="openai/gpt-5-mini", base_url="http://127.0.0.1/v1"))

    assert row is not None
    assert at_vendor is not None
    assert (at_vendor.input, at_vendor.output) == (row.price_input, row.price_output)
    assert at_vendor.source == f"table of {model_table().date}"
    assert elsewhere is None


def test_without_prices_there_is_no_money() -> None:
    used = {"target": {"respond": Usage(1, 5, completion_tokens=5)}}

    assert money({"target": FREE}, used) is None
    assert money(ROLES, used) == 0.0


@pytest.mark.parametrize(
    ("role", "paid"),
    [
        (RoleConfig(model="openai/some-model"), True),
        (RoleConfig(model="openai/some-model", base_url="http://127.0.0.1:1/v1"), False),
        (RoleConfig(model="openai/m", base_url="https://example.com/v1", api_key="KEY"), True),
        (RoleConfig(model="openai/m", base_url="https://example.com/v1", api_key="none"), False),
        (FREE, False),
        (RoleConfig(model="scripted/m"), False),
    ],
)
def test_a_budget_of_money_needs_the_price_of_every_role_that_is_paid(
    role: RoleConfig, paid: bool
) -> None:
    assert is_paid(role) == paid
    if paid:
        with pytest.raises(ConfigError, match=r"^x: no price is known for target: set price_input"):
            check_prices({"strong": PRICED, "target": role}, "x")
    else:
        check_prices({"strong": PRICED, "target": role}, "x")
    with pytest.raises(ConfigError, match="no price is known"):
        check_prices({"strong": role}, "x")


def test_a_vendor_behind_a_gateway_of_the_environment_is_paid_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The key goes to the gateway, so the gateway passes the bill on."""
    monkeypatch.setenv("OPENAI_BASE_URL", "https://gateway.example/v1")

    assert is_paid(RoleConfig(model="openai/some-model"))


def test_a_budget_of_calls_is_kept_exactly() -> None:
    stops = Stops()
    budget = Budget(BudgetConfig(calls=3), ROLES, (), stop=stops)
    one = Amount(calls=1)
    admitted = [budget.admit(one) for _ in range(5)]
    while_in_flight = list(stops)
    for _ in range(3):
        budget.settle("target", USAGE, one)
    budget.admit(one)
    budget.admit(one)

    assert admitted == [True, True, True, False, False]
    assert while_in_flight == []
    assert budget.spent.calls == 3
    assert stops == ["budget.calls: 3 of 3 spent"]


def test_what_is_in_flight_is_reserved_and_room_is_told_of() -> None:
    """Two calls reserve 0.50 of 1.00 each; one takes 0.30, so that another fits in."""
    stops, told = Stops(), list[str]()
    budget = Budget(
        BudgetConfig(money=1.0), ROLES, (), stop=stops, has_room=lambda: told.append("room")
    )
    half = Amount(1, 0, 0.5)
    first, second, third = (budget.admit(half) for _ in range(3))
    before = list(told)
    budget.settle("strong", Usage(1, 150_000), half)
    fourth = budget.admit(Amount(1, 0, 0.2))

    assert (first, second, third, fourth) == (True, True, False, True)
    assert (before, told, stops) == ([], ["room"], [])


def test_a_call_that_costs_nothing_is_never_held_back_by_money() -> None:
    budget = Budget(BudgetConfig(money=0.0), ROLES, (), stop=Stops())

    assert budget.admit(Amount(1, 900, 0.0))


def test_a_call_that_failed_returns_what_was_reserved_for_it() -> None:
    budget = Budget(BudgetConfig(tokens=100), ROLES, (), stop=Stops())
    all_of_it = Amount(1, 100, 0)
    budget.admit(all_of_it)
    budget.release(all_of_it)

    assert budget.admit(all_of_it)


def test_what_earlier_sessions_spent_counts_but_stops_only_who_would_pay_more() -> None:
    """A run whose answers are all stored finishes, whatever its budget."""
    stops = Stops()
    earlier = [
        Spending({"strong": {"encode": Usage(4, 100_000, completion_tokens=50_000)}}),
        Spending({"strong": {"respond": Usage(6, 100_000, completion_tokens=50_000)}}),
    ]
    budget = Budget(BudgetConfig(calls=10, money=5.0), ROLES, earlier, stop=stops)
    before = list(stops)
    admitted = budget.admit(Amount(calls=1))

    assert (budget.spent.calls, round(budget.spent.money, 6)) == (10, 1.2)
    assert (before, admitted) == ([], False)
    assert stops == ["budget.calls: 10 of 10 spent"]


@examples(60)
@given(
    lengths=st.lists(st.integers(1, 100), min_size=1, max_size=60),
    limit=st.integers(1, 2000),
    width=st.integers(1, 20),
    random=st.randoms(use_true_random=False),
)
def test_a_budget_is_overrun_by_no_more_than_estimates_are_too_small(
    lengths: list[int], limit: int, width: int, random: Random
) -> None:
    """Whatever is in flight, in whatever order it comes in: it stops, and not far beyond."""
    stops = Stops()
    budget = Budget(BudgetConfig(tokens=limit), {}, (), stop=stops)
    flying: list[tuple[int, Amount]] = []
    errors = 0
    waiting = list(lengths)
    while (waiting and not stops) or flying:
        estimate = Amount(1, 50, 0)
        if waiting and not stops and len(flying) < width and budget.admit(estimate):
            flying.append((waiting.pop(), estimate))
            continue
        if flying:
            used, reserved = flying.pop(random.randrange(len(flying)))
            errors += max(0, used - 50)
            budget.settle("x", Usage(1, used), reserved)

    assert budget.spent.tokens <= limit + errors
    assert not waiting or stops


def test_sessions_add_up_and_a_later_account_completes_an_earlier_one() -> None:
    """The ledger is a second behind where a session was killed; the cache is not."""
    ledger = Spending({"strong": {"encode": Usage(4, 40), "decode": Usage(2, 20)}}, reused=3)
    cache = Spending({"strong": {"encode": Usage(5, 55), "decode": Usage(1, 10)}})
    ledger.complete(cache)
    total = total_spending([ledger, Spending({"strong": {"encode": Usage(1, 7)}}, reused=1)])

    assert total == Spending({"strong": {"encode": Usage(6, 62), "decode": Usage(2, 20)}}, 4)
