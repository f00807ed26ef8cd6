"""Choose θ: what every threshold would have made of a pilot run, and what the judge is worth.

Reads a run's ledger and makes no call. A threshold up to the pilot's own is counted exactly. Above
it, what the pilot selected was not taken further: there the yield is estimated round by round from
the instructions that are left (product limit, as of survival curves), and marked as such.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import inf, sqrt
from pathlib import Path

from msgspec import Struct

from ..calls.budget import price
from ..calls.counters import RoleTokens
from ..config import Config, RoleConfig, load_config
from ..data.records import Call, Example, Iteration
from ..pipeline.recipes import RECIPES
from ..reporting.histogram import gap_histogram, histogram_lines
from ..store.folder import Folder, FolderError
from ..store.reader import LedgerReader
from ..store.totals import count_dataset

THRESHOLDS = tuple(step / 2 for step in range(13))
"""θ = 0, 0.5, …, 6: integer scores averaged over two orders give gaps in steps of 0.5."""

FEW, CONSTANT, TIED, FLIPPED, LEAD = 50, 0.9, 0.5, 0.2, 1.0
"""When to warn: fewer instructions; one score in more of the rulings; equal scores in more of them;
orders that disagree in more rounds; a first place worth more points."""


class Story(Struct, frozen=True):
    """One instruction's scored rounds: the first's number, and the gap of each."""

    first: int
    gaps: tuple[float, ...]

    @property
    def last(self) -> int:
        return self.first + len(self.gaps) - 1


class Cost(Struct, frozen=True):
    """Of one basic instruction, or of one pair: calls, and money at the prices given."""

    calls: float
    money: float | None = None

    def times(self, factor: float) -> "Cost":
        return Cost(self.calls * factor, None if self.money is None else self.money * factor)


class Prices(Struct, frozen=True):
    """What the pilot's calls cost on average."""

    before: Cost
    """Encoding, decoding and rubrics, for each basic instruction."""
    rounds: Cost
    """Two answers and two scorings."""
    rewrite: Cost


class Row(Struct, frozen=True):
    """What one θ gives."""

    threshold: float
    exact: bool
    """Whether it was counted; else estimated from the instructions that are left."""
    scored: dict[int, int]
    """Instructions seen in each round under this θ."""
    rates: dict[int, float]
    """Share of them that the round selects."""
    share: float
    """Pairs per instruction scored, before duplicates are taken out."""
    at_least: float
    """The same, of the rounds there are: what the pilot has seen for certain."""
    cost: Cost | None
    """Of one pair; None where there is none."""


class Judge(Struct, frozen=True):
    """What the judge's scores are like, over all rounds and both orders."""

    rulings: int
    mean: float
    commonest: float
    """The score given most often."""
    constancy: float
    """Share of all scores that are the commonest."""
    tied: float
    """Share of rulings that gave both answers the same score."""
    flipped: float
    """Share of rounds in which the two orders named different winners."""
    first_lead: float
    """Points an answer gained on average by being shown first."""


class Calibration(Struct, frozen=True, kw_only=True):
    run: str
    strong: str
    target: str
    judge: str
    threshold: float
    """The pilot's own θ."""
    instructions: int
    mean: float
    spread: float
    """Mean and standard deviation of the gap in the first scored round."""
    target_led: float
    """Share of rounds with a negative gap."""
    histogram: dict[str, int]
    """Rounds by gap, in bins of one point named by their lower end."""
    scores: Judge | None
    rows: tuple[Row, ...]
    unique: float
    """Share of selected instructions that were no duplicates of others or of seeds."""
    target_yield: float
    recommended: float | None
    """The highest θ with the target yield, duplicates taken out; None where there is none."""
    warnings: tuple[str, ...]


