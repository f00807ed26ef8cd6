"""Forecast a run's calls, tokens and cost from its configuration (docs/algorithm.md §3.7).

Nobody can know beforehand how many rounds an instruction takes: the forecast gives bounds. The
length of answers is an assumption of the caller's. An empty cache is assumed.
"""

from collections.abc import Iterable, Mapping
from itertools import islice
from math import ceil

from msgspec import Struct

from ...prompts import PromptSet, Sizes
from ..calls.budget import price
from ..calls.counters import RoleTokens
from ..calls.prompts import PROMPTS
from ..config import Config
from ..data import seeds as seed_files
from ..data.records import Seed
from ..pipeline.orders import DEFAULT_PER_METADATA, per_seed
from ..pipeline.recipes import RECIPES
from ..pipeline.session import Plan


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
    taken = 0 if metadata else min(seeds, config.limit or seeds)
    scale = _scale(config, taken, metadata)
    counts = _counts(config, scale)
    each = config.baseline.tasks if RECIPES[config.recipe].start == "pool" else scale.each
    sizes = Sizes(seed=seed_tokens, answer=answer_tokens, number=each)
    lengths = _lengths(prompts, counts, sizes)
    rows = tuple(Row(stage, *counts[stage], *lengths[stage]) for stage in counts)
    return Forecast(rows, *_money(config, rows), _NOTES.get(config.recipe, ""), seeds, seed_tokens)


class _Scale(Struct, frozen=True):
    """How much there is, at least and at most, of basic instructions and of metadata items."""

    low: int
    high: int
    items: tuple[int, int] = (0, 0)
    encoded: tuple[int, int] = (0, 0)
    decode: tuple[int, int] = (0, 0)
    each: int = 1
    """Basic instructions in one decode call."""


def _scale(config: Config, seeds: int, metadata: int) -> _Scale:
    recipe = RECIPES[config.recipe]
    if recipe.start == "pool":
        return _pooled(config)
    if recipe.start == "seeds":
        rows = recipe.rows_per_draft(config)
        wanted = ceil((config.target_rows or seeds * rows) / rows)
        most = ceil(wanted * config.size.max_expansion) if config.target_rows else wanted
        return _Scale(wanted, most)
    if metadata or config.metadata.augment_to:
        return _ordered(config, seeds, metadata)
    return _streamed(config, seeds)


def _ordered(config: Config, seeds: int, metadata: int) -> _Scale:
    """A fixed set of metadata, each with its quota; with top-up more is asked of them."""
    items = config.metadata.part(metadata or max(seeds, config.metadata.augment_to or 0))
    low = (config.decode.per_metadata or DEFAULT_PER_METADATA) * items
    if config.decode.per_metadata is None and config.target_rows:
        low = config.target_rows
    high = low
    if config.target_rows and config.size.shortfall == "topup":
        high = config.max_candidates or ceil(low * config.size.max_expansion)
    each = ceil(low / items) if items else 0
    calls = items * ceil(each / config.decode.chunk)
    decode = calls, calls * ceil(high / max(low, 1))
    return _Scale(low, high, (items, items), (seeds, seeds), decode, min(each, config.decode.chunk))


def _streamed(config: Config, seeds: int) -> _Scale:
    """Seed after seed, each with as many instructions, until there are rows enough."""
    wanted = config.target_rows
    each = per_seed(seeds, wanted, config.decode.per_metadata)
    topup = config.size.max_expansion if config.size.shortfall == "topup" else 1
    candidates = ceil(max(wanted, seeds * each) * topup) if wanted else seeds * each
    most = ceil(min(candidates, config.max_candidates or candidates) / each)
    least = min(most, ceil((wanted or most * each) / each))
    items = min(least, seeds), min(most, seeds)
    calls = ceil(each / config.decode.chunk)
    decode = least * calls, most * calls
    return _Scale(least * each, most * each, items, items, decode, min(each, config.decode.chunk))


def _pooled(config: Config) -> _Scale:
    """Requests have no end of their own: the share that is kept is assumed, and said."""
    wanted = config.target_rows or config.max_candidates or 0
    most = config.max_candidates or ceil(wanted / _KEPT[config.recipe])
    return _Scale(min(wanted, most), most)


_KEPT = {"self-instruct": 0.5, "alpagasus": 0.1775}
_NOTES = {
    "self-instruct": "at most: if every second task is refused, or max_candidates",
    "alpagasus": "at most: if 17.75 % are kept, as of AlpaGasus' own data, or max_candidates",
}


def _counts(config: Config, scale: _Scale) -> dict[str, tuple[int, int]]:
    """Calls by stage, at least and at most."""
    recipe = RECIPES[config.recipe]
    low, high = scale.low, scale.high
    counts: dict[str, tuple[int, int]] = {}
    if recipe.start == "metadata":
        counts["encode"] = scale.encoded
        counts["decode"] = scale.decode
    if recipe.start == "pool":
        tasks = config.baseline.tasks
        counts["invent"] = ceil(low / tasks), ceil(high / tasks)
    if recipe.end in {"refine", "harden"}:
        counts["rubrics"] = scale.items
    return counts | _ends(config, scale)


def _ends(config: Config, scale: _Scale) -> dict[str, tuple[int, int]]:
    """Calls of what ends an instruction."""
    low, high = scale.low, scale.high
    once = (low, high)
    rewrites = config.filter.max_iterations - 1
    match RECIPES[config.recipe].end:
        case "refine":
            return _refined(config, scale)
        case "filter":
            return {"respond": (2 * low, 2 * high), "score": (2 * low, 2 * high)}
        case "harden":
            return {"improve": (low * rewrites, high * rewrites), "respond": once}
        case "answer":
            return {"respond": once}
        case "rate":
            return {"respond": once, "rate": once}
        case "grow":
            passes = 3 if config.baseline.staged else 1
            return {"grow": (low * passes, high * passes), "respond": once}
        case "evolve":
            rounds = config.baseline.rounds
            if RECIPES[config.recipe].start == "metadata":
                low, high = ceil(low / rounds), ceil(high / rounds)
            all_rounds = (low * rounds, high * rounds)
            return {"deepen": all_rounds, "equal": all_rounds, "respond": all_rounds}


def _refined(config: Config, scale: _Scale) -> dict[str, tuple[int, int]]:
    low, high = scale.low, scale.high
    rounds = config.filter.max_iterations
    first = 1 if config.filter.filter_basic else 2
    scored = max(0, rounds - first + 1)
    return {
        "respond": (2 * low, 2 * high * scored),
        "score": (2 * low, 2 * high * scored),
        "improve": (low * (first - 1), high * (rounds - 1)),
    }


def _lengths(
    prompts: Mapping[str, PromptSet], stages: Iterable[str], sizes: Sizes
) -> dict[str, tuple[int, int]]:
    """Tokens of one prompt and one answer by stage: a fourth of the characters."""
    lengths: dict[str, tuple[int, int]] = {}
    for stage in stages:
        prompt, answer = PROMPTS[stage].typical(sizes)
        rendered = prompts[_roles(stage, prompts)[0]].render(prompt)
        lengths[stage] = sum(len(text) for _, text in rendered) // 4, answer
    return lengths


def _roles(stage: str, roles: Mapping[str, object]) -> tuple[str, ...]:
    """Return which of *roles* are asked in *stage*."""
    return tuple(name for name in PROMPTS[stage].roles if name in roles)


def _money(config: Config, rows: tuple[Row, ...]) -> tuple[float | None, float | None]:
    configs = RECIPES[config.recipe].role_configs(config)
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
