"""What this machine can do, and what an endpoint can: short trials with real calls.

The machine's trial sends to a server process that answers from memory (`canned`), so that nothing
but the engine is measured; the endpoint's doubles the calls in flight until that brings no more.
"""

import math
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
from msgspec import Struct, field

from ...prompts import PromptSet, Respond
from ...providers.base import (
    Allowance,
    Denied,
    Message,
    Provider,
    ProviderError,
    RateLimited,
    Request,
)
from ..calls.clients import CallSettings, open_clients
from ..calls.counters import Counters
from ..calls.model import Model
from ..config import RetryPolicy, RoleConfig
from ..data.errors import RunStopped

# -- this machine -----------------------------------------------------------------------------


class MachineTrial(Struct, frozen=True):
    """So many calls at once, over HTTP to another process, each answer on disk."""

    in_flight: int
    calls: int
    calls_per_second: float
    cpu_us: float
    """CPU-µs of this process for one call."""
    replayed_per_second: float
    """The same calls again, answered from the cache."""


def machine(in_flight: Sequence[int], calls: int, folder: Path) -> list[MachineTrial]:
    """Make *calls* calls at each number *in_flight*; the caches go into *folder*. Blocks."""
    with _canned() as url:
        return [anyio.run(_machine, url, n, calls, folder / str(n), **_LOOP) for n in in_flight]


_LOOP: dict[str, Any] = {"backend_options": {"use_uvloop": find_spec("uvloop") is not None}}


