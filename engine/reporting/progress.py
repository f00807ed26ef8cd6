"""Show the progress of a session on stderr: a live table, a line now and then, or JSON lines.

It reads counters at intervals, not at every item or call.
"""

import shutil
import sys
import time
from typing import Literal, TextIO, assert_never

import anyio

from ...providers import json_codec
from ..calls.counters import StageCounts
from ..calls.dispatcher import Dispatcher
from ..calls.prices import money
from ..pipeline.session import Session, Watcher
from .terminal import printable, printable_json, row_count
from .waiting import clock, waiting_endpoints

Display = Literal["auto", "full", "plain", "json", "none"]
"""``auto``: ``full`` on a terminal, else ``plain``."""

_Shown = Literal["full", "plain", "json"]
_INTERVALS: dict[_Shown, float] = {"full": 0.25, "plain": 10.0, "json": 1.0}
"""Seconds between two updates."""


def watcher(display: Display, *, stream: TextIO = sys.stderr) -> Watcher:
    """Return a display of a session, which runs until it is cancelled."""
    if display == "none":
        return _show_nothing
    if display == "auto":
        display = "full" if stream.isatty() else "plain"
    kind: _Shown = display

    async def watch(session: Session) -> None:
        view = _View(session, stream, kind)
        try:
            while True:
                await anyio.sleep(_INTERVALS[kind])
                view.update()
        finally:
            view.close()

    return watch


async def _show_nothing(session: Session) -> None:
    del session


class _Rates:
    """Calls and tokens per second over the last intervals, smoothed."""

    def __init__(self) -> None:
        self.calls = 0.0
        self.tokens = 0.0
        self._time = time.monotonic()
        self._totals = (0, 0)
        self._weight = 1.0
        """Of the newest interval."""

    def update(self, calls: int, tokens: int) -> None:
        now = time.monotonic()
        seconds = max(now - self._time, 1e-6)
        calls_before, tokens_before = self._totals
        self.calls += self._weight * ((calls - calls_before) / seconds - self.calls)
        self.tokens += self._weight * ((tokens - tokens_before) / seconds - self.tokens)
        self._time, self._totals, self._weight = now, (calls, tokens), 0.3


class _View:
    def __init__(self, session: Session, stream: TextIO, kind: _Shown) -> None:
        self._session = session
        self._stream = stream
        self._kind: _Shown = kind
        self._start = time.monotonic()
        self._rates = _Rates()
        self._lines_on_screen = 0

    def update(self) -> None:
        total = self._session.counters.total()
        self._rates.update(total.paid, total.prompt_tokens + total.completion_tokens)
        match self._kind:
            case "full":
                self._redraw()
            case "json":
                self._stream.write(
                    printable_json(json_codec.dumps(self._snapshot()).decode()) + "\n"
                )
            case "plain":
                self._stream.write(printable(self._line()) + "\n")
            case _:
                assert_never(self._kind)
        self._stream.flush()

    def close(self) -> None:
        """Bring a table that is on the screen up to date, and leave it there."""
        if self._lines_on_screen:
            self._redraw()
            self._stream.flush()

    def _redraw(self) -> None:
        lines = self._table()
        width = shutil.get_terminal_size().columns - 1
        up = f"\x1b[{self._lines_on_screen}A" if self._lines_on_screen else ""
        body = "".join(f"\x1b[2K{printable(line)[:width]}\n" for line in lines)
        self._stream.write(f"{up}{body}\x1b[J")  # the table may have become shorter
        self._lines_on_screen = len(lines)

    # -- contents -----------------------------------------------------------------------------

    def _table(self) -> list[str]:
        lines = ["stage            in       out   working    failed"]
        lines += [_stage_line(*stage) for stage in self._session.counters.stages.items()]
        lines.append(f"calls    {self._calls()}")
        lines += [_endpoint_line(*endpoint) for endpoint in self._session.dispatchers.items()]
        lines.append(f"kept     {self._kept()}")
        lines.append(f"time     {clock(self._elapsed)}{self._remaining()}")
        lines += self._troubles()
        return lines

    def _line(self) -> str:
        stages = ", ".join(
            f"{name} {counts.finished}/{counts.entered}"
            for name, counts in self._session.counters.stages.items()
        )
        troubles = "".join(f"; {trouble}" for trouble in self._troubles())
        return (
            f"{clock(self._elapsed)} {stages}; {self._calls()}; {self._kept()}{self._remaining()}"
            f"{troubles}"
        )

    def _troubles(self) -> list[str]:
        return waiting_endpoints(self._session.dispatchers, self._session.plan.config.retry)

    def _snapshot(self) -> dict[str, object]:
        counters = self._session.counters
        total = counters.total()
        return {
            "elapsed": round(self._elapsed, 3),
            "stages": counters.stages,
            "calls_paid": total.paid,
            "calls_reused": total.reused,
            "calls_per_second": round(self._rates.calls, 1),
            "tokens_per_second": round(self._rates.tokens, 1),
            "kept": counters.kept,
            "target_rows": self._session.plan.config.target_rows,
            "scored": counters.scored,
            "selected": counters.selected,
            "money": money(self._session.plan.roles, counters.usage),
            "endpoints": {
                name: dispatcher.statistics()._asdict()
                for name, dispatcher in self._session.dispatchers.items()
            },
        }

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._start

    def _calls(self) -> str:
        total = self._session.counters.total()
        cost = money(self._session.plan.roles, self._session.counters.usage)
        spent = "" if cost is None else f", {cost:.2f} spent"
        return (
            f"{total.paid:,} paid, {total.reused:,} reused,"
            f" {self._rates.calls:,.0f}/s, {self._rates.tokens:,.0f} tokens/s{spent}"
        )

    def _kept(self) -> str:
        counters = self._session.counters
        target_rows = self._session.plan.config.target_rows
        rounds = ", ".join(
            f"round {number} {counters.selected.get(number, 0) / scored:.0%}"
            for number, scored in sorted(counters.scored.items())
        )
        kept = row_count(counters.kept, target_rows)
        return f"{kept} (selected: {rounds})" if rounds else kept

    def _remaining(self) -> str:
        share = self._share_done()
        if not share or self._elapsed < 2:
            return ""
        return f", about {clock(self._elapsed * (1 - share) / share)} to go"

    def _share_done(self) -> float:
        """Return the share of the session's work that is done, 0 to 1; 0 if unknown."""
        config, counters = self._session.plan.config, self._session.counters
        if config.target_rows:
            return min(1.0, counters.kept / config.target_rows)
        if self._session.total_seeds and not config.metadata.augment_to:
            return min(1.0, counters.requests / self._session.total_seeds)
        return 0.0


def _stage_line(name: str, counts: StageCounts) -> str:
    working = counts.entered - counts.finished
    return f"{name:<8} {counts.entered:>10,}{counts.finished:>10,}{working:>10,}{counts.lost:>10,}"


def _endpoint_line(name: str, dispatcher: Dispatcher) -> str:
    now = dispatcher.statistics()
    retries = f", {now.waiting_for_retry} waiting for a retry" if now.waiting_for_retry else ""
    pause = f", paused {now.paused:.1f} s" if now.paused >= 0.1 else ""
    return (
        f"  {name}: {now.in_flight} of {now.concurrency} in flight,"
        f" {now.queued} queued{retries}{pause}, {now.rate_limited} rate-limited (429)"
    )
