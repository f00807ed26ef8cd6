"""Summarise a run: the fates of its seeds and instructions, gaps, bias, calls and money."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from ..calls.counters import CallCounts, Counters
from ..calls.prices import money, prices_by_role
from ..calls.spending import total_spending
from ..config import Config
from ..data.intervals import ClusteredShare, Share
from ..data.judge import JudgeScores
from ..data.judges import PanelScores
from ..data.position_bias import MeanBias
from ..pipeline.recipes import RECIPES
from ..store.coverage import Coverage
from ..store.reader import LedgerReader
from ..store.totals import DatasetCounts, ScoredRounds, Totals, count_dataset, failed_items
from .costs import StageCost, cost_lines, stage_costs
from .coverage import coverage_lines
from .histogram import gap_histogram, histogram_lines
from .judge import judge_lines, judge_tallies
from .selection import SelectionRate, selection_lines, selection_rate
from .terminal import printable, row_count

SUMMARY_THRESHOLDS = tuple(step / 2 for step in range(1, 11))
"""The θ of the table of pairs: 0.5, 1, …, 5."""


class Gaps(Struct, frozen=True):
    """Figures of the judge's scores, over all instructions of the run."""

    histogram: dict[str, int]
    """Rounds by gap, as `gap_histogram` counts them."""
    pairs_at: dict[str, int]
    """Instructions with a round whose gap is above θ, by θ. Above the run's own θ this is a lower
    bound, since a selected instruction goes through no more rounds."""
    scored_rounds: int
    judge: JudgeScores | None
    """The judge's scores, and how far they can be trusted; None if nothing was scored. Of several
    judges, the means."""
    scored: dict[int, int]
    """Instructions scored in each round."""
    selected: dict[int, int]
    """Instructions selected in each round, before duplicates are removed."""
    selection: SelectionRate
    """How many of all instructions are selected."""
    panel: PanelScores = PanelScores()
    """Of several judges: each one's own scores, and how far they agree."""

    @property
    def bias(self) -> MeanBias | None:
        """The judge's position bias; None if nothing was scored, or a program has none."""
        return None if self.judge is None else self.judge.bias


class OverlapIds(Struct, frozen=True):
    """Ids of the instructions that share a run of words with a test set's prompts."""

    rows: tuple[str, ...]
    dropped: tuple[str, ...]


class Failure(Struct, frozen=True):
    """A seed or an instruction that failed, and why."""

    item: str
    reason: str
    detail: str


class Summary(Struct, frozen=True):
    """The result of a run, as in ``summary.json``."""

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
    """Calls of this session, by stage."""
    no_answers: dict[str, int]
    """Replies of this session that were no answer, by the reason."""
    refusals: int
    """Rows whose answer reads like a refusal in words."""
    predicted_calls: int | None
    """Calls that the ledger's counts take without retries (docs/algorithm.md §3.7);
    None for recipes other than codeclm."""
    money: float | None
    """Cost of this session; None where no price is known."""
    money_in_all: float | None
    """Cost of all sessions."""
    costs: tuple[StageCost, ...]
    """Of all sessions, by role and stage."""
    prices: dict[str, str]
    """Where the prices of each role are from."""
    calls_in_all: int
    """Paid answers of all sessions."""
    failures: tuple[Failure, ...]
    """The first few, seeds before instructions."""
    files: dict[str, str]
    overlaps: dict[str, OverlapIds] = {}
    """By test set, if any were configured."""
    coverage: Coverage | None = None
    """How evenly the rows cover the seeds; None for a run without seeds."""


