"""Models whose words are the test's, and around them the real cache, dispatcher and roles."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
from blockbuster import BlockBuster

from codeclm.engine.calls.cache import Cache
from codeclm.engine.calls.counters import Counters
from codeclm.engine.calls.dispatcher import Dispatcher
from codeclm.engine.calls.limits import Limits
from codeclm.engine.calls.model import InFlightCalls, Model, Sampling
from codeclm.engine.config import RetryPolicy
from codeclm.prompts import BUILT_IN, PromptSet
from codeclm.providers.base import Reply, Request, ResponseFormat

PROMPTS = PromptSet.load("default", BUILT_IN)

Said = str | Reply | Exception
Line = Said | Callable[[Request], Said]


class Actor:
    """Says for each stage what the test wrote for it: words, a reply, a failure, or a function."""

    kind: str = "acting"
    identity: str = "acting"
    structured: ResponseFormat = "text"

    def __init__(self, **lines: Line) -> None:
        self.lines: dict[str, Line] = dict(lines)
        self.asked: list[Request] = []

    async def complete(self, request: Request, /) -> Reply:
        self.asked.append(request)
        line = self.lines[request.purpose]
        said = line(request) if callable(line) else line
        if isinstance(said, Exception):
            raise said
        return said if isinstance(said, Reply) else Reply(text=said)

    async def aclose(self) -> None:
        return

    def prompts(self, stage: str) -> list[str]:
        """What was asked in *stage*, in the order it came in."""
        return [asked.messages[-1].content for asked in self.asked if asked.purpose == stage]

    def counts(self) -> dict[str, int]:
        """How often each stage asked."""
        stages = [asked.purpose for asked in self.asked]
        return {stage: stages.count(stage) for stage in sorted(set(stages))}


def may_read_the_cache(alarm: BlockBuster | None) -> None:
    """Let cached answers be looked up in the loop: it takes microseconds, a thread takes thirty."""
    if alarm is not None:
        for name in ("sqlite3.Connection.execute", "sqlite3.Cursor.fetchone"):
            alarm.functions[name].can_block_in("engine/calls/cache.py", "get")


class Troupe(dict[str, Model]):
    """The roles by name, and their counters."""

    counters: Counters


@asynccontextmanager
async def playing(
    actor: Actor, folder: Path, *, counters: Counters | None = None
) -> AsyncGenerator[Troupe]:
    """Let *actor* play strong, target and judge, with a cache in *folder*."""
    cache = await anyio.to_thread.run_sync(Cache(folder / "cache").open)
    cache.use(asyncio.get_running_loop())
    dispatcher = Dispatcher(
        actor, Limits(None, None, 64), RetryPolicy(attempts=2, first_wait=0, longest_wait=0)
    )
    troupe = Troupe()
    troupe.counters = counters or Counters()
    flights = InFlightCalls()
    for role, temperature in (("strong", 0.7), ("target", 0.7), ("judge", 0.0)):
        troupe[role] = Model(
            role,
            Sampling(role, temperature=temperature),
            dispatcher=dispatcher,
            cache=cache,
            flights=flights,
            prompts=PROMPTS,
            counters=troupe.counters,
        )
    try:
        async with anyio.create_task_group() as group:
            dispatcher.start(group)
            yield troupe
            await dispatcher.drained()
            group.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(cache.close)
