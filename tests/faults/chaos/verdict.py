"""What a round leaves behind, compared with the undisturbed run."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from codeclm.engine.calls.replies import decode_reply

from ..server import Seen
from .sessions import EXPORTS, Baseline, EndedProcess, Outcome, Run

STRICT_GRACE, GRACE = 0.05, 1.0
"""Seconds; see the package."""


def judge(run: Run, baseline: Baseline, *, strict: bool) -> None:
    """Note in the round's result which promises *run* has broken."""
    result = run.result
    seen = run.seen()
    lost = _may_be_lost(run.ended, seen, strict=strict)
    result.requests = len(seen)
    result.faults = sum(one.outcome not in {"answered", "gone", "pending"} for one in seen)
    result.in_flight = len(lost)
    result.wrong += _paid_again(run, seen, baseline, lost)
    result.wrong += _over_budget(run, seen, lost)
    result.wrong += _damage(run.out / "ledger.sqlite", run.cache / "cache.db")
    result.wrong += _totals(run)
    outcome = run.outcome()
    result.unaccounted = outcome.stored - outcome.accounted
    result.wrong += _stored(seen, outcome, lost)
    if result.unaccounted:
        result.wrong.append(f"{outcome.stored} stored, {outcome.accounted} accounted for")
    result.wrong += _differences(run, outcome, baseline.outcome)


def _may_be_lost(
    ended: Sequence[EndedProcess], seen: Sequence[Seen], *, strict: bool
) -> dict[int, float]:
    """Return the requests in flight when their process was ended, and how old their answers were.

    See the package.
    """
    lost: dict[int, float] = {}
    for process in ended:
        since = process.at - (STRICT_GRACE if strict else GRACE)
        for number in range(process.first, process.last):
            answered = seen[number].answered
            if seen[number].paid and (answered is None or answered > since):
                lost[number] = 0.0 if answered is None else process.at - answered
    return lost


def _paid_again(
    run: Run, seen: Sequence[Seen], baseline: Baseline, lost: Mapping[int, float]
) -> Iterator[str]:
    payments: dict[str, list[int]] = {}
    for number, one in enumerate(seen):
        if one.paid:
            payments.setdefault(one.digest, []).append(number)
    # What the first N rows need is settled, what is under way when they are there is not.
    once = 0 if run.plan.scenario.exact else 1
    for digest, numbers in payments.items():
        nulls = sum(seen[number].outcome == "null_content" for number in numbers)
        again = len(numbers) - nulls - max(baseline.paid[digest], once)
        if again <= 0:
            continue
        run.result.again += again
        # Items may share a prompt, each with its own sample: any of these may be the one that was
        # lost, and at least so many of them must have been in flight.
        ages = [lost[number] for number in numbers if number in lost]
        if len(ages) < again:
            yield f"{seen[numbers[0]].purpose} {digest} paid again, not in flight at a kill"
        run.result.oldest = max(run.result.oldest, *ages[:again], 0.0)


def _over_budget(run: Run, seen: Sequence[Seen], lost: Mapping[int, float]) -> Iterator[str]:
    """What is in flight is reserved: only what kills have lost may come on top of a budget."""
    budget, stop = run.plan.budget, run.budget_stop
    if budget is None or stop is None:
        return
    answers = sum(one.paid and one.answered is not None for one in seen[:stop])
    run.result.over = answers - budget - sum(number < stop for number in lost)
    if run.result.over > 0:
        yield f"--max-calls {budget}: {answers} answered"


def _stored(seen: Sequence[Seen], outcome: Outcome, lost: Mapping[int, float]) -> Iterator[str]:
    answers = sum(one.paid and one.answered is not None for one in seen)
    if answers - outcome.stored > len(lost):
        yield f"{answers} answers, {outcome.stored} stored, {len(lost)} in flight at kills"


def _damage(ledger: Path, cache: Path) -> Iterator[str]:
    for path in (ledger, cache):
        with closing(sqlite3.connect(path)) as database:
            ((verdict,), *_) = database.execute("PRAGMA integrity_check").fetchall()
            if verdict != "ok":
                yield f"{path.name}: {verdict}"
    with closing(sqlite3.connect(cache)) as database:
        for (value,) in database.execute("SELECT value FROM Cache"):
            try:
                decode_reply(value)
            except msgspec.MsgspecError as error:
                yield f"{cache.name}: {error}"


def _totals(run: Run) -> Iterator[str]:
    summary: dict[str, Any] = msgspec.json.decode((run.out / "summary.json").read_bytes())
    for items in ("seeds", "instructions"):
        totals: dict[str, Any] = summary[items]
        ended = totals["kept"] + sum(totals["filtered"].values()) + sum(totals["failed"].values())
        if totals["input"] != ended + totals["unfinished"]:
            yield f"{items} do not add up: {totals}"
        if run.plan.scenario.exact and totals["unfinished"]:
            yield f"{items} unfinished: {totals['unfinished']}"
    rows = (run.out / f"{EXPORTS[0]}.jsonl").read_bytes().count(b"\n")
    if summary["rows"] != rows:
        yield f"the summary says {summary['rows']} rows, the export has {rows}"


def _differences(run: Run, outcome: Outcome, expected: Outcome) -> Iterator[str]:
    for name in EXPORTS:
        if outcome.exports[name] != expected.exports[name]:
            yield f"{name} differs"
    if run.plan.scenario.exact and outcome.fates != expected.fates:
        extra, missing = set(outcome.fates) - set(expected.fates), set(expected.fates)
        missing -= set(outcome.fates)
        row = next(iter(extra or missing), ())
        yield f"ledger: {len(extra)} other and {len(missing)} missing rows, as {str(row)[:150]}"
    if outcome.files != expected.files:
        yield f"files: {', '.join(sorted(outcome.files ^ expected.files))}"
