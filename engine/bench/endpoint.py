"""Measure an endpoint: double the calls in flight until throughput stops growing."""

import math
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import anyio
from msgspec import Struct, field

from ...providers.base import (
    Allowance,
    Denied,
    Message,
    ProviderError,
    RateLimited,
    Request,
)
from ..config import RoleConfig
from ..data.errors import RunStopped
from ..pipeline.event_loop import run_async
from .client import Client, numbered_instruction, open_client


class Level(Struct, frozen=True):
    """Results of one number of calls in flight. Latencies are in seconds."""

    in_flight: int
    answered: int
    refused: int
    failed: int
    calls_per_second: float
    tokens_per_second: float
    """Tokens of answers."""
    p50: float
    p90: float
    p99: float


class EndpointTrial(Struct, frozen=True):
    """Results of all levels, and the settings derived from them."""

    model: str
    levels: tuple[Level, ...]
    suggested: dict[str, float]
    """Settings of a role, for the configuration."""
    notes: tuple[str, ...]
    complaint: str = ""
    """The last failure, in the provider's words."""


def measure_endpoint(
    role: RoleConfig, calls: int, most_in_flight: int, folder: Path
) -> EndpointTrial:
    """Make at most *calls* calls, at most *most_in_flight* at a time. Blocks; calls are billed.

    Raises:
        RunStopped: no call succeeded, or none can.
    """
    return run_async(partial(_measure, role, calls, most_in_flight, folder))


class _Tally(Struct):
    """Counts of one level; the last complaint and the allowance come from the levels before."""

    complaint: str = ""
    allowance: Allowance | None = None
    latencies: list[float] = field(default_factory=list[float])
    tokens: int = 0
    refused: int = 0
    failed: int = 0
    denied: bool = False
    """Whether no call can succeed, such as with a wrong key."""


async def _measure(
    role: RoleConfig, calls: int, most_in_flight: int, folder: Path
) -> EndpointTrial:
    levels = list[Level]()
    notes = list[str]()
    numbers = iter(range(calls))
    tally = _Tally()
    async with open_client(role, folder) as client:
        call = partial(_call, client, role)
        for in_flight, share in _climb(calls, most_in_flight):
            tally = _Tally(tally.complaint, tally.allowance)
            own_numbers = [next(numbers) for _ in range(share)]
            levels.append(await _measure_level(call, in_flight, own_numbers, tally))
            if tally.denied or not _any_answered(levels):
                break
            if tally.refused:
                notes.append(f"it refused calls (429) with {in_flight} in flight")
                break
            if _has_peaked(levels):
                break
        else:
            if len(levels) > 1 and levels[-1].calls_per_second > 1.1 * levels[-2].calls_per_second:
                notes.append("the rate was still growing: raise --calls to learn more")
    # Raised here, since the task group inside would wrap it in an exception group.
    if tally.denied or not _any_answered(levels):
        raise RunStopped(tally.complaint)
    notes += _allowance_notes(tally.allowance)
    return EndpointTrial(
        role.model, tuple(levels), suggestion(levels), tuple(notes), tally.complaint
    )


def _any_answered(levels: Sequence[Level]) -> bool:
    return any(level.answered for level in levels)


def _climb(calls: int, most_in_flight: int) -> Iterator[tuple[int, int]]:
    """Yield levels of calls in flight, each twice the one before, and the calls to spend there."""
    in_flight, remaining = 1, calls
    while in_flight <= most_in_flight and remaining >= min(in_flight, calls):
        share = min(remaining, max(4, 2 * in_flight))
        yield in_flight, share
        remaining -= share
        in_flight *= 2
        if not remaining:
            return


def _has_peaked(levels: Sequence[Level]) -> bool:
    """Whether doubling gained less than a tenth, twice in a row."""
    rates = [level.calls_per_second for level in levels]
    return len(rates) > 2 and rates[-1] < 1.1 * rates[-3] and rates[-2] < 1.1 * rates[-3]


_Call = Callable[[int, "_Tally"], Awaitable[None]]


async def _measure_level(call: _Call, in_flight: int, numbers: list[int], tally: _Tally) -> Level:
    remaining = iter(numbers)

    async def work() -> None:
        for number in remaining:
            if tally.denied:
                return
            await call(number, tally)

    start = time.perf_counter()
    async with anyio.create_task_group() as group:
        for _ in range(in_flight):
            group.start_soon(work)
    seconds = time.perf_counter() - start
    latencies = sorted(tally.latencies)
    return Level(
        in_flight,
        answered=len(latencies),
        refused=tally.refused,
        failed=tally.failed,
        calls_per_second=len(latencies) / seconds,
        tokens_per_second=tally.tokens / seconds,
        p50=quantile(latencies, 0.5),
        p90=quantile(latencies, 0.9),
        p99=quantile(latencies, 0.99),
    )


async def _call(client: Client, role: RoleConfig, number: int, tally: _Tally) -> None:
    """Make one call past the cache, without a second attempt."""
    request = Request(
        model=client.model.sampling.model,
        messages=(Message("user", numbered_instruction(number)),),
        temperature=client.model.sampling.temperature,
        max_tokens=client.model.sampling.max_tokens,
        extra=role.extra,
        sample=f"bench {number}",
        purpose="respond",
    )
    start = time.perf_counter()
    try:
        reply = await client.provider.complete(request)
    except Denied as error:
        tally.denied = True
        tally.complaint = str(error)
    except RateLimited as error:
        tally.refused += 1
        tally.complaint = str(error)
        tally.allowance = error.allowance or tally.allowance
    except ProviderError as error:
        tally.failed += 1
        tally.complaint = str(error)
    else:
        tally.latencies.append(time.perf_counter() - start)
        tally.tokens += reply.completion_tokens
        tally.allowance = reply.allowance or tally.allowance


def suggestion(levels: Sequence[Level]) -> dict[str, float]:
    """Choose the fewest calls in flight that reach nine tenths of the best rate.

    Where the server refused calls, the rate of the level before is a safe limit.
    """
    unrefused = [level for level in levels if not level.refused] or list(levels)
    best_rate = max(level.calls_per_second for level in unrefused)
    enough = next(level for level in unrefused if level.calls_per_second >= 0.9 * best_rate)
    settings: dict[str, float] = {"max_concurrent": enough.in_flight}
    if any(level.refused for level in levels):
        settings["requests_per_minute"] = max(1, math.floor(60 * enough.calls_per_second))
    return settings


def _allowance_notes(allowance: Allowance | None) -> list[str]:
    """Describe the limits that the server named; it does not say for which period they hold."""
    if allowance is None:
        return []
    limits = (("requests", allowance.requests_limit), ("tokens", allowance.tokens_limit))
    return [
        f"it names a limit of {limit:,.0f} {unit}: if that is per minute, set {unit}_per_minute"
        for unit, limit in limits
        if limit is not None
    ]


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which *share* of *ordered* lies; 0 if it is empty."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, math.ceil(len(ordered) * share) - 1)]
