"""Open what calls need, together: the cache, the dispatchers, one `Model` per role."""

import os
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from ...prompts import PromptSet
from ...providers.base import Provider, ResponseFormat
from ...providers.hosts import open_provider
from ...providers.http.masking import MaskedSession
from ...providers.http.session import open_session
from ..config import (
    BudgetConfig,
    Config,
    ConfigError,
    RetryPolicy,
    RoleConfig,
    base_url,
    header_variables,
    hosted_model,
    reply_options,
    response_format,
)
from ..data.errors import Stopping
from ..data.files import user_path
from .budget import Budget, Spending
from .cache import open_cache
from .counters import Counters
from .deadline import CallBounds
from .dispatcher import Dispatcher, open_dispatcher
from .gate import provider_settings
from .model import Model, Sampling
from .outgoing import InFlightCalls, RoleCalls
from .pacing import Limits
from .queued_call import StopReason

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
        """Send nothing more, and raise *reason* to those who wait; calls in flight finish.

        Args:
            reason: by default, a graceful stop.
        """
        for dispatcher in self.dispatchers.values():
            dispatcher.stop(reason or Stopping())

    async def drained(self) -> None:
        """Stop, and wait until everything in flight is stored: what was sent is paid for."""
        self.stop()
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
        ConfigError: a provider cannot be opened as its role is configured.
        StorageError: the cache cannot be used.
    """
    clients = Clients({}, {})
    async with AsyncExitStack() as stack:
        cache = await stack.enter_async_context(open_cache(settings.cache))
        in_flight = InFlightCalls()
        for role in roles.values():
            endpoint = endpoint_name(role)
            if endpoint in clients.dispatchers:
                continue
            provider = await _open_provider(role, stack)
            clients.dispatchers[endpoint] = await stack.enter_async_context(
                open_dispatcher(
                    provider, _limits(roles, endpoint), settings.retry, _bounds(roles, endpoint)
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
    """Return a name for the calls that share a quota: vendors count per model and key."""
    host, model = hosted_model(role)
    at = base_url(role)
    options = msgspec.json.encode(role.options, order="sorted").decode() if role.options else ""
    return " ".join(filter(None, (f"{host.name}/{model}", at, role.api_key or "", options)))


def _limits(roles: Roles, endpoint: str) -> Limits:
    """Return the tightest limits of the roles that share *endpoint*."""
    sharing = [role for role in roles.values() if endpoint_name(role) == endpoint]
    requests = [r.requests_per_minute for r in sharing if r.requests_per_minute is not None]
    tokens = [r.tokens_per_minute for r in sharing if r.tokens_per_minute is not None]
    return Limits(
        min(requests, default=None),
        min(tokens, default=None),
        min(_width(role) for role in sharing),
    )


def _bounds(roles: Roles, endpoint: str) -> CallBounds:
    """Return the most patient bounds of the roles that share *endpoint*."""
    sharing = [role for role in roles.values() if endpoint_name(role) == endpoint]
    deadlines = [role.deadline for role in sharing]
    return CallBounds(
        timeout=max(role.timeout for role in sharing),
        deadline=None if None in deadlines else max(filter(None, deadlines)),
        tells_progress=hosted_model(sharing[0]).host.kind.over_http,
    )


def _width(role: RoleConfig) -> int:
    """Return the most calls in flight: no more than the provider answers at once.

    More would wait in its own queue, where neither priorities nor stops reach them.
    """
    capacity = hosted_model(role).host.kind.capacity(role.options)
    return role.max_concurrent if capacity is None else min(role.max_concurrent, capacity)


async def _open_provider(role: RoleConfig, stack: AsyncExitStack) -> Provider:
    host, settings = hosted_model(role).host, provider_settings(role)
    if host.kind.over_http:
        secrets = [os.environ[name].strip() for name in header_variables(role)]
        session = MaskedSession(
            open_session(timeout=role.timeout, transport=role.transport),
            [*secrets, settings.api_key or ""],
        )
        stack.push_async_callback(session.aclose)
        settings = structs.replace(settings, session=session)
    try:
        provider = await open_provider(host, settings)
    except (ValueError, FileNotFoundError) as error:
        raise ConfigError(f"{role.model}: {error}") from error
    stack.push_async_callback(provider.aclose)
    return provider


_STRICTNESS: tuple[ResponseFormat, ...] = ("text", "json_object", "json_schema")


def _sampling(role: RoleConfig, structured: ResponseFormat, settings: CallSettings) -> Sampling:
    """Return how *role* is called; "auto" is as strict as the endpoint honours."""
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
        options=reply_options(role),
        parse_attempts=settings.parse_attempts,
        run_seed=settings.run_seed,
        stream=role.stream,
    )


def check_cache_folder(config: Config, out: Path, where: str) -> None:
    """Check that the cache is not the folder *out*, whose lock it would wait for in vain.

    Raises:
        ConfigError: it is.
    """
    folder = cache_folder(config)
    if folder.resolve() == out.resolve():
        raise ConfigError(f"{where}: cache.folder: {folder} is the folder of the results, too")


def cache_folder(config: Config) -> Path:
    """Return the cache's folder: as configured, CODECLM_CACHE_DIR, or in the user's cache."""
    if config.cache.folder:
        return user_path(config.cache.folder)
    if folder := os.environ.get("CODECLM_CACHE_DIR"):
        return user_path(folder)
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return user_path(base) / "codeclm"
