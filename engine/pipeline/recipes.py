"""The recipes: CodecLM, its ablations, and the baselines of the paper (docs/algorithm.md §8).

A recipe is put together from a mode and two steps. Another distribution adds one by an entry point
in the group ``codeclm.recipes`` that points to a `Recipe`, made of the steps below or of its own::

    SHORT = Recipe(
        name="short",
        summary="decode, shorten, answer",
        source="ours",
        mode=FROM_METADATA,
        writing=DECODE,
        finishing=Finishing(
            stage="shorten",
            build=lambda tools: Shortener(tools.strong),
            prompts={"strong": (Shorten, Respond)},
            calls=lambda config, drafts: {Shorten: drafts, Respond: drafts},
        ),
    )
"""

from collections.abc import Iterator
from math import ceil
from typing import Final

from msgspec import structs

from ...prompts import (
    Broaden,
    Complicate,
    Decode,
    Deepen,
    Equal,
    Grow,
    Improve,
    Invent,
    Rate,
    Respond,
    Score,
    WriteRubrics,
)
from ..config import Config, ConfigError
from ..data.registry import PluginError, Registry, UnknownNameError
from ..store.totals import DatasetCounts
from .modes import FROM_METADATA, FROM_POOL, FROM_SEEDS
from .recipe import Recipe
from .stages.answer import Answerer
from .stages.decode import Decoder
from .stages.evolve import Evolver, SampledDecoder
from .stages.given import SeedAsInstruction
from .stages.grow import Grower
from .stages.improve import Improver
from .stages.invent import Inventor
from .stages.rate import Rater
from .stages.refine import Refiner
from .stages.refinement import Rules
from .steps import Bounds, Calls, Finish, Finishing, Prompts, Tools, Volume, Write, Writing

# -- how basic instructions are written -------------------------------------------------------


def _decoder(tools: Tools, rubrics: int = 0) -> Decoder:
    settings = tools.config.decode
    return Decoder(
        tools.strong, chunk=settings.chunk, extra_calls=settings.extra_calls, rubrics=rubrics
    )


def _decoder_with_rubrics(tools: Tools) -> Write:
    return _decoder(tools, tools.config.decode.rubrics)


def _sampled_decoder(tools: Tools) -> Write:
    config = tools.config
    return SampledDecoder(_decoder(tools), config.baseline.rounds, config.seed)


def _inventor(tools: Tools) -> Write:
    if tools.pool is None:
        raise ValueError("INVENT asks for instructions like those of a pool: use FROM_POOL")
    return Inventor(tools.strong, tools.pool)


def _decode_calls(_config: Config, volume: Volume) -> Calls:
    return {Decode: volume.requests}


def _decode_and_rubrics_calls(_config: Config, volume: Volume) -> Calls:
    return {Decode: volume.requests, WriteRubrics: volume.items}


DECODE: Final = Writing(stage="decode", build=_decoder, prompts=(Decode,), calls=_decode_calls)
"""Basic instructions from metadata (paper §4.1)."""

DECODE_WITH_RUBRICS: Final = Writing(
    stage="decode",
    build=_decoder_with_rubrics,
    prompts=(Decode, WriteRubrics),
    calls=_decode_and_rubrics_calls,
)
"""Basic instructions, and the rubrics and actions that rewrite them (paper §4.1 and §4.2)."""

DECODE_SAMPLED: Final = Writing(
    stage="decode",
    build=_sampled_decoder,
    prompts=(Decode,),
    calls=_decode_calls,
    drafts=lambda config, instructions: ceil(instructions / config.baseline.rounds),
)
"""The same instructions, of which only as many go on as give the wanted rows in all rounds."""

INVENT: Final = Writing(
    stage="invent",
    build=_inventor,
    prompts=(Invent,),
    calls=lambda _config, volume: {Invent: volume.requests},
)
"""New instructions in the manner of a few seeds (docs/algorithm.md §8.1)."""

TAKE_SEEDS: Final = Writing(
    stage="seeds",
    build=lambda tools: SeedAsInstruction(rows=tools.rows_per_draft),
    generated=False,
)
"""The seeds themselves."""

# -- what finishes them -----------------------------------------------------------------------


def _rules(config: Config) -> Rules:
    settings = config.filter
    return Rules(
        threshold=settings.threshold,
        max_iterations=settings.max_iterations,
        filter_basic=settings.filter_basic,
        leftover=settings.leftover,
        action_sampling=settings.action_sampling,
        improve_attempts=settings.improve_attempts,
        keep_cut_off=settings.keep_cut_off,
        run_seed=config.seed,
    )


