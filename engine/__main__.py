"""The process of the command ``codeclm``, which ``python -m codeclm.engine`` starts, too."""

import os
import signal
import sys
import threading
from contextlib import suppress
from time import monotonic
from typing import Final, TextIO

from .cli import main

GRACE: Final = 5.0
"""Seconds for which the end of other threads is waited for."""


def run() -> int:
    """Run the command line and return its exit status; threads that do not end are left behind.

    A second interrupt at a bad moment leaves one of AnyIO's idle worker threads unstopped, and
    Python waits for such threads without end. All that must be on disk is there by then: whoever
    opened a file has closed it.
    """
    status = main()
    for number in (signal.SIGINT, signal.SIGTERM):  # all is said: only the interpreter has to end
        signal.signal(number, signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        _flush(stream)
    if not _others_end_within(GRACE):
        os._exit(status)
    return status


def _flush(stream: TextIO | None) -> None:
    """Write what *stream* holds; if nobody reads it, keep Python from ending with status 120."""
    if stream is None:
        return
    with suppress(ValueError):  # closed
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _others_end_within(seconds: float) -> bool:
    """Wait for all threads that Python would wait for; return whether they ended in time."""
    until = monotonic() + seconds
    others = [
        thread
        for thread in threading.enumerate()
        if thread is not threading.current_thread() and not thread.daemon
    ]
    for thread in others:
        thread.join(max(0.0, until - monotonic()))
    return not any(thread.is_alive() for thread in others)


if __name__ == "__main__":
    sys.exit(run())
