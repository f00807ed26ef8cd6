"""The table of rounds, for people."""

from collections.abc import Iterator

from ..data.intervals import Interval
from ..evaluate.difference import Difference
from ..reporting.tables import Table
from .record import EvaluationResult, LoopRecord, RoundRecord, RunResult, TuningResult

_HEAD = (
    *("round", "rows", "selected", "strong won", "target won", "trained on"),
    *("CRR", "95 %", "to start", "95 %", "to previous", "95 %", "calls", "seconds"),
)
_NOTE = """\
CRR in per cent on the held-out test set, of the model that the round ends with; if the judge says
right or wrong and the reference is always right, it is the accuracy. 95 % intervals: of CRR by
Wilson's formula, of differences by the paired bootstrap, over prompts taken alike: other draws of
the judge and other training runs are not in them. Calls: answers for the round's run that were not
in the cache. Seconds: of all steps, in sessions that were not killed."""


def round_table(record: LoopRecord) -> Table:
    """Return the table of all rounds that have begun."""
    rows = tuple(tuple(_cells(one)) for one in record.rounds)
    return Table("Rounds", _HEAD, rows, _NOTE)


def _cells(record: RoundRecord) -> Iterator[str]:
    yield str(record.number) if record.number else "start"
    yield from _run_cells(record.run)
    yield _trained(record.tuning)
    yield from _held_out_cells(record.evaluation)
    yield "-" if record.run is None else f"{record.run.calls:,}"
    yield f"{sum(record.seconds.values()):,.0f}"


def _run_cells(run: RunResult | None) -> Iterator[str]:
    if run is None:
        yield from "----"
        return
    interval = run.selection.interval
    yield f"{run.rows:,}"
    yield "-" if interval is None else f"{interval.mean:.0%}"
    for winner in ("strong", "target"):
        yield f"{run.winners.get(winner, 0):,}"


def _trained(tuning: TuningResult | None) -> str:
    return "-" if tuning is None else f"{tuning.rows:,}"


def _held_out_cells(result: EvaluationResult | None) -> Iterator[str]:
    if result is None:
        yield from "------"
        return
    yield "-" if result.crr is None else f"{result.crr:.1f}"
    yield _bounds(result.interval)
    for difference in (result.to_start, result.to_previous):
        yield "-" if difference is None else f"{difference.points.mean:+.1f}"
        yield _difference_bounds(difference)


def _bounds(interval: Interval | None) -> str:
    return "-" if interval is None else f"{interval.low:.1f} to {interval.high:.1f}"


def _difference_bounds(difference: Difference | None) -> str:
    if difference is None:
        return "-"
    points = difference.points
    return f"{points.low:+.1f} to {points.high:+.1f}"
