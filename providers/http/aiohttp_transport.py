"""The transport over aiohttp, and the only module that imports it.

The tuning here was measured: no limit on connections (the engine bounds concurrency), no cookie
jar, headers and URL built once, no time-out object per call, time-outs on silence only.

aiohttp's ``trust_env`` stays off: for every single call it asks a thread for ``.netrc`` and another
for the proxy, and it fails if ``.netrc`` knows the host and a key is sent. The proxy is looked
up once, when the endpoint is made.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import aiohttp

from ..base import Denied, Progress, ProviderError, Stale, Unavailable, current_progress
from .endpoint import Endpoint, proxy_address
from .event_stream import END_WAIT, EventStream
from .events import Assembly
from .exchange import (
    Response,
    describe_connect_error,
    error_for_response,
    max_body_bytes,
    open_socket,
)
from .failures import describe_os_error, sanitize


class AiohttpSession:
    """Connections that aiohttp keeps. For the arguments see `session.open_session`."""

    def __init__(self, *, timeout: float, connect_timeout: float, keepalive: float) -> None:
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, keepalive_timeout=keepalive, socket_factory=_open_socket
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=connect_timeout, sock_read=timeout
            ),
        )

    async def post(
        self, endpoint: Endpoint, body: bytes, /, assembly: Assembly | None = None
    ) -> Response:
        new_sockets: list[socket.socket] = []
        _new_sockets.set(new_sockets)
        try:
            response = await self._session.post(
                endpoint.url,
                data=body,
                headers=endpoint.headers,
                allow_redirects=False,  # a redirect could carry the key to another host
                proxy=endpoint.proxy,
                ssl=endpoint.tls or True,
            )
            status = response.status
            is_success = 200 <= status < 300
            limit = max_body_bytes(status)
            progress = current_progress()
            try:
                progress.is_lost = _loss_test(response)
                if assembly is not None and is_success:
                    stream = EventStream(assembly, progress)
                    await _read_events(response.content, stream)
                    return Response(stream.finish(endpoint.where), response.headers)
                content = await _read(response.content, limit, progress)
            finally:
                progress.is_lost = None
                if not response.closed:  # not read to the end: it must not serve another call
                    response.close()
        except (aiohttp.ClientError, OSError) as error:
            # aiohttp's response errors hold the headers sent, key included, and the server's echo.
            cause = None if isinstance(error, aiohttp.ClientResponseError) else error
            raise self._translate(endpoint, error, is_reused=not new_sockets) from cause
        if is_success and len(content) <= limit:
            return Response(content, response.headers)
        raise error_for_response(endpoint, status, response.headers, content)

    async def aclose(self) -> None:
        await self._session.close()

    def _translate(self, endpoint: Endpoint, error: Exception, *, is_reused: bool) -> ProviderError:
        where = endpoint.where
        is_lost = isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)
        if is_lost and not isinstance(error, aiohttp.ClientConnectorError):
            if is_reused and _is_unanswered(error):
                return Stale(f"{where}: the server had closed this connection", is_cut=True)
            return Unavailable(
                f"{where}: the server closed the connection without a response", is_cut=True
            )
        if isinstance(error, aiohttp.ClientHttpProxyError):
            kind = Denied if 400 <= error.status < 500 else Unavailable
            proxy = proxy_address(endpoint.proxy)
            return kind(f"{where}: the proxy {proxy} responded with {error.status}")
        if isinstance(error, aiohttp.ClientConnectorError):
            return Unavailable(f"{where}: {_describe_connect_error(endpoint, error)}")
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return Unavailable(f"{where}: no connection within {self._connect_timeout:g} s")
        if isinstance(error, TimeoutError):
            return Unavailable(f"{where}: silent for {self._timeout:g} s")
        if isinstance(error, aiohttp.ClientPayloadError):
            return Unavailable(f"{where}: the response was cut off or garbled", is_cut=True)
        if isinstance(error, aiohttp.ClientResponseError):
            reason = sanitize(error.message, endpoint.secrets)
            return Unavailable(f"{where}: the response cannot be parsed: {reason}")
        return Unavailable(f"{where}: {sanitize(str(error), endpoint.secrets)}")


_new_sockets: ContextVar[list[socket.socket]] = ContextVar("_new_sockets")
"""The sockets opened for the current call: none, if it runs over a kept-alive connection."""


def _open_socket(address: tuple[Any, ...]) -> socket.socket:
    connection = open_socket(address)
    _new_sockets.get([]).append(connection)
    return connection


def _loss_test(response: aiohttp.ClientResponse) -> Callable[[], bool] | None:
    """Return what tells whether the connection is closed; None: the response has ended.

    After garbage in place of a chunk's size, aiohttp 3.14 closes the connection and leaves the
    reader of the body waiting.
    """
    connection = response.connection
    transport = None if connection is None else connection.transport
    return None if transport is None else transport.is_closing


async def _read(content: aiohttp.StreamReader, limit: int, progress: Progress) -> bytes:
    """Read to the end, or until there is more than *limit*."""
    data = await content.readany()
    if content.at_eof():
        return data
    progress.add(data)
    parts = [data]
    size = len(data)
    while size <= limit and (data := await content.readany()):
        progress.add(data)
        parts.append(data)
        size += len(data)
    return b"".join(parts)


async def _read_events(content: aiohttp.StreamReader, stream: EventStream) -> None:
    """Read until the stream is over, and for a moment more: see `END_WAIT`."""
    while not stream.is_over:
        if not (data := await content.readany()):
            return
        stream.feed(data)
    if stream.has_failed:
        return
    with suppress(aiohttp.ClientError, OSError):  # a time-out is an OSError
        async with asyncio.timeout(END_WAIT):
            while await content.readany():
                pass


def _is_unanswered(error: Exception) -> bool:
    """Whether the connection was lost before the first byte of a response."""
    has_begun = isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(
        error.message, str
    )
    return not has_begun


def _describe_connect_error(endpoint: Endpoint, error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        reason = describe_os_error(error.os_error)
        return f"cannot reach the proxy {proxy_address(endpoint.proxy)}: {reason}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = sanitize(str(error.certificate_error))
        return f"the certificate of {error.host} is not trusted: {reason}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"no address for {error.host}: {describe_os_error(error.os_error)}"
    return describe_connect_error(error.host, error.os_error)
