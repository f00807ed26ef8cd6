"""A server of three dialects whose answers are damaged, each as its request and the case say."""

import asyncio
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from random import Random
from typing import Any

import msgspec

from codeclm.providers.base import Message, Request
from codeclm.providers.scripted.provider import Scripted

from ..faults.misbehaviour import MISBEHAVIOURS, Play, http
from ..faults.server import purpose
from ..streams import Wire, chat_events, generation_events, message_events
from .mutate import mutate_bytes, mutate_value

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_AUTHORIZATION = re.compile(
    rb"(?:authorization|x-api-key|x-goog-api-key): *([^\r]+)", re.IGNORECASE
)

HEADERS = (
    *("Content-Length: 5", "Content-Length: -1", "Content-Length: 99999999999999999999"),
    *("Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "Content-Encoding: gzip"),
    *(
        "Content-Encoding: br",
        "Content-Type: text/html",
        "Content-Type: \x1b[2J",
        "Retry-After: -1",
    ),
    *("Retry-After: 0.01", "Retry-After: \x07soon", "Retry-After: Wed, 99 Foo 2026", "X: \0"),
    *(
        "x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 10ms",
        "no colon",
        ": empty",
    ),
    *("x-ratelimit-remaining-requests: -5", "x-ratelimit-reset-requests: 1e999s", "Connection: x"),
    *(
        "x-ratelimit-limit-tokens: NaN",
        "Set-Cookie: a=b",
        "Location: http://127.0.0.1:9/",
        "A: " + "a" * 9000,
    ),
)
STATUSES = (
    200,
    200,
    200,
    201,
    204,
    206,
    302,
    400,
    401,
    404,
    413,
    418,
    422,
    429,
    429,
    500,
    503,
    529,
    999,
)
STALLING = frozenset(
    {"stalled", "stalled_headers", "stalled_body", "dripping", "continues", "extends"}
)
"""Misbehaviours that take a time-out; and the one that takes 64 MiB."""


class Server:
    """The memory of one case."""

    def __init__(self) -> None:
        self.url = ""
        self.reset("")

    def reset(self, case: str) -> None:
        """Begin the case *case*, which says how answers are damaged."""
        self._case = case
        self._attempts: Counter[bytes] = Counter()
        self.requests: list[bytes] = []

    async def play(self, head: bytes, body: bytes) -> Play:
        """Return what to put on the wire."""
        self.requests.append(head)
        digest = blake2b(head.split(b" ", 2)[1] + body, digest_size=12).digest()
        self._attempts[digest] += 1
        dice = Random(f"{self._case}/{digest.hex()}/{self._attempts[digest]}")
        path = head.split(b" ", 2)[1].decode("latin-1")
        request = json.loads(body)  # msgspec knows no half surrogates
        if (request.get("stream") or ":stream" in path) and dice.random() < 0.7:
            return _stream(dice, path, await _reply(request))
        answer = _answer(path, await _reply(request))
        return _DAMAGES[dice.randrange(len(_DAMAGES))](dice, answer, head)


async def _reply(body: dict[str, Any]) -> str:
    """Return the text of a good answer to the request *body* of any dialect."""
    text = _prompt(body)
    request = Request(model="m", messages=(Message("user", text),), purpose=purpose(text))
    return (await Scripted().complete(request)).text


def _stream(dice: Random, path: str, reply: str) -> Play:
    """Return the events of an answer, one of them damaged, or the bytes, or neither."""
    sizes = (dice.choice((1, 7, 1000)),)
    if path.endswith("/messages"):
        usage = {"input_tokens": 9, "output_tokens": 9}
        events = message_events([{"type": "text", "text": reply}], usage=usage, sizes=sizes)
    elif ":stream" in path:
        counts = {"promptTokenCount": 9, "candidatesTokenCount": 9}
        events = generation_events([{"text": reply}], usage=counts, sizes=sizes)
    else:
        events = chat_events(reply, sizes=sizes)
    if dice.random() < 0.4:
        at = dice.randrange(len(events))
        value = mutate_value(dice, events[at][1])
        if isinstance(value, str):
            value = value.encode("utf-8", "replace").decode()  # a stream is UTF-8
        events[at] = (events[at][0], value)
    body = Wire(newline=dice.choice(("\n", "\r\n", "\r"))).encode(events)
    if dice.random() < 0.4:
        body = mutate_bytes(dice, body)
    return Play((http(body, content_type="text/event-stream"),), dice.choice(("keep", "close")))


def _answer(path: str, reply: str) -> Any:
    """Return a good answer of the dialect that *path* belongs to."""
    if path.endswith("/messages"):
        usage = {"input_tokens": 9, "output_tokens": 9}
        content = [{"type": "text", "text": reply}]
        return {"type": "message", "content": content, "stop_reason": "end_turn", "usage": usage}
    if "generateContent" in path:
        candidate = {"content": {"parts": [{"text": reply}]}, "finishReason": "STOP"}
        usage = {"promptTokenCount": 9, "candidatesTokenCount": 9}
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m"}
    message = {"role": "assistant", "content": reply}
    return {
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18},
    }


