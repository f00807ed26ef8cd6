"""Is what is allowed used, and what is forbidden left alone?

A dispatcher with 10,000 jobs waiting before a provider in this process that keeps books: how much
of a known quota is used, how many 429s it had to give, the busiest second, what a paced call costs.
Then a storm: everything is refused for two seconds, or 15 % of the calls once, and the time to the
end is held against the ideal.
"""

import asyncio
import time
from bisect import bisect_left
from collections.abc import Callable
from functools import partial
from typing import Any

from codeclm.engine.calls.dispatcher import Dispatcher, open_dispatcher
from codeclm.engine.calls.pacing import Limits
from codeclm.engine.calls.queued_call import QueuedCall, StopReason
from codeclm.engine.config import RetryPolicy
from codeclm.engine.data.errors import Stopping
from codeclm.providers.base import RateLimited, Reply, Request, ResponseFormat

from .measuring import Gate, Line, announce, arguments, hold, keep, on_loop, plot, settle, show

TOKENS = 500
"""Of each call, in the trial with tokens."""


class Judge:
    """A provider that enforces a quota with a bucket a tenth of a second deep, and keeps books."""

    kind = "judge"
    identity = "judge"
    structured: ResponseFormat = "text"

    def __init__(self, rate: float = float("inf"), *, latency: float = 0.0) -> None:
        """Allow *rate* calls a second."""
        self.rate = rate
        self.latency = latency
        self.passed = list[float]()
        self.refused = 0
        self.storm_until = 0.0
        self.refuse_once: frozenset[str] = frozenset()
        self._once = set[str]()
        self._level = 0.0
        self._then = 0.0

    async def complete(self, request: Request, /) -> Reply:
        self._admit(request.sample)
        self.passed.append(time.perf_counter())
        if self.latency:
            await asyncio.sleep(self.latency)
        return Reply(text="yes", prompt_tokens=TOKENS // 2, completion_tokens=TOKENS // 2)

    def _admit(self, sample: str) -> None:
        now = time.perf_counter()
        if now < self.storm_until:
            self.refused += 1
            raise RateLimited("storm", retry_after=self.storm_until - now)
        if sample in self.refuse_once and sample not in self._once:
            self._once.add(sample)
            self.refused += 1
            raise RateLimited("once", retry_after=1.0)
        self._level = max(0.0, self._level - (now - self._then) * self.rate)
        self._then = now
        if self._level + 1 > max(1.0, self.rate * 0.1) + 1e-6:
            self.refused += 1
            raise RateLimited("too fast", retry_after=1 / self.rate)
        self._level += 1

    async def aclose(self) -> None:
        return

    def busiest_second(self) -> int:
        """The most calls that passed in any span of one second."""
        return max(
            bisect_left(self.passed, began + 1.0, at) - at for at, began in enumerate(self.passed)
        )


class CountedCall(QueuedCall, eq=False, kw_only=True):
    """A call whose end is counted."""

    dispatcher: Dispatcher
    on_end: Callable[[], None]

    async def carry_out(self) -> None:
        try:
            reply = await self.dispatcher.send(self)
        except Stopping:
            return
        if reply is not None:
            self.on_end()

    def abandon(self, reason: StopReason) -> None:
        del reason
        self.on_end()


async def send(judge: Judge, limits: Limits, jobs: int, *, span: float | None = None) -> float:
    """Submit *jobs* at once; return the seconds until all are answered, or stop after *span*."""
    all_ended = asyncio.get_running_loop().create_future()
    remaining = jobs

    def on_end() -> None:
        nonlocal remaining
        remaining -= 1
        if not remaining and not all_ended.done():
            all_ended.set_result(None)

    async with open_dispatcher(judge, limits, RetryPolicy()) as dispatcher:
        began = time.perf_counter()
        for n in range(jobs):
            call = CountedCall(
                request=Request(model="m", messages=(), sample=str(n)),
                priority=0,
                tokens=float(TOKENS) if limits.tokens_per_minute else 0.0,
                dispatcher=dispatcher,
                on_end=on_end,
            )
            dispatcher.submit(call)
        await asyncio.wait([all_ended], timeout=span)
        duration = time.perf_counter() - began
        dispatcher.stop(Stopping())
        await dispatcher.drained()
    return duration


# -- known quotas -----------------------------------------------------------------------------


def paced(rate: float, span: float, waiters: int, *, tokens: bool) -> dict[str, Any]:
    """Wait among so many *waiters* for *rate* calls a second, for *span* seconds."""
    judge = Judge(rate)
    limits = Limits(requests_per_minute=rate * 60)
    if tokens:
        limits = Limits(tokens_per_minute=rate * 60 * TOKENS)
    jobs = waiters + int(rate * span)
    cpu = time.process_time()
    duration = on_loop(partial(send, judge, limits, jobs, span=span))
    cpu = time.process_time() - cpu
    sent = len(judge.passed)
    free = unpaced(jobs)
    return {
        "quota": f"{rate:,.0f}{' of 500 tokens' if tokens else ''}/s",
        "used": round(sent / (rate * duration), 4),
        "429s": judge.refused,
        "busiest second": round(judge.busiest_second() / rate, 3) if duration > 1 else "",
        "paced call µs": round(cpu / sent * 1e6, 1),
        "unpaced call µs": round(free, 1),
    }


def unpaced(jobs: int) -> float:
    """CPU-µs of one call without a limit: what the dispatcher costs anyway."""
    cpu = time.process_time()
    on_loop(partial(send, Judge(), Limits(), jobs))
    return (time.process_time() - cpu) / jobs * 1e6


# -- storms -----------------------------------------------------------------------------------


def storms(calls: int, width: int, latency: float) -> list[dict[str, Any]]:
    """Hold what refusals cost against what they must."""
    pure = calls * latency / width
    rows = list[dict[str, Any]]()
    limits = Limits(max_concurrent=width)

    calm = Judge(latency=latency)
    duration = on_loop(partial(send, calm, limits, calls))
    rows.append(_row("no refusal", duration, pure, calm))

    storm = Judge(latency=latency)
    storm.storm_until = time.perf_counter() + 2.0
    duration = on_loop(partial(send, storm, limits, calls))
    rows.append(_row("all refused for 2 s", duration, pure + 2.0, storm))

    fickle = Judge(latency=latency)
    fickle.refuse_once = frozenset(str(n) for n in range(calls) if n % 20 in {3, 9, 14})
    duration = on_loop(partial(send, fickle, limits, calls))
    # A refused call is back after a second; the others run on meanwhile.
    rows.append(_row("15 % refused once for 1 s", duration, max(pure, 1.0 + latency), fickle))
    return rows


def _row(name: str, duration: float, ideal: float, judge: Judge) -> dict[str, Any]:
    return {
        "storm": name,
        "seconds": round(duration, 2),
        "ideal": round(ideal, 2),
        "ratio": round(duration / ideal, 3),
        "429s": judge.refused,
    }


def unknown(rate: float, span: float, waiters: int) -> tuple[dict[str, Any], list[int]]:
    """Find a quota that is not stated; return also the calls of each second."""
    judge = Judge(rate, latency=0.05)
    duration = on_loop(partial(send, judge, Limits(), waiters + int(rate * span), span=span))
    began = judge.passed[0]
    seconds = [0] * int(duration)
    for at in judge.passed:
        if at - began < len(seconds):
            seconds[int(at - began)] += 1
    late = [at for at in judge.passed if at - began > span * 0.2]
    return {
        "quota": f"{rate:,.0f}/s, not stated",
        "used after a fifth": round(len(late) / (rate * span * 0.8), 3),
        "429s per call": round(judge.refused / len(judge.passed), 3),
    }, seconds


# -- all of it --------------------------------------------------------------------------------


def main() -> None:
    job, _ = arguments(__doc__)
    settle()
    about = announce("limits")
    span = job.pick(0.5, 4.0, 15.0)
    waiters = job.pick(500, 10_000, 10_000)
    rates = job.pick([1_000.0], [1_000.0], [10.0, 100.0, 1_000.0, 5_000.0])
    quotas = [
        paced(rate, span, waiters, tokens=tokens) for rate in rates for tokens in (False, True)
    ]
    show(f"known quotas, {waiters:,} waiters, {span:g} s", quotas)
    searched = job.pick(rates, rates, rates[1:])
    searches = [unknown(rate, job.pick(1.0, 8.0, 30.0), waiters) for rate in searched]
    show("unknown quotas", [row for row, _ in searches])
    hit = storms(job.pick(200, 4_000, 20_000), 64, 0.05)
    show("refusals", hit)
    tables = {"known": quotas, "unknown": [row for row, _ in searches], "storms": hit}
    keep(job, "limits", about, tables)
    lines = [
        Line(str(row["quota"]), list(range(len(seconds))), [n / rate for n in seconds])
        for (row, seconds), rate in zip(searches, searched, strict=True)
    ]
    plot(
        job, "limits", "An unknown limit is found", lines, x="seconds", y="share of the limit used"
    )
    hold(
        job,
        [
            *(Gate(f"{row['quota']}: used", row["used"], least=0.98) for row in quotas),
            *(Gate(f"{row['quota']}: 429s", row["429s"], most=0) for row in quotas),
            *(
                Gate(f"{row['quota']}: used", row["used after a fifth"], least=0.85)
                for row, _ in searches
            ),
            *(Gate(f"{row['storm']}: seconds ÷ ideal", row["ratio"], most=1.3) for row in hit),
        ],
    )


if __name__ == "__main__":
    main()
