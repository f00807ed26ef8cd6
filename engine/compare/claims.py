"""The paper's five claims that need no scale, only an order (docs/algorithm.md §10).

A claim is decided by the points themselves, as in the paper. The uncertainty of a difference is
reported with the differences.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct

ClaimStatus = Literal["holds", "does not hold", "not tested"]

Scores = Mapping[str, float]
"""CRR in per cent, or any figure that is better when larger, by recipe."""

ScoreTable = Mapping[str, Scores]
"""Scores by column: a test set, or whatever the recipes were compared on."""

CODECLM = "codeclm"
SELF_INSTRUCT = "self-instruct"

METHODS = (SELF_INSTRUCT, "alpagasus", "tree-instruct", "wizardlm", "wizardlm-plus", CODECLM)
"""The recipes of the paper's Table 1, in its order."""


class Step(Struct, frozen=True):
    """A row of the paper's Table 3 and the row it extends."""

    addition: str
    before: str
    after: str


STEPS = (
    Step("metadata", SELF_INSTRUCT, "codeclm-metadata"),
    Step("Self-Rubrics", "codeclm-metadata", "codeclm-rubrics"),
    Step("the filter", "codeclm-rubrics", CODECLM),
)


class Claim(Struct, frozen=True):
    """A claim, and the figures that decide it."""

    number: int
    text: str
    status: ClaimStatus
    evidence: tuple[str, ...]


def check_claims(judges: Mapping[str, ScoreTable], rounds: Mapping[int, int]) -> tuple[Claim, ...]:
    """Check all five claims.

    Args:
        judges: the scores that each judge led to.
        rounds: rows of the CodecLM recipe by the round that selected them; empty if it was not run.
    """
    table = _all_columns(judges)
    return (
        _each_step_helps(table),
        _plus_is_no_worse(table),
        _codeclm_is_first(table),
        _judges_agree(judges),
        _mostly_the_first_round(rounds),
    )


def _all_columns(judges: Mapping[str, ScoreTable]) -> ScoreTable:
    """Return the columns of all judges; if there are several, the names include the judge."""
    if len(judges) == 1:
        return next(iter(judges.values()))
    return {
        f"{column} by {judge}": scores
        for judge, table in judges.items()
        for column, scores in table.items()
    }


def _each_step_helps(table: ScoreTable) -> Claim:
    evidence = list[str]()
    tested, fails = set[str](), False
    for column, scores in table.items():
        for step in STEPS:
            if step.before in scores and step.after in scores:
                tested.add(step.addition)
                fails |= scores[step.after] <= scores[step.before]
                evidence.append(f"{column}: {_compared(scores, step.after, step.before)}")
    untested = [step.addition for step in STEPS if step.addition not in tested]
    status: ClaimStatus = "does not hold" if fails else "not tested" if untested else "holds"
    if untested and evidence:
        evidence.append(f"not tested: {', '.join(untested)}")
    text = "Metadata, Self-Rubrics on top of it, and the filter on top of both each raise CRR"
    return Claim(1, text, status, tuple(evidence))


def _plus_is_no_worse(table: ScoreTable) -> Claim:
    plus, plain = "wizardlm-plus", "wizardlm"
    columns = {name: scores for name, scores in table.items() if {plus, plain} <= scores.keys()}
    results = [scores[plus] >= scores[plain] for scores in columns.values()]
    evidence = [f"{name}: {_compared(scores, plus, plain)}" for name, scores in columns.items()]
    text = "WizardLM+, on CodecLM's basic instructions, is nowhere below WizardLM"
    return Claim(2, text, _status(results), tuple(evidence))


def _codeclm_is_first(table: ScoreTable) -> Claim:
    evidence = list[str]()
    results = list[bool]()
    for column, scores in table.items():
        others = [name for name in METHODS if name != CODECLM and name in scores]
        if CODECLM in scores and others:
            best = max(others, key=lambda name: scores[name])
            results.append(scores[CODECLM] > scores[best])
            evidence.append(
                f"{column}: {_compared(scores, CODECLM, best)}, of {len(others) + 1} methods"
            )
    text = "CodecLM is first on every test set"
    return Claim(3, text, _status(results), tuple(evidence))


def _judges_agree(judges: Mapping[str, ScoreTable]) -> Claim:
    """Check that judges agree on the winner; their full order is evidence only."""
    evidence = list[str]()
    results = list[bool]()
    for column in _common_columns(judges):
        tables = {judge: table[column] for judge, table in judges.items()}
        recipes = set[str].intersection(*map(set, tables.values()))
        if len(recipes) < 2:
            continue
        orders = {judge: _ranking(scores, recipes) for judge, scores in tables.items()}
        results.append(len({order[0] for order in orders.values()}) == 1)
        winners = ", ".join(f"{_tied(order[0])} by {judge}" for judge, order in orders.items())
        same = "is the same" if len(set(orders.values())) == 1 else "differs"
        evidence.append(f"{column}: {winners}; the full order {same}")
    text = "Judges agree on the winner (not always on the full order)"
    return Claim(4, text, _status(results), tuple(evidence))


def _common_columns(judges: Mapping[str, ScoreTable]) -> list[str]:
    """Return the columns that all judges have; none if there is only one judge."""
    if len(judges) < 2:
        return []
    first, *others = judges.values()
    return [column for column in first if all(column in table for table in others)]


def _ranking(scores: Scores, recipes: Iterable[str]) -> tuple[frozenset[str], ...]:
    """Rank *recipes* from best to worst; those that are equal share a rank."""
    ranks: dict[float, set[str]] = {}
    for name in recipes:
        ranks.setdefault(scores[name], set()).add(name)
    return tuple(frozenset(ranks[score]) for score in sorted(ranks, reverse=True))


def _tied(names: frozenset[str]) -> str:
    return " = ".join(sorted(names))


def _mostly_the_first_round(rounds: Mapping[int, int]) -> Claim:
    total = sum(rounds.values())
    text = "Most of CodecLM's data was selected in round 1"
    if not total:
        return Claim(5, text, "not tested", ())
    first = rounds.get(1, 0)
    evidence = f"{first:,} of {total:,} rows, {first / total:.1%}"
    return Claim(5, text, _status([2 * first > total]), (evidence,))


def _status(results: Iterable[bool]) -> ClaimStatus:
    """Combine the *results* of all tests."""
    results = list(results)
    if not results:
        return "not tested"
    return "holds" if all(results) else "does not hold"


def _compared(scores: Scores, one: str, other: str) -> str:
    sign = (">", "=", "<")[(scores[one] <= scores[other]) + (scores[one] < scores[other])]
    return f"{one} {scores[one]:.2f} {sign} {other} {scores[other]:.2f}"
