"""One endpoint's traffic: which call is sent next, when, and what happens after a failure.

Calls wait in one priority queue; a pool of sender tasks carries them out. No task is made per call,
a call that waits for a retry holds no place, and the caller may be cancelled: what was sent is paid
for, so its sender stores the reply anyway.

Knows neither prompts nor the cache.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from heapq import heappop, heappush
from random import random
from typing import assert_never

import anyio
from anyio.abc import TaskGroup

from ...providers.base import (
    Denied,
    Provider,
    RateLimited,
    Rejected,
    Reply,
    Stale,
    Unavailable,
)
from ..config import RetryPolicy
from ..data.errors import RunStopped, Stopping
from .concurrency import Concurrency
from .deadline import CallBounds, Watchdog
from .dispatch_statistics import DispatchStatistics
from .outage import Outage
from .pacing import Limits, Pacer
from .queued_call import QueuedCall, StopReason
from .refusals import Cause
from .retry import CallFailure, Decision, GiveUp, Retry, Stop, broken_provider, decide, given_up
from .shared_pace import SharedPace, Urgency
from .tokens import PromptLengths

_NEVER = float("-inf")


@asynccontextmanager
async def open_dispatcher(
    provider: Provider,
    limits: Limits,
    policy: RetryPolicy,
    bounds: CallBounds = CallBounds(),  # noqa: B008  (immutable)
    *,
    pace: SharedPace | None = None,
) -> AsyncGenerator["Dispatcher"]:
    """Send calls to *provider* until the block is left; calls still in flight are cancelled.

    Await `Dispatcher.drained` before leaving the block to keep what was paid for; *bounds* bound
    how long that takes. *pace* may be shared with others; by default it keeps *limits*.
    """
    if pace is None:
        pace = SharedPace(Pacer(limits, clock=asyncio.get_running_loop().time))
    failure = None
    async with anyio.create_task_group() as group:
        dispatcher = Dispatcher(provider, limits, policy, bounds, group, pace)
        group.start_soon(dispatcher.start_senders)
        pace.join(dispatcher)
        try:
            yield dispatcher
        except Exception as error:  # noqa: BLE001  (the block's own: the group would wrap it)
            failure = error
        finally:
            pace.leave(dispatcher)
            group.cancel_scope.cancel()
    if failure is not None:
        raise failure


class Dispatcher:
    """The only sender to one endpoint; open it with `open_dispatcher`."""

    def __init__(
        self,
        provider: Provider,
        limits: Limits,
        policy: RetryPolicy,
        bounds: CallBounds,
        group: TaskGroup,
        pace: SharedPace,
    ) -> None:
        self.provider = provider
        self.prompt_lengths = PromptLengths()
        self.reserves = pace.pacer.paces_tokens
        """Whether calls must say how many tokens to reserve."""
        self._policy = policy
        self._group = group
        self._loop = asyncio.get_running_loop()
        self._pace = pace
        self._pacer = pace.pacer
        self._concurrency = Concurrency(ceiling=limits.max_concurrent, clock=self._loop.time)
        self._watchdog = Watchdog(provider.identity, bounds, self._loop)
        self._outage = Outage(clock=self._loop.time)
        self._queue: list[tuple[int, int, QueuedCall]] = []
        self._submitted = 0
        self._retry_timers: dict[QueuedCall, asyncio.TimerHandle] = {}
        self._pace_timer: asyncio.TimerHandle | None = None
        self._idle: deque[asyncio.Future[QueuedCall]] = deque()
        self._senders = 0
        self._most_senders = 2 * limits.max_concurrent
        """Each may hold an answer that is not on disk yet: what a kill costs at most."""
        self._sender_wanted = asyncio.Event()
        self._starting = False
        """Whether a sender was started that has not looked at the queue yet."""
        self._in_flight = 0
        self._retries = 0
        self._rate_limited = 0
        self._last_error = ""
        self._stopped_by: StopReason | None = None
        self._stop_listeners: list[Callable[[StopReason], None]] = []
        self._all_idle = asyncio.Event()

    def on_stop(self, listener: Callable[[StopReason], None]) -> None:
        """Call *listener* whenever sending is stopped, or is already: it holds calls back."""
        self._stop_listeners.append(listener)
        if self._stopped_by is not None:
            listener(self._stopped_by)

    def submit(self, call: QueuedCall) -> None:
        """Queue *call*; it is sent when its turn, the pace and the concurrency limit allow."""
        if self._stopped_by is not None:
            call.abandon(self._stopped_by)
            return
        self._submitted += 1
        call.order, call.queued_at = self._submitted, self._loop.time()
        self._push(call)
        self.pump()

    def stop(self, reason: StopReason) -> None:
        """Send nothing more: abandon queued calls; those in flight still finish."""
        self._stopped_by = reason
        for timer in self._retry_timers.values():
            timer.cancel()
        waiting = [call for _, _, call in self._queue] + list(self._retry_timers)
        self._queue.clear()
        self._retry_timers.clear()
        for call in waiting:
            call.abandon(reason)
        for listener in self._stop_listeners:
            listener(reason)

    async def drained(self) -> None:
        """Stop, and wait until all calls in flight have finished."""
        self.stop(self._stopped_by or Stopping())
        while len(self._idle) < self._senders:
            self._all_idle.clear()
            await self._all_idle.wait()
        if self._pace_timer is not None:
            self._pace_timer.cancel()

    def statistics(self) -> DispatchStatistics:
        return DispatchStatistics(
            self._in_flight,
            len(self._queue),
            len(self._retry_timers),
            self._next_retry(),
            self._concurrency.limit,
            self._pacer.delay(0) if self._queue else 0.0,
            self._retries,
            self._rate_limited,
            self._pacer.statistics().tokens,
            self._watchdog.timed_out,
            self._outage.seconds,
            self._last_error,
        )

    def _next_retry(self) -> float:
        if not self._retry_timers:
            return 0.0
        first = min(timer.when() for timer in self._retry_timers.values())
        return max(0.0, first - self._loop.time())

    # -- choosing: synchronous, no waiting ---------------------------------------------------

    def _push(self, call: QueuedCall) -> None:
        heappush(self._queue, (call.priority, call.order, call))

    def _take(self) -> QueuedCall | None:
        """Take the next call if one may be sent now; else arrange a wake-up."""
        if not self._queue or self._in_flight >= self._concurrency.limit:
            return None
        call = self._queue[0][2]
        delay = self._pacer.delay(call.tokens)
        if delay <= 0 and self._pace.is_shared:
            delay = self._pace.give_way(self, (call.priority, call.queued_at), call.tokens)
        if delay > 0:
            self._wake_after(delay)
            return None
        if not call.admit():
            return None
        heappop(self._queue)
        self._in_flight += 1
        in_flight = self._pace.in_flight if self._pace.is_shared else self._in_flight
        call.sending = self._pacer.take(call.tokens, in_flight)
        if call.clock_started_at is None:
            call.clock_started_at = call.sending.at
        return call

    @property
    def in_flight(self) -> int:
        return self._in_flight

    def urgency(self) -> Urgency | None:
        """Return that of the next call; None if it cannot be sent now, whatever the pace."""
        if not self._queue or self._in_flight >= self._concurrency.limit:
            return None
        call = self._queue[0][2]
        return call.priority, call.queued_at

    def _wake_after(self, delay: float) -> None:
        if self._pace_timer is not None:
            if self._pace_timer.when() <= self._loop.time() + delay:
                return
            self._pace_timer.cancel()
        self._pace_timer = self._loop.call_later(delay, self._wake)

    def _wake(self) -> None:
        self._pace_timer = None
        self.pump()

    def pump(self) -> None:
        """Hand calls to idle senders; start a sender where all are busy and a place is free."""
        while self._queue:
            if not self._idle:
                self._start_sender_if_free()
                return
            if self._idle[0].cancelled():
                return  # the dispatcher closes, and a timer came before the senders' last turn
            call = self._take()
            if call is None:
                return
            self._idle.popleft().set_result(call)

    def _start_sender_if_free(self) -> None:
        has_place = self._in_flight < self._concurrency.limit
        if has_place and not self._starting and self._senders < self._most_senders:
            self._starting, self._senders = True, self._senders + 1
            self._sender_wanted.set()

    async def start_senders(self) -> None:
        """Start senders as they are wanted: a timer's callback, which is no task, may not."""
        while await self._sender_wanted.wait():
            self._sender_wanted.clear()
            self._group.start_soon(self._serve, name=f"sender-{self._senders}")

    # -- sending ------------------------------------------------------------------------------

    async def _serve(self) -> None:
        self._starting = False
        try:
            while True:
                call = self._take() or await self._next_call()
                if self._queue:
                    self.pump()
                await call.carry_out()
        finally:  # the dispatcher closes: no timer may hand out calls any more
            self.stop(self._stopped_by or Stopping())

    def _next_call(self) -> asyncio.Future[QueuedCall]:
        waiter: asyncio.Future[QueuedCall] = self._loop.create_future()
        self._idle.append(waiter)
        if len(self._idle) == self._senders:
            self._all_idle.set()
        return waiter

    async def send(self, call: QueuedCall) -> Reply | None:
        """Send *call* once. None: the attempt failed, and the call is queued for another.

        Raises:
            ItemError: the call is given up; others may succeed.
            RunStopped: no call to this endpoint can succeed.
            Stopping: the run is being stopped, so there is no further attempt.
        """
        try:
            reply = await self._watchdog.run(self.provider.complete, call.request)
        except (RateLimited, Unavailable, Rejected, Denied) as error:
            self._in_flight -= 1
            self._note_failure(call, error)
            call.release()
            self._retry_or_raise(call, error)
            return None
        except Exception as error:  # whatever the provider's own code raises
            self._in_flight -= 1
            stopped = broken_provider(self.provider, error)
            self.stop(stopped)
            raise stopped from error
        except BaseException:
            self._in_flight -= 1
            raise
        self._in_flight -= 1
        self._note_success(call, reply)
        self.pump()  # this sender is not free yet: it stores the reply
        return reply

    def _note_success(self, call: QueuedCall, reply: Reply) -> None:
        call.answered_at = self._loop.time()
        self._outage.note_success()
        self._concurrency.note_success(self._in_flight + 1, call.sending.at)
        self._pacer.note_answer(call.sending)
        if self.reserves:
            used = reply.prompt_tokens + reply.completion_tokens
            self._pacer.settle(call.tokens, used or call.tokens)  # 0: the server did not say
        if reply.allowance is not None:
            self._pacer.note_allowance(reply.allowance)

    def _note_failure(self, call: QueuedCall, error: CallFailure) -> None:
        self._last_error = str(error)
        if self.reserves:
            self._pacer.settle(call.tokens, 0)
        match error:
            case RateLimited():
                self._outage.note_response()
                self._note_rate_limit(call, error)
            case Stale():
                pass  # says something of one connection, and nothing of the server
            case Unavailable():
                self._outage.note_failure(call)
            case Rejected() | Denied():
                self._outage.note_response()
            case _:
                assert_never(error)

    def _note_rate_limit(self, call: QueuedCall, error: RateLimited) -> None:
        self._rate_limited += 1
        match self._pacer.note_refusal(call.sending, error.retry_after):
            case Cause.NUMBER:
                self._narrow(call, error.retry_after)
            case Cause.CROWD:
                self._concurrency.meet_wall(self._pacer.width)
            case Cause.FIRST_BLOCK:
                self._concurrency.restore()
            case Cause.RATE:
                pass
        if error.allowance is not None:
            self._pacer.note_allowance(error.allowance)

    def _narrow(self, call: QueuedCall, retry_after: float | None) -> None:
        """Allow fewer calls in flight if too many are refused for their number."""
        limit = self._concurrency.limit
        hold = self._concurrency.note_refusal(
            self._in_flight + 1, call.sending.at, retry_after=retry_after
        )
        if self._concurrency.limit < limit:
            self._pacer.note_narrowing()
        if hold > 0:
            self._pacer.hold(hold)

    def _retry_or_raise(self, call: QueuedCall, error: CallFailure) -> None:
        if self._stopped_by is not None:
            raise self._stopped_by
        match self._decide(call, error):
            case Retry(wait, attempts):
                call.attempts = attempts
                self._queue_again(call, wait)
            case Stop(reason, remedy):
                stopped = RunStopped(f"{reason}; {remedy}, then run the same command again")
                self.stop(stopped)
                raise stopped from error
            case GiveUp(reason):
                answers_others = self._outage.last_success >= call.queued_at
                raise given_up(error, reason, answers_others=answers_others) from error

    def _decide(self, call: QueuedCall, error: CallFailure) -> Decision:
        now = self._loop.time()
        outage, cut_after = None, 0.0
        if isinstance(error, Unavailable):
            cut_after = now - call.sending.at if error.is_cut else 0.0
            if self._outage.concerns(call.queued_at):
                outage, call.clock_started_at = self._outage.seconds, now
        return decide(
            error,
            attempts=call.attempts,
            elapsed=now - (call.clock_started_at or now),
            policy=self._policy,
            random=random,
            hold=self._pacer.statistics().hold,
            outage=outage,
            cut_after=cut_after,
            is_streamed=call.request.stream,
        )

    def _queue_again(self, call: QueuedCall, wait: float) -> None:
        self._retries += 1
        if wait > 0:
            self._retry_timers[call] = self._loop.call_later(wait, self._end_wait, call)
        else:
            self._push(call)

    def _end_wait(self, call: QueuedCall) -> None:
        del self._retry_timers[call]
        self._push(call)
        self.pump()
