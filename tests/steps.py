"""What work costs in steps, not in seconds: a busy machine counts the same."""

import signal
import sys
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any


def calls(work: Callable[[], object]) -> Counter[str]:
    """Run *work* and count the functions called, by their names: Python's and built-in ones."""
    counts: Counter[str] = Counter()

    def count(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            counts[frame.f_code.co_name] += 1
        elif event == "c_call":
            counts[argument.__name__] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return counts


@contextmanager
def cpu_at_most(seconds: float) -> Generator[None]:
    """Fail once the body has used so many seconds of CPU, even within a regular expression.

    For what is either done in a hundredth of that or never done.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"more than {seconds} s of CPU")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
