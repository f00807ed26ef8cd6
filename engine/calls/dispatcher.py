"""One endpoint's traffic: who is sent next, when, and what happens after a failure.

Jobs wait in one priority queue; a pool of sender tasks carries them out. No task is made per call,
a job that waits for a retry holds no place, and whoever asked may go away: a call that was sent is
paid for, so its answer is delivered to the cache all the same.

Knows neither what is asked nor where answers are kept.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from random import random
from typing import NamedTuple

import structlog
from anyio.abc import TaskGroup

from ...providers.base import Provider, ProviderError, RateLimited, Rejected, Reply, Request
from ..config import RetryPolicy
from ..data.errors import ItemError, RunStopped, Stopping
from .limits import Concurrency, Limits, Pacer, PromptLengths
from .retry import Attempts, GiveUp, Retry, Stop, decide

log = structlog.get_logger()

Answered = Callable[[Reply | Exception], None]

_UNTRIED = Attempts()

HOPELESS = 16
"""Calls refused for good, and none answered, after which it is not the items' fault."""


class Job:
    """A call on its way. ``answered`` is called once, in the loop, with a reply or an error."""

    __slots__ = ("answered", "began", "priority", "request", "sent", "spent", "tokens", "tries")

    def __init__(
        self, request: Request, *, priority: int, tokens: float, answered: Answered
    ) -> None:
        self.request = request
        self.priority = priority
        self.tokens = tokens
        self.answered = answered
        self.tries = _UNTRIED
        self.began = 0.0
        self.sent = 0.0
        self.spent = 0.0


class DispatchStatistics(NamedTuple):
    """A look at one endpoint now."""

    in_flight: int
    queued: int
    waiting_for_retry: int
    concurrency: int
    """Calls that may be in flight now."""
    paused: float
    """Seconds until the pace lets the next call out; 0 if it may go now."""
    retries: int
    rate_limited: int