def read_calibration(path: Path, *, target_yield: float) -> Calibration:
    """Read the pilot in *path*. Blocks: it goes through all stories.

    Raises:
        FolderError: there is no run in it, its recipe scores nothing, or nothing was scored yet.
        StorageError: its ledger can't be read.
    """
    folder = Folder(path)
    if not folder.config.exists():
        raise FolderError(f"{path}: not a run's folder (it has no config.toml)")
    config = load_config(folder.config, check=False)
    recipe = RECIPES[config.recipe]
    if not recipe.scores_gaps(config):
        raise FolderError(
            f"{path}: recipe {config.recipe} scores no answers against each other, so there is no"
            " gap to go by: give a run of codeclm or codeclm-filter"
        )
    ledger = LedgerReader(folder.ledger)
    try:
        pilot = _Pilot(recipe.role_configs(config))
        for example in ledger.examples():
            pilot.add(example)
        with count_dataset(ledger) as counts:
            sums = counts.instructions()
            predicted = counts.predicted_calls(config.decode.chunk)
    finally:
        ledger.close()
    if not pilot.stories:
        raise FolderError(f"{path}: nothing was scored in this run yet: there is no gap to go by")
    copies = sum(sums.filtered.get(reason, 0) for reason in ("duplicate", "copy_of_a_seed"))
    unique = sums.kept / (sums.kept + copies) if sums.kept else 1.0
    return calibrate(
        pilot, config, str(path), predicted=predicted, unique=unique, target_yield=target_yield
    )


def calibrate(
    pilot: "_Pilot", config: Config, run: str, *, predicted: int, unique: float, target_yield: float
) -> Calibration:
    own = config.filter.threshold
    reach = inf if _rounds(config) == 1 else own
    prices = pilot.prices(predicted)
    rows = tuple(
        row(pilot.stories, theta, own=reach, prices=prices) for theta in sorted({*THRESHOLDS, own})
    )
    judge = _judge(pilot.rounds)
    recommended = max(
        (each.threshold for each in rows if each.share * unique >= target_yield), default=None
    )
    first = [story.gaps[0] for story in pilot.stories]
    mean = sum(first) / len(first)
    gaps = [gap for story in pilot.stories for gap in story.gaps]
    return Calibration(
        run=run,
        strong=config.strong.model,
        target=config.target.model,
        judge=config.scorer.model,
        threshold=own,
        instructions=len(pilot.stories),
        mean=mean,
        spread=sqrt(sum((gap - mean) ** 2 for gap in first) / len(first)),
        target_led=sum(gap < 0 for gap in gaps) / len(gaps),
        histogram=gap_histogram(Counter(gaps)),
        scores=judge,
        rows=rows,
        unique=unique,
        target_yield=target_yield,
        recommended=recommended,
        warnings=tuple(_warnings(pilot, judge, rows, reach, recommended)),
    )


def _rounds(config: Config) -> int:
    """Most rounds that are scored. After the only one nothing goes on: every θ is counted."""
    return RECIPES[config.recipe].finishing.scored_rounds(config)


# -- one threshold ----------------------------------------------------------------------------


def row(stories: Sequence[Story], theta: float, *, own: float, prices: Prices) -> Row:
    """What *theta* would have given where the pilot's own threshold was *own*.

    Args:
        stories: what the pilot scored.
        theta: the threshold in question.
        own: the pilot's; above it what was selected went no further. Infinite where nothing would
            have.
        prices: what a call costs.
    """
    seen: dict[int, _Seen] = {}
    for story in stories:
        for number, gap in enumerate(story.gaps, story.first):
            here = seen.setdefault(number, _Seen())
            here.scored += 1
            if abs(gap) > theta:
                here.chosen += 1
                break
            if number < story.last:
                here.went_on += 1
            elif abs(gap) <= own:
                here.ended += 1
    alive, share = 1.0, 0.0
    cost = prices.before
    for number, here in sorted(seen.items()):
        if number > 1:
            cost = _sum(cost, prices.rewrite.times(alive))
        cost = _sum(cost, prices.rounds.times(alive))
        share += alive * here.rate
        alive *= (1 - here.rate) * here.going_on
    certain = sum(here.chosen for here in seen.values()) / len(stories)
    if theta <= own:
        share = certain  # but for rounding, it is the same
    return Row(
        theta,
        theta <= own,
        {number: here.scored for number, here in sorted(seen.items())},
        {number: here.rate for number, here in sorted(seen.items())},
        share,
        certain,
        cost.times(1 / share) if share else None,
    )


