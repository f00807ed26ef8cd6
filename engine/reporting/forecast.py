"""What a run will ask and cost, before it is started: arithmetic on the configuration (spec §3.7).

Knows neither ledger nor cache. What nobody can know beforehand, how often an instruction has to be
made harder and how long answers are, is given as bounds or as an assumption that is printed.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from ...prompts import PromptSet, Sizes
from ..calls.budget import price
from ..calls.counters import RoleTokens
from ..config import Config, RoleConfig
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

    @property
    def low(self) -> int:
        return sum(row.low for row in self.rows)

    @property
    def high(self) -> int:
        return sum(row.high for row in self.rows)


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
    return Forecast(tuple(rows), *_money(recipe.role_configs(config), rows), predicted.note)


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


def text(found: Forecast) -> str:
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
        lines.append("money: give price_input and price_output (for a million tokens) to see it")
    if found.note:
        lines.append(found.note)
    return "\n".join(lines)
