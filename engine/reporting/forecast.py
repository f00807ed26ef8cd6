"""Forecast a run's calls, tokens and cost from its configuration (docs/algorithm.md §3.7).

Nobody can know beforehand how many rounds an instruction takes: the forecast gives bounds. The
caller assumes the length of answers; the cache is assumed to be empty.
"""

from collections.abc import Iterable, Mapping
from itertools import islice

from msgspec import Struct

from ...prompts import PromptSet, Sizes
from ..calls.prices import Prices, prices_by_role
from ..calls.spending import Usage
from ..config import Config
from ..data.records import Seed
from ..pipeline.expectation import Start, likely_calls
from ..pipeline.prepare import Plan
from ..pipeline.recipes import RECIPES
from .costs import price_line


class StageForecast(Struct, frozen=True):
    """Calls and tokens of one prompt.

    There are ``low`` calls if every instruction is selected in its first scored round, and ``high``
    if none ever is.
    """

    stage: str
    roles: tuple[str, ...]
    """The roles that are asked, equally often."""
    low: int
    high: int
    likely: int
    """If each scored round selects half of the instructions."""
    prompt_tokens: int
    """Of one call, roughly."""
    answer_tokens: int
    """Of one call, roughly."""


class Forecast(Struct, frozen=True):
    """What a run takes, at least and at most."""

    rows: tuple[StageForecast, ...]
    low_money: float | None
    """At the prices of the roles; None where none is known."""
    likely_money: float | None
    high_money: float | None
    note: str = ""
    """What is assumed, where nothing bounds the calls."""
    seeds: int = 0
    """How many seeds there are; 0 where the run starts from metadata."""
    seed_tokens: int = 0
    """Length of a seed, roughly."""
    prices: dict[str, str] = {}
    """Where the prices of each role are from."""

    @property
    def low(self) -> int:
        return sum(row.low for row in self.rows)

    @property
    def likely(self) -> int:
        return sum(row.likely for row in self.rows)

    @property
    def high(self) -> int:
        return sum(row.high for row in self.rows)


SEEDS_MEASURED = 1000
"""Seeds that are read for their length."""


def forecast_run(plan: Plan, answer_tokens: int) -> Forecast:
    """Forecast a prepared run, assuming answers of *answer_tokens*. Blocks: it reads the seeds."""
    count, length = 0, 0
    if plan.seeds is not None:
        count = plan.seeds.total
        records = islice(plan.seeds.read(), SEEDS_MEASURED)
        lengths = [len(record.instruction) for record in records if isinstance(record, Seed)]
        length = sum(lengths) // (4 * max(len(lengths), 1))
    return forecast(
        plan.config,
        plan.prompts,
        seeds=count,
        metadata=len(plan.metadata),
        seed_tokens=length,
        answer_tokens=answer_tokens,
    )


def forecast(
    config: Config,
    prompts: Mapping[str, PromptSet],
    *,
    seeds: int,
    metadata: int,
    seed_tokens: int,
    answer_tokens: int,
) -> Forecast:
    """Forecast the calls for *seeds* seeds, or for *metadata* items that the user wrote.

    Args:
        config: the run.
        prompts: the templates by role; their length counts.
        seeds: how many seeds there are.
        metadata: how many metadata items there are instead of seeds, else 0.
        seed_tokens: rough length of a seed.
        answer_tokens: assumed length of a model's answer.
    """
    recipe = RECIPES[config.recipe]
    used = 0 if metadata else min(seeds, config.limit or seeds)
    predicted = recipe.forecast(config, seeds=used, metadata=metadata)
    sizes = Sizes(seed=seed_tokens, answer=answer_tokens, number=predicted.per_call)
    likely = likely_calls(recipe, config, Start(used, metadata))
    rows = list[StageForecast]()
    for prompt, bounds in predicted.calls.items():
        roles = tuple(role for role, own in recipe.prompts(config).items() if prompt in own)
        typical, answer = prompt.typical(sizes)
        # A token is taken as four characters.
        tokens = sum(len(text) for _, text in prompts[roles[0]].render(typical)) // 4
        calls = bounds.low, bounds.high, likely[prompt.name]
        rows.append(StageForecast(prompt.name, roles, *calls, tokens, answer))
    prices = prices_by_role(recipe.role_configs(config))
    return Forecast(
        tuple(rows),
        *_money(prices, rows),
        predicted.note,
        seeds,
        seed_tokens,
        {role: of_role.source for role, of_role in prices.items()},
    )


def _money(
    prices: Mapping[str, Prices], rows: Iterable[StageForecast]
) -> tuple[float | None, float | None, float | None]:
    """Return the cost of the least, the likely and the most calls."""
    if not prices:
        return None, None, None
    low = likely = high = 0.0
    for row in rows:
        tokens = Usage(1, row.prompt_tokens, completion_tokens=row.answer_tokens)
        costs = [prices[role].cost(tokens) if role in prices else 0.0 for role in row.roles]
        mean = sum(costs) / len(costs)
        low += mean * row.low
        likely += mean * row.likely
        high += mean * row.high
    return low, likely, high


def forecast_text(result: Forecast) -> str:
    """Write the forecast as text."""
    width = max([9, *(len(row.stage) for row in result.rows)])
    names = "calls, at least      likely     at most   prompt tok  answer tok (per call)"
    lines = [f"{'stage':<{width}}   {names}"]
    lines += [
        f"{row.stage:<{width}} {row.low:>17,} {row.likely:>11,} {row.high:>11,}"
        f" {row.prompt_tokens:>12,} {row.answer_tokens:>11,}"
        for row in result.rows
    ]
    lines.append(f"{'all':<{width}} {result.low:>17,} {result.likely:>11,} {result.high:>11,}")
    amounts = (result.low_money, result.likely_money, result.high_money)
    money = [amount for amount in amounts if amount is not None]
    if money:
        low, likely, high = money
        lines.append(f"{'money':<{width}} {low:>17,.2f} {likely:>11,.2f} {high:>11,.2f}")
        lines.append(price_line(result.prices))
    else:
        lines.append("money: set price_input and price_output (per million tokens) to see it")
    if result.note:
        lines.append(result.note)
    return "\n".join(lines)