class _Seen(Struct):
    """What one round saw under some θ."""

    scored: int = 0
    chosen: int = 0
    went_on: int = 0
    ended: int = 0
    """Neither selected nor taken further: no action was left, or a rewrite failed."""

    @property
    def rate(self) -> float:
        return self.chosen / self.scored

    @property
    def going_on(self) -> float:
        """Share that is taken further of those known to have been, or not to have been.

        The others were selected by the pilot's own θ, and nobody knows.
        """
        known = self.went_on + self.ended
        return self.went_on / known if known else 0.0


def _sum(one: Cost, two: Cost) -> Cost:
    whole = None if one.money is None or two.money is None else one.money + two.money
    return Cost(one.calls + two.calls, whole)


# -- the pilot --------------------------------------------------------------------------------


class _Pilot:
    """What is kept of a run's stories while they are read, one at a time."""

    def __init__(self, roles: Mapping[str, RoleConfig]) -> None:
        self.stories: list[Story] = []
        self.rounds: list[tuple[tuple[float, float], tuple[float, float]]] = []
        """Both orders' scores, strong then target."""
        self._roles = roles
        self._rewrites = 0
        self._spent: dict[str, float] = {}
        self._shared: set[str] = set()

    def add(self, example: Example) -> None:
        for call in example.calls:
            self._spend(call)
        rounds = [each for each in example.iterations if each.judgements is not None]
        if not rounds:
            return
        gaps = tuple(each.gap for each in rounds if each.gap is not None)
        self.stories.append(Story(rounds[0].number, gaps))
        self._rewrites += len(example.iterations) - 1
        self.rounds += map(_scores, rounds)

    def _spend(self, call: Call) -> None:
        """Add up money by stage; what several instructions share is paid for once."""
        if call.stage in {"decode", "rubrics"}:
            if call.key in self._shared:
                return
            self._shared.add(call.key)
        role = self._roles.get(call.role)
        if role is not None:
            used = RoleTokens(call.prompt_tokens, 0, call.completion_tokens)
            self._spent[call.stage] = self._spent.get(call.stage, 0.0) + price(role, used)

    def prices(self, predicted: int) -> Prices:
        """What it cost, *predicted* calls in all. Encoding a seed is counted, not priced."""
        rounds = len(self.rounds)
        before = predicted - 4 * rounds - self._rewrites
        priced = any(role.price_input is not None for role in self._roles.values())

        def money(*stages: str, over: int) -> float | None:
            if not priced:
                return None
            return sum(self._spent.get(stage, 0.0) for stage in stages) / max(1, over)

        instructions = len(self.stories)
        return Prices(
            Cost(before / max(1, instructions), money("decode", "rubrics", over=instructions)),
            Cost(4.0, money("respond", "score", over=rounds)),
            Cost(1.0, money("improve", over=self._rewrites)),
        )


def _scores(iteration: Iteration) -> tuple[tuple[float, float], tuple[float, float]]:
    assert iteration.judgements is not None
    one, two = iteration.judgements
    return (one.strong, one.target), (two.strong, two.target)


def _judge(rounds: Sequence[tuple[tuple[float, float], tuple[float, float]]]) -> Judge | None:
    if not rounds:
        return None
    rulings = [scores for pair in rounds for scores in pair]
    points = [score for scores in rulings for score in scores]
    commonest = max(sorted(set(points)), key=points.count)
    leads = [(one[0] - one[1], two[0] - two[1]) for one, two in rounds]
    return Judge(
        len(rulings),
        sum(points) / len(points),
        commonest,
        points.count(commonest) / len(points),
        sum(strong == target for strong, target in rulings) / len(rulings),
        sum(one * two < 0 for one, two in leads) / len(rounds),
        sum((one - two) / 2 for one, two in leads) / len(rounds),
    )