@contextmanager
def _canned() -> Generator[str]:
    """Serve canned answers from a process of its own; yields the base URL."""
    process = subprocess.Popen(  # noqa: S603  (a module of ours)
        [sys.executable, "-m", f"{__package__}.canned", "0"],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def _machine(url: str, in_flight: int, calls: int, folder: Path) -> MachineTrial:
    role = RoleConfig(model="vllm/canned", base_url=url, max_concurrent=in_flight)
    async with _opened(role, folder) as (model, _):
        first = await _ask_all(model, calls, in_flight)
        again = await _ask_all(model, calls, 1)
    return MachineTrial(
        in_flight, calls, calls / first[0], first[1] / calls * 1e6, calls / again[0]
    )


@asynccontextmanager
async def _opened(role: RoleConfig, folder: Path) -> AsyncGenerator[tuple[Model, Provider]]:
    """Open *role* with an empty cache in *folder*."""
    settings = CallSettings(folder, RetryPolicy(), parse_attempts=1)
    prompts = {"strong": PromptSet.load("default", (Respond,))}
    async with (
        open_clients({"strong": role}, prompts, settings, counters=Counters()) as clients,
    ):
        (dispatcher,) = clients.dispatchers.values()
        yield clients.models["strong"], dispatcher.provider
        await clients.drained()


async def _ask_all(model: Model, calls: int, at_once: int) -> tuple[float, float]:
    """Ask *calls* questions; return the seconds and the CPU-seconds they took."""
    numbers = iter(range(calls))

    async def work() -> None:
        for n in numbers:
            text = f"{_TASK} (number {n})"
            await model.ask(Respond(instruction=text), item=str(n))

    began, cpu = time.perf_counter(), time.process_time()
    async with anyio.create_task_group() as group:
        for _ in range(at_once):
            group.start_soon(work)
    return time.perf_counter() - began, time.process_time() - cpu


# -- an endpoint ------------------------------------------------------------------------------


class Level(Struct, frozen=True):
    """What so many calls at a time came to. Latencies are in seconds."""

    in_flight: int
    answered: int
    refused: int
    failed: int
    calls_per_second: float
    tokens_per_second: float
    """Of the answers."""
    p50: float
    p90: float
    p99: float


class EndpointTrial(Struct, frozen=True):
    model: str
    levels: tuple[Level, ...]
    suggested: dict[str, float]
    """Settings of a role, for the configuration."""
    notes: tuple[str, ...]
    complaint: str = ""
    """The last failure, in the provider's words."""


class _Tally(Struct):
    """What one level has seen so far."""

    latencies: list[float] = field(default_factory=list[float])
    tokens: int = 0
    refused: int = 0
    failed: int = 0
    denied: bool = False
    """Whether no call can succeed, whatever is asked."""
    complaint: str = ""
    allowance: Allowance | None = None


def endpoint(role: RoleConfig, calls: int, most: int, folder: Path) -> EndpointTrial:
    """Make at most *calls* calls, at most *most* at a time. Blocks; every call is paid for.

    Raises:
        RunStopped: no call succeeded, or none can.
    """
    return anyio.run(_endpoint, role, calls, most, folder, **_LOOP)


async def _endpoint(role: RoleConfig, calls: int, most: int, folder: Path) -> EndpointTrial:
    levels = list[Level]()
    notes = list[str]()
    numbers = iter(range(calls))
    tally = _Tally()
    async with _opened(role, folder) as (model, provider):
        ask = partial(_one, provider, model, role)
        for level, share in _climb(calls, most):
            tally = _Tally(complaint=tally.complaint, allowance=tally.allowance)
            levels.append(await _level(ask, level, [next(numbers) for _ in range(share)], tally))
            if tally.denied or not any(one.answered for one in levels):
                break
            if tally.refused:
                notes.append(f"it refused calls (429) with {level} in flight")
                break
            if _has_peaked(levels):
                break
        else:
            if len(levels) > 1 and levels[-1].calls_per_second > 1.1 * levels[-2].calls_per_second:
                notes.append("it was still growing: more --calls would tell more")
    # Here and not inside, where a task group would wrap it.
    if tally.denied or not any(one.answered for one in levels):
        raise RunStopped(tally.complaint)
    notes += _told(tally.allowance)
    return EndpointTrial(
        role.model, tuple(levels), suggestion(levels), tuple(notes), tally.complaint
    )


def _climb(calls: int, most: int) -> Iterator[tuple[int, int]]:
    """Yield calls in flight, and how many calls to spend at that level: twice as many each time."""
    level, left = 1, calls
    while level <= most and left >= min(level, calls):
        share = min(left, max(4, 2 * level))
        yield level, share
        left -= share
        level *= 2
        if not left:
            return


def _has_peaked(levels: Sequence[Level]) -> bool:
    """Whether twice the calls in flight brought less than a tenth more, twice in a row."""
    rates = [level.calls_per_second for level in levels]
    return len(rates) > 2 and rates[-1] < 1.1 * rates[-3] and rates[-2] < 1.1 * rates[-3]


_Ask = Callable[[int, "_Tally"], Awaitable[None]]


async def _level(ask: _Ask, in_flight: int, numbers: list[int], tally: _Tally) -> Level:
    each = iter(numbers)

    async def work() -> None:
        for n in each:
            if tally.denied:
                return
            await ask(n, tally)

    began = time.perf_counter()
    async with anyio.create_task_group() as group:
        for _ in range(in_flight):
            group.start_soon(work)
    took = time.perf_counter() - began
    latencies = sorted(tally.latencies)
    return Level(
        in_flight,
        len(latencies),
        tally.refused,
        tally.failed,
        len(latencies) / took,
        tally.tokens / took,
        *(quantile(latencies, share) for share in (0.5, 0.9, 0.99)),
    )


async def _one(provider: Provider, model: Model, role: RoleConfig, n: int, tally: _Tally) -> None:
    """Make one call, past the cache and without a second attempt."""
    request = Request(
        model=model.sampling.model,
        messages=(Message("user", f"{_TASK} (number {n})"),),
        temperature=role.temperature,
        max_tokens=role.max_tokens,
        extra=role.extra,
        sample=f"bench {n}",
        purpose="respond",
    )
    began = time.perf_counter()
    try:
        reply = await provider.complete(request)
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
        tally.latencies.append(time.perf_counter() - began)
        tally.tokens += reply.completion_tokens
        tally.allowance = reply.allowance or tally.allowance


def suggestion(levels: Sequence[Level]) -> dict[str, float]:
    """Choose the fewest calls in flight that reach nine tenths of the best rate.

    Where the server refused calls, the rate that went through just before is a safe pace.
    """
    calm = [level for level in levels if not level.refused] or list(levels)
    best = max(level.calls_per_second for level in calm)
    chosen = next(level for level in calm if level.calls_per_second >= 0.9 * best)
    found: dict[str, float] = {"max_concurrent": chosen.in_flight}
    if any(level.refused for level in levels):
        found["requests_per_minute"] = max(1, math.floor(60 * chosen.calls_per_second))
    return found


def _told(allowance: Allowance | None) -> list[str]:
    """Say what the server said of its own limits; it does not say for which span they hold."""
    if allowance is None:
        return []
    named = (("requests", allowance.requests_limit), ("tokens", allowance.tokens_limit))
    return [
        f"it names a limit of {limit:,.0f} {what}: if that is by the minute, set {what}_per_minute"
        for what, limit in named
        if limit is not None
    ]


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which *share* of *ordered* lies; 0 where there is none."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, math.ceil(len(ordered) * share) - 1)]


_TASK = "Explain in a few sentences what makes a good test, with one example."
