"""A lean transport: a pool of bare HTTP/1.1 connections.

One write for each call, one future, no timer. Time is counted by a sweep that visits every
connection a few times a second: so many visits without a byte, and a call is given up or an idle
connection closed. No connection serves a call after anything odd: more bytes than were asked for,
an answer before its question was sent, a cancelled call.

No proxies: calls to an endpoint behind one are handed to another session.
"""

import asyncio
import socket
from asyncio import Future, TimerHandle
from collections import defaultdict
from collections.abc import Callable
from math import ceil
from ssl import SSLContext
from typing import Any, NamedTuple, cast

from aiohappyeyeballs import start_connection  # pyright: ignore[reportUnknownVariableType]
from multidict import CIMultiDict, CIMultiDictProxy

from .base import ProviderError, Stale, Unavailable
from .exchange import Answer, Endpoint, Session, bound, open_socket, refusal, unreachable
from .http1 import Connection, LostError

_ADDRESS_KEPT = 10.0  # seconds, as aiohttp keeps a host's addresses

Addresses = list[tuple[Any, ...]]


class LeanSession:
    """Kept-alive connections, the last one used first; their number is the engine's affair.

    Args:
        timeout: Seconds of silence after which a call is given up.
        connect_timeout: Seconds to reach a server, TLS included.
        keepalive: Seconds an idle connection is kept.
        proxied: Opens the session for endpoints behind a proxy, with the first of them.
    """

    def __init__(
        self,
        *,
        timeout: float,
        connect_timeout: float,
        keepalive: float,
        proxied: Callable[[], Session],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._period = max(min(timeout / 8, keepalive / 8, 0.5), 0.01)
        self._patience = ceil(timeout / self._period)
        self._keep = max(int(keepalive / self._period), 1)
        self._open_proxied = proxied
        self._proxied: Session | None = None
        self._routes: dict[Endpoint, _Route] = {}
        self._idle: defaultdict[tuple[str, str, int], list[Connection]] = defaultdict(list)
        self._open = set[Connection]()
        self._addresses: dict[tuple[str, int], Future[Addresses]] = {}
        self._sweeping: TimerHandle | None = None

    async def post(self, endpoint: Endpoint, body: bytes, /) -> Answer:
        if endpoint.proxy is not None:
            self._proxied = self._proxied or self._open_proxied()
            return await self._proxied.post(endpoint, body)
        route = self._routes.get(endpoint) or self._route(endpoint)
        connection = route.kept()
        reused = connection is not None
        if connection is None:
            connection = await self._connect(endpoint, route)
        try:
            raw = await connection.send(b"%b%d\r\n\r\n%b" % (route.head, len(body), body))
            answer = raw.read()
        except LostError as lost:
            raise self._failure(endpoint, lost, reused=reused) from lost.cause
        finally:  # a cancelled call leaves one that is not fit: its answer may still be to come
            if connection.is_fit():
                route.idle.append(connection)
            else:
                connection.drop()
        headers = CIMultiDictProxy(CIMultiDict(raw.headers))
        if raw.is_good and len(answer) <= bound(raw.status):
            return Answer(answer, headers)
        raise refusal(endpoint, raw.status, headers, answer)

    async def aclose(self) -> None:
        if self._proxied is not None:
            await self._proxied.aclose()
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in tuple(self._open):
            connection.give_up(LostError("unanswered"))
        await asyncio.sleep(0)  # let the loop tell their transports

    def _route(self, endpoint: Endpoint) -> "_Route":
        url = endpoint.url
        place = (url.raw_host or "", url.port or 0)
        made = _Route(_head(endpoint), *place, self._idle[url.scheme, *place])
        self._routes[endpoint] = made
        return made

    async def _connect(self, endpoint: Endpoint, route: "_Route") -> Connection:
        """Open a connection: happy eyeballs over all addresses, then TLS where it is wanted."""
        where, host = endpoint.where, route.host
        limit = asyncio.timeout(self._connect_timeout)
        try:
            async with limit:
                connection = await self._dial(route, endpoint.tls)
        except OSError as error:
            if limit.expired():
                seconds = f"{self._connect_timeout:g} s"
                raise Unavailable(f"{where}: no connection within {seconds}") from error
            raise Unavailable(f"{where}: {unreachable(host, error)}") from error
        self._open.add(connection)
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(self._period, self._sweep)
        return connection

    async def _dial(self, route: "_Route", tls: SSLContext | None) -> Connection:
        addresses = cast("Any", await self._look_up(route.host, route.port))
        opened = await start_connection(
            addresses,
            happy_eyeballs_delay=0.25,
            interleave=1,
            loop=self._loop,
            socket_factory=open_socket,
        )
        try:
            _, connection = await self._loop.create_connection(
                lambda: Connection(self._loop),
                sock=opened,
                ssl=tls,
                server_hostname=route.host.rstrip(".") if tls else None,
            )
        except BaseException:
            opened.close()  # the loop may not have taken it over
            raise
        return connection

    async def _look_up(self, host: str, port: int) -> Addresses:
        """The addresses of *host*, asked for once however many calls wait for them."""
        looking = self._addresses.get((host, port))
        if looking is None:
            asking = self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            looking = asyncio.ensure_future(cast("Any", asking))
            self._addresses[host, port] = looking
            self._loop.call_later(_ADDRESS_KEPT, self._forget, host, port, looking)
        try:
            return await asyncio.shield(looking)
        except OSError:
            self._forget(host, port, looking)
            raise

    def _forget(self, host: str, port: int, looked: "Future[Addresses]") -> None:
        if self._addresses.get((host, port)) is looked:
            del self._addresses[host, port]

    def _sweep(self) -> None:
        """Count the visits since each connection's last byte: no call needs a timer of its own."""
        for connection in tuple(self._open):
            connection.quiet += 1
            if connection.is_lost:
                self._open.discard(connection)
            elif connection.is_waiting:
                if connection.quiet > self._patience:
                    connection.give_up(LostError("silent"))
            elif connection.quiet >= self._keep:
                connection.drop()
        for idle in self._idle.values():
            idle[:] = [connection for connection in idle if not connection.is_lost]
        self._sweeping = self._loop.call_later(self._period, self._sweep) if self._open else None

    def _failure(self, endpoint: Endpoint, lost: "LostError", *, reused: bool) -> ProviderError:
        where = endpoint.where
        if lost.when == "unanswered" and reused:
            return Stale(f"{where}: the server had closed this connection")
        said = {
            "silent": f"silent for {self._timeout:g} s",
            "unreadable": f"the answer cannot be read: {lost.said}",
            "answering": "the answer was cut off or garbled",
        }
        without = "the server closed the connection without an answer"
        return Unavailable(f"{where}: {said.get(lost.when, without)}")


class _Route(NamedTuple):
    """What the calls to an endpoint have in common."""

    head: bytes
    """The request up to its length."""
    host: str
    port: int
    idle: list[Connection]
    """Shared by all endpoints of that server."""

    def kept(self) -> Connection | None:
        while self.idle:
            if not (connection := self.idle.pop()).is_lost:
                return connection
        return None


def _head(endpoint: Endpoint) -> bytes:
    """The request's first lines; `endpoint` has seen to it that no value holds a line break."""
    url, headers = endpoint.url, endpoint.headers
    host = () if "Host" in headers else (f"Host: {url.host_port_subcomponent}",)
    fields = (f"{name}: {value}" for name, value in headers.items())
    lines = (f"POST {url.raw_path_qs} HTTP/1.1", *host, *fields, "Content-Length: ")
    return "\r\n".join(lines).encode()