def _prompt(body: dict[str, Any]) -> str:
    """Return the last text of a request of any dialect."""
    messages: list[dict[str, Any]] = body.get("messages") or body.get("contents") or [{}]
    last = messages[-1]
    content: Any = last.get("content") or last.get("parts") or ""
    return content if isinstance(content, str) else str(content[-1].get("text", ""))


# -- damages ----------------------------------------------------------------------------------


def _good(_dice: Random, answer: Any, _head: bytes) -> Play:
    return Play((http(msgspec.json.encode(answer)),))


def _other_value(dice: Random, answer: Any, _head: bytes) -> Play:
    value = mutate_value(dice, answer)
    with suppress(TypeError, ValueError, OverflowError, UnicodeEncodeError):
        return Play((http(msgspec.json.encode(value)),))
    return Play((http(repr(value).encode("utf-8", "replace")),))


def _other_bytes(dice: Random, answer: Any, _head: bytes) -> Play:
    return Play((http(mutate_bytes(dice, msgspec.json.encode(answer))),))


def _other_text(dice: Random, answer: Any, _head: bytes) -> Play:
    """Damage the text within an answer that is whole."""
    for parts in ("choices", "content", "candidates"):
        for part in answer.get(parts, ()):
            _damage_text(dice, part)
    return Play((http(msgspec.json.encode(answer)),))


def _damage_text(dice: Random, part: dict[str, Any]) -> None:
    for name, value in part.items():
        is_list = isinstance(value, list)
        parts: list[Any] = value if is_list else [value]  # pyright: ignore[reportUnknownVariableType]
        objects: list[dict[str, Any]] = [one for one in parts if isinstance(one, dict)]
        for one in objects:
            _damage_text(dice, one)
        if isinstance(value, str) and name in _WRITTEN:
            part[name] = mutate_bytes(dice, value.encode()).decode("utf-8", "replace")


_WRITTEN = {"content", "text", "finish_reason", "stop_reason"}
"""Members that models write."""


def _error(dice: Random, _answer: Any, head: bytes) -> Play:
    key = match[1].decode("latin-1") if (match := _AUTHORIZATION.search(head)) else "none"
    error: Any = {"message": f"refused {key}", "type": "x", "code": "y", "param": key}
    error = mutate_value(dice, {"error": error}) if dice.random() < 0.7 else {"error": error}
    try:
        body = msgspec.json.encode(error)
    except (TypeError, ValueError, OverflowError):
        body = b'{"error": null}'
    return Play((_http(dice, body, dice.choice(STATUSES)),), dice.choice(("keep", "close")))


def _other_head(dice: Random, answer: Any, _head: bytes) -> Play:
    return Play((_http(dice, msgspec.json.encode(answer), dice.choice(STATUSES)),), "close")


def _http(dice: Random, body: bytes, status: int) -> bytes:
    lines = [f"Content-Length: {len(body)}"] if dice.random() < 0.7 else []
    lines += dice.choices(HEADERS, k=dice.randint(0, 4))
    reason = dice.choice(("OK", "", "\x1b[2J", "a" * 5000, "\u202e".encode().decode("latin-1")))
    head = f"HTTP/1.1 {status} {reason}\r\n" + "".join(f"{line}\r\n" for line in lines)
    return head.encode("latin-1") + b"\r\n" + body


def _other_wire(dice: Random, answer: Any, _head: bytes) -> Play:
    return Play((mutate_bytes(dice, http(msgspec.json.encode(answer))),), "close")


def _misbehaviour(dice: Random, answer: Any, _head: bytes) -> Play:
    name = dice.choice([name for name in MISBEHAVIOURS if name not in STALLING | {"huge"}])
    try:
        return MISBEHAVIOURS[name](msgspec.json.encode(answer), "")
    except (KeyError, IndexError):  # it is OpenAI's dialect alone
        return Play((http(b"null"),))


_DAMAGES: tuple[Callable[[Random, Any, bytes], Play], ...] = (
    *(_good, _good, _good, _other_value, _other_value, _other_bytes, _other_text, _other_text),
    *(_error, _other_head, _other_wire, _misbehaviour),
)


# -- the wire ---------------------------------------------------------------------------------


async def _serve(
    server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = match[1] if (match := _LENGTH.search(head)) else b"0"
            play = await server.play(head, await reader.readexactly(int(length)))
            for part in play.parts:
                if isinstance(part, bytes):
                    writer.write(part)
                    await writer.drain()
                else:
                    await asyncio.sleep(part)
            if play.then != "keep":
                break
    writer.close()


@contextmanager
def damaging_server() -> Generator[Server]:
    """Serve on a free port of the loopback, in a thread of its own."""
    server, loop = Server(), asyncio.new_event_loop()

    def connected(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> "asyncio.Task[None]":
        return loop.create_task(_serve(server, reader, writer))

    listening = loop.run_until_complete(asyncio.start_server(connected, "127.0.0.1", 0))
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        listening.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
