"""Forecast a run from a pilot's rates: one figure, with the interval that they leave."""

from collections.abc import Callable, Iterable, Mapping
from math import ceil, sqrt
from statistics import fmean

from msgspec import Struct, structs

from ...calls.prices import prices_by_role
from ...calls.spending import Usage, UsageByStage, add_usage
from ...data.intervals import Z95, ClusteredShare, Interval, Share
from ...pipeline.expectation import Start
from ...pipeline.modes import Input
from ...pipeline.prepare import Plan
from ...pipeline.steps import Volume
from ...reporting.costs import StageCost, cost_lines, stage_costs, total_cost
from ...reporting.forecast import Forecast
from ...reporting.terminal import clock
from .rates import GroupRates, PilotRates, rows_are_shared


class Expectation(Struct, frozen=True):
    """What a run will probably take, on an empty cache.

    Attributes:
        pilot: the pilot's folder.
        costs: by role and stage.
        prices: where the prices of each role are from.
        instructions: asked for.
        rows_per_instruction: that the pilot gave, at the run's θ; None where seeds give as many
            as their share needs.
        calls: in all.
        money: None where no price is known.
        seconds: at the pilot's pace; None if most of its answers were cached.
        warnings: why the figures may be misleading.
    """

    pilot: str
    costs: tuple[StageCost, ...]
    prices: dict[str, str]
    instructions: Interval
    rows_per_instruction: Interval | None
    calls: Interval
    money: Interval | None
    seconds: Interval | None
    warnings: tuple[str, ...]


def expect(plan: Plan, start: Start, rates: PilotRates, forecast: Forecast) -> Expectation:
    """Forecast *plan* from the *rates* of a pilot.

    Args:
        plan: the run's.
        start: what it starts from.
        rates: the pilot's.
        forecast: of *plan*; its tokens stand in for those of stages that the pilot had cached.
    """
    run = _Run(plan, start, rates, forecast)
    usage = run.usage(run.sum_of(rates.groups))
    prices = prices_by_role(plan.roles)
    costs = stage_costs(prices, usage)
    calls = run.interval(lambda group: _calls(run.usage(group)))
    money = run.interval(lambda group: total_cost(stage_costs(prices, run.usage(group))) or 0.0)
    pace = rates.calls_per_second
    return Expectation(
        rates.folder,
        costs,
        {role: of_role.source for role, of_role in prices.items()},
        run.interval(run.instructions),
        run.yield_interval(),
        calls,
        None if total_cost(costs) is None else money,
        None if pace is None else Interval(calls.mean / pace, calls.low / pace, calls.high / pace),
        (*rates.warnings, *run.warnings()),
    )


def _calls(usage: UsageByStage) -> int:
    return sum(stage.calls for stages in usage.values() for stage in stages.values())


