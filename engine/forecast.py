"""What a run will ask and cost, before it is started: arithmetic on the configuration (spec §3.7).

Knows neither ledger nor cache. What nobody can know beforehand, how often an instruction has to be
made harder and how long answers are, is given as bounds or as an assumption that is printed.
"""

from collections.abc import Mapping
from math import ceil

from msgspec import Struct

from ..prompts import Prompts, Stage, Value
from .budget import price
from .config import Config
from .stats import RoleTokens
from .work import DEFAULT_PER_METADATA

# Tokens of an answer, where the stage decides it; respond is the user's assumption.
_ANSWERS: Mapping[Stage, int] = {"encode": 20, "rubrics": 200, "improve": 120, "score": 4}
_INSTRUCTION = 60
_ROLES: Mapping[Stage, tuple[str, ...]] = {
    "encode": ("strong",),
    "decode": ("strong",),
    "rubrics": ("strong",),
    "improve": ("strong",),
    "respond": ("strong", "target"),
    "score": ("judge",),
}


class Row(Struct, frozen=True):
    """Calls and tokens of one stage.

    ``low`` if every instruction is selected in its first scored round, ``high`` if none ever is.
    """

    stage: Stage
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
    encoded = 0 if metadata else min(seeds, config.limit or seeds)
    items = config.metadata.part(metadata or max(encoded, config.metadata.augment_to or 0))
    instructions = _instructions(config, items)
    each = ceil(instructions / items) if items else 0
    decode = items * ceil(each / config.decode.chunk)
    rounds = config.filter.max_iterations
    first = 1 if config.filter.filter_basic else 2
    scored = max(0, rounds - first + 1)
    most = instructions
    if config.target_rows and config.size.shortfall == "topup":
        most = config.max_candidates or ceil(instructions * config.size.max_expansion)
    counts: dict[Stage, tuple[int, int]] = {
        "encode": (encoded, encoded),
        "decode": (decode, decode * ceil(most / max(instructions, 1))),
        "rubrics": (items, items),
        "respond": (2 * instructions, 2 * most * scored),
        "score": (2 * instructions, 2 * most * scored),
        "improve": (instructions * (first - 1), most * (rounds - 1)),
    }
    lengths = _lengths(prompts, seed_tokens, answer_tokens, each=min(each, config.decode.chunk))
    rows = tuple(Row(stage, *counts[stage], *lengths[stage]) for stage in counts)
    return Forecast(rows, *_money(config, rows))


def _instructions(config: Config, items: int) -> int:
    if config.decode.per_metadata is not None:
        return config.decode.per_metadata * items
    if config.target_rows is not None and config.metadata.augment_to:
        return config.target_rows
    return DEFAULT_PER_METADATA * items


def _lengths(
    prompts: Mapping[str, Prompts], seed: int, answer: int, *, each: int
) -> dict[Stage, tuple[int, int]]:
    """Tokens of one prompt and one answer by stage: a fourth of the characters."""
    instruction, said = "x" * 4 * _INSTRUCTION, "x" * 4 * answer
    pair: dict[str, Value] = {"use_case": "x" * 24, "skills": ("x" * 16, "x" * 16)}
    values: dict[Stage, dict[str, Value]] = {
        "encode": {"instruction": "x" * 4 * seed, "vocabulary": ""},
        "decode": {**pair, "number": each},
        "rubrics": {**pair, "number": 4},
        "respond": {"instruction": instruction},
        "score": {"instruction": instruction, "first": said, "second": said},
        "improve": {"instruction": instruction, "action": "x" * 60, **pair},
    }
    answers = {**_ANSWERS, "decode": _INSTRUCTION * each, "respond": answer}
    found: dict[Stage, tuple[int, int]] = {}
    for stage, filled in values.items():
        rendered = prompts[_ROLES[stage][0]].render(stage, **filled)
        found[stage] = sum(len(text) for _, text in rendered) // 4, answers[stage]
    return found


def _money(config: Config, rows: tuple[Row, ...]) -> tuple[float | None, float | None]:
    if all(role.price_input is None for role in config.roles.values()):
        return None, None
    low = high = 0.0
    for row in rows:
        roles = _ROLES[row.stage]
        one = sum(
            price(config.roles[name], RoleTokens(row.prompt_tokens, 0, row.answer_tokens))
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
    return "\n".join(lines)
