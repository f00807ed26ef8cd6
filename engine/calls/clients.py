"""Open what calls need, together: the cache, the dispatchers, one `Model` per role."""

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, structs

from ...prompts import PromptSet
from ...providers.base import Provider, ResponseFormat
from ...providers.hosts import open_provider
from ...providers.http.masking import MaskedSession
from ...providers.http.session import open_session
from ..config import (
    BudgetConfig,
    CacheConfig,
    ConfigError,
    RetryPolicy,
    RoleConfig,
    base_url,
    header_variables,
    hosted_model,
    is_streamed,
    reply_options,
    response_format,
    sampling_settings,
    scores_by_logprobs,
)
from ..data.errors import Stopping
from .budget import Budget
from .cache import open_cache
from .counters import Counters
from .deadline import CallBounds
from .dispatcher import Dispatcher, open_dispatcher
from .gate import provider_settings
from .model import Model
from .outgoing import InFlightCalls, RoleCalls
from .pacing import Limits, Pacer
from .queued_call import StopReason
from .sampling import Sampling
from .shared_pace import SharedPace
from .spending import Spending

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

    def pump(self) -> None:
        """Send what may be sent now, though it was held back before."""
        for dispatcher in self.dispatchers.values():
            dispatcher.pump()

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
    session: str = "",
    spent: Iterable[Spending] = (),
) -> AsyncGenerator[Clients]:
    """Open everything that *roles* need, and close it again.

    Calls in flight when the block is left are cancelled: await `Clients.drained` before.

    Args:
        roles: by name.
        prompts: the templates of each role, by the role's name.
        settings: how calls are made.
        counters: count what is asked, paid and reused.
        session: whose account calls are charged to; none if empty.
        spent: what earlier sessions spent of the budget.

    Raises:
        ConfigError: a provider cannot be opened as its role is configured.
        StorageError: the cache cannot be used.
    """
    clients = Clients({}, {})
    async with AsyncExitStack() as stack:
        cache = await stack.enter_async_context(open_cache(settings.cache))
        in_flight = InFlightCalls()
        paces = shared_paces(roles)
        for role in roles.values():
            endpoint = endpoint_name(role)
            if endpoint in clients.dispatchers:
                continue
            provider = await _open_provider(role, stack)
            sharing = [other for other in roles.values() if endpoint_name(other) == endpoint]
            clients.dispatchers[endpoint] = await stack.enter_async_context(
                open_dispatcher(
                    provider,
                    limits_of(sharing),
                    settings.retry,
                    _bounds(sharing),
                    pace=paces[endpoint],
                )
            )
        budget = Budget(settings.budget, roles, spent, stop=clients.stop, has_room=clients.pump)
        for name, role in roles.items():
            dispatcher = clients.dispatchers[endpoint_name(role)]
            clients.models[name] = Model(
                _sampling(role, dispatcher.provider.structured, settings),
                prompts[name],
                RoleCalls(name, dispatcher, cache, in_flight, counters, budget, session),
            )
        yield clients


def endpoint_name(role: RoleConfig) -> str:
    """Return a name for the calls that one dispatcher sends: a model's, at an address, with a key.

    Vendors count per model and key, so these also share a quota, and no others unless ``quota``
    says so.
    """
    host, model = hosted_model(role)
    at = base_url(role)
    options = msgspec.json.encode(role.options, order="sorted").decode() if role.options else ""
    quota = f"quota={role.quota}" if role.quota else ""
    return " ".join(filter(None, (f"{host.name}/{model}", at, role.api_key or "", options, quota)))


def shared_paces(roles: Roles) -> dict[str, SharedPace]:
    """Return the pace of each endpoint, by its name; those with the same ``quota`` share one."""
    clock = asyncio.get_running_loop().time
    sharing: dict[str, list[RoleConfig]] = {}
    for role in roles.values():
        sharing.setdefault(quota_name(role), []).append(role)
    paces = {
        quota: SharedPace(Pacer(limits_of(members), clock=clock))
        for quota, members in sharing.items()
    }
    return {endpoint_name(role): paces[quota_name(role)] for role in roles.values()}


def quota_name(role: RoleConfig) -> str:
    """Return a name for the calls that share a limit of requests and tokens."""
    return f"quota={role.quota}" if role.quota else endpoint_name(role)


def limits_of(sharing: Sequence[RoleConfig]) -> Limits:
    """Return the tightest limits of roles that share them."""
    requests = [r.requests_per_minute for r in sharing if r.requests_per_minute is not None]
    tokens = [r.tokens_per_minute for r in sharing if r.tokens_per_minute is not None]
    return Limits(
        min(requests, default=None),
        min(tokens, default=None),
        min(_width(role) for role in sharing),
    )


def _bounds(sharing: Sequence[RoleConfig]) -> CallBounds:
    """Return the most patient bounds of roles that share an endpoint."""
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


_PATIENCE: Final = 86_400.0
"""Seconds of silence that transports bear: the `Watchdog` ends silent calls. A transport's own
timer would also count the time for which this process is stopped."""


async def _open_provider(role: RoleConfig, stack: AsyncExitStack) -> Provider:
    host, settings = hosted_model(role).host, provider_settings(role)
    if host.kind.over_http:
        secrets = [os.environ[name].strip() for name in header_variables(role)]
        session = MaskedSession(
            open_session(timeout=_PATIENCE, transport=role.transport),
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
    sampling, kind = sampling_settings(role), hosted_model(role).host.kind
    logprobs = scores_by_logprobs(role)
    return Sampling(
        model=hosted_model(role).model,
        identity="" if role.identity is None else f"identity:{role.identity}",
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_tokens=sampling.max_tokens,
        seed=sampling.seed,
        response_format=requested,
        extra={**kind.logprobs, **role.extra} if logprobs else role.extra,
        options=reply_options(role),
        parse_attempts=settings.parse_attempts,
        run_seed=settings.run_seed,
        stream=is_streamed(role),
        logprobs=logprobs,
        less_thinking=kind.less_thinking,
    )


def check_cache_folder(cache: CacheConfig, out: Path, where: str) -> None:
    """Check that the cache is not the folder *out*, whose lock it would wait for in vain.

    Raises:
        ConfigError: it is.
    """
    folder = cache.path()
    if folder.resolve() == out.resolve():
        raise ConfigError(f"{where}: cache.folder: {folder} is the folder of the results, too")
