"""What keeps a session waiting, in a line for each endpoint."""

from collections.abc import Mapping

from ..calls.dispatch_statistics import LONG_PAUSE
from ..calls.dispatcher import Dispatcher
from ..calls.outage import LONG_OUTAGE
from ..config import RetryPolicy
from .terminal import clock


def waiting_endpoints(dispatchers: Mapping[str, Dispatcher], policy: RetryPolicy) -> list[str]:
    """Say of each endpoint that answers nobody, or lets nothing out, why and for how long."""
    lines = list[str]()
    for name, dispatcher in dispatchers.items():
        now = dispatcher.statistics()
        if now.outage >= LONG_OUTAGE:
            lines.append(
                f"no answer for {clock(now.outage)}; the run ends after {clock(policy.outage)}"
                f" (retry.outage); last error: {now.last_error}"
            )
        elif now.paused >= LONG_PAUSE:
            lines.append(f"{name}: its rate limit lets the next call out in {clock(now.paused)}")
    return lines