class _Run:
    """The run, as far as its configuration tells."""

    def __init__(self, plan: Plan, start: Start, rates: PilotRates, forecast: Forecast) -> None:
        self._plan = plan
        self._rates = rates
        rows = plan.recipe.rows_per_draft(plan.config)
        material = Input(start.seeds, start.metadata, rows, plan.recipe.assumed_yield)
        self._volume: Volume = plan.recipe.mode.volume(plan.config, material)
        self._items = sum(group.items for group in rates.groups)
        self._tokens = {row.stage: (row.prompt_tokens, row.answer_tokens) for row in forecast.rows}

    def sum_of(self, groups: Iterable[GroupRates]) -> GroupRates:
        total = GroupRates()
        for group in groups:
            total.add(group)
        return total

    def instructions(self, group: GroupRates) -> int:
        """Return how many instructions are asked for at the rates of *group*."""
        low, high = self._volume.instructions
        target = self._plan.config.target_rows
        if target is None:
            return high
        if rows_are_shared(self._plan.recipe):
            return max(low, min(high, round(low * self._repeats(group))))
        return max(low, min(high, ceil(target * group.instructions / max(1, group.rows))))

    def usage(self, group: GroupRates) -> UsageByStage:
        """Return calls and tokens at the rates of *group*."""
        instructions = self.instructions(group)
        usage: UsageByStage = {}
        for stage, (calls, longer) in self._calls_before(instructions).items():
            self._add(usage, "strong", stage, calls, longer)
        factor = self._drafts(instructions, group) / max(group.drafts, 1e-9)
        for (role, stage), count in group.calls.items():
            self._add(usage, role, stage, count * factor)
        return usage

    def _repeats(self, group: GroupRates) -> float:
        """Return how often the pilot's seeds were taken, in multiples of what their shares need."""
        rows = self._plan.recipe.rows_per_draft(self._plan.config)
        share = (self._rates.config.target_rows or group.items) / max(1, self._items)
        return group.instructions / max(1, group.items * ceil(share / rows))

    def _drafts(self, instructions: int, group: GroupRates) -> float:
        """Return how many drafts are finished: fewer than asked for, as in the pilot."""
        made = group.drafts / max(1, self._expected_drafts(group.instructions, group.items))
        return self._expected_drafts(instructions, self._volume.items.low) * made

    def _expected_drafts(self, instructions: int, items: int) -> int:
        """Return the drafts of *instructions* that *items* share: of each item's for itself."""
        drafts, config = self._plan.recipe.writing.drafts, self._plan.config
        share, rest = divmod(instructions, max(1, items))
        return rest * drafts(config, share + 1) + (max(1, items) - rest) * drafts(config, share)

    def _calls_before(self, instructions: int) -> Mapping[str, tuple[float, float]]:
        """Return the calls of the mode and the writing step by stage.

        And by what factor their replies are longer than the pilot's: a request for more
        instructions has a longer one.
        """
        recipe, config, volume = self._plan.recipe, self._plan.config, self._volume
        bounds = {**recipe.mode.calls(volume), **recipe.writing.calls(config, volume)}
        requests = self._requests(instructions)
        calls: dict[str, tuple[float, float]] = {}
        for prompt, of_prompt in bounds.items():
            if of_prompt is volume.requests:  # equal ones may be those of items
                pilot_calls = self._rates.usage.get("strong", {}).get(prompt.name, Usage()).calls
                before = sum(one.instructions for one in self._rates.groups) / max(1, pilot_calls)
                longer = instructions / max(1, requests) / before if pilot_calls else 1.0
                calls[prompt.name] = requests, longer
            else:
                calls[prompt.name] = of_prompt.low, 1.0
        return {stage: one for stage, one in calls.items() if one[0]}

    def _requests(self, instructions: int) -> float:
        """Return the requests for *instructions*: what is missing is asked for item by item."""
        low, high = self._volume.requests
        if self._plan.recipe.mode.endless:
            return min(high, ceil(instructions / self._volume.per_call))
        return min(high, low + max(0, instructions - self._volume.instructions.low))

    def _add(
        self, usage: UsageByStage, role: str, stage: str, calls: float, longer: float = 1.0
    ) -> None:
        count = round(calls)
        measured = self._rates.usage.get(role, {}).get(stage)
        if measured is None or not measured.calls:
            prompt, answer = self._tokens.get(stage, (0, 0))
            measured = Usage(1, prompt, completion_tokens=answer)
        scale = count / measured.calls
        total = Usage(count, *(round(figure * scale) for figure in structs.astuple(measured)[1:]))
        total.completion_tokens = round(measured.completion_tokens * scale * longer)
        add_usage(usage, role, stage, total)

    def interval(self, figure: Callable[[GroupRates], float]) -> Interval:
        """Return *figure* at the pilot's rates, and where it comes out in 95 % of runs.

        Its variance is the jackknife's over groups of metadata items (Tukey 1958); the run's own
        draw of seeds adds as much as its size is worth.
        """
        groups = self._rates.groups
        total = self.sum_of(groups)
        mean = figure(total)
        if len(groups) < 2:
            return Interval(mean, 0.0, float("inf"))
        without = [figure(_difference(total, group)) for group in groups]
        centre = fmean(without)
        variance = (len(groups) - 1) / len(groups) * sum((value - centre) ** 2 for value in without)
        half = Z95 * sqrt(variance * (1 + self._own_share(total)))
        # Where every instruction of the pilot became a row, its groups do not differ.
        shares = self.yield_interval()
        bounds = () if shares is None else (shares.low, shares.high)
        ends = [figure(_with_yield(total, share)) for share in bounds]
        ends += [mean - half, mean + half]
        return Interval(mean, max(0.0, min(ends)), max(ends))

    def _own_share(self, total: GroupRates) -> float:
        """Return by how much the run's own draw of seeds adds to the pilot's variance."""
        return total.instructions / max(1, self.instructions(total))

    def yield_interval(self) -> Interval | None:
        """Return the rows per instruction, with Wilson's interval, right near 0 and 1 too."""
        if rows_are_shared(self._plan.recipe):
            return None
        groups = self._rates.groups
        own = ClusteredShare(
            Share(min(int(group.rows), group.instructions), group.instructions) for group in groups
        ).interval()
        wider = sqrt(1 + self._own_share(self.sum_of(groups)))
        low, high = (
            own.mean - (own.mean - own.low) * wider,
            own.mean + (own.high - own.mean) * wider,
        )
        return Interval(own.mean, max(0.0, low), min(1.0, high))

    def warnings(self) -> Iterable[str]:
        total = self.sum_of(self._rates.groups)
        target = self._plan.config.target_rows
        if target is None or rows_are_shared(self._plan.recipe):
            return
        most = self._volume.instructions.high
        if not total.rows:
            yield "the pilot kept no row at this θ: the figures are those of the most instructions"
        elif target * total.instructions > most * total.rows:
            yield (
                f"{most:,} instructions, the most that size.max_expansion or max_candidates allows,"
                f" will probably give {most * total.rows / total.instructions:,.0f} rows of"
                f" {target:,}"
            )


