"""Are limits kept that are told, and found that are not, in windows of a second and of a minute?

``codeclm run`` against the tests' fault server over real sockets: how much of the quota is used,
and which share of the requests is refused, at first and from then on.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from tests.faults.processes import FaultServer, fault_server
from tests.faults.quota import QuotaSettings
from tests.faults.server import Seen, Settings

from .measuring import Gate, announce, arguments, hold, keep, show
from .quotas import running


class Trial(NamedTuple):
    """A server's quota, what a run is told about it, and what must be found out by when."""

    name: str
    quota: QuotaSettings
    begin: float
    """Seconds from which on the figures count."""
    seconds: float
    most_refused: float
    """Share of the requests."""
    told: float | None = None
    """Requests per minute."""
    moves_at: float | None = None
    moves_to: float = 0.0
    least_used: float = 0.9


def _quota(per_minute: float, span: float, retry_after: str = "seconds") -> QuotaSettings:
    return QuotaSettings(requests_per_minute=per_minute, span=span, retry_after=retry_after)


TRIALS = (
    Trial("told 6,000/min, counts 1 s", _quota(6000, 1), 3, 33, 0.0, told=6000, least_used=0.98),
    Trial("told 3,000/min, counts 60 s", _quota(3000, 60), 3, 63, 0.0, told=3000, least_used=0.98),
    Trial("50/s, counts 1 s", _quota(3000, 1), 20, 50, 0.05),
    Trial("50/s, counts 1 s, no Retry-After", _quota(3000, 1, "none"), 20, 50, 0.05),
    Trial("3,000/min, counts 60 s", _quota(3000, 60), 60, 180, 0.02),
    Trial("3,000/min, counts 60 s, no Retry-After", _quota(3000, 60, "none"), 60, 180, 0.02),
    Trial("6,000 to 1,500/min, counts 1 s", _quota(6000, 1), 40, 60, 0.05, None, 30, 1500),
    Trial("1,500 to 6,000/min, counts 1 s", _quota(1500, 1), 40, 60, 0.05, None, 30, 6000),
    Trial("told 6,000, goes to 1,500/min", _quota(6000, 1), 40, 60, 0.05, 6000, 30, 1500),
)  # fmt: skip

QUICK = (Trial("50/s, counts 1 s", _quota(3000, 1), 0.5, 1.5, 1.0, least_used=0.0),)


def measure(server: FaultServer, trial: Trial) -> dict[str, Any]:
    """Run against the quota of the strong model; count before *trial.begin* and after it."""
    server.reset(Settings(latency=0.04, jitter=0.02, quotas={"strong": trial.quota}))
    told = ("--set", f"strong.requests_per_minute={trial.told:g}") if trial.told else ()
    rate = (trial.quota.requests_per_minute or 0.0) / 60
    with TemporaryDirectory() as folder, running(server, Path(folder), told):
        server.wait(1, timeout=20)
        began = time.monotonic()
        if trial.moves_at is not None:
            time.sleep(trial.moves_at)
            moved = _quota(trial.moves_to, trial.quota.span, trial.quota.retry_after)
            server.set(Settings(latency=0.04, jitter=0.02, quotas={"strong": moved}))
            rate = trial.moves_to / 60
        time.sleep(max(0.0, began + trial.seconds + 0.2 - time.monotonic()))
        requests = [request for request in server.seen() if request.model == "strong"]
    return _row(trial, requests, rate)


def _row(trial: Trial, requests: Sequence[Seen], rate: float) -> dict[str, Any]:
    first = requests[0].received
    begin, end = first + trial.begin, first + trial.seconds
    refused = [request.received for request in requests if request.outcome == "refused"]
    refused_late = sum(begin <= at < end for at in refused)
    late = sum(begin <= request.received < end for request in requests)
    return {
        "limit": trial.name,
        "from s": trial.begin,
        "to s": trial.seconds,
        "used": round((late - refused_late) / (rate * (end - begin)), 4),
        "refused": round(refused_late / max(1, late), 4),
        "refused before": sum(at < begin for at in refused),
    }


def main() -> None:
    job, _ = arguments(__doc__)
    about = announce("rates")
    rows, gates = list[dict[str, Any]](), list[Gate]()
    with fault_server() as server:
        for trial in job.pick(QUICK, TRIALS[:4], TRIALS):
            rows.append(measure(server, trial))
            gates.append(Gate(f"{trial.name}: used", rows[-1]["used"], least=trial.least_used))
            gates.append(
                Gate(f"{trial.name}: refused", rows[-1]["refused"], most=trial.most_refused)
            )
            show("limits", rows[-1:])
    show("limits", rows)
    keep(job, "rates", about, {"limits": rows})
    hold(job, gates)


if __name__ == "__main__":
    main()
