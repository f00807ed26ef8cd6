"""What a run has made and is doing now, as one value: for displays, here and in other processes."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from ..calls.counters import StageCounts

State = Literal["starting", "working", "stopping", "stopping at once", "ending"]
"""``ending``: there are enough rows, or the session cannot go on; calls in flight finish."""


class OutputProgress(Struct, frozen=True, kw_only=True):
    """What all sessions have made; None where it is not counted yet."""

    rows: int | None = None
    """Different rows kept."""
    target_rows: int | None = None
    seeds: int | None = None
    """Seeds with nothing left to do; None for a run that does not go through its seeds."""
    total_seeds: int | None = None
    instructions: int | None = None
    """Instructions that have their fate."""
    likely_instructions: int | None = None
    """How many there will probably be."""


class SpendingProgress(Struct, frozen=True, kw_only=True):
    """What all sessions have spent, of how much; None where no limit is set."""

    calls: int
    """Paid answers."""
    reused: int
    """Answers from the cache, in this session."""
    likely_calls: int | None = None
    """Paid answers that the whole run will probably take: at first as forecast, and from a tenth of
    the work on as it went so far."""
    most_calls: int | None = None
    tokens: int
    most_tokens: int | None = None
    money: float | None = None
    """None where no price is known."""
    most_money: float | None = None
    seconds: float
    """Of work."""
    most_seconds: float | None = None


class Activity(Struct, frozen=True, kw_only=True):
    """What this session does. Items and instructions are those of this session."""

    in_flight: int
    """Calls sent and not answered; after a stop at once, those that were given up."""
    money_in_flight: float | None = None
    """What they will cost if they cost what the others did."""
    calls_per_second: float
    tokens_per_second: float
    stages: dict[str, StageCounts]
    """Items by stage."""
    scored: dict[int, int]
    """Instructions scored, by round."""
    selected: dict[int, int]
    """Instructions selected, by round."""


class EndpointProgress(Struct, frozen=True, kw_only=True):
    """What one endpoint does or waits for. Times are in seconds, 0 where nothing is waited for."""

    name: str
    roles: tuple[str, ...]
    """The roles that ask it."""
    calls_per_second: float
    in_flight: int
    concurrency: int
    """Calls that may be in flight now."""
    queued: int
    paused: float
    """Until its rate limit lets the next call out."""
    waiting_for_retry: int
    next_retry: float
    """Until the first of them is tried again."""
    rate_limited: int
    """Refusals (429) in this session."""
    requests_per_minute: float | None
    """Its limit, where the configuration states one."""
    outage: float
    """For how long every call has failed."""
    longest_outage: float
    """After so long the session ends (``retry.outage``)."""
    last_error: str


class RunProgress(Struct, frozen=True, kw_only=True):
    """A run at one moment."""

    run: str
    """The folder's name."""
    state: State
    reason: str = ""
    """Why the session is ending."""
    elapsed: float
    """Seconds of this session."""
    share: Annotated[float, Meta(ge=0, le=1)] | None = None
    """How much of the work is done, 0 to 1; None where that is not known."""
    remaining: float | None = None
    """Seconds that it takes at the pace of late; None until that is known."""
    output: OutputProgress
    spending: SpendingProgress
    activity: Activity
    endpoints: tuple[EndpointProgress, ...] = ()
    written_at: float = 0.0
    """Seconds since 1970."""
    silent: float = 0.0
    """For how many seconds the session has written nothing new, where another process reads it."""
