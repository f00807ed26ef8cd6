"""What a person sees while a run works: on stderr, at most four times a second.

On a terminal a small table that redraws itself, elsewhere a plain line now and then, or JSON lines
for programs. It reads counters; nothing calls it per item.
"""

import shutil
import sys
import time
from typing import Literal, TextIO

import anyio

from ...providers import json_codec
from ..calls.budget import money
from ..calls.counters import StageCounts
from ..pipeline.session import Session, Watcher

Display = Literal["auto", "full", "plain", "json", "none"]

_EVERY = {"full": 0.25, "plain": 10.0, "json": 1.0}


def watcher(display: Display, *, stream: TextIO = sys.stderr) -> Watcher:
    """Return what shows a session until it is cancelled."""
    if display == "auto":
        display = "full" if stream.isatty() else "plain"

    async def watch(session: Session) -> None:
        if display == "none":
            return
        view = _View(session, stream, display)
        try:
            while True:
                await anyio.sleep(_EVERY[display])
                view.show()
        finally:
            view.end()

    return watch


class _View:
    def __init__(self, session: Session, stream: TextIO, display: str) -> None:
        self._session = session
        self._stream = stream
        self._display = display
        self._began = time.monotonic()
        self._last = (self._began, 0, 0)
        self._rates = (0.0, 0.0)
        self._drawn = 0

    def show(self) -> None:
        self._measure()
        if self._display == "full":
            self._redraw(self._lines())
        elif self._display == "json":
            self._stream.write(json_codec.dumps(self._snapshot()).decode() + "\n")
        else:
            self._stream.write(self._line() + "\n")
        self._stream.flush()

    def end(self) -> None:
        if self._display == "full" and self._drawn:
            self._redraw(self._lines())
            self._stream.flush()

    def _redraw(self, lines: list[str]) -> None:
        width = shutil.get_terminal_size().columns
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        body = "".join(f"\x1b[2K{line[: width - 1]}\n" for line in lines)
        self._stream.write(up + body)
        self._drawn = len(lines)

    def _measure(self) -> None:
        """Rates over the last interval, smoothed."""
        now = time.monotonic()
        total = self._session.counters.total()
        then, calls, tokens = self._last
        paid, made = total.paid, total.prompt_tokens + total.completion_tokens
        span = max(now - then, 1e-6)
        fresh = (paid - calls) / span, (made - tokens) / span
        keep = 0.0 if then == self._began else 0.7
        self._rates = (
            keep * self._rates[0] + (1 - keep) * fresh[0],
            keep * self._rates[1] + (1 - keep) * fresh[1],
        )
        self._last = now, paid, made

    # -- what there is to say -----------------------------------------------------------------

    def _lines(self) -> list[str]:
        lines = ["stage            in       out   working    failed"]
        for name, counts in self._session.counters.stages.items():
            lines.append(self._stage_line(name, counts))
        lines.append(f"calls    {self._calls()}")
        for name, dispatcher in self._session.dispatchers.items():
            seen = dispatcher.statistics()
            waits = (
                f", {seen.waiting_for_retry} waiting for a retry" if seen.waiting_for_retry else ""
            )
            pace = f", paced {seen.paused:.1f} s" if seen.paused >= 0.1 else ""
            lines.append(
                f"  {name}: {seen.in_flight} in flight of {seen.concurrency},"
                f" {seen.queued} queued{waits}{pace}, {seen.rate_limited} times 429"
            )
        lines.append(f"kept     {self._kept()}")
        lines.append(f"time     {_clock(self._elapsed)}{self._remaining()}")
        return lines

    def _line(self) -> str:
        stages = ", ".join(
            f"{name} {counts.left}/{counts.entered}"
            for name, counts in self._session.counters.stages.items()
        )
        return (
            f"{_clock(self._elapsed)} {stages}; {self._calls()}; {self._kept()}{self._remaining()}"
        )

    def _snapshot(self) -> dict[str, object]:
        counters = self._session.counters
        total = counters.total()
        return {
            "elapsed": round(self._elapsed, 3),
            "stages": counters.stages,
            "calls_paid": total.paid,
            "calls_reused": total.reused,
            "calls_per_second": round(self._rates[0], 1),
            "tokens_per_second": round(self._rates[1], 1),
            "kept": counters.kept,
            "target_rows": self._session.plan.config.target_rows,
            "scored": counters.scored,
            "selected": counters.selected,
            "money": money(self._session.plan.roles, counters.roles),
            "endpoints": {
                name: dispatcher.statistics()._asdict()
                for name, dispatcher in self._session.dispatchers.items()
            },
        }

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    def _stage_line(self, name: str, counts: StageCounts) -> str:
        inside = counts.entered - counts.left
        return f"{name:<8} {counts.entered:>10,}{counts.left:>10,}{inside:>10,}{counts.lost:>10,}"

    def _calls(self) -> str:
        total = self._session.counters.total()
        spent = money(self._session.plan.roles, self._session.counters.roles)
        price = "" if spent is None else f", {spent:.2f} spent"
        return (
            f"{total.paid:,} paid, {total.reused:,} reused,"
            f" {self._rates[0]:,.0f}/s, {self._rates[1]:,.0f} tokens/s{price}"
        )

    def _kept(self) -> str:
        counters = self._session.counters
        wanted = self._session.plan.config.target_rows
        of = f" of {wanted:,}" if wanted else ""
        rounds = ", ".join(
            f"round {number} {counters.selected.get(number, 0) / scored:.0%}"
            for number, scored in sorted(counters.scored.items())
        )
        return f"{counters.kept:,}{of} rows{f' (selected: {rounds})' if rounds else ''}"

    def _remaining(self) -> str:
        share = self._share()
        if not share or self._elapsed < 2:
            return ""
        return f", about {_clock(self._elapsed * (1 - share) / share)} to go"

    def _share(self) -> float:
        """How much of the work of this session is done, 0 to 1; 0 where it can't be known."""
        config, counters = self._session.plan.config, self._session.counters
        if config.target_rows:
            return min(1.0, counters.kept / config.target_rows)
        if self._session.total_seeds and not config.metadata.augment_to:
            return min(1.0, counters.orders / self._session.total_seeds)
        return 0.0


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
