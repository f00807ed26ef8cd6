"""What any work with models needs, opened together: cache, dispatchers, one `Model` for each role.

Knows roles by name only; what they are for is `run`'s affair and `evaluate`'s.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import TaskGroup
from msgspec import Struct

from ...prompts import PromptSet
from ...providers.base import Provider, ResponseFormat
from ...providers.hosts import open_provider
from ...providers.http.session import check_transport, open_session
from ...providers.kinds import ProviderSettings
from ..config import (
    Config,
    ConfigError,
    RetryPolicy,
    RoleConfig,
    api_key,
    base_url,
    hosted_model,
    response_format,
)
from ..data.errors import Stopping
from .budget import Budget
from .cache import Cache
from .counters import Counters
from .dispatcher import Dispatcher
from .limits import Limits
from .model import InFlightCalls, Model, Sampling

Roles = Mapping[str, RoleConfig]


class CallSettings(Struct, frozen=True):
    """How calls are made, whoever makes them."""

    cache: Path
    retry: RetryPolicy
    parse_attempts: int
    run_seed: int = 0


class Clients(Struct, frozen=True):
    """What is open while work goes on."""

    models: dict[str, Model]
    dispatchers: dict[str, Dispatcher]

    def start(self, group: TaskGroup) -> None:
        """Let the dispatchers take up work in *group*."""
        for dispatcher in self.dispatchers.values():
            dispatcher.start(group)

    def stop(self) -> None:
        """Send nothing more; what is in flight comes in."""
        for dispatcher in self.dispatchers.values():
            dispatcher.stop(Stopping())

    async def drained(self) -> None:
        """Wait until nothing is in flight: what was sent is paid for."""
        for dispatcher in self.dispatchers.values():
            await dispatcher.drained()


@asynccontextmanager
async def open_clients(
    roles: Roles,
    prompts: Mapping[str, PromptSet],
    means: CallSettings,
    *,
    counters: Counters,
    budget: Budget | None = None,
) -> AsyncGenerator[Clients]:
    """Open everything that *roles* need and close it again.

    Raises:
        StorageError: the cache can't be used.
    """
    async with AsyncExitStack() as stack:
        cache = await anyio.to_thread.run_sync(Cache(means.cache).open)
        stack.push_async_callback(in_thread, cache.close)
        cache.use(asyncio.get_running_loop())
        flights = InFlightCalls()
        dispatchers: dict[str, Dispatcher] = {}
        models: dict[str, Model] = {}
        for name, role in roles.items():
            shared = endpoint_name(role)
            if shared not in dispatchers:
                provider = await _provider(role, stack)
                dispatchers[shared] = Dispatcher(provider, _limits(roles, shared), means.retry)
            models[name] = Model(
                name,
                _sampling(role, dispatchers[shared].provider.structured, means),
                dispatcher=dispatchers[shared],
                cache=cache,
                flights=flights,
                prompts=prompts[name],
                counters=counters,
                budget=budget,
            )
        yield Clients(models, dispatchers)


async def in_thread(close: Callable[[], None]) -> None:
    """Close something that writes, whatever else is being cancelled."""
    with anyio.CancelScope(shield=True):  # it writes what was paid for
        await anyio.to_thread.run_sync(close)


def endpoint_name(role: RoleConfig) -> str:
    """What shares a quota: vendors count per model and key."""
    host, model = hosted_model(role)
    at = base_url(role)
    options = msgspec.json.encode(role.options, order="sorted").decode() if role.options else ""
    return " ".join(filter(None, (f"{host.name}/{model}", at, role.api_key or "", options)))


def _limits(roles: Roles, shared: str) -> Limits:
    """Join the limits of the roles that share an endpoint: the tightest counts."""
    sharing = [role for role in roles.values() if endpoint_name(role) == shared]
    requests = [r.requests_per_minute for r in sharing if r.requests_per_minute is not None]
    tokens = [r.tokens_per_minute for r in sharing if r.tokens_per_minute is not None]
    return Limits(
        min(requests, default=None),
        min(tokens, default=None),
        min(_width(role) for role in sharing),
    )


def _width(role: RoleConfig) -> int:
    """Return the most calls in flight: no more than the provider answers at once.

    More would wait in its own queue, first come first served, out of reach of priorities and stops.
    """
    capacity = hosted_model(role).host.kind.capacity(role.options)
    return role.max_concurrent if capacity is None else min(role.max_concurrent, capacity)


async def _provider(role: RoleConfig, stack: AsyncExitStack) -> Provider:
    host, model = hosted_model(role)
    session = None
    if host.kind.over_http:
        session = open_session(timeout=role.timeout, transport=role.transport)
        stack.push_async_callback(session.aclose)
    settings = ProviderSettings(
        model=model,
        base_url=base_url(role),
        api_key=api_key(role),
        headers={name: os.path.expandvars(value) for name, value in role.headers.items()},
        options=role.options,
        session=session,
    )
    provider = await open_provider(host, settings)
    stack.push_async_callback(provider.aclose)
    return provider


_STRICTNESS: tuple[ResponseFormat, ...] = ("text", "json_object", "json_schema")


def _sampling(role: RoleConfig, structured: ResponseFormat, means: CallSettings) -> Sampling:
    """How *role* is asked, no stricter than its endpoint honours when that is left to us."""
    wanted = response_format(role)
    if role.structured_output == "auto":
        wanted = _STRICTNESS[min(_STRICTNESS.index(wanted), _STRICTNESS.index(structured))]
    return Sampling(
        model=hosted_model(role).model,
        temperature=role.temperature,
        top_p=role.top_p,
        max_tokens=role.max_tokens,
        seed=role.seed,
        response_format=wanted,
        extra=role.extra,
        parse_attempts=means.parse_attempts,
        run_seed=means.run_seed,
    )


# -- before the first call --------------------------------------------------------------------


def check_endpoint(role: RoleConfig, where: str) -> None:
    """See, without a call, that *role*'s provider could be opened.

    Raises:
        ConfigError: it could not.
    """
    host, model = hosted_model(role)
    try:
        host.kind.check(model, role.options)
        check_transport(role.transport)
    except ValueError as error:
        raise ConfigError(f"{where}: {role.model}: {error}") from error


def cache_folder(config: Config) -> Path:
    """Where answers are kept: the run's own choice, CODECLM_CACHE_DIR, or the user's cache."""
    if config.cache.folder:
        return Path(config.cache.folder).expanduser()
    if chosen := os.environ.get("CODECLM_CACHE_DIR"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "codeclm"
