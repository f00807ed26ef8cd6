"""A pilot: the first seeds of a run, to measure what the whole run will take."""

import tempfile
from collections.abc import Iterable
from functools import partial

import anyio.to_thread
from msgspec import structs

from ..calls.counters import Counters, MeasuredReply
from ..calls.gate import Origin
from ..calls.spending import UsageByStage, add_usage
from ..config import Config
from ..data.errors import RunStopped
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
    with tempfile.TemporaryDirectory(prefix="codeclm-pilot-") as folder:
        config = structs.replace(pilot_config(plan.recipe, plan.config, start, count), out=folder)
        pilot = await anyio.to_thread.run_sync(
            partial(prepare, config, where="plan --pilot", origin=origin)
        )
        pilot = structs.replace(pilot, metadata=plan.metadata[:count])
        pilot.folder.make()
        counters = Counters(replies={})
        session = await execute(pilot, watch=watch, counters=counters)
        if session.ending != "finished":
            raise RunStopped(f"the pilot did not finish: {session.reason}")
        rows = await anyio.to_thread.run_sync(_rows, pilot)
    used = Start(min(start.seeds, count), len(pilot.metadata))
    usage, seconds = _sums((counters.replies or {}).values())
    return config, Measured(used, rows, usage, seconds)


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
