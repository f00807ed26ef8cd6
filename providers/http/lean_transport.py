"""The lean transport: a pool of bare HTTP/1.1 connections.

One write for each call, one future, no timer. Time is counted by a sweep that visits every
connection a few times a second: after so many visits without a byte a call is given up, or an idle
connection closed. After anything unexpected a connection is not reused: more bytes than belong to
the response, a response before its request was sent, a cancelled call.

Calls to an endpoint behind a proxy are handed to another session.
"""

import asyncio
import socket
from asyncio import Task, TimerHandle
from collections import defaultdict
from collections.abc import Callable
from math import ceil
from ssl import SSLContext
from typing import Any, NamedTuple, assert_never, cast

from aiohappyeyeballs import start_connection  # pyright: ignore[reportUnknownVariableType]
from multidict import CIMultiDict, CIMultiDictProxy

from ..base import ProviderError, Stale, Unavailable, current_progress
from .endpoint import Endpoint
from .event_stream import EventStream
from .events import Assembly
from .exchange import (
    HttpSession,
    Response,
    describe_connect_error,
    error_for_response,
    max_body_bytes,
    open_socket,
)
from .http1 import Connection, LostError

_ADDRESS_LIFETIME = 10.0  # seconds, as in aiohttp

Addresses = list[tuple[Any, ...]]


