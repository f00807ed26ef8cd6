"""aiohttp as a transport: the only aiohttp call.

What is tuned here was measured: no limit on connections (the engine bounds concurrency), no cookie
jar, headers and URL built once, no time-out object per call, time-outs on silence only.

aiohttp's ``trust_env`` stays off: it asks a thread for ``.netrc`` and another for the proxy on
every single call, and fails where ``.netrc`` knows the host and we send a key. The proxy is looked
up once, when the endpoint is made.
"""

import socket
from contextvars import ContextVar
from typing import Any

import aiohttp

from .base import Denied, ProviderError, Stale, Unavailable
from .exchange import Answer, Endpoint, bound, open_socket, place, reason, refusal, unreachable
from .faults import clean


class AiohttpSession:
    """Connections that aiohttp keeps; see `http.open_session` for what is in seconds."""

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

    async def post(self, endpoint: Endpoint, body: bytes, /) -> Answer:
        opened: list[socket.socket] = []
        _opened.set(opened)
        try:
            response = await self._session.post(
                endpoint.url,
                data=body,
                headers=endpoint.headers,
                allow_redirects=False,  # it could carry the key to another host
                proxy=endpoint.proxy,
                ssl=endpoint.tls or True,
            )
            status = response.status
            most = bound(status)
            try:
                answer = await _read(response.content, most)
            finally:
                if not response.closed:  # not read to its end: it must not serve another
                    response.close()
        except (aiohttp.ClientError, OSError) as error:
            # aiohttp's response errors hold our headers, key included, and what the server echoed.
            cause = None if isinstance(error, aiohttp.ClientResponseError) else error
            raise self._translate(endpoint, error, reused=not opened) from cause
        if 200 <= status < 300 and len(answer) <= most:
            return Answer(answer, response.headers)
        raise refusal(endpoint, status, response.headers, answer)

    async def aclose(self) -> None:
        await self._session.close()

    def _translate(self, endpoint: Endpoint, error: Exception, *, reused: bool) -> ProviderError:
        where = endpoint.where
        lost = isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)
        if lost and not isinstance(error, aiohttp.ClientConnectorError):
            if reused and _is_silent(error):
                return Stale(f"{where}: the server had closed this connection")
            return Unavailable(f"{where}: the server closed the connection without an answer")
        if isinstance(error, aiohttp.ClientHttpProxyError):
            kind = Denied if 400 <= error.status < 500 else Unavailable
            return kind(f"{where}: the proxy {place(endpoint.proxy)} answered {error.status}")
        if isinstance(error, aiohttp.ClientConnectorError):
            return Unavailable(f"{where}: {_unreachable(endpoint, error)}")
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return Unavailable(f"{where}: no connection within {self._connect_timeout:g} s")
        if isinstance(error, TimeoutError):
            return Unavailable(f"{where}: silent for {self._timeout:g} s")
        if isinstance(error, aiohttp.ClientPayloadError):
            return Unavailable(f"{where}: the answer was cut off or garbled")
        if isinstance(error, aiohttp.ClientResponseError):
            said = clean(error.message, endpoint.secrets)
            return Unavailable(f"{where}: the answer cannot be read: {said}")
        return Unavailable(f"{where}: {clean(str(error), endpoint.secrets)}")


_opened: ContextVar[list[socket.socket]] = ContextVar("_opened")
"""The sockets that the present call has opened: none, if it was given a kept-alive one."""


def _open_socket(address: tuple[Any, ...]) -> socket.socket:
    opened = open_socket(address)
    _opened.get([]).append(opened)
    return opened


async def _read(content: aiohttp.StreamReader, bound: int) -> bytes:
    """Read to the end, or until there is more than *bound*."""
    data = await content.readany()
    if content.at_eof():
        return data
    parts = [data]
    size = len(data)
    while size <= bound and (data := await content.readany()):
        parts.append(data)
        size += len(data)
    return b"".join(parts)


def _is_silent(error: Exception) -> bool:
    """Whether the connection was lost before the first byte of an answer."""
    begun = isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(
        error.message, str
    )
    return not begun


def _unreachable(endpoint: Endpoint, error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return f"cannot reach the proxy {place(endpoint.proxy)}: {reason(error.os_error)}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return (
            f"the certificate of {error.host} is not trusted: {clean(str(error.certificate_error))}"
        )
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"no address for {error.host}: {reason(error.os_error)}"
    return unreachable(error.host, error.os_error)
