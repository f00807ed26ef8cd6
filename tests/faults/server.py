"""A chat-completions server that fails on demand and counts what it was paid for.

``python -m tests.faults.server`` prints two addresses as a line of JSON, ``{"api": …, "control":
…}``, and serves until it is ended. Answers come from `Scripted`, and depend on the request's
content alone: the same question gets the same answer, so that datasets can be compared.

What it counts, as `Seen`, one for each request that came in whole:

* A request is *paid* from the moment it has come in whole, unless it is met with a refusal or a
  failure: a vendor's model works on, and bills, also if the asker has gone.
* It is *answered* when the last byte of its answer was handed to the kernel.
* Its *digest* is of the body with its keys in order; our client sends nothing volatile.

Times are `time.monotonic`, which all processes of a machine share.
"""

import asyncio
import json
import re
import signal
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import Any, cast

import msgspec
from msgspec import Struct

from codeclm.providers.base import Message, Request
from codeclm.providers.scripted.provider import Scripted
from codeclm.providers.scripted.reading import last_question

from .misbehaviour import MISBEHAVIOURS, Play, error, http, streamed
from .quota import Quota, QuotaSettings


class Rule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who meets which misbehaviour. The first rule that applies counts."""

    fault: str
    value: str = ""
    share: float = 1.0
    """Of all contents, chosen by hash: the same ones in each run."""
    times: int = 0
    """How many attempts of each such content meet it; 0: all."""
    most: int = 0
    """How many requests meet it in all; 0: no end."""
    after: int = 0
    """How many requests come in before the first."""
    purpose: str = ""
    model: str = ""


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the server behaves. Times are in seconds."""

    latency: float = 0.0
    jitter: float = 0.0
    """The most an answer takes longer than ``latency``; how long, its content says."""
    rules: tuple[Rule, ...] = ()
    quotas: dict[str, QuotaSettings] = {}
    """By model."""
    keep_alive: int = 0
    """Answers after which a connection is closed without a word; 0: never."""
    seed: int = 0


class Seen(Struct):
    """A request that came in whole."""

    digest: str
    model: str
    purpose: str
    received: float
    tokens: int
    outcome: str = "pending"
    """answered, the name of the misbehaviour, refused (by a quota), or gone: the asker left."""
    paid: bool = True
    answered: float | None = None


class Ask(Struct):
    """Ask ``/control/wait`` to answer once so many requests were answered, or after a while."""

    answered: int
    purpose: str = ""
    timeout: float = 0.2


class Totals(Struct):
    """The server's counters."""

    seen: int
    answered: int
    in_flight: int
    most_in_flight: int
    connections: int
    opened: int
    answered_for: int = 0
    """Of the purpose that was asked for."""


class _Body(Struct):
    model: str
    messages: tuple[Message, ...]
    temperature: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    response_format: dict[str, Any] | None = None
    stream: bool = False


_decoder = msgspec.json.Decoder(_Body)
_anything = msgspec.json.Decoder()
_sorted = msgspec.json.Encoder(order="sorted")


