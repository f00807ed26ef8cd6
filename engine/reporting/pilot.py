"""What a pilot says about its run: calls, tokens, money and time."""

from msgspec import Struct

from ..calls.prices import prices_by_role
from ..config import Config
from ..pipeline.expectation import Measured, Start, scale_factors, scaled
from ..pipeline.prepare import Plan
from .costs import StageCost, cost_lines, stage_costs, total_cost
from .duration import busiest
from .terminal import clock


class PilotForecast(Struct, frozen=True):
    """What a run will probably take in all, the calls of its pilot included.

    Attributes:
        costs: by role and stage.
        prices: where the prices of each role are from.
        seconds: how long it will probably work.
        rows: how many rows the pilot kept.
        items: how many seeds, or metadata items, it used.
    """

    costs: tuple[StageCost, ...]
    prices: dict[str, str]
    seconds: float
    rows: int
    items: int = 0

    @property
    def calls(self) -> int:
        return sum(cost.calls for cost in self.costs)

    @property
    def money(self) -> float | None:
        """None where no price is known."""
        return total_cost(self.costs)


def forecast_from_pilot(
    plan: Plan, start: Start, pilot: Config, measured: Measured
) -> PilotForecast:
    """Forecast *plan* from what its pilot *measured*."""
    factors = scale_factors(plan.recipe, plan.config, start, pilot, measured)
    usage = scaled(measured.usage, factors)
    seconds = {
        role: {stage: duration * factors[stage] for stage, duration in stages.items()}
        for role, stages in measured.seconds.items()
    }
    # The pilot itself waits mostly for calls that follow one another, whatever its size.
    duration = measured.duration - busiest(plan.roles, measured.usage, measured.seconds)
    duration = max(0.0, duration) + busiest(plan.roles, usage, seconds)
    prices = prices_by_role(plan.roles)
    return PilotForecast(
        stage_costs(prices, usage),
        {role: of_role.source for role, of_role in prices.items()},
        duration,
        measured.rows,
        measured.start.seeds or measured.start.metadata,
    )


def pilot_text(forecast: PilotForecast) -> str:
    """Write *forecast* as text."""
    lines = ["", f"pilot: {forecast.items} seeds, {forecast.rows} rows kept"]
    lines += cost_lines("likely, in all", forecast.costs, forecast.prices)
    lines.append(f"time: about {clock(forecast.seconds)}, if servers answer as they did the pilot")
    if not forecast.rows:
        lines.append("the pilot kept no row: no figure for a target of rows can be trusted")
    return "\n".join(lines)
