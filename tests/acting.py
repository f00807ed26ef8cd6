"""Models whose words are the test's, and around them the real cache, dispatcher and roles."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from blockbuster import BlockBuster

from codeclm.engine.calls.budget import Budget
from codeclm.engine.calls.cache import open_cache
from codeclm.engine.calls.counters import Counters
from codeclm.engine.calls.dispatcher import Dispatcher, open_dispatcher
from codeclm.engine.calls.model import Model
from codeclm.engine.calls.outgoing import InFlightCalls, RoleCalls
from codeclm.engine.calls.pacing import Limits
from codeclm.engine.calls.sampling import Sampling
from codeclm.engine.config import BudgetConfig, RetryPolicy, RoleConfig
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
            alarm.functions[name].can_block_in("engine/calls/cache_file.py", "get")


class Troupe(dict[str, Model]):
    """The roles by name, and their counters."""

    counters: Counters


@asynccontextmanager
async def playing(
    actor: Actor, folder: Path, *, counters: Counters | None = None
) -> AsyncGenerator[Troupe]:
    """Let *actor* play strong, target and judge, with a cache in *folder*."""
    troupe = Troupe()
    troupe.counters = counters or Counters()
    in_flight = InFlightCalls()
    async with (
        open_cache(folder / "cache") as cache,
        open_dispatcher(
            actor, Limits(None, None, 64), RetryPolicy(attempts=2, first_wait=0, longest_wait=0)
        ) as dispatcher,
    ):
        for role, temperature in (("strong", 0.7), ("target", 0.7), ("judge", 0.0)):
            troupe[role] = Model(
                Sampling(role, temperature=temperature),
                PROMPTS,
                RoleCalls(
                    role, dispatcher, cache, in_flight, troupe.counters, unlimited(dispatcher)
                ),
            )
        yield troupe
        await dispatcher.drained()


def unlimited(dispatcher: Dispatcher) -> Budget:
    """A budget that is never spent."""
    roles = {role: RoleConfig() for role in ("strong", "target", "judge")}
    return Budget(BudgetConfig(), roles, (), stop=dispatcher.stop)
