"""The stages of a recipe, made out of models and settings: what `work` lets items run through."""

from collections.abc import Awaitable, Callable

from msgspec import Struct

from ...prompts import Vocabulary
from ..calls.counters import Counters
from ..calls.model import Model
from ..config import Config
from ..data.records import Example, InstructionRequest
from .recipes import RECIPES
from .stages.answer import Answerer
from .stages.decode import Decoder
from .stages.draft import Draft
from .stages.encode import Encoder
from .stages.evolve import Evolver, SampledDecoder
from .stages.given import SeedAsInstruction
from .stages.grow import Grower
from .stages.improve import Improver
from .stages.invent import Inventor, Pool
from .stages.rate import Rater
from .stages.refine import Refiner
from .stages.refinement import Rules

Write = Callable[[InstructionRequest], Awaitable[list[Draft]]]
Finish = Callable[[Draft], Awaitable[list[Example]]]


class Widths(Struct, frozen=True):
    """Workers per stage: enough that every endpoint has work while others are waited for."""

    encode: int
    decode: int
    refine: int


class Stages(Struct, frozen=True):
    """The stages, ready to work: *write* makes drafts of an order, *finish* examples of a draft."""

    encoder: Encoder
    pool: Pool
    write: Write
    finish: Finish
    widths: Widths


def crew(config: Config, models: dict[str, Model], counters: Counters, widths: Widths) -> Stages:
    """Make the stages of *config*'s recipe out of *models*."""
    strong = models["strong"]
    pool = Pool(config.baseline.pool, config.seed)
    return Stages(
        Encoder(strong, Vocabulary(config.metadata.use_cases, config.metadata.skills)),
        pool,
        _writer(config, strong, pool),
        _finisher(config, models, counters),
        widths,
    )


def _writer(config: Config, strong: Model, pool: Pool) -> Write:
    recipe = RECIPES[config.recipe]
    if recipe.start == "pool":
        return Inventor(strong, pool)
    if recipe.start == "seeds":
        return SeedAsInstruction(rows=recipe.rows_per_draft(config))
    decoder = Decoder(
        strong,
        chunk=config.decode.chunk,
        extra_calls=config.decode.extra_calls,
        rubrics=config.decode.rubrics if recipe.end in {"refine", "harden"} else 0,
    )
    if recipe.end == "evolve":
        return SampledDecoder(decoder, config.baseline.rounds, config.seed)
    return decoder


def _finisher(config: Config, models: dict[str, Model], counters: Counters) -> Finish:
    strong, rules = models["strong"], _rules(config)
    match RECIPES[config.recipe].end:
        case "refine" | "filter":
            return Refiner(strong, models["target"], models["judge"], rules, counters)
        case "answer":
            return Answerer(strong, rules)
        case "harden":
            improver = Improver(strong, rules.improve_attempts)
            return Answerer(strong, rules, improver, rules.max_iterations - 1)
        case "grow":
            nodes = (3, 3, 4) if config.baseline.staged else (10,)
            return Answerer(strong, rules, Grower(strong, nodes), len(nodes))
        case "rate":
            return Rater(Answerer(strong, rules), models["judge"], config.baseline.rating)
        case "evolve":
            return Evolver(
                strong,
                config.baseline.rounds,
                config.baseline.complicate_input,
                rules.keep_cut_off,
                config.seed,
            )


def _rules(config: Config) -> Rules:
    rules = config.filter
    once = RECIPES[config.recipe].end == "filter"
    return Rules(
        threshold=rules.threshold,
        max_iterations=1 if once else rules.max_iterations,
        filter_basic=once or rules.filter_basic,
        leftover=rules.leftover,
        action_sampling=rules.action_sampling,
        improve_attempts=rules.improve_attempts,
        keep_cut_off=rules.keep_cut_off,
        run_seed=config.seed,
    )
