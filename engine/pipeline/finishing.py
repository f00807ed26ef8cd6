"""The finishing steps of the built-in recipes."""

from collections.abc import Iterator
from typing import Final

from msgspec import structs

from ...prompts import (
    Broaden,
    Complicate,
    Deepen,
    Equal,
    Grow,
    Improve,
    Rate,
    Respond,
    Score,
)
from ..config import Config, FilterConfig
from .stages.answer import Answerer, Rewrite
from .stages.evolve import Evolver
from .stages.grow import Grower
from .stages.improve import Improver
from .stages.rate import Rater
from .stages.refine import Refiner
from .stages.score import PairScorer, calls_per_scoring
from .steps import Bounds, Calls, Finish, Finishing, Prompts, Tools


def _refiner(tools: Tools) -> Finish:
    return _contrastive(tools, tools.config.filter)


def _filter(tools: Tools) -> Finish:
    one_round = structs.replace(tools.config.filter, max_iterations=1, filter_basic=True)
    return _contrastive(tools, one_round)


def _contrastive(tools: Tools, settings: FilterConfig) -> Finish:
    scorer = PairScorer(tools.judges(), settings.samples)
    target = tools.model("target")
    return Refiner(tools.strong, target, scorer, settings, tools.counters, tools.config.seed)


def _answerer(tools: Tools, rewrite: Rewrite | None = None, rewrites: int = 0) -> Answerer:
    config = tools.config
    return Answerer(tools.strong, config.filter, rewrite, rewrites, config.seed)


def _hardener(tools: Tools) -> Finish:
    settings = tools.config.filter
    improver = Improver(tools.strong, settings.improve_attempts)
    return _answerer(tools, improver, settings.max_iterations - 1)


def _grower(tools: Tools) -> Finish:
    nodes = _nodes(tools.config)
    grower = Grower(tools.strong, nodes)
    return _answerer(tools, grower, len(nodes))


def _rater(tools: Tools) -> Finish:
    return Rater(_answerer(tools), tools.judges(), tools.config.baseline.rating)


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


def _most_scorings(config: Config) -> int:
    """Return how often two answers are scored in one round, at most."""
    return 2 if config.filter.confirm else 1


def _refine_calls(config: Config, drafts: Bounds) -> Calls:
    """Each scored round takes two answers and two orders of judging, each later one a rewrite.

    With ``filter.confirm`` as many judgements again, at most.
    """
    rewrites_first = not config.filter.filter_basic
    rounds = max(0, _scored_rounds(config))
    scored = Bounds(drafts.low, drafts.high * rounds)
    most = drafts.high * (config.filter.max_iterations - 1)
    return {
        Respond: scored.times(2),
        Score: scored.times(calls_per_scoring(config) * _most_scorings(config)),
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
    if config.judges:
        yield "judges, whose mean counts", ", ".join(sorted(config.judges))
    if config.filter.samples > 1:
        yield "scorings of each order, whose mean counts", str(config.filter.samples)
    if config.filter.confirm:
        yield "selected", "if a second scoring agrees"


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
    calls=lambda config, drafts: {
        Respond: drafts.times(2),
        Score: drafts.times(calls_per_scoring(config) * _most_scorings(config)),
    },
    rewrites=False,
    scored_rounds=lambda _config: 1,
    settings=_filter_settings,
)
"""Contrastive Filtering of the basic instruction alone (paper §4.3)."""

ANSWER: Final = Finishing(
    stage="answer",
    build=_answerer,
    prompts={"strong": (Respond,)},
    calls=lambda _config, drafts: {Respond: drafts},
    rewrites=False,
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
    calls=lambda config, drafts: {
        Respond: drafts,
        Rate: drafts.times(len(config.judge_roles)),
    },
    rewrites=False,
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
    rewrites=True,
    uncounted=(Broaden, Complicate),  # a round asks one of three, which Deepen stands for
    rows_per_draft=_rounds,
)
"""Evol-Instruct's rounds, each of which is a row (docs/algorithm.md §8.4)."""
