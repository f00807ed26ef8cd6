"""Dispatchers that share a limit keep it together, and the most urgent call of all goes first."""

import asyncio

import pytest

from codeclm.engine.calls.clients import endpoint_name, shared_paces
from codeclm.engine.calls.dispatcher import Dispatcher, open_dispatcher
from codeclm.engine.calls.pacing import Limits, Pacer
from codeclm.engine.calls.shared_pace import SharedPace
from codeclm.engine.config import RetryPolicy, RoleConfig
from codeclm.engine.data.errors import Stopping
from codeclm.providers.base import Request

from .clock import OWNED_CLOCK
from .dispatching import OutcomeCall
from .limited_servers import FixedWindow, LimitedServer

pytestmark = pytest.mark.parametrize("anyio_backend", [OWNED_CLOCK], ids=["owned clock"])


def submit(dispatcher: Dispatcher, count: int, *, priority: int) -> None:
    for _ in range(count):
        dispatcher.submit(
            OutcomeCall(
                request=Request(model="m", messages=()),
                priority=priority,
                tokens=0.0,
                dispatcher=dispatcher,
                answered=lambda _: None,
            )
        )


def shared(per_minute: float) -> SharedPace:
    clock = asyncio.get_running_loop().time
    return SharedPace(Pacer(Limits(requests_per_minute=per_minute), clock=clock))


@pytest.mark.parametrize("priorities", [(1, 1), (1, 2), (2, 1)])
async def test_two_models_share_one_limit_without_a_refusal(priorities: tuple[int, int]) -> None:
    """Where one model's calls are more urgent, they go first."""
    limit = FixedWindow(50, 1)
    servers = LimitedServer(limit), LimitedServer(limit, seed=2)
    pace = shared(3000)
    async with (
        open_dispatcher(servers[0], Limits(), RetryPolicy(), pace=pace) as one,
        open_dispatcher(servers[1], Limits(), RetryPolicy(), pace=pace) as other,
    ):
        submit(one, 600, priority=priorities[0])
        submit(other, 600, priority=priorities[1])
        await asyncio.sleep(10)
        passed = [len(server.passed) for server in servers]
        for dispatcher in (one, other):
            dispatcher.stop(Stopping())
            await dispatcher.drained()

    assert servers[0].refused == servers[1].refused == []
    assert sum(passed) >= 0.98 * 500
    match priorities:
        case (1, 2):
            assert passed[1] == 0
        case (2, 1):
            assert passed[0] == 0
        case _:
            assert min(passed) >= 100  # neither waits for all of the other's


async def test_one_models_unknown_limit_is_known_to_the_other() -> None:
    """What the first one found, the second one keeps."""
    limit = FixedWindow(50, 1)
    servers = LimitedServer(limit), LimitedServer(limit, seed=2)
    loop = asyncio.get_running_loop()
    pace = SharedPace(Pacer(Limits(), clock=loop.time))
    async with (
        open_dispatcher(servers[0], Limits(), RetryPolicy(), pace=pace) as one,
        open_dispatcher(servers[1], Limits(), RetryPolicy(), pace=pace) as other,
    ):
        submit(one, 2000, priority=1)
        await asyncio.sleep(20)
        submit(other, 2000, priority=1)
        begin = loop.time()
        await asyncio.sleep(20)
        for dispatcher in (one, other):
            dispatcher.stop(Stopping())
            await dispatcher.drained()

    passed = sum(at >= begin for server in servers for at in server.passed)
    refused = sum(at >= begin for server in servers for at in server.refused)
    assert passed >= 0.9 * 50 * 20
    assert refused <= 0.05 * (passed + refused)


@pytest.mark.parametrize(
    ("quotas", "is_shared"),
    [((None, None), False), (("account", "account"), True), (("a", "b"), False)],
)
async def test_roles_that_name_one_quota_have_one_pace(
    quotas: tuple[str | None, str | None], *, is_shared: bool
) -> None:
    """Whatever their models and keys; the tightest limit that any of them states applies."""
    strong, target = (
        RoleConfig(model=f"scripted/{name}", quota=quota, requests_per_minute=limit)
        for name, quota, limit in zip(("strong", "target"), quotas, (600, 60), strict=True)
    )

    paces = shared_paces({"strong": strong, "target": target})

    one, other = paces[endpoint_name(strong)], paces[endpoint_name(target)]
    assert (one is other) == is_shared
    one.pacer.take(0)
    assert one.pacer.delay(0) == pytest.approx(1.0 if is_shared else 0.1, abs=0.02)
