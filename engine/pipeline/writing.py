"""How the built-in recipes write basic instructions."""

from math import ceil
from typing import Final

from ...prompts import Decode, Invent, WriteRubrics
from ..config import Config
from .stages.decode import Decoder
from .stages.evolve import SampledDecoder
from .stages.invent import Inventor
from .stages.seed_instructions import SeedAsInstruction
from .steps import Calls, Tools, Volume, Write, Writing


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
    assert tools.pool is not None, "the mode that gives demonstrations fills the pool"
    return Inventor(tools.strong, tools.pool)


def _decode_calls(_config: Config, volume: Volume) -> Calls:
    return {Decode: volume.requests}


def _decode_and_rubrics_calls(_config: Config, volume: Volume) -> Calls:
    return {Decode: volume.requests, WriteRubrics: volume.items}


DECODE: Final = Writing(
    stage="decode", material="metadata", build=_decoder, prompts=(Decode,), calls=_decode_calls
)
"""Basic instructions from metadata (paper §4.1)."""

DECODE_WITH_RUBRICS: Final = Writing(
    stage="decode",
    material="metadata",
    build=_decoder_with_rubrics,
    prompts=(Decode, WriteRubrics),
    calls=_decode_and_rubrics_calls,
)
"""Basic instructions, and the rubrics and actions that rewrite them (paper §4.1 and §4.2)."""

DECODE_SAMPLED: Final = Writing(
    stage="decode",
    material="metadata",
    build=_sampled_decoder,
    prompts=(Decode,),
    calls=_decode_calls,
    drafts=lambda config, instructions: ceil(instructions / config.baseline.rounds),
)
"""The same instructions, of which only as many are evolved as the target rows need."""

INVENT: Final = Writing(
    stage="invent",
    material="demonstrations",
    build=_inventor,
    prompts=(Invent,),
    calls=lambda _config, volume: {Invent: volume.requests},
)
"""New instructions in the style of a few seeds (docs/algorithm.md §8.1)."""

TAKE_SEEDS: Final = Writing(
    stage="seeds",
    material="instruction",
    build=lambda tools: SeedAsInstruction(rows=tools.rows_per_draft),
)
"""The seeds themselves."""