def _with_yield(total: GroupRates, share: float) -> GroupRates:
    """Return *total* with another share of rows, and the same calls for each instruction."""
    return structs.replace(total, rows=share * total.instructions)


def _difference(total: GroupRates, group: GroupRates) -> GroupRates:
    calls = total.calls.copy()
    calls.subtract(group.calls)
    return GroupRates(
        total.items - group.items,
        total.instructions - group.instructions,
        total.drafts - group.drafts,
        total.rows - group.rows,
        calls,
    )


def expectation_text(result: Expectation, bounds: Forecast) -> str:
    """Write *result* as text, with the *bounds* that hold without a pilot."""
    rows, calls = result.rows_per_instruction, result.calls
    lines = [f"expected by the rates of {result.pilot}; in brackets where 95 % of such runs end"]
    if rows is not None:
        lines.append(f"rows per instruction  {rows.mean:.1%} ({rows.low:.0%} to {rows.high:.0%})")
    lines += [
        f"instructions          {_range(result.instructions, '{:,.0f}')}",
        (
            f"calls                 {_range(calls, '{:,.0f}')};"
            f" at least {bounds.low:,}, at most {bounds.high:,}"
        ),
    ]
    if result.money is not None:
        lines.append(f"money                 {_range(result.money, '{:,.2f}')}")
    if result.seconds is None:
        lines.append("time                  not known: most of the pilot's answers were cached")
    else:
        lines.append(
            f"time                  about {clock(result.seconds.mean)} at the pilot's pace, less"
            " with more calls in flight"
        )
    lines += cost_lines("expected, in all", result.costs, result.prices)
    lines += [f"warning: {warning}" for warning in result.warnings]
    lines.append(
        "another draw of the judge is not in the brackets; answers that the cache holds already are"
        " counted, too"
    )
    return "\n".join(lines)


def _range(interval: Interval, form: str) -> str:
    mean, low, high = map(form.format, (interval.mean, interval.low, interval.high))
    return mean if low == high else f"{mean} ({low} to {high})"
