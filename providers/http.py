"""One POST, its failures in our words: the only aiohttp call.

What is tuned here was measured: no limit on connections (the engine bounds concurrency), no cookie
jar, headers and URL built once, no time-out object per call, time-outs on silence only.

aiohttp's ``trust_env`` stays off: it asks a thread for ``.netrc`` and another for the proxy on
every single call, and fails where ``.netrc`` knows the host and we send a key. The proxy is looked
up once, when the endpoint is made.
"""

import os
import socket
import ssl
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple
from urllib.request import getproxies, proxy_bypass

import aiohttp
from msgspec import Struct
from multidict import CIMultiDict, CIMultiDictProxy, istr
from yarl import URL

from .base import Denied, ProviderError, Rejected, Stale, Unavailable
from .faults import clean, failure, read_fault

LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes, after decompression; an answer beyond it is not a model's."""

_LARGEST_ERROR = 64 * 1024  # bytes: an error's first words are enough


class Endpoint(Struct, frozen=True):
    """Where calls go and what goes with each of them, made once by `endpoint`.

    ``where`` names it in messages; ``secrets`` must never appear in one.
    """

    url: URL
    where: str
    headers: "CIMultiDict[str]"
    proxy: URL | None
    secrets: tuple[str, ...]


class Answer(NamedTuple):
    body: bytes
    headers: CIMultiDictProxy[str]


def open_session(
    *, timeout: float = 600.0, connect_timeout: float = 30.0, keepalive: float = 4.0
) -> aiohttp.ClientSession:
    """Open the session that all providers share; to be called, and closed, in the loop.

    Args:
        timeout: Seconds of silence after which a call is given up. A model that is not streamed is
            silent while it thinks, so this bounds the slowest answer.
        connect_timeout: Seconds to reach a server, TLS included.
        keepalive: Seconds an idle connection is kept. Below the 5 s after which uvicorn (vLLM,
            SGLang) and Node close theirs: the side that closes first never meets a stale one.

    Raises:
        ValueError: ``SSL_CERT_FILE`` or ``SSL_CERT_DIR`` does not lead to certificates.
    """
    connector = aiohttp.TCPConnector(
        limit=0, keepalive_timeout=keepalive, ssl=_tls(), socket_factory=_open_socket
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout, sock_read=timeout),
    )


def endpoint(url: str, *, headers: Mapping[str, str], secrets: tuple[str, ...] = ()) -> Endpoint:
    """Prepare the calls to *url*. Every value of *headers* counts as a secret but the usual ones.

    Raises:
        ValueError: it is no http(s) URL, holds a password or a query, or a header holds a line
            break; the message repeats neither password, query nor header.
    """
    parsed = _parse(url)
    known = {"Accept", "Accept-Encoding", "Content-Type", "User-Agent"}
    built = CIMultiDict[str]()
    # gzip would cost a quarter of a call's CPU to save a kilobyte.
    for name, value in (("Accept", "application/json"), ("Accept-Encoding", "identity")):
        built[istr(name)] = value
    built[istr("Content-Type")] = "application/json"
    built[istr("User-Agent")] = "codeclm"
    for name, value in headers.items():
        if not (name + value).isprintable():
            raise ValueError(f"the header {clean(name)} holds a line break or control character")
        built[istr(name)] = value
    private = tuple(value for name, value in built.items() if name.title() not in known)
    # The longest first: masking a part of a longer one would leave the rest.
    ordered = tuple(sorted({*secrets, *private}, key=len, reverse=True))
    return Endpoint(parsed, f"POST {parsed}", built, _proxy_for(parsed), ordered)


async def post(session: aiohttp.ClientSession, endpoint: Endpoint, body: bytes) -> Answer:
    """Send *body* and return the body of the 2xx answer, decompressed.

    Raises:
        ProviderError: one of its tree; anything else is a bug.
    """
    opened: list[socket.socket] = []
    _opened.set(opened)
    try:
        response = await session.post(
            endpoint.url,
            data=body,
            headers=endpoint.headers,
            allow_redirects=False,  # it could carry the key to another host
            proxy=endpoint.proxy,
        )
        status = response.status
        bound = LARGEST_ANSWER if 200 <= status < 300 else _LARGEST_ERROR
        try:
            answer = await _read(response.content, bound)
        finally:
            if not response.closed:  # not read to its end: its connection must not serve another
                response.close()
    except (aiohttp.ClientError, OSError) as error:
        # aiohttp's own response errors hold our headers, key included, and what the server echoed.
        cause = None if isinstance(error, aiohttp.ClientResponseError) else error
        raise _translate(endpoint, session.timeout, error, reused=not opened) from cause
    if 200 <= status < 300 and len(answer) <= bound:
        return Answer(answer, response.headers)
    raise _refusal(endpoint, response, answer)


