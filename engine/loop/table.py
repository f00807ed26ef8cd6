"""The tables of rounds, for people."""

from collections.abc import Iterator

from ..data.intervals import Interval
from ..evaluate.difference import Difference
from ..reporting.tables import Table
from .record import EvaluationResult, LoopRecord, RoundRecord

_RUN_NOTE = """\
selected: instructions that θ selected, of all; at once: rows selected as first written
calls: answers for the round's run that were not in the cache
seconds: of all steps, in sessions that were not killed"""

_HELD_OUT_NOTE = """\
CRR in per cent, of the model that the round ends with: the accuracy, if the judge says right or
wrong and the reference is always right. 95 % intervals: of CRR by Wilson's formula, of differences
in points by the paired bootstrap, over prompts taken alike: other draws of the judge and other
training runs are not in them."""


def round_tables(record: LoopRecord) -> tuple[Table, Table]:
    """Return the tables of all rounds that have begun: what was made, and what came of it."""
    return _run_table(record), _held_out_table(record)


def _run_table(record: LoopRecord) -> Table:
    head = ("round", "rows", "selected", "at once", "strong won", "target won", "trained on")
    rows = (tuple(_run_cells(one)) for one in record.rounds)
    return Table("Rounds", (*head, "calls", "seconds"), tuple(rows), _RUN_NOTE)


def _run_cells(record: RoundRecord) -> Iterator[str]:
    run, seconds = record.run, f"{sum(record.seconds.values()):,.0f}"
    trained = "-" if record.tuning is None else f"{record.tuning.rows:,}"
    yield _name(record)
    if run is None:
        yield from (*"-----", trained, "-", seconds)
        return
    interval = run.selection.interval
    yield f"{run.rows:,}"
    yield "-" if interval is None else f"{interval.mean:.0%}"
    yield f"{run.by_iteration.get(1, 0) / max(1, run.rows):.0%}"
    for winner in ("strong", "target"):
        yield f"{run.winners.get(winner, 0):,}"
    yield from (trained, f"{run.calls:,}", seconds)


def _held_out_table(record: LoopRecord) -> Table:
    head = ("round", "CRR", "95 %", "to start", "95 %", "to previous", "95 %")
    rows = ((_name(one), *_held_out_cells(one.evaluation)) for one in record.rounds)
    return Table("Held-out test set", head, tuple(rows), _HELD_OUT_NOTE)


def _held_out_cells(result: EvaluationResult | None) -> Iterator[str]:
    if result is None:
        yield from "------"
        return
    yield "-" if result.crr is None else f"{result.crr:.1f}"
    yield _bounds(result.interval)
    for difference in (result.to_start, result.to_previous):
        yield "-" if difference is None else f"{difference.points.mean:+.1f}"
        yield _difference_bounds(difference)


def _name(record: RoundRecord) -> str:
    return str(record.number) if record.number else "start"


def _bounds(interval: Interval | None) -> str:
    return "-" if interval is None else f"{interval.low:.1f} to {interval.high:.1f}"


def _difference_bounds(difference: Difference | None) -> str:
    if difference is None:
        return "-"
    points = difference.points
    return f"{points.low:+.1f} to {points.high:+.1f}"
