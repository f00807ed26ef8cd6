"""What a comparison came to, as tables: for the terminal, for ``report.md``, for people."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from msgspec import Struct

from ..evaluate.verdicts import Interval
from ..reporting.tables import Table, markdown
from .claims import Claim
from .dataset import Dataset
from .judging import Cell
from .metrics import NGRAM, SAMPLE, Spread
from .settings import UNTUNED

ABSENT = "-"


class Comparison(Struct, frozen=True, kw_only=True):
    """A comparison's result, as it is written to ``comparison.json``."""

    folder: str
    strong: str
    target: str
    seeds: int
    """In the common seed file; 0 where every recipe has its own."""
    validation: int
    """Of these, what the recipes were given."""
    datasets: tuple[Dataset, ...]
    """The recipes, then their sweeps."""
    baseline: str
    cells: tuple[Cell, ...]
    claims: tuple[Claim, ...]
    files: dict[str, str]

    @property
    def plain(self) -> list[Dataset]:
        return [each for each in self.datasets if not each.swept]

    @property
    def sweeps(self) -> dict[str, list[Dataset]]:
        """The runs of each sweep, by the setting that is varied."""
        found: dict[str, list[Dataset]] = {}
        for each in self.datasets:
            if each.swept:
                found.setdefault(each.swept, []).append(each)
        return found


def headline(result: Comparison) -> str:
    wanted = {each.wanted for each in result.plain}
    size = f"{min(wanted):,}" if len(wanted) == 1 else f"{min(wanted):,} to {max(wanted):,}"
    seeds = (
        f"{result.validation:,} of {result.seeds:,} seeds" if result.seeds else "no common seeds"
    )
    count = len(result.plain)
    return (
        f"{count} recipe{'s' * (count > 1)} at {size} rows from {seeds};"
        f" strong {result.strong}{f', target {result.target}' if result.target else ''}"
    )


def tables(result: Comparison) -> Iterator[Table]:
    """Lay everything out."""
    whole = result.plain
    yield _cost(whole)
    yield from _selection(whole)
    yield _diversity(whole)
    yield _lengths(whole)
    if any(each.overlap for each in whole):
        yield _overlap(whole)
    for judge in dict.fromkeys(cell.judge for cell in result.cells):
        yield from _judged([cell for cell in result.cells if cell.judge == judge], judge, result)
    for key, swept in result.sweeps.items():
        yield _sweep(key, swept, result.cells)


def document(result: Comparison, plots: Iterable[str]) -> str:
    """Write ``report.md``; *plots* are names of pictures beside it."""
    parts = ["# Recipes side by side\n", headline(result) + "\n", *map(markdown, tables(result))]
    parts += ["### The paper's claims\n", *(_point(claim) for claim in result.claims), ""]
    parts += [f"![{name}]({name})\n" for name in plots]
    return "\n".join(parts)


def claims(whole: Iterable[Claim]) -> str:
    """Write the claims with the numbers behind each."""
    lines = ["the paper's claims"]
    for claim in whole:
        lines.append(f"{claim.number}  {claim.told:<14} {claim.text}")
        lines += [f"     {said}" for said in claim.evidence]
    return "\n".join(lines) + "\n"


def _point(claim: Claim) -> str:
    below = "".join(f"\n   - {said}" for said in claim.evidence)
    return f"{claim.number}. **{claim.told}**: {claim.text}{below}"


# -- one table each ---------------------------------------------------------------------------


def _cost(whole: Sequence[Dataset]) -> Table:
    priced = any(each.alone.money is not None for each in whole)
    head = ["cost", "rows", "seeds used", "calls", "per row", "tokens in", "tokens out"]
    head += [*(["money"] if priced else []), "paid here", "from cache"]
    rows = (
        (
            each.name,
            f"{each.rows:,}" + (f" of {each.wanted:,}" if each.rows < each.wanted else ""),
            f"{each.seeds_used:,} of {each.seeds:,}" if each.seeds else ABSENT,
            f"{each.alone.calls:,}",
            f"{each.alone.calls / each.rows:.1f}" if each.rows else ABSENT,
            f"{each.alone.prompt_tokens:,}",
            f"{each.alone.completion_tokens:,}",
            *([_money(each.alone.money)] if priced else []),
            f"{each.paid.calls:,}",
            f"{each.reused:,}",
        )
        for each in whole
    )
    note = (
        "calls, tokens: of the questions behind its instructions, on an empty cache;\n"
        "paid here: less what an earlier recipe had paid for"
    )
    return Table("Cost", tuple(head), tuple(rows), note)


def _money(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.4f}"


def _selection(whole: Sequence[Dataset]) -> Iterator[Table]:
    filtered = [each for each in whole if each.rounds]
    if not filtered:
        return
    rounds = sorted({number for each in filtered for number in each.rounds})
    yield Table(
        "Selected, of the instructions scored in each round",
        ("selection", *(f"round {n}" for n in rounds), "in all", "strong won", "target won"),
        tuple(_rates(each, rounds) for each in filtered),
        "in all: of all instructions scored; strong and target: whose answer the rows hold",
    )
    yield Table(
        "Rows by the round that selected them",
        ("share of rows", *(f"round {n}" for n in rounds)),
        tuple(
            (each.name, *(_percent(share) for share in shares(each, rounds))) for each in filtered
        ),
    )


def _rates(each: Dataset, rounds: Sequence[int]) -> tuple[str, ...]:
    found = [each.rounds.get(n) for n in rounds]
    won = sum(each.winners.values())
    return (
        each.name,
        *(ABSENT if not r or not r.scored else _percent(r.selected / r.scored) for r in found),
        _percent(each.selection),
        *(
            _percent(each.winners.get(who, 0) / won if won else None)
            for who in ("strong", "target")
        ),
    )