class Dispatcher:
    """The only sender to one endpoint.

    Lives in the task group it is given; `close` ends its senders.
    """

    def __init__(self, provider: Provider, limits: Limits, policy: RetryPolicy) -> None:
        self.provider = provider
        self.prompt_lengths = PromptLengths()
        self.reserves = limits.tokens_per_minute is not None
        """Whether jobs must say how many tokens to reserve."""
        self._policy = policy
        self._limits = limits
        self._queue: list[tuple[int, int, Job]] = []
        self._order = 0
        self._idle: deque[asyncio.Future[Job]] = deque()
        self._later: dict[Job, asyncio.TimerHandle] = {}
        self._senders = 0
        self._in_flight = 0
        self._retries = 0
        self._rate_limited = 0
        self._rejected = 0
        self._last_success = float("-inf")
        self._closed_by: Exception | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._empty: asyncio.Future[None] | None = None

    def start(self, group: TaskGroup) -> None:
        """Take up work in *group*, on the running loop."""
        self._group = group
        self._loop = asyncio.get_running_loop()
        self._pacer = Pacer(self._limits, clock=self._loop.time)
        self._concurrency = Concurrency(ceiling=self._limits.max_concurrent, clock=self._loop.time)

    def submit(self, job: Job) -> None:
        """Queue *job*; it is sent when its turn, the pace and the concurrency allow."""
        if self._closed_by is not None:
            job.answered(self._closed_by)
            return
        job.began = self._loop.time()
        self._push(job)
        self._pump()

    def stop(self, reason: Exception) -> None:
        """Send nothing more: what waits is answered with *reason*, what is in flight finishes."""
        self._closed_by = reason
        for timer in self._later.values():
            timer.cancel()
        waiting = [job for _, _, job in self._queue] + list(self._later)
        self._queue.clear()
        self._later.clear()
        for job in waiting:
            job.answered(reason)

    async def drained(self) -> None:
        """Wait until nothing is in flight: what was sent is paid for."""
        self.stop(self._closed_by or Stopping())
        while self._in_flight:
            self._empty = self._loop.create_future()
            await self._empty
        if self._alarm is not None:
            self._alarm.cancel()

    def statistics(self) -> DispatchStatistics:
        return DispatchStatistics(
            self._in_flight,
            len(self._queue),
            len(self._later),
            self._concurrency.limit,
            self._pacer.delay(0) if self._queue else 0.0,
            self._retries,
            self._rate_limited,
        )

    # -- choosing: synchronous, no waiting ---------------------------------------------------

    def _push(self, job: Job) -> None:
        self._order += 1
        heappush(self._queue, (job.priority, self._order, job))

    def _take(self) -> Job | None:
        """Take the next job if one may be sent now; else arrange to be called when it may."""
        if not self._queue or self._in_flight >= self._concurrency.limit:
            return None
        job = self._queue[0][2]
        wait = self._pacer.delay(job.tokens)
        if wait > 0:
            self._wake_after(wait)
            return None
        heappop(self._queue)
        self._pacer.take(job.tokens)
        self._in_flight += 1
        job.sent = self._loop.time()
        return job

    def _wake_after(self, wait: float) -> None:
        if self._alarm is not None:
            if self._alarm.when() <= self._loop.time() + wait:
                return
            self._alarm.cancel()
        self._alarm = self._loop.call_later(wait, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._pump()

    def _pump(self) -> None:
        """Hand jobs to idle senders, starting new ones up to the bound."""
        while self._queue:
            if not self._idle:
                if self._senders < min(self._concurrency.limit, self._in_flight + len(self._queue)):
                    self._senders += 1
                    self._group.start_soon(self._serve, name=f"sender-{self._senders}")
                return
            if self._idle[0].cancelled():
                return  # the group ends, and a timer came before the senders' last turn
            job = self._take()
            if job is None:
                return
            waiter = self._idle.popleft()
            waiter.set_result(job)

    # -- sending ------------------------------------------------------------------------------

    async def _serve(self) -> None:
        try:
            await self._send()
        finally:  # the group ends: no timer may hand out work any more
            self.stop(self._closed_by or Stopping())

    async def _send(self) -> None:
        while True:
            job = self._take()
            if job is None:
                waiter = self._loop.create_future()
                self._idle.append(waiter)
                job = await waiter
            if self._queue:
                self._pump()
            try:
                reply = await self.provider.complete(job.request)
            except ProviderError as error:
                self._in_flight -= 1
                self._failed(job, error)
            except BaseException:
                self._in_flight -= 1
                raise
            else:
                self._in_flight -= 1
                self._succeeded(job, reply)
            if self._empty is not None and not self._in_flight and not self._empty.done():
                self._empty.set_result(None)

    def _succeeded(self, job: Job, reply: Reply) -> None:
        self._last_success = self._loop.time()
        self._concurrency.succeeded(self._in_flight + 1, job.sent)
        if self.reserves:
            used = reply.prompt_tokens + reply.completion_tokens
            self._pacer.settle(job.tokens, used or job.tokens)  # 0: the server did not say
        if reply.allowance is not None:
            self._pacer.heard(reply.allowance)
        job.answered(reply)

    def _failed(self, job: Job, error: ProviderError) -> None:
        if self.reserves:
            self._pacer.settle(job.tokens, 0)
        if isinstance(error, RateLimited):
            self._refused(job, error)
        if self._closed_by is not None:
            job.answered(self._closed_by)
            return
        job.spent += self._loop.time() - job.sent
        decision = decide(
            error, tries=job.tries, elapsed=job.spent, policy=self._policy, random=random
        )
        match decision:
            case Retry(wait, tries):
                self._retry(job, wait, tries)
            case Stop(reason):
                stopped = RunStopped(f"{reason}; mend that, then resume")
                self.stop(stopped)
                job.answered(stopped)
            case GiveUp(reason):
                job.answered(self._given_up(job, error, reason))

    def _refused(self, job: Job, error: RateLimited) -> None:
        self._rate_limited += 1
        self._pacer.refused()
        hold = self._concurrency.refused(
            self._in_flight + 1, job.sent, retry_after=error.retry_after
        )
        if hold > 0:
            self._pacer.hold(hold)
        if error.allowance is not None:
            self._pacer.heard(error.allowance)

    def _retry(self, job: Job, wait: float, tries: Attempts) -> None:
        self._retries += 1
        job.tries = tries
        job.spent += wait
        if wait > 0:
            self._later[job] = self._loop.call_later(wait, self._return, job)
        else:
            self._push(job)

    def _return(self, job: Job) -> None:
        del self._later[job]
        self._push(job)
        self._pump()

    def _given_up(self, job: Job, error: ProviderError, reason: str) -> Exception:
        """A call that failed loses its item; an endpoint that answers nobody ends the run."""
        if isinstance(error, Rejected):
            self._rejected += 1
            if self._rejected >= HOPELESS and self._last_success == float("-inf"):
                return RunStopped(
                    f"{reason}; so were the first {self._rejected} calls to this endpoint, and none"
                    " succeeded: mend the settings of that role, then resume"
                )
            return ItemError("rejected", reason)
        if self._last_success < job.began:
            return RunStopped(
                f"{reason}; no other call to this endpoint succeeded meanwhile:"
                " start the server or check the network, then resume"
            )
        return ItemError("unavailable", reason, transient=True)
