"""Calls to a dispatcher whose outcome goes to a function of the test's."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from codeclm.engine.calls.deadline import CallBounds
from codeclm.engine.calls.dispatcher import Dispatcher, open_dispatcher
from codeclm.engine.calls.pacing import Limits
from codeclm.engine.calls.queued_call import QueuedCall, StopReason
from codeclm.engine.config import RetryPolicy
from codeclm.engine.data.errors import ItemError, RunStopped, Stopping
from codeclm.providers.base import Message, Provider, Reply, Request

AT_ONCE = RetryPolicy(attempts=3, first_wait=0.0, longest_wait=0.0)
"""A policy that retries without waiting."""

Outcome = Reply | Exception


class OutcomeCall(QueuedCall, eq=False, kw_only=True):
    """A call whose outcome goes to a function."""

    dispatcher: Dispatcher
    answered: Callable[[Outcome], None]

    async def carry_out(self) -> None:
        try:
            reply = await self.dispatcher.send(self)
        except (ItemError, RunStopped, Stopping) as error:
            self.answered(error)
        else:
            if reply is not None:
                self.answered(reply)

    def abandon(self, reason: StopReason) -> None:
        self.answered(reason)


def dispatching(
    provider: Provider,
    limits: Limits | None = None,
    policy: RetryPolicy = AT_ONCE,
    bounds: CallBounds = CallBounds(),  # noqa: B008  (immutable)
) -> AbstractAsyncContextManager[Dispatcher]:
    return open_dispatcher(provider, limits or Limits(), policy, bounds)


def submit(dispatcher: Dispatcher, *, stream: bool = False) -> asyncio.Future[Outcome]:
    """Queue a call; the future is its outcome."""
    outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    call = OutcomeCall(
        request=Request(model="m", messages=(Message("user", "Hi."),), stream=stream),
        priority=0,
        tokens=0,
        dispatcher=dispatcher,
        answered=outcome.set_result,
    )
    dispatcher.submit(call)
    return outcome