def summarise(
    config: Config, ledger: LedgerReader, counters: Counters, *, ending: str, reason: str
) -> Summary:
    """Summarise the run in *ledger*. Blocks: about a second for a million seeds."""
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
    spent = total_spending(ledger.spending(config.cache.database()).values())
    recipe = RECIPES[config.recipe]
    roles, count_calls = recipe.role_configs(config), recipe.calls_without_retries
    prices = prices_by_role(roles)
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
        _gaps(counts.scored_rounds(), config, instructions.unfinished),
        {stage: _calls(of_stage) for stage, of_stage in counters.calls.items()},
        dict(counters.no_answers),
        counts.refusals(),
        None if count_calls is None else count_calls(counts, config),
        money(roles, counters.usage),
        money(roles, spent.usage),
        stage_costs(prices, spent.usage),
        {role: of_role.source for role, of_role in prices.items()},
        spent.calls,
        tuple(Failure(*row) for row in failed_items(ledger, 10)),
        {},
        _overlaps(counts.overlaps(), config.quality.decontaminate),
        counts.coverage(),
    )


def _overlaps(
    overlaps: Iterable[tuple[str, str, bool]], tests: Iterable[str]
) -> dict[str, OverlapIds]:
    ids: dict[str, tuple[list[str], list[str]]] = {test: ([], []) for test in tests}
    for test, name, is_row in overlaps:
        ids.setdefault(test, ([], []))[not is_row].append(name)
    return {test: OverlapIds(tuple(rows), tuple(dropped)) for test, (rows, dropped) in ids.items()}


def _calls(counts: CallCounts) -> dict[str, int]:
    return {name: getattr(counts, name) for name in counts.__struct_fields__}


def _gaps(rows: Iterable[ScoredRounds], config: Config, unfinished: int) -> Gaps:
    settings = config.filter
    gap_counts = Counter[float]()
    pairs = dict.fromkeys(SUMMARY_THRESHOLDS, 0)
    scored, selected = Counter[int](), Counter[int]()
    rounds, (tally, panel) = 0, judge_tallies(config)
    exceeded: Callable[[float], float] = abs if settings.keep == "both" else float
    clustered, of_item, last_item = ClusteredShare(), Share(0, 0), None
    for first, gaps, scores, by_judge, item, is_selected in rows:
        rounds += len(gaps)
        tally.add(scores)
        panel.add([dict(zip(panel.names, own, strict=False)) for own in by_judge])
        gap_counts.update(gaps)
        # Without a second scoring, the gap alone says what a round selects, at any θ.
        passed = [exceeded(gap) > settings.threshold for gap in gaps]
        if settings.confirm:
            passed = [*(False for _ in gaps[1:]), is_selected]
        for number, is_passed in enumerate(passed, first):
            scored[number] += 1
            selected[number] += is_passed
        largest = max(map(exceeded, gaps))
        if item != last_item:
            clustered.add(of_item)
            of_item, last_item = Share(0, 0), item
        of_item = Share(of_item.part + any(passed), of_item.total + 1)
        for theta in SUMMARY_THRESHOLDS:
            pairs[theta] += largest > theta
    clustered.add(of_item)
    return Gaps(
        gap_histogram(gap_counts),
        {f"{theta:g}": count for theta, count in pairs.items()},
        rounds,
        tally.scores(),
        dict(sorted(scored.items())),
        dict(sorted((+selected).items())),
        selection_rate(clustered, unfinished),
        panel.scores(),
    )


# -- as text ----------------------------------------------------------------------------------


def summary_text(summary: Summary) -> str:
    """Write the summary as text, in at most 80 columns unless names are long."""
    lines = [_headline(summary)]
    has_begun = bool(summary.seeds.input or summary.instructions.input)
    if has_begun:
        lines += ["", *_sum_lines("seeds", summary.seeds)]
        lines += _sum_lines("instructions", summary.instructions)
    lines += _round_lines(summary)
    if summary.refusals:
        lines += ["", f"rows whose answer reads like a refusal: {summary.refusals:,}"]
    lines += coverage_lines(summary.coverage)
    lines += _overlap_lines(summary.overlaps)
    lines += _gap_lines(summary.gaps)
    lines += _call_lines(summary)
    lines += cost_lines("all sessions", summary.costs, summary.prices)
    if summary.failures:
        lines += ["", "first failures", *map(_failure_line, summary.failures)]
    if summary.files and (has_begun or summary.ending != "failed"):
        lines += ["", "files"]
        width = max(11, *map(len, summary.files))
        lines += [f"  {name:<{width}} {path}" for name, path in summary.files.items()]
    return "\n".join(lines) + "\n"