_opened: ContextVar[list[socket.socket]] = ContextVar("_opened")
"""The sockets that the present call has opened: none, if it was given a kept-alive one."""


def _open_socket(address: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, _, _ = address
    opened = socket.socket(family, kind, protocol)
    # A model may think for minutes: without probes a router forgets so quiet a connection.
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
        if (option := getattr(socket, name, None)) is not None:
            opened.setsockopt(socket.IPPROTO_TCP, option, 60)
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


def _refusal(endpoint: Endpoint, response: aiohttp.ClientResponse, body: bytes) -> ProviderError:
    where, status = endpoint.where, response.status
    if 200 <= status < 300:
        return Rejected(f"{where}: an answer of more than {LARGEST_ANSWER} bytes")
    if 300 <= status < 400:
        place = response.headers.get("Location", "nowhere").partition("?")[0]
        return Rejected(f"{where}: {status} redirects to {clean(place, endpoint.secrets)}")
    fault = read_fault(body)
    return failure(where, status, fault, headers=response.headers, secrets=endpoint.secrets)


def _translate(
    endpoint: Endpoint, timeout: aiohttp.ClientTimeout, error: Exception, *, reused: bool
) -> ProviderError:
    where = endpoint.where
    lost = isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)
    if lost and not isinstance(error, aiohttp.ClientConnectorError):
        if reused and _is_silent(error):
            return Stale(f"{where}: the server had closed this connection")
        return Unavailable(f"{where}: the server closed the connection without an answer")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        kind = Denied if 400 <= error.status < 500 else Unavailable
        return kind(f"{where}: the proxy {_place(endpoint.proxy)} answered {error.status}")
    if isinstance(error, aiohttp.ClientConnectorError):
        return Unavailable(f"{where}: {_unreachable(endpoint, error)}")
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return Unavailable(f"{where}: no connection within {timeout.sock_connect:g} s")
    if isinstance(error, TimeoutError):
        return Unavailable(f"{where}: silent for {timeout.sock_read:g} s")
    if isinstance(error, aiohttp.ClientPayloadError):
        return Unavailable(f"{where}: the answer was cut off or garbled")
    if isinstance(error, aiohttp.ClientResponseError):
        said = clean(error.message, endpoint.secrets)
        return Unavailable(f"{where}: the answer cannot be read: {said}")
    return Unavailable(f"{where}: {clean(str(error), endpoint.secrets)}")


def _is_silent(error: Exception) -> bool:
    """Whether the connection was lost before the first byte of an answer."""
    begun = isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(
        error.message, str
    )
    return not begun


def _unreachable(endpoint: Endpoint, error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return f"cannot reach the proxy {_place(endpoint.proxy)}: {_reason(error.os_error)}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return (
            f"the certificate of {error.host} is not trusted: {clean(str(error.certificate_error))}"
        )
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"no address for {error.host}: {_reason(error.os_error)}"
    return f"cannot connect to {error.host}: {_reason(error.os_error)}"


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError | socket.gaierror) or not error.errno:
        return clean(str(error.strerror or error))
    return os.strerror(error.errno)


def _parse(url: str) -> URL:
    try:
        parsed = URL(url)
        port = parsed.port  # yarl looks at it, and objects, only now
    except ValueError:
        raise ValueError("the base URL cannot be read") from None
    if parsed.scheme not in {"http", "https"} or not parsed.raw_host or not port:
        raise ValueError(f"the base URL {clean(url.partition('?')[0])} is not http:// or https://")
    if parsed.raw_user is not None or parsed.raw_password is not None:
        raise ValueError("the base URL holds a password; give the key apart")
    if parsed.raw_query_string or parsed.raw_fragment:
        raise ValueError(f"the base URL {parsed.with_query(None).with_fragment(None)} has a query")
    return parsed


def _proxy_for(url: URL) -> URL | None:
    """The proxy that the environment names for *url*; loopback is never asked through one."""
    host = url.raw_host or ""
    if host in {"localhost", "::1"} or host.startswith("127.") or proxy_bypass(host):
        return None
    proxies = getproxies()
    named = proxies.get(url.scheme) or proxies.get("all")
    if not named:
        return None
    proxy = URL(named if "://" in named else f"http://{named}")
    if proxy.scheme not in {"http", "https"}:
        raise ValueError(f"the proxy {_place(proxy)} is not an HTTP proxy")
    return proxy


def _place(url: URL | None) -> str:
    return "" if url is None else f"{url.scheme}://{url.host_subcomponent}:{url.port}"


def _tls() -> ssl.SSLContext | bool:
    """A context from the environment as it is now: aiohttp's own was made when it was imported."""
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if not file and not folder:
        return True
    try:
        return ssl.create_default_context(cafile=file or None, capath=folder or None)
    except OSError as error:
        raise ValueError(f"SSL_CERT_FILE={file}: {_reason(error)}") from error
