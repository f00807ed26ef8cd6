"""Judges of known quality: an answer has a latent quality, which each sees with its own error.

`noisy` errs anew in every scoring, as a judge that samples; `stubborn` has an opinion of its own on
every answer and repeats it, as a judge with a taste. The ``_2`` and ``_3`` are others of the kind.
Functions for ``python/simulated_judges:NAME``, and the same as a server that gives
log-probabilities.
"""

import json
import random
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import erf, log, sqrt
from threading import Thread

ERROR = 2.0
"""Standard deviation of what a judge errs by, in points."""

NAMES = ("exact", "noisy", "stubborn", "compressed", "dice", "constant")
SCORES = range(1, 11)


def uniform(*texts: str) -> float:
    """A number from 0 to 1 that is always the same for *texts*."""
    digest = blake2b("\n".join(texts).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") / 2**32


def latent(answer: str) -> float:
    """Long answers are the scripted strong model's, short ones the target's."""
    base = 7.5 if len(answer.split()) > 115 else 5.0
    return min(10.0, max(1.0, base + 5 * (uniform(answer) - 0.5)))


def opinion(kind: str, number: int, answer: str) -> tuple[float, float]:
    """The mean and the standard deviation of what a judge of *kind* would say."""
    quality = latent(answer)
    match kind:
        case "noisy":
            return quality, ERROR
        case "stubborn":
            own = random.Random(f"{number}/{answer}").gauss(0, ERROR)
            return quality + own, 0.3
        case "compressed":
            return 7 + (quality - 5.5) / 5, 0.3
        case "constant":
            return 8.0, 0.0
        case _:
            return quality, 0.0


def distribution(kind: str, number: int, answer: str) -> dict[int, float]:
    """Return the probability of each score."""
    if kind == "dice":
        return dict.fromkeys(SCORES, 0.1)
    mean, deviation = opinion(kind, number, answer)
    width = max(deviation, 1e-3) * sqrt(2)

    def below(edge: float) -> float:
        return (1 + erf((edge - mean) / width)) / 2

    edges = [0.0, *(below(score + 0.5) for score in SCORES[:-1]), 1.0]
    return {score: edges[n + 1] - edges[n] for n, score in enumerate(SCORES)}


def score(kind: str, number: int, instruction: str, answer: str, *, sample: str = "") -> int:
    """Draw a score."""
    del instruction, sample
    weights = distribution(kind, number, answer)
    return random.choices(list(weights), list(weights.values()))[0]


FUNCTIONS: dict[str, Callable[..., int]] = {
    name if number == 1 else f"{name}_{number}": partial(score, name, number)
    for name in NAMES
    for number in (1, 2, 3)
}
globals().update(FUNCTIONS)  # as ``python/MODULE:FUNCTION`` finds them


_ANSWERS = re.compile(r"(?s)\[Assistant \d answer start\]\n(.*?)\n\[Assistant \d answer end\]")


class _Handler(BaseHTTPRequestHandler):
    """Chat completions of two scores, with the log-probabilities of each."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = request["messages"][-1]["content"]
        answers = [text.strip() for text in _ANSWERS.findall(prompt)]
        tokens = [self._token(distribution(request["model"], 1, answer)) for answer in answers]
        space: dict[str, object] = {"token": " ", "logprob": 0.0, "top_logprobs": []}
        content = [tokens[0], space, tokens[1]]
        choice = {
            "message": {"content": "".join(str(token["token"]) for token in content)},
            "finish_reason": "stop",
            "logprobs": {"content": content},
        }
        body = json.dumps({"choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @staticmethod
    def _token(weights: dict[int, float]) -> dict[str, object]:
        drawn = random.choices(list(weights), list(weights.values()))[0]
        logprobs = [
            {"token": str(one), "logprob": log(p)} for one, p in weights.items() if p > 1e-9
        ]
        return {
            "token": str(drawn),
            "logprob": log(weights[drawn]),
            "top_logprobs": logprobs,
        }

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Say nothing."""


@contextmanager
def serving() -> Generator[str]:
    """A server of all judges, by the model's name; its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
