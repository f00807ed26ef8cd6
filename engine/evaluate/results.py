"""The files of an evaluation's results: ``comparisons.jsonl`` and ``summary.json``."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from ...providers import json_codec
from ..config import ConfigError
from ..data.files import read_input
from ..disk.atomic import replace_file
from .difference import OtherCandidate, paired_difference
from .outcome import EvaluationSetup, Outcome, summarise_evaluation
from .pairwise import PairwiseComparison
from .prepare import COMPARISONS_FILE, EvaluationPlan
from .scoring import Scoring
from .session import EvaluationSession

_comparison = msgspec.json.Decoder(PairwiseComparison)


def write_evaluation(
    plan: EvaluationPlan, session: EvaluationSession, other: OtherCandidate | None = None
) -> Outcome:
    """Write both files and return the summary, with the difference to *other* if given. Blocks.

    Raises:
        WriteError: the folder cannot be written.
    """
    config, comparisons = plan.config, session.in_order
    lines = b"".join(json_codec.dumps(comparison) + b"\n" for comparison in comparisons)
    replace_file(plan.comparisons, lines, private=True)
    scoring = Scoring(config.rule, config.seed, config.resamples)
    outcome = summarise_evaluation(
        session,
        EvaluationSetup(
            config.test, config.candidate.name, config.reference.name, config.judge.model
        ),
        scoring,
        shortened=len(plan.shortened),
        files={"comparisons": str(plan.comparisons), "summary": str(plan.folder.summary)},
    )
    if other is not None and comparisons:
        outcome = _with_difference(outcome, comparisons, other, scoring)
    pretty = msgspec.json.format(json_codec.dumps(outcome), indent=2)
    replace_file(plan.folder.summary, pretty, private=True)
    return outcome


def _with_difference(
    outcome: Outcome,
    comparisons: list[PairwiseComparison],
    other: OtherCandidate,
    scoring: Scoring,
) -> Outcome:
    """Add the difference, or why there is none: the rest of the result is paid for."""
    try:
        difference = paired_difference(comparisons, other, scoring)
    except ConfigError as error:
        return msgspec.structs.replace(outcome, no_difference=str(error))
    return msgspec.structs.replace(outcome, difference=difference)


def read_comparisons(folder: Path) -> Iterator[PairwiseComparison]:
    """Read the comparisons of the evaluation in *folder*.

    Raises:
        ConfigError: they are missing or damaged.
    """
    path = folder / COMPARISONS_FILE
    try:
        lines = read_input(path).splitlines()
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}: {folder} is not an evaluation's folder"
        ) from error
    for number, line in enumerate(lines, 1):
        try:
            yield json_codec.loads(line, _comparison)
        except msgspec.MsgspecError as error:
            raise ConfigError(f"{path}:{number}: {error}") from error
