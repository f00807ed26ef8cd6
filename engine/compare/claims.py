"""The paper's five claims that need no scale, only an order (spec §10). Pure.

They are told by what was found, point against point as the paper does; how certain a difference is
stands beside the differences, not here.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct

Told = Literal["holds", "does not hold", "not tested"]

Table = Mapping[str, Mapping[str, float]]
"""CRR in per cent, or any figure that is better when larger: by column, then by recipe."""

METHODS = ("self-instruct", "alpagasus", "tree-instruct", "wizardlm", "wizardlm-plus", "codeclm")
"""The paper's Table 1, in its order."""

STEPS = (
    ("metadata", "self-instruct", "codeclm-metadata"),
    ("Self-Rubrics", "codeclm-metadata", "codeclm-rubrics"),
    ("the filter", "codeclm-rubrics", "codeclm"),
)
"""The paper's Table 3: what each row adds to the one before."""


class Claim(Struct, frozen=True):
    number: int
    text: str
    told: Told
    evidence: tuple[str, ...]


def claims(judges: Mapping[str, Table], rounds: Mapping[int, int]) -> tuple[Claim, ...]:
    """Test all five.

    Args:
        judges: what each judge found. Columns are test sets, or whatever the recipes share.
        rounds: codeclm's rows by the round that selected them; empty where it was not run.
    """
    columns = _columns(judges)
    return (
        _each_step_helps(columns),
        _plus_is_no_worse(columns),
        _codeclm_is_first(columns),
        _judges_agree(judges),
        _mostly_the_first_round(rounds),
    )


def _columns(judges: Mapping[str, Table]) -> Table:
    """All judges' columns, named after both where there are several."""
    if len(judges) == 1:
        return next(iter(judges.values()))
    return {f"{column} by {judge}": found for judge, table in judges.items()
            for column, found in table.items()}  # fmt: skip


def _each_step_helps(columns: Table) -> Claim:
    evidence = list[str]()
    seen, failed = set[str](), False
    for column, found in columns.items():
        for what, before, after in STEPS:
            if before in found and after in found:
                seen.add(what)
                failed |= found[after] <= found[before]
                evidence.append(f"{column}: {_sides(found, after, before)}")
    told: Told = "does not hold" if failed else _told(len(seen) == len(STEPS))
    missing = [what for what, _, _ in STEPS if what not in seen]
    if missing and evidence:
        evidence.append(f"not tested: {', '.join(missing)}")
    text = "metadata, Self-Rubrics on top of it and the filter on top of both each raise CRR"
    return Claim(1, text, told, tuple(evidence))


def _plus_is_no_worse(columns: Table) -> Claim:
    pair = ("wizardlm-plus", "wizardlm")
    both = {name: found for name, found in columns.items() if all(each in found for each in pair)}
    held = all(found[pair[0]] >= found[pair[1]] for found in both.values())
    evidence = [f"{name}: {_sides(found, *pair)}" for name, found in both.items()]
    text = "WizardLM+, on CodecLM's basic instructions, is nowhere below WizardLM"
    return Claim(2, text, _told(bool(both), held), tuple(evidence))


def _codeclm_is_first(columns: Table) -> Claim:
    evidence = list[str]()
    held = True
    for column, found in columns.items():
        others = [name for name in METHODS[:-1] if name in found]
        if "codeclm" in found and others:
            best = max(others, key=lambda name: found[name])
            held &= found["codeclm"] > found[best]
            among = f"of {len(others) + 1} methods"
            evidence.append(f"{column}: {_sides(found, 'codeclm', best)}, {among}")
    text = "CodecLM is first on every test set"
    return Claim(3, text, _told(bool(evidence), held), tuple(evidence))


def _judges_agree(judges: Mapping[str, Table]) -> Claim:
    """Agreement on the winner is the claim; whether the whole order agrees too is only told."""
    evidence = list[str]()
    held = True
    whole = list(judges.values()) if len(judges) > 1 else []
    for column in (name for name in (whole[0] if whole else ()) if all(name in t for t in whole)):
        tables = {judge: table[column] for judge, table in judges.items()}
        common = set[str].intersection(*map(set, tables.values()))
        if len(common) < 2:
            continue
        orders = {judge: _order(found, common) for judge, found in tables.items()}
        held &= len({order[0] for order in orders.values()}) == 1
        same = "the same" if len(set(orders.values())) == 1 else "another"
        winners = ", ".join(f"{_named(order[0])} by {judge}" for judge, order in orders.items())
        evidence.append(f"{column}: {winners}; the full order is {same}")
    text = "Judges agree on the winner (not always on the full order)"
    return Claim(4, text, _told(bool(evidence), held), tuple(evidence))


def _order(found: Mapping[str, float], common: Iterable[str]) -> tuple[frozenset[str], ...]:
    """Recipes from best to worst; those that are equal stand together."""
    places: dict[float, set[str]] = {}
    for name in common:
        places.setdefault(found[name], set()).add(name)
    return tuple(frozenset(places[value]) for value in sorted(places, reverse=True))


def _named(names: frozenset[str]) -> str:
    return " = ".join(sorted(names))


def _mostly_the_first_round(rounds: Mapping[int, int]) -> Claim:
    total = sum(rounds.values())
    text = "Most of CodecLM's data was selected in round 1"
    if not total:
        return Claim(5, text, "not tested", ())
    first = rounds.get(1, 0)
    told = _told(tested=True, held=2 * first > total)
    return Claim(5, text, told, (f"{first:,} of {total:,} rows, {first / total:.1%}",))


def _told(tested: bool, held: bool = True) -> Told:  # noqa: FBT001, FBT002
    return "not tested" if not tested else "holds" if held else "does not hold"


def _sides(found: Mapping[str, float], one: str, other: str) -> str:
    sign = (">", "=", "<")[(found[one] <= found[other]) + (found[one] < found[other])]
    return f"{one} {found[one]:.2f} {sign} {other} {found[other]:.2f}"
