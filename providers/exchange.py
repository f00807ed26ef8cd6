"""What goes over HTTP and what comes back: an endpoint, an answer, and failures in our words.

Knows no transport: `http.open_session` opens one, and each says the same in the same words.
"""

import os
import re
import socket
import ssl
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple, Protocol
from urllib.request import getproxies, proxy_bypass

from msgspec import Struct
from multidict import CIMultiDict, istr
from yarl import URL

from .base import ProviderError, Rejected
from .faults import clean, failure, read_fault

LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes, after decompression; an answer beyond it is not a model's."""

LARGEST_ERROR = 64 * 1024
"""Bytes: an error's first words are enough."""


class Answer(NamedTuple):
    body: bytes
    headers: Mapping[str, str]
    """Names in any case."""


class Endpoint(Struct, frozen=True, eq=False):
    """Where calls go and what goes with each of them, made once by `endpoint`.

    ``where`` names it in messages; ``secrets`` must never appear in one. ``tls`` is the context of
    https, None where nothing is encrypted. Each is equal to itself alone.
    """

    url: URL
    where: str
    headers: "CIMultiDict[str]"
    proxy: URL | None
    tls: ssl.SSLContext | None
    secrets: tuple[str, ...]

    def at(self, url: URL) -> "Endpoint":
        """Another path of the same server."""
        return Endpoint(url, f"POST {url}", self.headers, self.proxy, self.tls, self.secrets)


class Session(Protocol):
    """Connections that all providers may share, whatever carries them."""

    async def post(self, endpoint: Endpoint, body: bytes, /) -> Answer:
        """Send *body* and return the body of the 2xx answer, decompressed.

        A cancelled call closes its connection.

        Raises:
            ProviderError: one of its tree; anything else is a bug.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections; no call may be under way."""
        ...


def endpoint(url: str, *, headers: Mapping[str, str], secrets: tuple[str, ...] = ()) -> Endpoint:
    """Prepare the calls to *url*. Every value of *headers* counts as a secret but the usual ones.

    Raises:
        ValueError: it is no http(s) URL, holds a password or a query, a header holds a line break
            or is not the caller's to set, or ``SSL_CERT_FILE`` or ``SSL_CERT_DIR`` does not lead
            to certificates; the message repeats neither password, query nor header.
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
        _check_header(name, value)
        built[istr(name)] = value
    private = tuple(value for name, value in built.items() if name.title() not in known)
    # The longest first: masking a part of a longer one would leave the rest.
    ordered = tuple(sorted({*secrets, *private}, key=len, reverse=True))
    proxy = _proxy_for(parsed)
    encrypted = "https" in {parsed.scheme, proxy and proxy.scheme}
    return Endpoint(parsed, f"POST {parsed}", built, proxy, _tls() if encrypted else None, ordered)


def bound(status: int) -> int:
    """Most bytes of a body that are read from an answer of *status*."""
    return LARGEST_ANSWER if 200 <= status < 300 else LARGEST_ERROR


def refusal(
    endpoint: Endpoint, status: int, headers: Mapping[str, str], body: bytes
) -> ProviderError:
    """The error for an answer that is not a 2xx, or is one beyond its `bound`."""
    where = endpoint.where
    if 200 <= status < 300:
        return Rejected(f"{where}: an answer of more than {LARGEST_ANSWER} bytes")
    if 300 <= status < 400:
        place = headers.get("Location", "nowhere").partition("?")[0]
        return Rejected(f"{where}: {status} redirects to {clean(place, endpoint.secrets)}")
    fault = read_fault(body)
    return failure(where, status, fault, headers=headers, secrets=endpoint.secrets)


def unreachable(host: str, error: OSError) -> str:
    """Why no connection to *host* came about."""
    if isinstance(error, ssl.CertificateError):
        return f"the certificate of {host} is not trusted: {clean(str(error))}"
    if isinstance(error, socket.gaierror):
        return f"no address for {host}: {reason(error)}"
    return f"cannot connect to {host}: {reason(error)}"


def reason(error: OSError) -> str:
    """An error of the system in its own words."""
    if isinstance(error, ssl.SSLError | socket.gaierror) or not error.errno:
        return clean(str(error.strerror or error))
    return os.strerror(error.errno)


def place(url: URL | None) -> str:
    """Where a proxy is, without its password."""
    return "" if url is None else f"{url.scheme}://{url.host_subcomponent}:{url.port}"


def open_socket(address: tuple[Any, ...]) -> socket.socket:
    """Make the socket for a connection to *address*, as ``getaddrinfo`` gives them.

    A model may think for minutes: without probes a router forgets so quiet a connection.
    """
    family, kind, protocol, _, _ = address
    opened = socket.socket(family, kind, protocol)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
        if (option := getattr(socket, name, None)) is not None:
            opened.setsockopt(socket.IPPROTO_TCP, option, 60)
    return opened


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


_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FRAMING = frozenset({"content-length", "transfer-encoding", "connection", "expect", "upgrade"})


def _check_header(name: str, value: str) -> None:
    if not (name + value).isprintable():
        raise ValueError(f"the header {clean(name)} holds a line break or control character")
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"the header {clean(name)} has no name that HTTP allows")
    if name.lower() in _FRAMING:
        raise ValueError(f"the header {name} is made for each call and can't be set")


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
        raise ValueError(f"the proxy {place(proxy)} is not an HTTP proxy")
    return proxy


def _tls() -> ssl.SSLContext:
    """The context that the environment asks for as it is now: .env may have named a file."""
    return _context(os.environ.get("SSL_CERT_FILE") or "", os.environ.get("SSL_CERT_DIR") or "")


@lru_cache(maxsize=4)  # reading the system's certificates takes 40 ms
def _context(file: str, folder: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=file or None, capath=folder or None)
    except OSError as error:
        raise ValueError(f"SSL_CERT_FILE={file}: {reason(error)}") from error
    context.set_alpn_protocols(["http/1.1"])
    return context
