"""What a run came to: sums, gaps, selection, bias, money; as a struct and as text.

Reads the ledger and the session's counters; writes nothing.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from ..calls.budget import Spending, money
from ..calls.counters import CallCounts, Counters, RoleTokens
from ..config import Config
from ..pipeline.recipes import RECIPES
from ..store.reader import LedgerReader
from ..store.totals import DatasetCounts, Totals, count_dataset, failed_items
from .transcript import printable

THRESHOLDS = tuple(step / 2 for step in range(1, 11))
"""θ = 0.5, 1, …, 5."""


class Gaps(Struct, frozen=True):
    """What the judge's scores say, over all instructions of the run."""

    histogram: dict[str, int]
    """Rounds by gap, in bins of one point named by their lower end."""
    pairs_at: dict[str, int]
    """Pairs that each θ would select from the rounds there are: the first round above it. Above
    the run's own θ a lower bound, since a selected instruction was not taken further."""
    scored_rounds: int
    flipped: float | None
    """Share of rounds in which the two orders named different winners: position bias."""
    first_lead: float | None
    """Points an answer gained on average by being shown first."""
    scored: dict[int, int]
    """Instructions scored in each round."""
    selected: dict[int, int]
    """Instructions selected in each round, before duplicates are taken out."""


class Overlapping(Struct, frozen=True):
    """Instructions that share a run of words with a test set's prompts, by their ids."""

    rows: tuple[str, ...]
    dropped: tuple[str, ...]


class Failure(Struct, frozen=True):
    what: str
    reason: str
    detail: str


class Summary(Struct, frozen=True):
    """A run's result, as it is written to ``summary.json``."""

    ending: str
    reason: str
    rows: int
    target_rows: int | None
    seeds: Totals
    instructions: Totals
    winners: dict[str, int]
    by_iteration: dict[int, int]
    gaps: Gaps
    calls: dict[str, dict[str, int]]
    """This session's calls by stage."""
    predicted_calls: int | None
    """What spec §3.7 predicts from the ledger's counts for a run without retries, in all; None for
    recipes that it does not speak of."""
    money: float | None
    """This session's, at the prices given; None where none were."""
    money_in_all: float | None
    """All sessions'."""
    calls_in_all: int
    """Answers that all sessions paid for."""
    failures: tuple[Failure, ...]
    """The first few, seeds before instructions."""
    files: dict[str, str]
    overlaps: dict[str, Overlapping] = {}
    """By test set, where any were given."""


def summarise(
    config: Config, ledger: LedgerReader, counters: Counters, *, ending: str, reason: str
) -> Summary:
    """Read the whole ledger. Blocks: a second or so for a million seeds."""
    with count_dataset(ledger, config.target_rows) as counts:
        return _summarise(config, ledger, counts, counters, ending=ending, reason=reason)


def _summarise(
    config: Config,
    ledger: LedgerReader,
    counts: DatasetCounts,
    counters: Counters,
    *,
    ending: str,
    reason: str,
) -> Summary:
    spent = ledger.spending()
    roles = RECIPES[config.recipe].role_configs(config)
    instructions = counts.instructions()
    return Summary(
        ending,
        reason,
        instructions.kept,
        config.target_rows,
        counts.seeds(),
        instructions,
        {winner: count for winner, count in counts.rows_by("winner").items() if winner},
        counts.rows_by("iteration"),
        _gaps(counts.scored_rounds(), config.filter.threshold),
        {stage: _calls(made) for stage, made in counters.calls.items()},
        counts.predicted_calls(config.decode.chunk) if config.recipe == "codeclm" else None,
        money(roles, counters.roles),
        money(roles, _joined(spent)),
        sum(session.calls for session in spent),
        tuple(Failure(*row) for row in failed_items(ledger, 10)),
        {},
        _overlaps(counts.overlaps(), config.quality.decontaminate),
    )


def _overlaps(
    found: Iterable[tuple[str, str, bool]], tests: Iterable[str]
) -> dict[str, Overlapping]:
    ids: dict[str, tuple[list[str], list[str]]] = {test: ([], []) for test in tests}
    for test, name, is_row in found:
        ids.setdefault(test, ([], []))[not is_row].append(name)
    return {test: Overlapping(tuple(rows), tuple(dropped)) for test, (rows, dropped) in ids.items()}


def _joined(sessions: Iterable[Spending]) -> dict[str, RoleTokens]:
    """Add up the tokens of all sessions."""
    whole: dict[str, RoleTokens] = {}
    for session in sessions:
        for name, used in session.roles.items():
            sofar = whole.setdefault(name, RoleTokens())
            for field in RoleTokens.__struct_fields__:
                setattr(sofar, field, getattr(sofar, field) + getattr(used, field))
    return whole


def _calls(counts: CallCounts) -> dict[str, int]:
    return {name: getattr(counts, name) for name in counts.__struct_fields__}


