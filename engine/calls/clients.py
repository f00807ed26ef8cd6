"""What work with models needs, opened together: the cache, dispatchers, one `Model` per role."""

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from ...prompts import PromptSet
from ...providers.base import Provider, ResponseFormat
from ...providers.hosts import open_provider
from ...providers.http.session import check_transport, open_session
from ...providers.kinds import ProviderSettings
from ..config import (
    BudgetConfig,
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
from .budget import Budget, Spending
from .cache import open_cache
from .counters import Counters
from .dispatcher import Dispatcher, open_dispatcher
from .model import Model, Sampling
from .outgoing import InFlightCalls, RoleCalls
from .pacing import Limits, Pacer
from .queued_call import StopReason
from .shared_pace import SharedPace

Roles = Mapping[str, RoleConfig]


class CallSettings(Struct, frozen=True):
    """How calls are made, for all roles."""

    cache: Path
    """The cache's folder."""
    retry: RetryPolicy
    parse_attempts: int
    run_seed: int = 0
    budget: BudgetConfig = BudgetConfig()


class Clients(Struct, frozen=True):
    """Models by role, and the dispatchers of their endpoints."""

    models: dict[str, Model]
    dispatchers: dict[str, Dispatcher]

    def stop(self, reason: StopReason | None = None) -> None:
        """Send nothing more, and raise *reason* where a reply is awaited; what is in flight ends.

        Args:
            reason: by default, a graceful stop.
        """
        for dispatcher in self.dispatchers.values():
            dispatcher.stop(reason or Stopping())

    async def drained(self) -> None:
        """Stop, and wait until everything in flight is stored: what was sent is paid for."""
        for dispatcher in self.dispatchers.values():
            await dispatcher.drained()


@asynccontextmanager
async def open_clients(
    roles: Roles,
    prompts: Mapping[str, PromptSet],
    settings: CallSettings,
    *,
    counters: Counters,
    spent: Iterable[Spending] = (),
) -> AsyncGenerator[Clients]:
    """Open everything that *roles* need, and close it again.

    Calls in flight when the block is left are cancelled: await `Clients.drained` before.

    Args:
        roles: by name.
        prompts: the templates of each role, by the role's name.
        settings: how calls are made.
        counters: count what is asked, paid and reused.
        spent: what earlier sessions spent of the budget.

    Raises:
        StorageError: the cache cannot be used.
    """
    clients = Clients({}, {})
    async with AsyncExitStack() as stack:
        cache = await stack.enter_async_context(open_cache(settings.cache))
        in_flight = InFlightCalls()
        paces = _paces(roles)
        for role in roles.values():
            endpoint = endpoint_name(role)
            if endpoint in clients.dispatchers:
                continue
            provider = await _open_provider(role, stack)
            sharing = [other for other in roles.values() if endpoint_name(other) == endpoint]
            clients.dispatchers[endpoint] = await stack.enter_async_context(
                open_dispatcher(
                    provider, _limits(sharing), settings.retry, pace=paces[_quota(role)]
                )
            )
        budget = Budget(settings.budget, roles, spent, stop=clients.stop)
        for name, role in roles.items():
            dispatcher = clients.dispatchers[endpoint_name(role)]
            clients.models[name] = Model(
                _sampling(role, dispatcher.provider.structured, settings),
                prompts[name],
                RoleCalls(name, dispatcher, cache, in_flight, counters, budget),
            )
        yield clients


def endpoint_name(role: RoleConfig) -> str:
    """Return a name for what has one connection: a model at an address, with a key."""
    host, model = hosted_model(role)
    at = base_url(role)
    options = msgspec.json.encode(role.options, order="sorted").decode() if role.options else ""
    quota = f"quota={role.quota}" if role.quota else ""
    return " ".join(filter(None, (f"{host.name}/{model}", at, role.api_key or "", options, quota)))


def _quota(role: RoleConfig) -> str:
    """Return a name for what shares a limit: as configured, else the endpoint.

    Vendors count per model and key.
    """
    return f"quota {role.quota}" if role.quota else endpoint_name(role)


def _paces(roles: Roles) -> dict[str, SharedPace]:
    clock = asyncio.get_running_loop().time
    return {
        quota: SharedPace(Pacer(_limits(sharing), clock=clock))
        for quota, sharing in _grouped(roles).items()
    }


def _grouped(roles: Roles) -> dict[str, list[RoleConfig]]:
    groups: dict[str, list[RoleConfig]] = {}
    for role in roles.values():
        groups.setdefault(_quota(role), []).append(role)
    return groups


def _limits(sharing: Sequence[RoleConfig]) -> Limits:
    """Return the tightest limits of roles that share them."""
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


async def _open_provider(role: RoleConfig, stack: AsyncExitStack) -> Provider:
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


def _sampling(role: RoleConfig, structured: ResponseFormat, settings: CallSettings) -> Sampling:
    """Return how *role* is asked; "auto" is as strict as the endpoint honours, and no stricter."""
    requested = response_format(role)
    if role.structured_output == "auto":
        requested = _STRICTNESS[min(map(_STRICTNESS.index, (requested, structured)))]
    return Sampling(
        model=hosted_model(role).model,
        temperature=role.temperature,
        top_p=role.top_p,
        max_tokens=role.max_tokens,
        seed=role.seed,
        response_format=requested,
        extra=role.extra,
        parse_attempts=settings.parse_attempts,
        run_seed=settings.run_seed,
    )


# -- before the first call --------------------------------------------------------------------


def check_endpoint(role: RoleConfig, where: str) -> None:
    """Check, without a call, that *role*'s provider can be opened.

    Raises:
        ConfigError: it cannot.
    """
    host, model = hosted_model(role)
    try:
        host.kind.check(model, role.options)
        check_transport(role.transport)
    except ValueError as error:
        raise ConfigError(f"{where}: {role.model}: {error}") from error


def cache_folder(config: Config) -> Path:
    """Return the cache's folder: as configured, CODECLM_CACHE_DIR, or in the user's cache."""
    if config.cache.folder:
        return Path(config.cache.folder).expanduser()
    if folder := os.environ.get("CODECLM_CACHE_DIR"):
        return Path(folder).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "codeclm"
