"""What a run cost: calls, tokens and money of all its sessions, by role and stage."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from ..calls.prices import Prices
from ..calls.prompts import PROMPTS
from ..calls.spending import Usage, UsageByStage
from ..pipeline.recipe import ROLES
from .terminal import printable


class StageCost(Struct, frozen=True):
    """What all calls of one stage to one role took.

    The tokens of a prompt are fresh, cached or written; those of a reply answer or reasoning.
    """

    role: str
    stage: str
    calls: int
    fresh_tokens: int
    cached_tokens: int
    """Read from the vendor's prompt cache."""
    written_tokens: int
    """Written to the vendor's prompt cache."""
    answer_tokens: int
    reasoning_tokens: int
    money: float | None
    """None: no price is known."""


def stage_costs(prices: Mapping[str, Prices], usage: UsageByStage) -> tuple[StageCost, ...]:
    """Return the costs of each stage at *prices*: roles and stages in the order of a run."""
    return tuple(
        _stage_cost(role, stage, usage[role][stage], prices.get(role))
        for role in sorted(usage, key=_role_position)
        for stage in sorted(usage[role], key=_position)
    )


def _role_position(role: str) -> tuple[int, str]:
    """Return where *role* comes; several judges are last, and what a damaged ledger names."""
    return (ROLES.index(role) if role in ROLES else len(ROLES)), role


def _position(stage: str) -> int:
    """Return where *stage* comes in a run; what is no prompt, such as the preflight, is first."""
    names = PROMPTS.names()
    return names.index(stage) if stage in names else -1


def _stage_cost(role: str, stage: str, used: Usage, prices: Prices | None) -> StageCost:
    return StageCost(
        role,
        stage,
        used.calls,
        used.prompt_tokens - used.cached_tokens - used.cache_write_tokens,
        used.cached_tokens,
        used.cache_write_tokens,
        used.completion_tokens - used.reasoning_tokens,
        used.reasoning_tokens,
        None if prices is None else prices.cost(used),
    )


COST_HEADER = ("calls", "fresh", "cached", "written", "answer", "thinking", "cost")
"""Of the figures; role and stage come before them."""


def cost_rows(costs: Iterable[StageCost]) -> Iterator[tuple[str | int, ...]]:
    """Yield a row for each stage: role, stage and figures."""
    for cost in costs:
        figures = tuple(getattr(cost, name) for name in cost.__struct_fields__[2:-1])
        yield (cost.role, cost.stage, *figures, _money(cost.money))


def cost_lines(title: str, costs: Sequence[StageCost], prices: Mapping[str, str]) -> list[str]:
    """Write *costs* as text, with the source of each role's prices, if there are any calls."""
    if not costs:
        return []
    names = [f"  {printable(f'{cost.role} {cost.stage}')}" for cost in costs]
    width = max(18, *(len(name) + 1 for name in names))
    lines = ["", _line(f"{title:<{width}}", COST_HEADER)]
    lines += [
        _line(f"{name:<{width}}", (*_figures(cost), _money(cost.money)))
        for name, cost in zip(names, costs, strict=True)
    ]
    lines.append(_line(f"{'  all':<{width}}", (*_sums(costs), _money(total_cost(costs)))))
    if prices:
        lines.append(price_line(prices))
    return lines


def price_line(prices: Mapping[str, str]) -> str:
    """Say where the prices of each role are from."""
    return f"prices: {', '.join(f'{role}: {source}' for role, source in prices.items())}"


def _line(name: str, cells: Iterable[str]) -> str:
    first, *others = cells
    return f"{name}{first:>8}{''.join(f'{cell:>9}' for cell in others)}"


def _figures(cost: StageCost) -> Iterator[str]:
    names = cost.__struct_fields__[2:-1]
    return (_short(getattr(cost, name)) for name in names)


def _sums(costs: Sequence[StageCost]) -> Iterator[str]:
    names = StageCost.__struct_fields__[2:-1]
    return (_short(sum(getattr(cost, name) for cost in costs)) for name in names)


def total_cost(costs: Iterable[StageCost]) -> float | None:
    """Return the sum of what is known of *costs*; None where no price is."""
    amounts = [cost.money for cost in costs if cost.money is not None]
    return sum(amounts) if amounts else None


def _short(count: int) -> str:
    """Write *count* in at most seven characters: 98,765, 1.23M, 12.3G."""
    for factor, unit in ((1e9, "G"), (1e6, "M")):
        if count >= factor:
            return f"{count / factor:.3g}{unit}" if count < 1000 * factor else f"{count:.1e}"
    return f"{count:,}"


def _money(amount: float | None) -> str:
    return "" if amount is None else f"{amount:,.4f}" if amount < 100 else f"{amount:,.2f}"
