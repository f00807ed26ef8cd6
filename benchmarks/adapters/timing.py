"""Time one adapter and print the result as JSON. Standard library only: it runs in any venv.

``python ADAPTER.py URL ROWS CONCURRENCY FOLDER``. An adapter's ``load`` imports its engine and
returns a function that sends all prompts and returns the number of answers. Only that function is
timed; importing is reported separately.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

Call = Callable[[str, Sequence[str], int, Path], int]
"""(base URL with ``/v1``, prompts, calls in flight, folder that outlives a kill) → answers."""

FILLER = "word " * 150


def must_keep_answers() -> bool:
    """Whether answers must survive a kill; otherwise an engine may spare itself the cost."""
    return "KEEP" in os.environ


def main(load: Callable[[], Call]) -> None:
    url, rows, concurrency, folder = sys.argv[1:5]
    _raise_file_limit()
    start = time.perf_counter()
    call = load()
    loaded = time.perf_counter()
    cpu = _cpu()
    prompts = [f"[[row {n}]] Explain in detail: {FILLER}" for n in range(int(rows))]
    answers = call(url, prompts, int(concurrency), Path(folder))
    end = time.perf_counter()
    result = {
        "answers": answers,
        "import": loaded - start,
        "seconds": end - loaded,
        "cpu": _cpu() - cpu,
    }
    print("RESULT " + json.dumps(result), flush=True)


def _cpu() -> float:
    """Return the CPU seconds of this process and of the children it waited for."""
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
