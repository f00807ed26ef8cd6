"""A pilot: the first seeds of a run, to measure what the whole run will take."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from tempfile import TemporaryDirectory

import anyio.to_thread
from msgspec import structs

from ..calls.counters import Counters, MeasuredReply
from ..calls.gate import Origin
from ..calls.spending import UsageByStage, add_usage
from ..config import Config
from ..data.errors import RunStopped
from ..disk.threads import entered_in_thread
from ..store.reader import LedgerReader
from ..store.totals import count_dataset
from .expectation import Measured, Start, pilot_config
from .prepare import Plan, prepare
from .session import Watcher, execute


async def run_pilot(
    plan: Plan, start: Start, count: int, *, origin: Origin, watch: Watcher
) -> tuple[Config, Measured]:
    """Run the first *count* seeds, or metadata items, of *plan* in a temporary folder.

    Answers are kept in the cache: neither the run nor another pilot pays for them again.

    Returns:
        The pilot's settings, and what it measured.

    Raises:
        RunStopped: it did not finish.
    """
    reduced = pilot_config(plan.recipe, plan.config, start, count)
    async with _temporary_folder() as folder:
        config = structs.replace(reduced, out=folder)
        pilot = await anyio.to_thread.run_sync(_prepared, config, origin)
        pilot = structs.replace(pilot, metadata=plan.metadata[:count])
        counters = Counters(replies={})
        session = await execute(pilot, watch=watch, counters=counters)
        if session.ending != "finished":
            raise RunStopped(f"the pilot did not finish: {session.reason}")
        rows = await anyio.to_thread.run_sync(_rows, pilot)
    used = Start(min(start.seeds, count), len(pilot.metadata))
    # In the order of their arrival, so that sums of the same replies are the same floats.
    replies = sorted((counters.replies or {}).values(), key=lambda one: (one.time, one.seconds))
    return config, Measured(used, rows, *_sums(replies), covered_time(replies))


@asynccontextmanager
async def _temporary_folder() -> AsyncGenerator[str]:
    folder = await anyio.to_thread.run_sync(partial(TemporaryDirectory, prefix="codeclm-pilot-"))
    async with entered_in_thread(folder) as name:
        yield name


def _prepared(config: Config, origin: Origin) -> Plan:
    pilot = prepare(config, where="plan --pilot", origin=origin)
    pilot.folder.make()
    return pilot


def _rows(pilot: Plan) -> int:
    with LedgerReader(pilot.folder.ledger) as ledger, count_dataset(ledger) as counts:
        return counts.instructions().kept


def _sums(
    replies: Iterable[MeasuredReply],
) -> tuple[UsageByStage, dict[str, dict[str, float]]]:
    usage: UsageByStage = {}
    seconds: dict[str, dict[str, float]] = {}
    for reply in replies:
        add_usage(usage, reply.role, reply.stage, reply.usage)
        of_role = seconds.setdefault(reply.role, {})
        of_role[reply.stage] = of_role.get(reply.stage, 0.0) + reply.seconds
    return usage, seconds


def covered_time(replies: Iterable[MeasuredReply]) -> float:
    """Return for how long any call was under way; stored replies may be from several sessions."""
    duration, last = 0.0, float("-inf")
    for begin, end in sorted((reply.time - reply.seconds, reply.time) for reply in replies):
        duration += max(0.0, end - max(begin, last))
        last = max(last, end)
    return duration
