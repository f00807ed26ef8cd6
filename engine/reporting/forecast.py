"""Forecast a run's calls, tokens and cost from its configuration (docs/algorithm.md §3.7).

Nobody can know beforehand how many rounds an instruction takes: the forecast gives bounds. The
length of answers is an assumption of the caller's. An empty cache is assumed.
"""

from collections.abc import Iterable, Mapping
from itertools import islice

from msgspec import Struct

from ...prompts import PromptSet, Sizes
from ..calls.budget import price
from ..calls.counters import RoleTokens
from ..config import Config, RoleConfig
from ..data import seeds as seed_files
from ..data.records import Seed
from ..pipeline.prepare import Plan
from ..pipeline.recipes import RECIPES


class Row(Struct, frozen=True):
    """Calls and tokens of one stage.

    ``low`` if every instruction is selected in its first scored round, ``high`` if none ever is.
    """

    stage: str
    roles: tuple[str, ...]
    """Those that are asked, each as often as the others."""
    low: int
    high: int
    prompt_tokens: int
    """Of one call, about."""
    answer_tokens: int
    """Of one call, about."""


class Forecast(Struct, frozen=True):
    rows: tuple[Row, ...]
    low_money: float | None
    high_money: float | None
    note: str = ""
    """What is assumed, where nothing bounds the calls."""
    seeds: int = 0
    """How many seeds there are; 0 where the run starts from metadata."""
    seed_tokens: int = 0
    """Length of a seed, about."""

    @property
    def low(self) -> int:
        return sum(row.low for row in self.rows)

    @property
    def high(self) -> int:
        return sum(row.high for row in self.rows)


SEEDS_MEASURED = 1000
"""Seeds that are read for their length."""


def forecast_run(plan: Plan, answer_tokens: int) -> Forecast:
    """Forecast a prepared run, assuming answers of *answer_tokens*. Blocks: it reads the seeds."""
    count, length = 0, 0
    if plan.source is not None:
        count = seed_files.count(plan.source)
        records = islice(seed_files.read(plan.source), SEEDS_MEASURED)
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
    """Count calls for *seeds* seeds (or *metadata* items written by hand).

    Args:
        config: the run.
        prompts: by role; their own length counts.
        seeds: how many there are.
        metadata: items to start from where there are no seeds, else 0.
        seed_tokens: length of a seed, about.
        answer_tokens: length of a model's answer, assumed.
    """
    recipe = RECIPES[config.recipe]
    used = 0 if metadata else min(seeds, config.limit or seeds)
    predicted = recipe.forecast(config, seeds=used, metadata=metadata)
    sizes = Sizes(seed=seed_tokens, answer=answer_tokens, number=predicted.per_call)
    rows = list[Row]()
    for prompt, bounds in predicted.calls.items():
        roles = tuple(role for role, asked in recipe.prompts(config).items() if prompt in asked)
        typical, answer = prompt.typical(sizes)
        # A token is a fourth of the characters.
        tokens = sum(len(text) for _, text in prompts[roles[0]].render(typical)) // 4
        rows.append(Row(prompt.name, roles, bounds.low, bounds.high, tokens, answer))
    return Forecast(
        tuple(rows), *_money(recipe.role_configs(config), rows), predicted.note, seeds, seed_tokens
    )


def _money(
    configs: Mapping[str, RoleConfig], rows: Iterable[Row]
) -> tuple[float | None, float | None]:
    if all(role.price_input is None for role in configs.values()):
        return None, None
    low = high = 0.0
    for row in rows:
        tokens = RoleTokens(row.prompt_tokens, 0, row.answer_tokens)
        mean = sum(price(configs[role], tokens) for role in row.roles) / len(row.roles)
        low += mean * row.low
        high += mean * row.high
    return low, high


def forecast_text(found: Forecast) -> str:
    """Write the forecast for people."""
    lines = ["stage       calls, at least     at most   prompt tok  answer tok (each, about)"]
    lines += [
        f"{row.stage:<9} {row.low:>17,} {row.high:>11,} {row.prompt_tokens:>12,}"
        f" {row.answer_tokens:>11,}"
        for row in found.rows
    ]
    lines.append(f"{'all':<9} {found.low:>17,} {found.high:>11,}")
    if found.low_money is not None and found.high_money is not None:
        lines.append(f"money     {found.low_money:>17,.2f} {found.high_money:>11,.2f}")
    else:
        lines.append("money: set price_input and price_output (per million tokens) to see it")
    if found.note:
        lines.append(found.note)
    return "\n".join(lines)