def _rules_of_one_round(config: Config) -> Rules:
    return structs.replace(_rules(config), max_iterations=1, filter_basic=True)


def _refiner(tools: Tools) -> Finish:
    return _contrastive(tools, _rules(tools.config))


def _filter(tools: Tools) -> Finish:
    return _contrastive(tools, _rules_of_one_round(tools.config))


def _contrastive(tools: Tools, rules: Rules) -> Finish:
    models = tools.models
    return Refiner(models["strong"], models["target"], models["judge"], rules, tools.counters)


def _answerer(tools: Tools) -> Answerer:
    return Answerer(tools.strong, _rules(tools.config))


def _hardener(tools: Tools) -> Finish:
    rules = _rules(tools.config)
    improver = Improver(tools.strong, rules.improve_attempts)
    return Answerer(tools.strong, rules, improver, rules.max_iterations - 1)


def _grower(tools: Tools) -> Finish:
    nodes = _nodes(tools.config)
    grower = Grower(tools.strong, nodes)
    return Answerer(tools.strong, _rules(tools.config), grower, len(nodes))


def _rater(tools: Tools) -> Finish:
    return Rater(_answerer(tools), tools.models["judge"], tools.config.baseline.rating)


def _evolver(tools: Tools) -> Finish:
    config = tools.config
    return Evolver(
        tools.strong,
        config.baseline.rounds,
        config.baseline.complicate_input,
        config.filter.keep_cut_off,
        config.seed,
    )


def _nodes(config: Config) -> tuple[int, ...]:
    """Return the nodes that Tree-Instruct adds in each pass."""
    return (3, 3, 4) if config.baseline.staged else (10,)


def _rounds(config: Config) -> int:
    return config.baseline.rounds


def _scored_rounds(config: Config) -> int:
    return config.filter.max_iterations - (not config.filter.filter_basic)


def _refine_calls(config: Config, drafts: Bounds) -> Calls:
    """Each scored round takes two answers and two orders of judging, each later one a rewrite."""
    rewrites_first = not config.filter.filter_basic
    rounds = max(0, _scored_rounds(config))
    scored = Bounds(2 * drafts.low, 2 * drafts.high * rounds)
    most = drafts.high * (config.filter.max_iterations - 1)
    return {
        Respond: scored,
        Score: scored,
        Improve: Bounds(drafts.low * rewrites_first, most),
    }


def _harden_calls(config: Config, drafts: Bounds) -> Calls:
    return {Improve: drafts.times(config.filter.max_iterations - 1), Respond: drafts}


def _grow_calls(config: Config, drafts: Bounds) -> Calls:
    return {Grow: drafts.times(len(_nodes(config))), Respond: drafts}


def _evolve_calls(config: Config, drafts: Bounds) -> Calls:
    rounds = drafts.times(config.baseline.rounds)
    return {Deepen: rounds, Equal: rounds, Respond: rounds}


def _filter_settings(config: Config) -> Iterator[tuple[str, str]]:
    yield "θ (strictly larger)", f"{config.filter.threshold:g}"
    yield "instructions no round selected", config.filter.leftover


def _round_settings(config: Config) -> Iterator[tuple[str, str]]:
    yield "rounds at most", str(config.filter.max_iterations)


def _refine_settings(config: Config) -> Iterator[tuple[str, str]]:
    yield from _filter_settings(config)
    yield from _round_settings(config)
    yield "basic instruction scored first", "yes" if config.filter.filter_basic else "no"


CONTRAST: Final[Prompts] = {"strong": (Respond,), "target": (Respond,), "judge": (Score,)}

REFINE: Final = Finishing(
    stage="refine",
    build=_refiner,
    prompts={**CONTRAST, "strong": (Improve, Respond)},
    calls=_refine_calls,
    rewrites=True,
    scored_rounds=_scored_rounds,
    settings=_refine_settings,
)
"""Self-Rubrics and Contrastive Filtering, round by round (paper §4.2, §4.3 and A.3)."""

FILTER_ONCE: Final = Finishing(
    stage="filter",
    build=_filter,
    prompts=CONTRAST,
    calls=lambda _config, drafts: {Respond: drafts.times(2), Score: drafts.times(2)},
    scored_rounds=lambda _config: 1,
    settings=_filter_settings,
)
"""Contrastive Filtering of the basic instruction alone (paper §4.3)."""

ANSWER: Final = Finishing(
    stage="answer",
    build=_answerer,
    prompts={"strong": (Respond,)},
    calls=lambda _config, drafts: {Respond: drafts},
)
"""The strong model's answer, and nothing else."""

