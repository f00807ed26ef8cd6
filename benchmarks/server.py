"""A load server that is not the bottleneck: fixed chat completions, raw protocol, uvloop.

``python benchmarks/server.py PORT LATENCY_MS [--answers HOW] [--refuse SHARE]`` prints its port
when it listens (PORT 0: a free one). It answers every POST, keep-alive and pipelined, after
LATENCY_MS. ``benchmarks/callpath.py`` prints what it can serve on one core.

HOW is ``same`` (one answer for all, without reading the request), ``staged`` (answers that the
stages of a run can parse, each with its own number, so that no two are equal) or ``counted`` (as
``same``, but requests that hold ``[[row N]]`` are counted by N; a GET of ``/counts`` returns the
counts). SHARE of all rows is refused once with a 429 and Retry-After: 1.
"""

import argparse
import re
import time
from collections import Counter
from hashlib import blake2b

import orjson

from codeclm.engine.bench.server import TEXT, Answer, always, completion, http, run

_SAME = always(b"", b"")
_REFUSAL = http(
    b'{"error": {"message": "too fast", "type": "rate_limit_error", "code": "429"}}',
    status="429 Too Many Requests",
    headers="Retry-After: 1\r\n",
)
_ROW = re.compile(rb"\[\[row (\d+)\]\]")


class Staged:
    """Answers by stage, recognised by the prompt's first words; no two answers are equal."""

    def __init__(self) -> None:
        self._count = 0
        instructions = "\n".join(
            f"{n}. Write a letter, number {n} of %08d, to somebody who has moved away lately."
            for n in range(1, 11)
        )
        rubrics = "\n".join(
            [f"{n}. Rubric: how many constraints of kind {n} there are" for n in range(1, 5)]
            + [f"{n}. Action: add a constraint of kind {n}" for n in range(1, 5)]
        )
        self._answers = (
            (b"[Assistant 1 answer start]", _template("9 3")),
            (b"You are an instruction analyzer", _template("Use case: letters %08d\nSkills: tact")),
            (b"You are an instruction writer", _template(instructions)),
            (b"You are an instruction judge", _template(rubrics)),
        )
        self._other = _template(f"%08d {TEXT}")

    def __call__(self, head: bytes, body: bytes) -> bytes:
        del head
        self._count += 1
        for opening, (response, slots) in self._answers:
            if opening in body:
                return response % ((self._count,) * slots)
        response, slots = self._other
        return response % ((self._count,) * slots)


def _template(text: str) -> tuple[bytes, int]:
    """Return a response with slots for a number of eight digits, and how many slots it has.

    Its length is that of the filled response: ``%08d`` takes four bytes and becomes eight.
    """
    slots = text.count("%08d")
    filled = http(completion(text % ((0,) * slots)))
    head, _, _ = filled.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n" + completion(text), slots


class Counted:
    """Counts requests by row, and refuses the first attempt of some rows."""

    def __init__(self, refuse: float) -> None:
        self._refuse = refuse
        self._requests: Counter[int] = Counter()
        self._refused = 0
        self._other = 0
        self._first = 0.0
        self._last = 0.0

    def __call__(self, head: bytes, body: bytes) -> bytes:
        if head.startswith(b"GET /counts"):
            return http(orjson.dumps(self._counts(), option=orjson.OPT_NON_STR_KEYS))
        match = _ROW.search(body)
        if match is None:  # a health check of some rival
            self._other += 1
            return _SAME
        row = int(match[1])
        self._last = time.monotonic()
        self._first = self._first or self._last
        self._requests[row] += 1
        if self._requests[row] == 1 and _share(row) < self._refuse:
            self._refused += 1
            return _REFUSAL
        return _SAME

    def _counts(self) -> dict[str, object]:
        return {
            "rows": len(self._requests),
            "asked": sum(self._requests.values()),
            "refused": self._refused,
            "other": self._other,
            "seconds": self._last - self._first,
        }


def _share(row: int) -> float:
    return int.from_bytes(blake2b(b"%d" % row, digest_size=4).digest(), "big") / 2**32


def _answers(how: str, refuse: float) -> Answer:
    if how == "staged":
        return Staged()
    return Counted(refuse) if how == "counted" else always


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve fixed chat completions.")
    parser.add_argument("port", type=int)
    parser.add_argument("latency", type=float, help="milliseconds")
    parser.add_argument("--answers", choices=("same", "staged", "counted"), default="same")
    parser.add_argument("--refuse", type=float, default=0.0, help="share of rows refused once")
    args = parser.parse_args()
    run(_answers(args.answers, args.refuse), args.latency / 1000, port=args.port)


if __name__ == "__main__":
    main()