def _headline(summary: Summary) -> str:
    rows = row_count(summary.rows, summary.target_rows)
    missing = (summary.target_rows or 0) - summary.rows
    short = f", {missing:,} missing" if summary.ending == "finished" and missing > 0 else ""
    reason = f"\n{printable(summary.reason)}" if summary.reason else ""
    return f"{_words(summary.ending)}: {rows}{short}{reason}"


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
        rate = "-" if gaps.selection.unfinished else f"{selected / scored:.1%}"
        lines.append(f"{number:>5} {scored:>8,} {selected:>9,} {rate:>7} {rows:>6,}")
    lines += selection_lines(gaps.selection)
    won = ", ".join(f"{who} {count:,}" for who, count in summary.winners.items())
    if won:
        lines.append(f"answers in the rows (the better one by the judge): {won}")
    return lines


def _overlap_lines(overlaps: Mapping[str, OverlapIds]) -> list[str]:
    if not overlaps:
        return []
    lines = ["", "overlap with test sets     rows   dropped"]
    for test, overlap in overlaps.items():
        kept, dropped = overlap.rows, overlap.dropped
        lines.append(f"  {test[-22:]:<22} {len(kept):>6,} {len(dropped):>9,}")
        if kept:
            more = ", …" if len(kept) > 3 else ""
            lines.append(f"    rows {', '.join(kept[:3])}{more}")
    return lines


def _gap_lines(gaps: Gaps) -> list[str]:
    if not gaps.histogram:
        return []
    lines = ["", *histogram_lines(gaps.histogram)]
    lines.append(f"θ      {''.join(f'{theta:>7}' for theta in gaps.pairs_at)}")
    lines.append(f"pairs  {''.join(f'{count:>7}' for count in gaps.pairs_at.values())}")
    lines += judge_lines(gaps.judge, gaps.panel)
    if gaps.bias is not None:
        lines += f"position bias: {gaps.bias.describe('rounds')}".replace("; ", ";\n").splitlines()
    return lines


def _call_lines(summary: Summary) -> list[str]:
    if not summary.calls:
        return []
    width = max(10, *map(len, summary.calls))
    header = f"{'calls':<{width + 2}}      paid    reused  unreadable  prompt tok  answer tok"
    lines = ["", header]
    names = ("paid", "reused", "unreadable", "prompt_tokens", "completion_tokens")
    total: dict[str, int] = dict.fromkeys(names, 0)
    for stage, counts in summary.calls.items():
        lines.append(_call_line(stage, counts, width))
        for name in total:
            total[name] += counts[name]
    lines.append(_call_line("all", total, width))
    lines += _no_answer_lines(summary)
    if summary.predicted_calls is not None and summary.ending == "finished":
        lines.append(f"without retries, this run takes {summary.predicted_calls:,} calls")
    if summary.money is not None:
        lines.append(f"cost of this session: {summary.money:.4f}")
    return lines


def _no_answer_lines(summary: Summary) -> list[str]:
    """Say which replies were paid for in vain, and how much was reasoning."""
    lines = list[str]()
    if summary.no_answers:
        reasons = ", ".join(
            f"{count:,} {_words(why)}" for why, count in _ordered(summary.no_answers)
        )
        lines.append(f"replies that were no answer: {reasons}")
    if reasoning := sum(counts["reasoning_tokens"] for counts in summary.calls.values()):
        lines.append(f"answer tokens spent on reasoning: {reasoning:,}")
    return lines


def _failure_line(failure: Failure) -> str:
    detail = f": {printable(failure.detail[:300])}" if failure.detail else ""
    return f"  {failure.item}: {_words(failure.reason)}{detail}"


def _call_line(stage: str, counts: Mapping[str, int], width: int) -> str:
    return (
        f"  {stage:<{width}} {counts['paid']:>9,} {counts['reused']:>9,}"
        f" {counts['unreadable']:>11,} {counts['prompt_tokens']:>11,}"
        f" {counts['completion_tokens']:>11,}"
    )
