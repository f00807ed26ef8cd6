"""Open one role for a benchmark, with an empty cache."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from ...prompts import PromptSet, Respond
from ...providers.base import Provider
from ..calls.clients import CallSettings, open_clients
from ..calls.counters import Counters
from ..calls.model import Model
from ..config import RetryPolicy, RoleConfig

INSTRUCTION = "Explain in a few sentences what makes a good test, with one example."


def numbered_instruction(number: int) -> str:
    """Return a distinct instruction for every call, so that no cache can answer it."""
    return f"{INSTRUCTION} (number {number})"


class Client(NamedTuple):
    """One model through the whole engine, and its provider."""

    model: Model
    provider: Provider


@asynccontextmanager
async def open_client(role: RoleConfig, cache: Path) -> AsyncGenerator[Client]:
    """Open *role* with a new cache in the folder *cache*."""
    settings = CallSettings(cache, RetryPolicy(), parse_attempts=1)
    prompts = {"strong": PromptSet.load("default", (Respond,))}
    async with open_clients({"strong": role}, prompts, settings, counters=Counters()) as clients:
        (dispatcher,) = clients.dispatchers.values()
        yield Client(clients.models["strong"], dispatcher.provider)
        await clients.drained()
