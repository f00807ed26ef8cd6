"""``loop.json``: what came out of each round."""

from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, structs

from ...providers import json_codec
from ..data.files import read_input
from ..data.intervals import Interval
from ..disk.atomic import replace_file
from ..evaluate.difference import Difference, OtherCandidate, paired_difference
from ..evaluate.outcome import Outcome
from ..evaluate.results import read_comparisons
from ..evaluate.scoring import Scoring
from ..evaluate.verdicts import VerdictCounts
from ..reporting.selection import SelectionRate
from ..reporting.summary import Summary
from ..store.folder import FolderError
from ..training.tuning import TuningRecord
from .steps import LoopPlan, TrainingRows

LOOP_FILE: Final = "loop.json"
FORMAT: Final = 1
"""Of `LOOP_FILE`; raise it whenever an older one can no longer be read."""


class RunResult(Struct, frozen=True, kw_only=True):
    """A round's run, as its summary says.

    Attributes:
        rows: kept.
        target_rows: as asked for; None: as many as there are.
        winners: rows by whose answer they hold.
        by_iteration: rows by the iteration that selected them; the first is as first written.
        selection: how many instructions θ selected.
        calls: answers of all models and all sessions; those from the cache are not among them.
        money: what they cost; None where no price is known.
    """

    rows: int
    target_rows: int | None
    winners: dict[str, int]
    by_iteration: dict[int, int] = {}
    selection: SelectionRate
    calls: int
    money: float | None

    @property
    def is_short(self) -> bool:
        """Whether rows are missing."""
        return self.target_rows is not None and self.rows < self.target_rows


class TuningResult(Struct, frozen=True, kw_only=True):
    """A round's tuning.

    Attributes:
        rows: trained on.
        overlapping: rows left out since they overlap with the test set.
        repeated: rows left out since an earlier one has the same instruction.
        steps: of the optimiser.
        first_loss: of the first step, in nats per token.
        last_loss: of the last step.
    """

    rows: int
    overlapping: int
    repeated: int
    steps: int
    first_loss: float
    last_loss: float


class EvaluationResult(Struct, frozen=True, kw_only=True):
    """An evaluation on the test set.

    Attributes:
        prompts: in the test set.
        counts: the verdicts.
        crr: in per cent; None if too many verdicts are invalid. Where the reference is always right
            and the judge says only right or wrong, it is the accuracy.
        interval: of ``crr``, 95 %, by Wilson's formula.
        to_start: CRR minus the untuned target's, in points, paired by prompt.
        to_previous: CRR minus that of the round before.
        cut_off: answers that ended at ``max_tokens``.
    """

    prompts: int
    counts: VerdictCounts
    crr: float | None
    interval: Interval | None
    to_start: Difference | None
    to_previous: Difference | None
    cut_off: int


class RoundRecord(Struct, frozen=True, kw_only=True):
    """What is known of a round. Round 0 is the untuned target's.

    Attributes:
        number: from 0.
        run: the run; None until it has finished.
        tuning: the model; None until it is saved.
        evaluation: the evaluation; None until all prompts are judged.
        seconds: of each step, in sessions that were not killed.
    """

    number: int
    run: RunResult | None = None
    tuning: TuningResult | None = None
    evaluation: EvaluationResult | None = None
    seconds: dict[str, float] = {}


class LoopRecord(Struct, frozen=True, kw_only=True):
    """The table of rounds, as `LOOP_FILE` holds it, and a digest of the first model's weights."""

    format: int = FORMAT
    model: str
    rounds: tuple[RoundRecord, ...] = ()

    def round(self, number: int) -> RoundRecord:
        """Return the record of round *number*, which may be empty."""
        empty = RoundRecord(number=number)
        return next((record for record in self.rounds if record.number == number), empty)

    def replaced(self, record: RoundRecord) -> "LoopRecord":
        """Return the table with *record* in its place."""
        rounds = {old.number: old for old in self.rounds} | {record.number: record}
        return structs.replace(self, rounds=tuple(rounds[number] for number in sorted(rounds)))


_record = msgspec.json.Decoder(LoopRecord)


def read_record(folder: Path, model: str) -> LoopRecord:
    """Read the table of the loop in *folder*; an empty one if there is none.

    Args:
        folder: the loop's.
        model: a digest of the first model's weights.

    Raises:
        FolderError: it cannot be read, another version of codeclm wrote it, or it began with
            another model.
    """
    path = folder / LOOP_FILE
    try:
        record = json_codec.loads(read_input(path), _record)
    except FileNotFoundError:
        return LoopRecord(model=model)
    except (OSError, msgspec.MsgspecError) as error:
        raise FolderError(
            f"{path}: cannot be read ({error}): remove it; the same command writes it again"
        ) from error
    if record.format != FORMAT:
        raise FolderError(
            f"{path}: written by another version of codeclm (format {record.format}, this one reads"
            f" {FORMAT}): choose another folder (--out); paid answers are reused"
        )
    if record.model != model:
        raise FolderError(
            f"{path}: the loop began with other weights of this model: choose another folder"
            " (--out), or restore them"
        )
    return record


def write_record(folder: Path, record: LoopRecord) -> None:
    """Write the table.

    Raises:
        WriteError: it cannot be written.
    """
    formatted = msgspec.json.format(json_codec.dumps(record), indent=2)
    replace_file(folder / LOOP_FILE, formatted, private=True)


def run_result(summary: Summary) -> RunResult:
    return RunResult(
        rows=summary.rows,
        target_rows=summary.target_rows,
        winners=summary.winners,
        by_iteration=summary.by_iteration,
        selection=summary.gaps.selection,
        calls=summary.calls_in_all,
        money=summary.money_in_all,
    )


def tuning_result(record: TuningRecord, rows: TrainingRows) -> TuningResult:
    return TuningResult(
        rows=record.trained,
        overlapping=rows.overlapping,
        repeated=rows.repeated,
        steps=len(record.steps),
        first_loss=record.steps[0].loss,
        last_loss=record.steps[-1].loss,
    )


def evaluation_result(plan: LoopPlan, number: int, outcome: Outcome) -> EvaluationResult:
    """Return round *number*'s result, compared with the start and the round before. Blocks."""
    return EvaluationResult(
        prompts=outcome.prompts,
        counts=outcome.counts,
        crr=outcome.crr,
        interval=outcome.interval,
        to_start=_difference(plan, number, 0),
        to_previous=_difference(plan, number, number - 1),
        cut_off=outcome.cut_off[0],
    )


def _difference(plan: LoopPlan, number: int, earlier: int) -> Difference | None:
    if number <= earlier or earlier < 0:
        return None
    ours, theirs = (tuple(read_comparisons(_results(plan, n))) for n in (number, earlier))
    config = plan.evaluation(number)
    scoring = Scoring(config.rule, config.seed, config.resamples)
    name = f"round {earlier}" if earlier else "start"
    return paired_difference(ours, OtherCandidate(name, theirs), scoring)


def _results(plan: LoopPlan, number: int) -> Path:
    return plan.evaluation(number).folder
