"""How much a run will probably take: as assumed, or as a pilot of its first seeds measured.

A forecast's bounds are far apart: nobody knows how many rounds an instruction takes. With the
shares below, or with a pilot's, they become one figure.
"""

from collections.abc import Mapping
from math import ceil

from msgspec import Struct, structs

from ..calls.spending import Usage, UsageByStage, add_usage
from ..config import Config
from .modes import Input
from .recipe import Recipe
from .steps import Bounds, Volume

SELECTED = 0.5
"""Share of the instructions that a scored round is assumed to select."""


SecondsByStage = Mapping[str, Mapping[str, float]]
"""How long calls take, added up: by role, then by stage."""


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
        duration: for how long any of them was under way.
    """

    start: Start
    rows: int
    usage: UsageByStage
    seconds: SecondsByStage
    duration: float


def likely_calls(recipe: Recipe, config: Config, start: Start) -> dict[str, int]:
    """Return the probable calls by prompt, if every scored round selects the assumed share."""
    volume = _volume(recipe, config, start)
    instructions = likely_instructions(recipe, config, start)
    rounds = recipe.finishing.scored_rounds(config)
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


def likely_instructions(recipe: Recipe, config: Config, start: Start) -> int:
    """Return how many basic instructions will probably be made, assuming the same."""
    volume = _volume(recipe, config, start)
    rounds = recipe.finishing.scored_rounds(config)
    kept = 1 - (1 - SELECTED) ** rounds if rounds else recipe.assumed_yield
    return _instructions(config, volume, volume.instructions.low / kept)


def _further_rounds(rounds: int) -> float:
    """Return how many of the rounds after the first an instruction goes through, as a share."""
    if rounds < 2:
        return 0.0
    return sum((1 - SELECTED) ** done for done in range(1, rounds)) / (rounds - 1)


def pilot_config(recipe: Recipe, config: Config, start: Start, count: int) -> Config:
    """Return the settings of a pilot of *count* seeds or metadata items: the run, in small.

    It makes the run's own calls wherever these do not depend on all seeds, so that the run need not
    pay for them again.
    """
    if recipe.mode.endless:
        return structs.replace(config, target_rows=None, max_candidates=count)
    share = _pilot_share(config, start, count)
    rows = config.target_rows and max(1, round(config.target_rows * share))
    most = config.max_candidates and max(rows or 1, round(config.max_candidates * share))
    return structs.replace(
        config,
        limit=min(count, start.seeds) or None,
        target_rows=rows,
        max_candidates=most,
        metadata=structs.replace(config.metadata, augment_to=None, share=None),
    )


def _pilot_share(config: Config, start: Start, count: int) -> float:
    """Return which part of a run's items *count* are."""
    metadata = config.metadata
    if start.metadata or metadata.augment_to:
        items = metadata.part(start.metadata or max(start.seeds, metadata.augment_to or 0))
    else:
        items = min(start.seeds, config.target_rows or start.seeds)
    return min(1.0, min(count, start.metadata or start.seeds) / max(items, 1))


def scale_factors(
    recipe: Recipe, config: Config, start: Start, pilot: Config, measured: Measured
) -> dict[str, float]:
    """Return by what factor a run takes more than its pilot, by stage.

    Args:
        recipe: of both.
        config: the run's settings.
        start: what the run starts from.
        pilot: the pilot's settings.
        measured: what the pilot took.
    """
    of_run = _volume(recipe, config, start)
    of_pilot = _volume(recipe, pilot, measured.start)
    if not recipe.mode.endless and config.target_rows and pilot.target_rows:
        factor = config.target_rows / pilot.target_rows
    elif config.target_rows and measured.rows:
        factor = min(config.target_rows / measured.rows, _ratio(of_run, of_pilot))
    else:
        factor = _ratio(of_run, of_pilot)
    stages = {prompt.name for prompts in recipe.prompts(config).values() for prompt in prompts}
    factors = {  # a check of the endpoints before the work is made once, whatever there is to do
        stage: factor if stage in stages else 1.0
        for stages_of_role in measured.usage.values()
        for stage in stages_of_role
    }
    calls_of_pilot = recipe.mode.calls(of_pilot)
    for prompt, calls in recipe.mode.calls(of_run).items():
        factors[prompt.name] = calls.low / max(calls_of_pilot[prompt].low, 1)
    return factors


def _ratio(run: Volume, pilot: Volume) -> float:
    return run.instructions.high / max(pilot.instructions.high, 1)


def scaled(usage: UsageByStage, factors: Mapping[str, float]) -> UsageByStage:
    """Multiply *usage* by the factor of each stage."""
    result: UsageByStage = {}
    for role, stages in usage.items():
        for stage, usage_of_stage in stages.items():
            figures = (round(figure * factors[stage]) for figure in structs.astuple(usage_of_stage))
            add_usage(result, role, stage, Usage(*figures))
    return result


def _volume(recipe: Recipe, config: Config, start: Start) -> Volume:
    rows = recipe.rows_per_draft(config)
    return recipe.mode.volume(
        config, Input(start.seeds, start.metadata, rows, recipe.assumed_yield)
    )


def _instructions(config: Config, volume: Volume, for_target: float) -> int:
    """Return how many basic instructions are made if the target needs *for_target*."""
    low, high = volume.instructions
    return high if config.target_rows is None else max(low, min(high, ceil(for_target)))


def _share(volume: Volume, calls: Bounds, instructions: int) -> float:
    """Return the calls for so many instructions; never more than the bounds allow."""
    return min(calls.high, calls.low * instructions / max(volume.instructions.low, 1))
