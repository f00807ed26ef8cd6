"""A server with prepared answers, so that a benchmark measures the client and not a model.

``python -m codeclm.engine.bench.server LATENCY_MS`` prints its port and serves chat completions
until it is killed: a bare protocol, on uvloop where installed, with keep-alive and pipelining. It
reads only the length of a request and imports no other module of this package.
"""

import asyncio
import sys
from collections.abc import Callable
from typing import cast

import orjson

Answer = Callable[[bytes, bytes], bytes]
"""Maps a request's head and body to the response, headers included."""

TEXT = " ".join(["A sentence of an answer that is about as long as answers are."] * 16)


def http(body: bytes, *, status: str = "200 OK", headers: str = "") -> bytes:
    """Return a response: headers and body."""
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n{headers}\r\n"
    )
    return head.encode() + body


def completion(text: str, *, prompt_tokens: int = 200, completion_tokens: int = 220) -> bytes:
    """Return the body of a chat completion with the answer *text*."""
    return orjson.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "bench",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": "stop",
                }
            ],
            "usage": {
                "prompt_tokens": prompt_tokens,
                "completion_tokens": completion_tokens,
                "total_tokens": prompt_tokens + completion_tokens,
            },
        }
    )


_RESPONSE = http(completion(TEXT))


def always(head: bytes, body: bytes) -> bytes:
    """Give every request the same answer of 1.5 KB."""
    del head, body
    return _RESPONSE


class Connection(asyncio.Protocol):
    """One client's connection. Latency is in seconds."""

    def __init__(self, answer: Answer, latency: float) -> None:
        self._answer = answer
        self._latency = latency
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's does not inherit from it

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._buffer[:end]
            stop = end + 4 + _length(head)
            if len(self._buffer) < stop:
                return
            response = self._answer(head, self._buffer[end + 4 : stop])
            self._buffer = self._buffer[stop:]
            last = b"connection: close" in head.lower()
            if self._latency:
                self._loop.call_later(self._latency, self._write, response, last)
            else:
                self._write(response, last)

    def _write(self, response: bytes, last: bool) -> None:  # noqa: FBT001  (bound by the timer)
        if self._transport is not None:
            self._transport.write(response)
            if last:
                self._transport.close()


def _length(head: bytes) -> int:
    lowered = head.lower()
    at = lowered.find(b"content-length:")
    return int(lowered[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


async def serve(answer: Answer, latency: float, *, port: int = 0) -> None:
    """Print the port and serve on the loopback until cancelled. *latency* is in seconds."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(answer, latency), "127.0.0.1", port, backlog=8192
    )
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201  (the parent process reads it)
    await server.serve_forever()


def run(answer: Answer, latency: float, *, port: int = 0) -> None:
    """`serve` on uvloop, or on asyncio where uvloop is missing."""
    try:
        import uvloop  # noqa: PLC0415  (absent on some platforms)
    except ImportError:
        asyncio.run(serve(answer, latency, port=port))
    else:
        uvloop.run(serve(answer, latency, port=port))


if __name__ == "__main__":
    run(always, float(sys.argv[1]) / 1000)