def _gaps(rows: Iterable[tuple[int, list[float], int, float]], threshold: float) -> Gaps:
    histogram: dict[int, int] = {}
    pairs = dict.fromkeys(THRESHOLDS, 0)
    scored: dict[int, int] = {}
    selected: dict[int, int] = {}
    rounds = flipped = 0
    led = 0.0
    for first, gaps, flips, lead in rows:
        rounds += len(gaps)
        flipped += flips
        led += lead
        for number, gap in enumerate(gaps, first):
            histogram[int(gap // 1)] = histogram.get(int(gap // 1), 0) + 1
            scored[number] = scored.get(number, 0) + 1
            if abs(gap) > threshold:
                selected[number] = selected.get(number, 0) + 1
        largest = max(map(abs, gaps))
        for theta in THRESHOLDS:
            pairs[theta] += largest > theta
    return Gaps(
        {str(low): histogram[low] for low in sorted(histogram)},
        {f"{theta:g}": count for theta, count in pairs.items()},
        rounds,
        flipped / rounds if rounds else None,
        led / rounds if rounds else None,
        dict(sorted(scored.items())),
        dict(sorted(selected.items())),
    )


# -- as text ----------------------------------------------------------------------------------


def text(summary: Summary) -> str:
    """Write the summary for people: at most 80 columns."""
    lines = [_headline(summary), ""]
    lines += _sum_lines("seeds", summary.seeds)
    lines += _sum_lines("instructions", summary.instructions)
    lines += _round_lines(summary)
    lines += _overlap_lines(summary.overlaps)
    lines += _gap_lines(summary.gaps)
    lines += _call_lines(summary)
    if summary.failures:
        lines += ["", "failed, for instance", *map(_failure_line, summary.failures)]
    if summary.files:
        lines += ["", "files"]
        lines += [f"  {name:<11} {place}" for name, place in summary.files.items()]
    return "\n".join(lines) + "\n"


def _headline(summary: Summary) -> str:
    wanted = f" of {summary.target_rows:,} wanted" if summary.target_rows else ""
    missing = (summary.target_rows or 0) - summary.rows
    short = f"; {missing:,} short" if summary.ending == "finished" and missing > 0 else ""
    said = f"\n{printable(summary.reason)}" if summary.reason else ""
    return f"{summary.ending}: {summary.rows:,} rows{wanted}{short}{said}"


def _sum_lines(name: str, sums: Totals) -> list[str]:
    parts = [f"{sums.kept:,} kept"]
    parts += [f"{count:,} filtered ({_words(why)})" for why, count in _ordered(sums.filtered)]
    parts += [f"{count:,} failed ({_words(why)})" for why, count in _ordered(sums.failed)]
    if sums.unfinished:
        parts.append(f"{sums.unfinished:,} unfinished")
    first = f"{name:<13} {sums.input:>9,} in"
    return [first, *(f"{'':<23} {'=' if n == 0 else '+'} {p}" for n, p in enumerate(parts))]


def _words(reason: str) -> str:
    return reason.replace("_", " ")


def _ordered(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: -pair[1])


def _round_lines(summary: Summary) -> list[str]:
    gaps = summary.gaps
    if not gaps.scored:
        return []
    lines = ["", "round   scored  selected    rate   rows"]
    for number, scored in gaps.scored.items():
        selected = gaps.selected.get(number, 0)
        rows = summary.by_iteration.get(number, 0)
        lines.append(
            f"{number:>5} {scored:>8,} {selected:>9,} {selected / scored:>7.1%} {rows:>6,}"
        )
    won = ", ".join(f"{who} {count:,}" for who, count in summary.winners.items())
    if won:
        lines.append(f"winners: {won}")
    return lines


def _overlap_lines(overlaps: Mapping[str, Overlapping]) -> list[str]:
    if not overlaps:
        return []
    lines = ["", "overlap with test sets     rows   dropped"]
    for test, found in overlaps.items():
        lines.append(f"  {test[-22:]:<22} {len(found.rows):>6,} {len(found.dropped):>9,}")
        if found.rows:
            more = ", …" if len(found.rows) > 3 else ""
            lines.append(f"    rows {', '.join(found.rows[:3])}{more}")
    return lines


def _gap_lines(gaps: Gaps) -> list[str]:
    if not gaps.histogram:
        return []
    most = max(gaps.histogram.values())
    lines = ["", "quality gap (rounds)"]
    for low, count in gaps.histogram.items():
        bar = "█" * max(1, round(30 * count / most))
        lines.append(f"  {int(low):>3} to {int(low) + 1:>2}  {count:>8,}  {bar}")
    lines.append(f"θ      {''.join(f'{theta:>7}' for theta in gaps.pairs_at)}")
    lines.append(f"pairs  {''.join(f'{count:>7}' for count in gaps.pairs_at.values())}")
    if gaps.flipped is not None and gaps.first_lead is not None:
        lines.append(
            f"position bias: the orders disagreed in {gaps.flipped:.1%} of rounds;\n"
            f"being first was worth {gaps.first_lead:+.2f} points"
        )
    return lines


def _call_lines(summary: Summary) -> list[str]:
    if not summary.calls:
        return []
    lines = ["", "calls            paid    reused  unreadable  prompt tok  answer tok"]
    names = ("paid", "reused", "unreadable", "prompt_tokens", "completion_tokens")
    total: dict[str, int] = dict.fromkeys(names, 0)
    for stage, counts in summary.calls.items():
        lines.append(_call_line(stage, counts))
        for name in total:
            total[name] += counts[name]
    lines.append(_call_line("all", total))
    if summary.predicted_calls is not None and summary.ending == "finished":
        lines.append(f"without retries the whole run takes {summary.predicted_calls:,} calls")
    lines.append(f"all sessions of this run paid for {summary.calls_in_all:,}")
    if summary.money is not None and summary.money_in_all is not None:
        lines.append(
            f"money, at the prices given: {summary.money:.4f} in this session,"
            f" {summary.money_in_all:.4f} in all"
        )
    return lines


def _failure_line(failure: Failure) -> str:
    detail = f": {printable(failure.detail[:300])}" if failure.detail else ""
    return f"  {failure.what}: {_words(failure.reason)}{detail}"


def _call_line(stage: str, counts: Mapping[str, int]) -> str:
    return (
        f"  {stage:<10} {counts['paid']:>9,} {counts['reused']:>9,} {counts['unreadable']:>11,}"
        f" {counts['prompt_tokens']:>11,} {counts['completion_tokens']:>11,}"
    )
