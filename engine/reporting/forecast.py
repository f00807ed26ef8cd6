"""What a run will ask and cost, before it is started: arithmetic on the configuration (spec §3.7).

Knows neither ledger nor cache. What nobody can know beforehand, how often an instruction has to be
made harder and how long answers are, is given as bounds or as an assumption that is printed.
"""

from collections.abc import Iterable, Mapping
from typing import cast

from msgspec import Struct

from ...prompts import Prompts, Stage, Value
from ..calls.budget import price
from ..calls.counters import RoleTokens
from ..config import Config, RoleConfig
from ..pipeline.recipes import RECIPES

# Tokens of an answer, where the stage decides it; respond is the user's assumption.
_ANSWERS: Mapping[str, int] = {
    "encode": 20,
    "rubrics": 200,
    "improve": 120,
    "score": 4,
    "rate": 60,
    "grow": 150,
    "deepen": 100,
    "equal": 3,
}
_INSTRUCTION = 60
_ROLES: Mapping[str, tuple[str, ...]] = {
    "respond": ("strong", "target"),
    "score": ("judge",),
    "rate": ("judge",),
}


def _roles(stage: str, asked: Mapping[str, object]) -> tuple[str, ...]:
    """Who is asked in *stage*, of those that the recipe asks at all."""
    return tuple(name for name in _ROLES.get(stage, ("strong",)) if name in asked)


class Row(Struct, frozen=True):
    """Calls and tokens of one stage.

    ``low`` if every instruction is selected in its first scored round, ``high`` if none ever is.
    """

    stage: str
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
    prompts: Mapping[str, Prompts],
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
    lengths = _lengths(
        prompts, predicted.calls, seed_tokens, answer_tokens, per_call=predicted.per_call
    )
    rows = tuple(Row(stage, *bounds, *lengths[stage]) for stage, bounds in predicted.calls.items())
    return Forecast(rows, *_money(recipe.role_configs(config), rows), predicted.note)


def _lengths(
    prompts: Mapping[str, Prompts],
    stages: Iterable[str],
    seed: int,
    answer: int,
    *,
    per_call: int,
) -> dict[str, tuple[int, int]]:
    """Tokens of one prompt and one answer by stage: a fourth of the characters."""
    instruction, said = "x" * 4 * _INSTRUCTION, "x" * 4 * answer
    pair: dict[str, Value] = {"use_case": "x" * 24, "skills": ("x" * 16, "x" * 16)}
    values: dict[str, dict[str, Value]] = {
        "encode": {"instruction": "x" * 4 * seed, "vocabulary": ""},
        "decode": {**pair, "number": per_call},
        "rubrics": {**pair, "number": 4},
        "respond": {"instruction": instruction},
        "score": {"instruction": instruction, "first": said, "second": said},
        "improve": {"instruction": instruction, "action": "x" * 60, **pair},
        "invent": {"number": per_call, "demonstrations": "x" * 4 * seed * 3},
        "rate": {"instruction": instruction, "answer": said},
        "grow": {"instruction": instruction, "nodes": 10, "fewest": 40, "most": 200},
        "deepen": {"instruction": instruction, "method": "x" * 80},
        "equal": {"first": instruction, "second": instruction},
    }
    listed = _INSTRUCTION * per_call
    answers = {**_ANSWERS, "decode": listed, "invent": listed, "respond": answer}
    found: dict[str, tuple[int, int]] = {}
    for stage in stages:
        rendered = prompts[_roles(stage, prompts)[0]].render(cast("Stage", stage), **values[stage])
        found[stage] = sum(len(text) for _, text in rendered) // 4, answers[stage]
    return found


def _money(
    configs: Mapping[str, RoleConfig], rows: tuple[Row, ...]
) -> tuple[float | None, float | None]:
    if all(role.price_input is None for role in configs.values()):
        return None, None
    low = high = 0.0
    for row in rows:
        roles = _roles(row.stage, configs)
        one = sum(
            price(configs[name], RoleTokens(row.prompt_tokens, 0, row.answer_tokens))
            for name in roles
        )
        low += one * row.low / len(roles)
        high += one * row.high / len(roles)
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