class LeanSession:
    """Kept-alive connections, the last one used first; the engine bounds their number.

    Args:
        timeout: Seconds of silence after which a call is given up.
        connect_timeout: Seconds to reach a server, TLS included.
        keepalive: Seconds to keep an idle connection.
        open_proxied: Opens the session for endpoints behind a proxy, when the first one is used.
    """

    def __init__(
        self,
        *,
        timeout: float,
        connect_timeout: float,
        keepalive: float,
        open_proxied: Callable[[], HttpSession],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._period = max(min(timeout / 8, keepalive / 8, 0.5), 0.01)
        self._timeout_sweeps = ceil(timeout / self._period)
        self._keepalive_sweeps = max(int(keepalive / self._period), 1)
        self._open_proxied = open_proxied
        self._proxied: HttpSession | None = None
        self._routes: dict[Endpoint, _Route] = {}
        self._idle: defaultdict[tuple[str, str, int], list[Connection]] = defaultdict(list)
        self._connections = set[Connection]()
        self._lookups: dict[tuple[str, int], _Lookup] = {}
        self._next_sweep: TimerHandle | None = None

    async def post(
        self, endpoint: Endpoint, body: bytes, /, assembly: Assembly | None = None
    ) -> Response:
        if endpoint.proxy is not None:
            self._proxied = self._proxied or self._open_proxied()
            return await self._proxied.post(endpoint, body, assembly)
        route = self._routes.get(endpoint) or self._add_route(endpoint)
        connection = route.pop_idle()
        is_reused = connection is not None
        if connection is None:
            connection = await self._connect(endpoint, route)
        stream = None if assembly is None else EventStream(assembly, current_progress())
        try:
            raw = await connection.send(b"%b%d\r\n\r\n%b" % (route.head, len(body), body), stream)
            content = raw.decompress()
        except LostError as lost:
            raise self._translate(endpoint, lost, is_reused=is_reused) from lost.cause
        finally:  # after a cancelled call it is not reusable: the response may still come
            if connection.is_reusable():
                route.idle.append(connection)
            else:
                connection.drop()
        headers = CIMultiDictProxy(CIMultiDict(raw.headers))
        if stream is not None and 200 <= raw.status < 300:
            return Response(stream.finish(endpoint.where), headers)
        if raw.is_success and len(content) <= max_body_bytes(raw.status):
            return Response(content, headers)
        raise error_for_response(endpoint, raw.status, headers, content)

    async def aclose(self) -> None:
        if self._proxied is not None:
            await self._proxied.aclose()
        if self._next_sweep is not None:
            self._next_sweep.cancel()
        for lookup in self._lookups.values():
            lookup.task.cancel()
        for connection in tuple(self._connections):
            connection.give_up(LostError("unanswered"))
        await asyncio.sleep(0)  # let the loop close the transports and end the look-ups

    def _add_route(self, endpoint: Endpoint) -> "_Route":
        url = endpoint.url
        host, port = url.raw_host or "", url.port or 0
        route = _Route(_render_head(endpoint), host, port, self._idle[url.scheme, host, port])
        self._routes[endpoint] = route
        return route

    async def _connect(self, endpoint: Endpoint, route: "_Route") -> Connection:
        """Open a connection: happy eyeballs over all addresses, then TLS for https."""
        where, host = endpoint.where, route.host
        limit = asyncio.timeout(self._connect_timeout)
        try:
            async with limit:
                connection = await self._dial(route, endpoint.tls)
        except OSError as error:
            if limit.expired():
                seconds = f"{self._connect_timeout:g} s"
                raise Unavailable(f"{where}: no connection within {seconds}") from error
            raise Unavailable(f"{where}: {describe_connect_error(host, error)}") from error
        self._connections.add(connection)
        if self._next_sweep is None:
            self._next_sweep = self._loop.call_later(self._period, self._sweep)
        return connection

    async def _dial(self, route: "_Route", tls: SSLContext | None) -> Connection:
        addresses = cast("Any", await self._look_up(route.host, route.port))
        connected = await start_connection(
            addresses,
            happy_eyeballs_delay=0.25,
            interleave=1,
            loop=self._loop,
            socket_factory=open_socket,
        )
        try:
            _, connection = await self._loop.create_connection(
                lambda: Connection(self._loop),
                sock=connected,
                ssl=tls,
                server_hostname=route.host.rstrip(".") if tls else None,
            )
        except BaseException:  # cancellation, too: the loop may not own the socket yet
            connected.close()
            raise
        return connection

    async def _look_up(self, host: str, port: int) -> Addresses:
        """Return the addresses of *host*, looked up once for all calls that wait for them."""
        lookup = self._lookups.get((host, port))
        if lookup is None or lookup.expires <= self._loop.time():
            task = self._loop.create_task(_resolve(self._loop, host, port))
            lookup = _Lookup(task, self._loop.time() + _ADDRESS_LIFETIME)
            self._lookups[host, port] = lookup
        addresses = await asyncio.shield(lookup.task)
        if isinstance(addresses, OSError):
            if self._lookups.get((host, port)) is lookup:
                del self._lookups[host, port]
            raise addresses
        return addresses

    def _sweep(self) -> None:
        """Count the sweeps since each connection's last byte, and close those that are due."""
        for connection in tuple(self._connections):
            connection.quiet_sweeps += 1
            if connection.is_lost:
                self._connections.discard(connection)
            elif connection.is_waiting:
                if connection.quiet_sweeps > self._timeout_sweeps:
                    connection.give_up(LostError("silent"))
            elif connection.quiet_sweeps >= self._keepalive_sweeps:
                connection.drop()
        for idle in self._idle.values():
            idle[:] = [connection for connection in idle if not connection.is_lost]
        self._next_sweep = (
            self._loop.call_later(self._period, self._sweep) if self._connections else None
        )

    def _translate(self, endpoint: Endpoint, lost: LostError, *, is_reused: bool) -> ProviderError:
        where = endpoint.where
        match lost.reason:
            case "unanswered" if is_reused:
                return Stale(f"{where}: the server had closed this connection", is_cut=True)
            case "unanswered" | "in_head":
                problem = "the server closed the connection without a response"
            case "in_body":
                problem = "the response was cut off or garbled"
            case "silent":
                problem = f"silent for {self._timeout:g} s"
            case "unreadable":
                problem = f"the response cannot be parsed: {lost.detail}"
            case _:
                assert_never(lost.reason)
        is_cut = lost.reason in {"unanswered", "in_head", "in_body"}
        return Unavailable(f"{where}: {problem}", is_cut=is_cut)


class _Lookup(NamedTuple):
    """A look-up of addresses, running or done. An error is its result, so no caller has to wait."""

    task: "Task[Addresses | OSError]"
    expires: float
    """The loop's time after which the addresses are looked up again."""


async def _resolve(loop: asyncio.AbstractEventLoop, host: str, port: int) -> "Addresses | OSError":
    try:
        addresses: list[Any] = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        return error
    return addresses


class _Route(NamedTuple):
    """What all calls to an endpoint share.

    Attributes:
        head: The request up to the value of Content-Length.
        idle: The idle connections of the server, shared by all of its endpoints.
    """

    head: bytes
    host: str
    port: int
    idle: list[Connection]

    def pop_idle(self) -> Connection | None:
        while self.idle:
            if not (connection := self.idle.pop()).is_lost:
                return connection
        return None


def _render_head(endpoint: Endpoint) -> bytes:
    """Render the head; `make_endpoint` has checked that no value holds a line break."""
    url, headers = endpoint.url, endpoint.headers
    host = () if "Host" in headers else (f"Host: {url.host_port_subcomponent}",)
    fields = (f"{name}: {value}" for name, value in headers.items())
    lines = (f"POST {url.raw_path_qs} HTTP/1.1", *host, *fields, "Content-Length: ")
    return "\r\n".join(lines).encode()
