"""Run one adapter and print what it took as JSON. Standard library only: it runs in any venv.

``python ADAPTER.py URL ROWS CONCURRENCY FOLDER``. An adapter's ``load`` imports its engine and
returns a function that asks all prompts and returns how many answers it has; what is timed is that
function alone, start-up is told apart.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

Call = Callable[[str, Sequence[str], int, Path], int]
"""Base URL with ``/v1``, prompts, calls in flight, a folder that stays → answers."""

FILLER = "word " * 150


def keeping() -> bool:
    """Whether answers must outlive a kill; where not, an engine may do without what that costs."""
    return "KEEP" in os.environ


def main(load: Callable[[], Call]) -> None:
    url, rows, concurrency, folder = sys.argv[1:5]
    _raise_file_limit()
    began = time.perf_counter()
    call = load()
    loaded = time.perf_counter()
    used = _cpu()
    prompts = [f"[[row {n}]] Explain in detail: {FILLER}" for n in range(int(rows))]
    answers = call(url, prompts, int(concurrency), Path(folder))
    ended = time.perf_counter()
    found = {
        "answers": answers,
        "import": loaded - began,
        "seconds": ended - loaded,
        "cpu": _cpu() - used,
    }
    print("FOUND " + json.dumps(found), flush=True)


def _cpu() -> float:
    """CPU-seconds of this process and of those it waited for."""
    mine, theirs = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return mine.ru_utime + mine.ru_stime + theirs.ru_utime + theirs.ru_stime


def _raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