def shares(each: Dataset, rounds: Sequence[int]) -> list[float]:
    """Shares of *each*'s selected rows by round: Figure 3's bars."""
    total = sum(found.rows for found in each.rounds.values())
    made = [each.rounds[n].rows if n in each.rounds else 0 for n in rounds]
    return [rows / total if total else 0.0 for rows in made]


def _percent(share: float | None) -> str:
    return ABSENT if share is None else f"{share:.1%}"


def _diversity(whole: Sequence[Dataset]) -> Table:
    rows = (
        (
            each.name,
            *map(
                _three,
                (
                    each.diversity.distinct_1,
                    each.diversity.distinct_2,
                    each.diversity.distinct_3,
                    each.diversity.self_similarity,
                    each.diversity.use_case_bits,
                    each.diversity.skill_bits,
                ),
            ),
        )
        for each in whole
    )
    return Table(
        "Diversity of the instructions",
        (
            "diversity",
            "distinct-1",
            "distinct-2",
            "distinct-3",
            "self-similarity",
            "use cases, bits",
            "skills, bits",
        ),
        tuple(rows),
        f"self-similarity: mean of the highest ROUGE-L with another, of at most {SAMPLE} rows",
    )


def _three(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.3f}"


def _lengths(whole: Sequence[Dataset]) -> Table:
    return Table(
        "Length in words: 10 % are shorter than p10, 10 % longer than p90",
        (
            "length",
            *(
                f"{what} {part}"
                for what in ("instruction", "response")
                for part in ("p10", "median", "p90")
            ),
        ),
        tuple(
            (each.name, *_spread(each.instruction_words), *_spread(each.response_words))
            for each in whole
        ),
    )


def _spread(found: Spread | None) -> tuple[str, str, str]:
    if found is None:
        return ABSENT, ABSENT, ABSENT
    return f"{found.p10:.0f}", f"{found.median:.0f}", f"{found.p90:.0f}"


def _overlap(whole: Sequence[Dataset]) -> Table:
    tests = list(dict.fromkeys(test for each in whole for test in each.overlap))
    rows = ((each.name, *(f"{each.overlap[test].rows:,}" for test in tests)) for each in whole)
    return Table(
        f"Rows that share {NGRAM} words in a row with a test prompt",
        ("overlap", *tests),
        tuple(rows),
    )


# -- what was judged --------------------------------------------------------------------------


def _judged(whole: Sequence[Cell], judge: str, result: Comparison) -> Iterator[Table]:
    tests = list(dict.fromkeys(cell.test for cell in whole))
    found = {(cell.recipe, cell.test): cell for cell in whole}
    beside = [UNTUNED, *(each.name for each in result.plain)]
    names = [name for name in beside if any((name, test) in found for test in tests)]
    if not names:
        return

    def table(title: str, told: Callable[[Cell], str], note: str = "") -> Table:
        rows = (
            (
                name,
                *(
                    ABSENT if (cell := found.get((name, test))) is None else told(cell)
                    for test in tests
                ),
            )
            for name in names
        )
        return Table(f"{title}, judged by {judge}", ("method", *tests), tuple(rows), note)

    yield table("CRR in per cent (as the paper's Table 1)", _crr, _invalid(whole))
    yield table("Wins / ties / losses (Table 5)", _counts)
    if any(cell.unseen for cell in whole):
        yield table("CRR over the prompts that were no seeds", _unseen)
    if any(cell.difference for cell in whole):
        yield table(f"CRR less {result.baseline}'s, in points (paired 95 % interval)", _difference)


def _crr(cell: Cell) -> str:
    return "none" if cell.crr is None else f"{cell.crr:.2f}"


def _counts(cell: Cell) -> str:
    counts = cell.counts
    return f"{counts.wins} / {counts.ties + counts.invalid} / {counts.losses}"


def _unseen(cell: Cell) -> str:
    counts = cell.unseen
    return ABSENT if counts is None else f"{counts.crr:.2f} of {counts.total}"


def _difference(cell: Cell) -> str:
    if cell.difference is None:
        return "not paired" if cell.unpaired else ABSENT
    points: Interval = cell.difference.points
    return f"{points.mean:+.2f} ({points.low:+.2f} to {points.high:+.2f})"


def _invalid(whole: Sequence[Cell]) -> str:
    invalid = sum(cell.counts.invalid for cell in whole)
    total = sum(cell.counts.total for cell in whole)
    none = "; none: above 2 % in that cell" if any(cell.crr is None for cell in whole) else ""
    return f"{invalid:,} of {total:,} verdicts are invalid and count as ties{none}"


# -- sweeps -----------------------------------------------------------------------------------


def _sweep(key: str, swept: Sequence[Dataset], cells: Iterable[Cell]) -> Table:
    names = {each.name for each in swept}
    crr = {(c.judge, c.test, c.recipe): _crr(c) for c in cells if c.recipe in names}
    judged = list(dict.fromkeys((judge, test) for judge, test, _ in crr))
    rows = (
        (
            each.recipe,
            _value(each.value),
            *([] if key == "rows" else [f"{each.rows:,}"]),
            f"{each.alone.calls:,}",
            _percent(each.selection),
            _percent(shares(each, [1])[0] if each.rounds else None),
            _three(each.diversity.distinct_2),
            _three(each.diversity.self_similarity),
            *(crr.get((*place, each.name), ABSENT) for place in judged),
        )
        for each in swept
    )
    head = (
        "recipe",
        key,
        *([] if key == "rows" else ["rows"]),
        "calls",
        "selected",
        "rows of round 1",
        "distinct-2",
        "self-similarity",
        *(f"CRR {test} ({judge})" for judge, test in judged),
    )
    return Table(f"Sweep of {key}", head, tuple(rows))


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
