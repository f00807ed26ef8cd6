"""How much a run will probably take: as assumed, or as a pilot of its first seeds measured.

A forecast's bounds are far apart: nobody knows how many rounds an instruction takes. With the
shares below, or with a pilot's, they become one figure.
"""

from collections.abc import Mapping
from math import ceil

from msgspec import Struct, structs

from ..calls.spending import Usage, UsageByStage, add_usage
from ..config import Config
from . import sizes
from .modes import Input
from .recipe import Recipe
from .steps import Bounds, Volume

SELECTED = 0.5
"""Share of the instructions that a scored round is assumed to select."""


class Start(Struct, frozen=True):
    """What a run starts from: seeds, or metadata items that the user wrote."""

    seeds: int
    metadata: int = 0


class Measured(Struct, frozen=True):
    """What a pilot took and made.

    Attributes:
        start: what it started from.
        rows: how many rows it kept.
        usage: calls and tokens, of stored replies as of those it paid for.
        seconds: how long its calls took, added up, by role and stage.
    """

    start: Start
    rows: int
    usage: UsageByStage
    seconds: Mapping[str, Mapping[str, float]]


def likely_calls(recipe: Recipe, config: Config, start: Start) -> dict[str, int]:
    """Return the probable calls by prompt, if every scored round selects the assumed share."""
    volume = _volume(recipe, config, start)
    rounds = recipe.finishing.scored_rounds(config)
    kept = 1 - (1 - SELECTED) ** rounds if rounds else recipe.assumed_yield
    instructions = _instructions(config, volume, volume.instructions.low / kept)
    drafts = recipe.writing.drafts(config, instructions)
    finishing = recipe.finishing.calls(config, Bounds(drafts, drafts))
    others = {**recipe.mode.calls(volume), **recipe.writing.calls(config, volume)}
    return {
        **{
            prompt.name: round(_share(volume, bounds, instructions))
            for prompt, bounds in others.items()
        },
        **{
            prompt.name: round(low + (high - low) * _further_rounds(rounds))
            for prompt, (low, high) in finishing.items()
        },
    }


def _further_rounds(rounds: int) -> float:
    """Return how many of the rounds after the first an instruction goes through, as a share."""
    if rounds < 2:
        return 0.0
    return sum((1 - SELECTED) ** done for done in range(1, rounds)) / (rounds - 1)


def scale(
    recipe: Recipe, config: Config, start: Start, pilot: Config, measured: Measured
) -> dict[tuple[str, str], float]:
    """Return by what factor a run takes more than its pilot, by role and stage.

    Args:
        recipe: of both.
        config: the run's settings.
        start: what the run starts from.
        pilot: the pilot's settings.
        measured: what the pilot took.
    """
    whole, part = _volume(recipe, config, start), _volume(recipe, pilot, measured.start)
    made = part.instructions.high
    needed = (config.target_rows or 0) * made / measured.rows if measured.rows else float("inf")
    instructions = _instructions(config, whole, needed)
    others = {
        prompt.name: (bounds, recipe.writing.calls(pilot, part).get(prompt, None))
        for prompt, bounds in recipe.writing.calls(config, whole).items()
    }
    for prompt, bounds in recipe.mode.calls(whole).items():
        others[prompt.name] = bounds, recipe.mode.calls(part).get(prompt)
    factors: dict[tuple[str, str], float] = {}
    for role, stages in measured.usage.items():
        for stage in stages:
            bounds, of_pilot = others.get(stage, (None, None))
            if bounds is None or of_pilot is None or not of_pilot.high:
                factors[role, stage] = instructions / made
            else:
                factors[role, stage] = _share(whole, bounds, instructions) / of_pilot.high
    return factors


def scaled(usage: UsageByStage, factors: Mapping[tuple[str, str], float]) -> UsageByStage:
    """Multiply *usage* by the factor of each role and stage."""
    result: UsageByStage = {}
    for role, stages in usage.items():
        for stage, used in stages.items():
            factor = factors[role, stage]
            figures = (round(figure * factor) for figure in structs.astuple(used))
            add_usage(result, role, stage, Usage(*figures))
    return result


def pilot_config(recipe: Recipe, config: Config, start: Start, count: int) -> Config:
    """Return the settings of a pilot of *count* seeds or metadata items.

    It makes the run's own first calls wherever these do not depend on all seeds, so that the run
    need not pay for them again.
    """
    if recipe.mode.endless:
        return structs.replace(config, target_rows=None, max_candidates=count)
    per_item = sizes.per_seed(config, start.seeds)
    if start.metadata or config.metadata.augment_to:
        items = config.metadata.part(
            start.metadata or max(start.seeds, config.metadata.augment_to or 0)
        )
        per_item = ceil(sizes.total_quota(config, items) / max(items, 1))
    return structs.replace(
        config,
        limit=min(count, config.limit or count),
        target_rows=None,
        max_candidates=None,
        metadata=structs.replace(config.metadata, augment_to=None, share=None),
        decode=structs.replace(config.decode, per_metadata=per_item),
    )


def _volume(recipe: Recipe, config: Config, start: Start) -> Volume:
    rows = recipe.rows_per_draft(config)
    return recipe.mode.volume(
        config, Input(start.seeds, start.metadata, rows, recipe.assumed_yield)
    )


def _instructions(config: Config, volume: Volume, needed: float) -> int:
    """Return how many basic instructions are made if the target needs so many."""
    low, high = volume.instructions
    return high if config.target_rows is None else max(low, min(high, ceil(needed)))


def _share(volume: Volume, calls: Bounds, instructions: int) -> float:
    """Return the calls for so many instructions; never more than the bounds allow."""
    return min(calls.high, calls.low * instructions / max(volume.instructions.low, 1))