def _warnings(
    pilot: _Pilot,
    judge: Judge | None,
    rows: Sequence[Row],
    own: float,
    recommended: float | None,
) -> Iterable[str]:
    if len(pilot.stories) < FEW:
        yield f"only {len(pilot.stories)} instructions were scored: yields are rough"
    if judge is not None:
        yield from _doubts(judge)
    if recommended is None:
        yield f"no θ reaches the target yield; the most is {max(r.share for r in rows):.1%}"
    elif recommended > own:
        yield (
            f"the yield at θ = {recommended:g} is an estimate: what the pilot selected at its own θ"
            f" of {own:g} went no further; a pilot with --threshold {recommended:g} is exact"
        )


def _doubts(judge: Judge) -> Iterable[str]:
    if judge.constancy >= CONSTANT:
        yield (
            f"the judge gives nearly everything the same score: {judge.commonest:g} in"
            f" {judge.constancy:.0%} of scores; its gaps say little"
        )
    if judge.tied >= TIED:
        yield f"the judge gives both answers the same score in {judge.tied:.0%} of rulings"
    if judge.flipped >= FLIPPED:
        yield (
            f"the judge goes by position: its two orders named different winners in"
            f" {judge.flipped:.0%} of rounds"
        )
    if abs(judge.first_lead) >= LEAD:
        where = "first" if judge.first_lead > 0 else "second"
        yield f"being shown {where} is worth {abs(judge.first_lead):.1f} points to this judge"


# -- as text ----------------------------------------------------------------------------------


def calibration_text(found: Calibration) -> str:
    """Write it for people: at most 100 columns."""
    lines = [
        f"{found.run}: {found.instructions:,} instructions scored, θ = {found.threshold:g}",
        f"  strong {found.strong}, target {found.target}, judge {found.judge}",
        (
            f"  first gap {found.mean:+.2f} on average, spread {found.spread:.2f};"
            f" the target led in {found.target_led:.1%} of rounds"
        ),
        "",
        *histogram_lines(found.histogram),
        "",
        *_judge_lines(found.scores),
        *_row_lines(found),
        "",
        _advice(found),
        *(f"warning: {each}" for each in found.warnings),
    ]
    return "\n".join(lines) + "\n"


def _judge_lines(judge: Judge | None) -> list[str]:
    if judge is None:
        return []
    return [
        (
            f"the judge: {judge.mean:.2f} on average, most often {judge.commonest:g}"
            f" ({judge.constancy:.0%}); ties {judge.tied:.0%}; orders disagree {judge.flipped:.0%};"
            f" first place {judge.first_lead:+.2f}"
        ),
        "",
    ]


def _row_lines(found: Calibration) -> list[str]:
    numbers = sorted({number for each in found.rows for number in each.scored})
    priced = any(each.cost and each.cost.money is not None for each in found.rows)
    rounds = "".join(f"{f'round {number}':>10}" for number in numbers)
    head = f"    θ{rounds}     yield  at least  calls/pair{'  money/pair' if priced else ''}"
    return [head, *(_row_line(each, numbers, priced=priced) for each in found.rows)]


def _row_line(row: Row, numbers: Sequence[int], *, priced: bool) -> str:
    rates = "".join(
        f"{row.rates[number]:>10.1%}" if number in row.rates else f"{'':>10}" for number in numbers
    )
    sign = " " if row.exact else "~"
    line = f"{row.threshold:>5g}{rates}  {sign}{row.share:>7.1%}  {row.at_least:>8.1%}"
    if row.cost is None:
        return line
    line += f"  {row.cost.calls:>10,.1f}"
    return line + (f"  {row.cost.money:>10.5f}" if priced and row.cost.money is not None else "")


def _advice(found: Calibration) -> str:
    copies = f" ({found.unique:.1%} of what is selected is no duplicate)"
    aim = f"a yield of {found.target_yield:.0%}{copies if found.unique < 1 else ''}"
    if found.recommended is None:
        return f"no θ gives {aim}"
    return f"the highest θ for {aim}: {found.recommended:g}"