class Server:
    """The server's memory, and what it does with one request."""

    def __init__(self, settings: Settings) -> None:
        self.loop = asyncio.get_running_loop()
        self.scripted = Scripted()
        self.connections: set[Connection] = set()
        self.opened = 0
        self.refuse: Callable[[float], None] = lambda _: None
        self.reset(settings)

    def reset(self, settings: Settings) -> None:
        self.seen: list[Seen] = []
        self.answered: Counter[str] = Counter()
        self.in_flight = 0
        self.most_in_flight = 0
        self._waiters: list[tuple[Ask, asyncio.Future[None]]] = []
        self.set(settings)

    def set(self, settings: Settings) -> None:
        self.settings = settings
        self._quotas = {model: Quota(quota) for model, quota in settings.quotas.items()}
        self._met: Counter[tuple[int, str]] = Counter()
        self._met_in_all: Counter[int] = Counter()

    def totals(self) -> Totals:
        return Totals(
            len(self.seen),
            self.answered[""],
            self.in_flight,
            self.most_in_flight,
            len(self.connections),
            self.opened,
        )

    async def ask(self, data: bytes) -> tuple[Seen, float, Play]:
        """Note a request; return its record, the seconds to think, and what to put on the wire."""
        body = _decoder.decode(data)
        tree = _anything.decode(data)
        for streaming in ("stream", "stream_options"):  # a way of answering, no other question
            tree.pop(streaming, None)
        digest = blake2b(_sorted.encode(tree), digest_size=12)
        number = int.from_bytes(digest.digest()[:6], "big") / 2**48
        request = _request(body)
        reply = await self.scripted.complete(request)
        tokens = reply.prompt_tokens + reply.completion_tokens
        seen = Seen(digest.hexdigest(), body.model, request.purpose, time.monotonic(), tokens)
        self.seen.append(seen)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        answer = msgspec.json.encode(
            {
                "id": seen.digest,
                "object": "chat.completion",
                "model": body.model,
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": reply.text},
                        "finish_reason": reply.finish_reason,
                    }
                ],
                "usage": {
                    "prompt_tokens": reply.prompt_tokens,
                    "completion_tokens": reply.completion_tokens,
                    "total_tokens": tokens,
                },
            }
        )
        wait = self.settings.latency + self.settings.jitter * number
        play = self._play(seen, answer, streams=body.stream)
        if seen.outcome.startswith(("429", "refused")):
            wait = 0.0  # nobody thinks about a refusal
        return seen, wait, play

    def _play(self, seen: Seen, answer: bytes, *, streams: bool) -> Play:
        quota = self._quotas.get(seen.model)
        for number, rule in enumerate(self.settings.rules):
            if self._applies(number, rule, seen):
                play = MISBEHAVIOURS[rule.fault](answer, rule.value)
                seen.outcome, seen.paid = rule.fault, play.answers
                return play
        if quota is None:
            return streamed(answer) if streams else Play((http(answer),), answers=True)
        wait = quota.admit(seen.tokens, seen.received)
        if wait:
            seen.outcome, seen.paid = "refused", False
            said = {**quota.refusal(wait), **quota.headers()}
            return Play((http(error(429, "too fast"), status=429, headers=said),))
        return Play((http(answer, headers=quota.headers()),), answers=True)

    def _applies(self, number: int, rule: Rule, seen: Seen) -> bool:
        if rule.purpose not in {"", seen.purpose} or rule.model not in {"", seen.model}:
            return False
        if len(self.seen) <= rule.after or (rule.most and self._met_in_all[number] >= rule.most):
            return False
        if Random(f"{self.settings.seed}/{number}/{seen.digest}").random() >= rule.share:
            return False
        if rule.times and self._met[number, seen.digest] >= rule.times:
            return False
        self._met[number, seen.digest] += 1
        self._met_in_all[number] += 1
        return True

    def finished(self, seen: Seen, play: Play) -> None:
        """Note that all of *play* was written."""
        self.in_flight -= 1
        if not play.answers:
            return
        seen.answered = time.monotonic()
        if seen.outcome == "pending":
            seen.outcome = "answered"
        self.answered[""] += 1
        self.answered[seen.purpose] += 1
        for ask, future in self._waiters:
            if self.answered[ask.purpose] >= ask.answered and not future.done():
                future.set_result(None)

    def gone(self, seen: Seen) -> None:
        """Note that the asker left before the answer."""
        self.in_flight -= 1
        if seen.outcome == "pending":
            seen.outcome = "gone"

    async def control(self, path: str, body: bytes) -> Any:
        """Answer what a test asks beside the API."""
        match path:
            case "/control/set":
                self.set(msgspec.json.decode(body, type=Settings))
            case "/control/reset":
                self.reset(msgspec.json.decode(body, type=Settings))
            case "/control/seen":
                return self.seen
            case "/control/totals":
                return self.totals()
            case "/control/wait":
                return await self._wait(msgspec.json.decode(body, type=Ask))
            case "/control/refuse":
                self.refuse(msgspec.json.decode(body, type=float))
            case _:
                return {"error": f"no such path: {path}"}
        return {}

    async def _wait(self, ask: Ask) -> Totals:
        if self.answered[ask.purpose] < ask.answered:
            waiter = (ask, self.loop.create_future())
            self._waiters.append(waiter)
            await asyncio.wait([waiter[1]], timeout=ask.timeout)
            if waiter in self._waiters:
                self._waiters.remove(waiter)
        told = self.totals()
        told.answered_for = self.answered[ask.purpose]
        return told


def _request(body: _Body) -> Request:
    return Request(
        model=body.model,
        messages=body.messages,
        max_tokens=body.max_tokens or body.max_completion_tokens,
        purpose=purpose(last_question(body.messages)),
    )


