"""A loopback server that says what it is told, byte for byte: what real ones do when they fail."""

import asyncio
import json
import socket
import ssl
import struct
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

from msgspec import Struct

from codeclm.providers.base import Message, Request

Then = Literal["keep", "close", "reset", "stall"]


class ReceivedRequest(Struct, frozen=True):
    """One request as it came in. Header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Say(Struct, frozen=True):
    """Bytes for the wire, and what becomes of the connection after them.

    ``stall`` keeps it open and silent, ``reset`` ends it with an RST.
    """

    data: bytes
    then: Then = "keep"


def answer(
    body: bytes = b"",
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    then: Then = "keep",
    chunked: bool = False,
) -> Say:
    """A well-formed answer around *body*."""
    fields = {"Content-Type": "application/json", **(headers or {})}
    if chunked:
        fields["Transfer-Encoding"] = "chunked"
        halves = [half for half in (body[: len(body) // 2], body[len(body) // 2 :]) if half]
        body = b"".join(b"%x\r\n%s\r\n" % (len(half), half) for half in halves) + b"0\r\n\r\n"
    else:
        fields["Content-Length"] = str(len(body))
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in fields.items())]
    return Say("\r\n".join(lines).encode() + b"\r\n\r\n" + body, then)


def say(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Say:
    """An answer of JSON."""
    return answer(json.dumps(value).encode(), status=status, headers=headers)


def request(text: str = "Hi.", **settings: Any) -> Request:
    """A question, with a system prompt before it."""
    messages = (Message("system", "Be kind."), Message("user", text))
    return Request(model="small", messages=messages, **settings)


def chat(text: str = "Hello.", **more: Any) -> dict[str, Any]:
    """A chat completion as OpenAI's servers word it."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "small-2026",
        "choices": [{**choice, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
        **more,
    }


class Server:
    """Answers from `will` in their order, then `always` (a `Say`, or a function of the request)."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[ReceivedRequest] = []
        self.connections = 0
        self.always: Say | Callable[[ReceivedRequest], Say] = say(chat())
        self.before: Callable[[ReceivedRequest], Awaitable[None]] | None = None
        """Awaited before each answer: where a test holds the server's tongue."""
        self.early = False
        """Whether it answers a head without waiting for the body; then it says no more."""
        self._next: deque[Say] = deque()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def will(self, *says: Say) -> None:
        self._next.extend(says)

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def blurt(self, data: bytes) -> None:
        """Say *data* on every connection without being asked, and wait until all are closed."""
        for writer in self._writers:
            writer.write(data)
        await self.deserted()

    async def deserted(self) -> None:
        """Wait until nobody is connected."""
        await asyncio.gather(*self._tasks)

    async def stop(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (asked := await _read(reader, early=self.early)) is not None:
                self.asked.append(asked)
                said = self._pick(asked)
                if self.before is not None:
                    await self.before(asked)
                writer.write(said.data)
                await writer.drain()
                if said.then == "stall" or self.early:
                    await reader.read()
                if said.then == "reset":
                    _reset(writer)
                if said.then != "keep" or self.early:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def _pick(self, asked: ReceivedRequest) -> Say:
        if self._next:
            return self._next.popleft()
        return self.always if isinstance(self.always, Say) else self.always(asked)


@asynccontextmanager
async def serving(*, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Server]:
    """A `Server` on a free port of the loopback; its ``url`` has no path."""
    server = Server()
    listening = await asyncio.start_server(server.connected, "127.0.0.1", 0, ssl=tls)
    host, port = listening.sockets[0].getsockname()
    server.url = f"{'https' if tls else 'http'}://{host}:{port}"
    try:
        yield server
    finally:
        listening.close()
        await server.stop()
        await listening.wait_closed()


async def _read(reader: asyncio.StreamReader, *, early: bool) -> ReceivedRequest | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    pairs = (line.partition(": ") for line in lines if line)
    headers = {name.lower(): value for name, _, value in pairs}
    length = 0 if early else int(headers.get("content-length", 0))
    return ReceivedRequest(method, path, headers, await reader.readexactly(length))


def _reset(writer: asyncio.StreamWriter) -> None:
    """Make closing send an RST: nothing waits to be sent, linger is 0."""
    plain: socket.socket = writer.get_extra_info("socket")
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
