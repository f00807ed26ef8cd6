"""Servers that refuse streams, or a part of what asks for one."""

import re
from collections.abc import Awaitable, Callable
from typing import Final, Literal

from ..base import Rejected
from ..http.exchange import Response

StreamLevel = Literal["with_usage", "events", "whole"]
"""What is asked for: events and the token counts, events alone, or no stream."""

_ABOUT_STREAMS: Final = re.compile(r"\bstream", re.IGNORECASE)


class StreamFallback:
    """Asks for a stream, and for less where the server refuses that.

    OpenAI streams some models only to verified organizations, Mistral's and other servers know no
    ``stream_options``, and some models do not stream at all. What is refused costs nothing. Less is
    asked for from then on only if that was the remedy.

    Args:
        where: Names the endpoint in messages, which may have "stream" in its address.
        levels: From the most to the least.
    """

    def __init__(self, where: str, *levels: StreamLevel) -> None:
        self._where = where
        self._levels = levels
        self._first = 0

    async def send(self, send: Callable[[StreamLevel], Awaitable[Response]]) -> Response:
        """Return the response to ``send(level)``.

        Raises:
            ProviderError: what *send* raises.
        """
        return await self._send_from(self._first, send)

    async def _send_from(
        self, index: int, send: Callable[[StreamLevel], Awaitable[Response]]
    ) -> Response:
        try:
            return await send(self._levels[index])
        except Rejected as error:
            reason = str(error).removeprefix(self._where)
            if index + 1 == len(self._levels) or not _ABOUT_STREAMS.search(reason):
                raise
        response = await self._send_from(index + 1, send)
        self._first = max(self._first, index + 1)
        return response
