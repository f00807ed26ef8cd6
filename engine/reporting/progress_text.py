"""Progress in words: what matters most comes first, so that a narrow terminal cuts it last."""

import re
from collections.abc import Iterator

from ..calls.dispatch_statistics import LONG_PAUSE
from ..calls.outage import LONG_OUTAGE
from .progress import EndpointProgress, RunProgress
from .terminal import clock, one_line

_REQUEST = re.compile(r"^[A-Z]+ \S+: ")
"""How a message begins that names the request: the line has its endpoint already."""

LONG_SILENCE = 5.0
"""Seconds without news after which whoever watches from another process is told."""

LONGEST_LABEL = len("strong+target+judge")

UNKNOWN = "—"
"""Stands for a figure that nobody can know yet."""


def state_text(progress: RunProgress) -> str:
    """Say what the session does, and for how much longer."""
    done = clock(progress.elapsed)
    if progress.silent >= LONG_SILENCE:
        return f"no news for {clock(progress.silent)}: paused, or its machine is busy"
    match progress.state:
        case "starting":
            return f"starting, {done}"
        case "working":
            return f"{done} so far, {remaining(progress)} to go"
        case "ending":
            return f"ending: {_awaited(progress)}{_because(progress)}"
        case _:
            return stop_message(progress)


def remaining(progress: RunProgress) -> str:
    """Write how long it takes at the pace of late; a dash where that is not known."""
    if progress.remaining is None:
        return UNKNOWN
    return f"about {clock(progress.remaining)}"


def stop_message(progress: RunProgress) -> str:
    """Answer a request to stop: what happens now, and what another one does."""
    calls = _awaited(progress)
    if progress.state == "stopping at once":
        return f"stopped at once: {abandoned_calls(progress)}"
    return f"stopping: {calls}; Ctrl-C again to stop now"


def abandoned_calls(progress: RunProgress) -> str:
    """Say what a stop at once costs."""
    activity = progress.activity
    if not activity.in_flight:
        return "no call was in flight"
    cost = activity.money_in_flight
    worth = f" (about {money_text(cost)})" if cost else ""
    calls = "1 call" if activity.in_flight == 1 else f"{activity.in_flight:,} calls"
    return f"{calls} in flight given up; they may be billed{worth}, and are sent again"


def _awaited(progress: RunProgress) -> str:
    return f"{progress.activity.in_flight:,} in flight"


def _because(progress: RunProgress) -> str:
    return f"; {one_line(progress.reason)}" if progress.reason else ""


def money_text(amount: float) -> str:
    """Write *amount* with cents, and small amounts with more digits."""
    return f"{amount:,.2f}" if amount >= 1 or not amount else f"{amount:.4f}"


# -- endpoints ----------------------------------------------------------------------------------


def endpoint_label(endpoint: EndpointProgress) -> str:
    """Name an endpoint by the roles that ask it."""
    label = one_line("+".join(endpoint.roles) or endpoint.name)
    if len(label) <= LONGEST_LABEL:
        return label
    first, *others = endpoint.roles or (label,)
    more = f"+{len(others)}" if others else "…"
    return f"{one_line(first)[: LONGEST_LABEL - len(more)]}{more}"


def is_held_up(endpoint: EndpointProgress) -> bool:
    """Whether an endpoint waits for something that users may want to know of."""
    return endpoint.outage >= LONG_OUTAGE or endpoint.paused >= 1


def is_held_up_long(endpoint: EndpointProgress) -> bool:
    """Whether it does so for longer than limits usually take."""
    return endpoint.outage >= LONG_OUTAGE or endpoint.paused >= LONG_PAUSE


def endpoint_text(endpoint: EndpointProgress) -> str:
    """Say what an endpoint does or waits for."""
    return " · ".join(_endpoint_parts(endpoint))


