"""The recipes: CodecLM, its ablations, and the baselines of the paper (docs/algorithm.md §8).

A recipe is put together from a mode and two steps. Another distribution adds one by an entry point
in the group ``codeclm.recipes`` that points to a `Recipe`, made of the steps below or of its own::

    SHORT = Recipe(
        name="short",
        summary="decode, shorten, answer",
        source="this package",
        mode=FROM_METADATA,
        writing=DECODE,
        finishing=Finishing(
            stage="shorten",
            build=lambda tools: Shortener(tools.strong),
            prompts={"strong": (Shorten, Respond)},
            calls=lambda config, drafts: {Shorten: drafts, Respond: drafts},
            rewrites=True,
        ),
    )
"""

from typing import Final

from ..config import Config, ConfigError
from ..data.registry import PluginError, Registry, UnknownNameError
from ..store.totals import DatasetCounts
from .finishing import ANSWER, EVOLVE, FILTER_ONCE, GROW, HARDEN, RATE, REFINE
from .modes import FROM_METADATA, FROM_POOL, FROM_SEEDS
from .recipe import Recipe
from .stages.filter import verdict
from .stages.score import calls_per_scoring
from .writing import DECODE, DECODE_SAMPLED, DECODE_WITH_RUBRICS, INVENT, TAKE_SEEDS


def _codeclm_calls(counts: DatasetCounts, config: Config) -> int:
    scoring, settings = calls_per_scoring(config), config.filter
    calls = counts.predicted_calls(config.decode.chunk, 2 + scoring)
    if not settings.confirm:
        return calls
    return calls + scoring * sum(
        verdict(gap, settings.threshold, settings.keep) != "again"
        for rounds in counts.scored_rounds()
        for gap in rounds.gaps
    )


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
        source="not in the paper",
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
        forecast_note="the high bound assumes that every second task is refused, or max_candidates",
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
            "the high bound assumes that 17.75 % are kept, as in AlpaGasus, or max_candidates"
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
