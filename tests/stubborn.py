"""A server whose first answers are whatever a test plays, and whose others are sound."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from .servers import chat, say

Play = Callable[[asyncio.StreamWriter], Coroutine[Any, Any, None]]


class Stubborn:
    """A server that plays something on the first connections, and answers on all others."""

    def __init__(self, play: Play, times: int) -> None:
        self.url = ""
        self.left = asyncio.Event()
        """Set when the client has gone from a connection that something was played on."""
        self._play = play
        self._times = times

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._times -= 1
        is_played = self._times >= 0
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            if is_played:
                await self._until_gone(reader, writer)
            else:
                writer.write(say(chat()).data)
                await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            if is_played:
                self.left.set()
            writer.close()

    async def _until_gone(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        playing = asyncio.ensure_future(self._play(writer))
        await reader.read()
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)


@asynccontextmanager
async def stubborn(play: Play, times: int = 1) -> AsyncGenerator[Stubborn]:
    server = Stubborn(play, times)
    listening = await asyncio.start_server(server.connected, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        listening.close()