HARDEN: Final = Finishing(
    stage="harden",
    build=_hardener,
    prompts={"strong": (Improve, Respond)},
    calls=_harden_calls,
    rewrites=True,
    settings=_round_settings,
)
"""Every rewrite of Self-Rubrics, then the strong model's answer (paper Table 3)."""

RATE: Final = Finishing(
    stage="answer",
    build=_rater,
    prompts={"strong": (Respond,), "judge": (Rate,)},
    calls=lambda _config, drafts: {Respond: drafts, Rate: drafts},
)
"""The strong model's answer, kept if it is rated accurate (docs/algorithm.md §8.2)."""

GROW: Final = Finishing(
    stage="grow",
    build=_grower,
    prompts={"strong": (Grow, Respond)},
    calls=_grow_calls,
    rewrites=True,
)
"""More nodes in the instruction's semantic tree, then an answer (docs/algorithm.md §8.3)."""

EVOLVE: Final = Finishing(
    stage="evolve",
    build=_evolver,
    prompts={"strong": (Deepen, Broaden, Complicate, Equal, Respond)},
    calls=_evolve_calls,
    rows_per_draft=_rounds,
    rewrites=True,
)
"""Evol-Instruct's rounds, each of which is a row (docs/algorithm.md §8.4)."""

# -- the rows ---------------------------------------------------------------------------------


def _codeclm_calls(counts: DatasetCounts, config: Config) -> int:
    return counts.predicted_calls(config.decode.chunk)


_BUILT_IN: Final = (
    Recipe(
        name="codeclm",
        summary="encode, decode + rubrics, refine",
        source="paper §4",
        mode=FROM_METADATA,
        writing=DECODE_WITH_RUBRICS,
        finishing=REFINE,
        calls_without_retries=_codeclm_calls,
    ),
    Recipe(
        name="codeclm-metadata",
        summary="encode, decode, answer",
        source="paper Table 3, row 2",
        mode=FROM_METADATA,
        writing=DECODE,
        finishing=ANSWER,
    ),
    Recipe(
        name="codeclm-rubrics",
        summary="encode, decode + rubrics, 3 rewrites, answer",
        source="paper Table 3, row 3",
        mode=FROM_METADATA,
        writing=DECODE_WITH_RUBRICS,
        finishing=HARDEN,
    ),
    Recipe(
        name="codeclm-filter",
        summary="encode, decode, filter once",
        source="ours, not in the paper",
        mode=FROM_METADATA,
        writing=DECODE,
        finishing=FILTER_ONCE,
    ),
    Recipe(
        name="self-instruct",
        summary="invent from 3 seeds, answer",
        source="paper A.2; Table 3, row 1",
        mode=FROM_POOL,
        writing=INVENT,
        finishing=ANSWER,
        assumed_yield=0.5,
        forecast_note="at most: if every second task is refused, or max_candidates",
    ),
    Recipe(
        name="alpagasus",
        summary="invent from 3 seeds, answer, rate",
        source="paper A.2",
        mode=FROM_POOL,
        writing=INVENT,
        finishing=RATE,
        assumed_yield=0.1775,
        forecast_note=(
            "at most: if 17.75 % are kept, as of AlpaGasus' own data, or max_candidates"
        ),
    ),
    Recipe(
        name="tree-instruct",
        summary="grow by 10 nodes, answer",
        source="paper A.2",
        mode=FROM_SEEDS,
        writing=TAKE_SEEDS,
        finishing=GROW,
    ),
    Recipe(
        name="wizardlm",
        summary="4 rounds of evolve, compare, answer",
        source="paper A.2",
        mode=FROM_SEEDS,
        writing=TAKE_SEEDS,
        finishing=EVOLVE,
    ),
    Recipe(
        name="wizardlm-plus",
        summary="encode, decode, 4 rounds of evolve, compare, answer",
        source="paper §5.2",
        mode=FROM_METADATA,
        writing=DECODE_SAMPLED,
        finishing=EVOLVE,
    ),
)

RECIPES: Final = Registry(
    "codeclm.recipes", "recipe", Recipe, _BUILT_IN, aliases={"wizardlm+": "wizardlm-plus"}
)
"""Every recipe by name; installed packages may add more."""


def recipe_of(config: Config, where: str) -> Recipe:
    """Return the recipe that *config* names.

    Raises:
        ConfigError: no recipe has this name; the message starts with *where* and lists those that
            exist.
    """
    try:
        return RECIPES[config.recipe]
    except (UnknownNameError, PluginError) as error:
        raise ConfigError(f"{where}: recipe: {error}") from error