def purpose(prompt: str) -> str:
    """Recognise the stage by its wording."""
    if "[Assistant 1 answer start]" in prompt:
        return "judge" if "explain your evaluation" in prompt else "score"
    if prompt.startswith("You are an instruction "):
        match prompt[23:].split(maxsplit=1)[0].rstrip("."):
            case "analyzer":
                return "plausible" if "put together at random" in prompt else "encode"
            case "writer":
                return "decode"
            case "judge":
                return "rubrics"
            case "improver":
                return "improve"
            case _:
                pass
    return "respond"


_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class _Http(asyncio.Protocol):
    """One request at a time, with a body of known length."""

    transport: asyncio.Transport

    def __init__(self, server: Server) -> None:
        self.server = server
        self._data = bytearray()
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by class

    def connection_lost(self, exc: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._data += data
        self.next()

    def next(self) -> None:
        """Take up the next request, if it is there and the one before is done with."""
        if self._task is not None and not self._task.done():
            return
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            return
        found = _LENGTH.search(self._data, 0, end)
        length = int(found[1]) if found else 0
        if len(self._data) < end + 4 + length:
            return
        path = self._data[:end].split(b" ", 2)[1].decode()
        body = bytes(self._data[end + 4 : end + 4 + length])
        del self._data[: end + 4 + length]
        self._task = asyncio.ensure_future(self._serve(path, body))

    async def _serve(self, path: str, body: bytes) -> None:
        await self.serve(path, body)
        self._task = None
        self.next()

    async def serve(self, path: str, body: bytes) -> None:
        raise NotImplementedError


class Connection(_Http):
    """A connection to the API."""

    _answers = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.server.opened += 1
        self.server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.server.connections.discard(self)

    async def serve(self, path: str, body: bytes) -> None:
        if not path.endswith("/chat/completions"):
            self.transport.write(http(error(404, f"no such path: {path}"), status=404))
            return
        seen, wait, play = await self.server.ask(body)
        try:
            if wait:
                await asyncio.sleep(wait)
            await self._perform(play)
        except asyncio.CancelledError:
            self.server.gone(seen)
            raise
        if self.transport.is_closing() and play.then == "keep":
            self.server.gone(seen)
            return
        self.server.finished(seen, play)
        self._end(play)

    async def _perform(self, play: Play) -> None:
        for part in play.parts:
            if isinstance(part, bytes):
                self.transport.write(part)
            else:
                await asyncio.sleep(part)
        if play.then == "stall":
            await asyncio.sleep(3600)

    def _end(self, play: Play) -> None:
        self._answers += 1
        keep_alive = self.server.settings.keep_alive
        if play.then == "reset":
            plain: socket.socket = self.transport.get_extra_info("socket")
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        elif play.then == "close" or (keep_alive and self._answers >= keep_alive):
            self.transport.close()


class Control(_Http):
    """A connection to the control path."""

    async def serve(self, path: str, body: bytes) -> None:
        answer = await self.server.control(path, body)
        self.transport.write(http(msgspec.json.encode(answer)))


async def _serve(settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    server = Server(settings)
    api = await loop.create_server(lambda: Connection(server), "127.0.0.1", 0, backlog=1024)
    control = await loop.create_server(lambda: Control(server), "127.0.0.1", 0)
    port = api.sockets[0].getsockname()[1]
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    listening = [api]
    reopening: list[asyncio.TimerHandle] = []

    def refuse(seconds: float) -> None:
        """Refuse connections for a while, and drop those there are; after 0 s, no more."""
        for one in listening:
            one.close()
        listening.clear()
        for connection in tuple(server.connections):
            connection.transport.abort()
        for timer in reopening:
            timer.cancel()
        reopening[:] = [loop.call_later(seconds, lambda: asyncio.ensure_future(again()))]

    async def again() -> None:
        listening.append(
            await loop.create_server(lambda: Connection(server), "127.0.0.1", port, backlog=1024)
        )

    server.refuse = refuse
    url = f"http://127.0.0.1:{port}/v1"
    where = f"http://127.0.0.1:{control.sockets[0].getsockname()[1]}"
    sys.stdout.write(json.dumps({"api": url, "control": where}) + "\n")
    sys.stdout.flush()
    await ended.wait()
    for connection in tuple(server.connections):
        connection.transport.abort()


def main() -> None:
    settings = Settings()
    if len(sys.argv) > 1:
        settings = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Settings)
    try:
        import uvloop
    except ImportError:
        asyncio.run(_serve(settings))
    else:
        uvloop.run(_serve(settings))


if __name__ == "__main__":
    main()