def _endpoint_parts(endpoint: EndpointProgress) -> Iterator[str]:
    if endpoint.outage >= LONG_OUTAGE:
        yield f"no answer for {clock(endpoint.outage)}{_next_try(endpoint)}"
        yield _REQUEST.sub("", one_line(endpoint.last_error))
        yield f"gives up after {clock(endpoint.longest_outage)}"
        return
    if endpoint.paused >= 1:
        yield f"waits {clock(endpoint.paused)} for its rate limit"
    elif not endpoint.in_flight and endpoint.waiting_for_retry:
        yield f"waits {clock(endpoint.next_retry)} for a retry"
    elif not endpoint.in_flight and not endpoint.queued:
        yield "idle"
    if endpoint.in_flight or endpoint.queued:
        yield f"{endpoint.in_flight:,} of {endpoint.concurrency:,} in flight"
    if endpoint.calls_per_second:
        yield speed(endpoint.calls_per_second)
    if endpoint.queued:
        yield f"{endpoint.queued:,} queued"
    if endpoint.requests_per_minute is not None:
        yield f"limit {endpoint.requests_per_minute:,.0f}/min"
    if endpoint.waiting_for_retry:
        yield f"{endpoint.waiting_for_retry:,} to retry"
    if endpoint.rate_limited:
        yield f"{endpoint.rate_limited:,} refused (429)"
    yield one_line(endpoint.name.partition(" ")[0])


def _next_try(endpoint: EndpointProgress) -> str:
    if endpoint.in_flight or endpoint.next_retry < 1:
        return ", trying now"
    return f", next try in {clock(endpoint.next_retry)}"


def speed(calls_per_second: float) -> str:
    """Write a rate per second, or per minute where that is below 1."""
    if calls_per_second >= 10:
        return f"{calls_per_second:,.0f}/s"
    if calls_per_second >= 1:
        return f"{calls_per_second:.1f}/s"
    return f"{60 * calls_per_second:.0f}/min"


# -- the line for logs --------------------------------------------------------------------------


def amounts(progress: RunProgress) -> Iterator[tuple[str, str, float | None]]:
    """Yield what is made and spent: its name, its amount of how much, and the share, 0 to 1."""
    output, spending = progress.output, progress.spending
    yield _amount("rows", output.rows, output.target_rows)
    if output.total_seeds and output.seeds is not None:
        yield _amount("seeds", output.seeds, output.total_seeds)
    yield _amount("instructions", output.instructions, output.likely_instructions, "~")
    if spending.most_calls is not None:
        yield _amount("calls", spending.calls, spending.most_calls)
    else:
        yield _amount("calls", spending.calls, spending.likely_calls, "~")
    if spending.most_tokens is not None:
        yield _amount("tokens", spending.tokens, spending.most_tokens)
    if spending.money is not None:
        limit = "" if spending.most_money is None else f" of {money_text(spending.most_money)}"
        yield (
            "money",
            money_text(spending.money) + limit,
            _share(spending.money, spending.most_money),
        )
    if spending.most_seconds is not None:
        hours = f"{clock(spending.seconds)} of {clock(spending.most_seconds)}"
        yield "hours", hours, _share(spending.seconds, spending.most_seconds)


def _amount(
    name: str, count: int | None, total: int | None, mark: str = ""
) -> tuple[str, str, float | None]:
    if count is None:
        return name, UNKNOWN, None
    if total is None:
        return name, f"{count:,}", None
    amount = count if mark else min(count, total) if name == "rows" else count
    return name, f"{amount:,} of {mark}{total:,}", _share(count, total)


def _share(amount: float, total: float | None) -> float | None:
    return min(1.0, amount / total) if total else None


_AFTER_AMOUNT = {"money": "spent", "hours": "worked"}
"""What a sentence says after an amount, where that is not its name."""


def log_line(progress: RunProgress) -> str:
    """Write progress as one line, for a log that several runs may share."""
    share = "" if progress.share is None else f" {progress.share:.0%},"
    parts = [
        f"{amount} {_AFTER_AMOUNT.get(name, name)}"
        for name, amount, _ in amounts(progress)
        if amount != UNKNOWN
    ]
    waits = [
        f"{endpoint_label(endpoint)} {endpoint_text(endpoint)}"
        for endpoint in progress.endpoints
        if is_held_up(endpoint)
    ]
    line = f"{one_line(progress.run)}:{share} {state_text(progress)}; {', '.join(parts)}"
    return "; ".join([line, *waits])
