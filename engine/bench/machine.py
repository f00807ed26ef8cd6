"""Measure this machine: the engine against a server that costs next to nothing."""

import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import anyio
from msgspec import Struct

from ...prompts import Respond
from ..calls.model import Model
from ..config import RoleConfig
from ..pipeline.event_loop import run_async
from . import server
from .client import numbered_instruction, open_client


class MachineTrial(Struct, frozen=True):
    """One number of calls in flight, over HTTP to another process, each answer on disk."""

    in_flight: int
    calls: int
    calls_per_second: float
    cpu_us: float
    """CPU time of this process per call, in µs."""
    replayed_per_second: float
    """The same calls again, answered from the cache."""


def measure_machine(levels: Sequence[int], calls: int, folder: Path) -> list[MachineTrial]:
    """Make *calls* calls at each number of calls in flight. Blocks.

    Args:
        levels: the numbers of calls in flight.
        calls: how many calls to make at each of them.
        folder: where the caches go.
    """
    with _bench_server() as url:
        return [
            run_async(partial(_measure, url, in_flight, calls, folder / str(in_flight)))
            for in_flight in levels
        ]


@contextmanager
def _bench_server() -> Generator[str]:
    """Serve prepared answers from another process; yields the base URL."""
    process = subprocess.Popen(  # noqa: S603  (a module of this package)
        [sys.executable, "-m", server.__name__, "0"],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def _measure(url: str, in_flight: int, calls: int, cache: Path) -> MachineTrial:
    role = RoleConfig(model="vllm/bench", base_url=url, max_concurrent=in_flight)
    async with open_client(role, cache) as client:
        seconds, cpu_seconds = await _ask_all(client.model, calls, workers=in_flight)
        seconds_again, _ = await _ask_all(client.model, calls, workers=1)
    return MachineTrial(
        in_flight,
        calls,
        calls_per_second=calls / seconds,
        cpu_us=cpu_seconds / calls * 1e6,
        replayed_per_second=calls / seconds_again,
    )


async def _ask_all(model: Model, calls: int, *, workers: int) -> tuple[float, float]:
    """Make *calls* calls; return the seconds and the CPU seconds they took."""
    numbers = iter(range(calls))

    async def work() -> None:
        for number in numbers:
            prompt = Respond(instruction=numbered_instruction(number))
            await model.ask(prompt, item=str(number))

    start, cpu_start = time.perf_counter(), time.process_time()
    async with anyio.create_task_group() as group:
        for _ in range(workers):
            group.start_soon(work)
    return time.perf_counter() - start, time.process_time() - cpu_start
