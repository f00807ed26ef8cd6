"""When calls were answered and how long they took, from the stored replies of a sample of rows."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise

from msgspec import Struct

from ..calls.reply_lookup import ReplyLookup
from ..data.records import Call, Example

_BINS = 80
_MOST_TIMES = 50_000
"""Stored replies to read at most: some two seconds."""


class Latency(Struct, frozen=True):
    """How long the calls of one stage to one role took, in seconds."""

    role: str
    stage: str
    calls: int
    median: float
    p90: float
    p99: float
    slowest: float


class Rate(Struct, frozen=True):
    """Replies a minute of one role, from *start*, in seconds since 1970."""

    role: str
    start: float
    per_minute: float


class Activity(Struct, frozen=True):
    """The calls of a sample of rows.

    Attributes:
        calls: of the sampled rows, each once.
        answered: those whose reply the cache has.
        share: how much of the run's instructions was sampled; rates are scaled by it.
        width: seconds that one rate covers.
    """

    has_cache: bool
    calls: int
    answered: int
    share: float
    width: float
    latencies: tuple[Latency, ...]
    rates: tuple[Rate, ...]


def measure_activity(
    examples: Iterable[Example], replies: ReplyLookup, *, share: float
) -> Activity:
    """Measure the calls of *examples*, which are a *share* of the run's instructions. Blocks.

    Raises:
        StorageError: the cache cannot be read.
    """
    calls = 0
    seconds = defaultdict[tuple[str, str], list[float]](list)
    times = list[tuple[str, float]]()
    for call in _distinct(examples):
        calls += 1
        reply = replies.get(call.key) if len(times) < _MOST_TIMES else None
        if reply is not None:
            seconds[call.role, call.stage].append(reply.seconds)
            if not call.cached:
                times.append((call.role, reply.time))
    width = _width([time for _, time in times])
    return Activity(
        replies.has_cache,
        calls,
        sum(map(len, seconds.values())),
        share,
        width,
        tuple(_latency(role, stage, values) for (role, stage), values in sorted(seconds.items())),
        tuple(_rates(times, width, share)),
    )


def _distinct(examples: Iterable[Example]) -> Iterator[Call]:
    """Yield every call once: instructions of one request share those that wrote them."""
    keys = set[str]()
    for example in examples:
        for call in example.calls:
            if call.key not in keys:
                keys.add(call.key)
                yield call


def _latency(role: str, stage: str, seconds: list[float]) -> Latency:
    seconds.sort()
    median, p90, p99 = (seconds[int(share * len(seconds))] for share in (0.5, 0.9, 0.99))
    return Latency(role, stage, len(seconds), median, p90, p99, seconds[-1])


def _width(times: list[float]) -> float:
    """Return the seconds of a bin; hours in which nothing ran make no bins."""
    if not times:
        return 1.0
    times.sort()
    active = sum(min(60.0, late - early) for early, late in pairwise(times))
    return max(1.0, active / _BINS)


def _rates(times: list[tuple[str, float]], width: float, share: float) -> Iterator[Rate]:
    counts = Counter((role, int(time // width)) for role, time in times)
    for (role, number), count in sorted(counts.items()):
        yield Rate(role, number * width, count / share * 60 / width)
