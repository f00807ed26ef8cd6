"""The contract of every transport: one POST, one response, and failures in the same words."""

import socket
import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from ..base import ProviderError, Rejected
from .endpoint import Endpoint
from .events import Assembly
from .failures import describe_os_error, error_for_status, parse_error_body, sanitize

MAX_RESPONSE_BYTES = 64 * 1024 * 1024
"""After decompression; no model's answer is larger."""

MAX_ERROR_BYTES = 64 * 1024
"""The first words of an error are enough."""


class Response(NamedTuple):
    """A 2xx response, decompressed. The names of *headers* match in any case."""

    body: bytes
    headers: Mapping[str, str]


class HttpSession(Protocol):
    """A pool of connections that providers may share, over any transport."""

    async def post(
        self, endpoint: Endpoint, body: bytes, /, assembly: Assembly | None = None
    ) -> Response:
        """Send *body* and return the 2xx response. A cancelled call closes its connection.

        Args:
            endpoint: Where to.
            body: What to send.
            assembly: Puts the events together, where *body* asks for a stream. The response's body
                is then its body; it is the server's own where the server does not stream.

        Raises:
            ProviderError: a subclass; any other exception is a bug.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections; no call may be in flight."""
        ...


def max_body_bytes(status: int) -> int:
    """Return how much of the body of a response with *status* is read at most."""
    return MAX_RESPONSE_BYTES if 200 <= status < 300 else MAX_ERROR_BYTES


def error_for_response(
    endpoint: Endpoint, status: int, headers: Mapping[str, str], body: bytes
) -> ProviderError:
    """Build the exception for a response that is not a 2xx, or is a 2xx that is too large."""
    where = endpoint.where
    if 200 <= status < 300:
        return Rejected(f"{where}: the response is larger than {MAX_RESPONSE_BYTES} bytes")
    if 300 <= status < 400:
        target = headers.get("Location", "nowhere").partition("?")[0]
        return Rejected(f"{where}: {status} redirects to {sanitize(target, endpoint.secrets)}")
    details = parse_error_body(body)
    return error_for_status(where, status, details, headers=headers, secrets=endpoint.secrets)


def describe_connect_error(host: str, error: OSError) -> str:
    """Describe why a connection to *host* could not be opened."""
    if isinstance(error, ssl.CertificateError):
        return f"the certificate of {host} is not trusted: {sanitize(str(error))}"
    if isinstance(error, socket.gaierror):
        return f"no address for {host}: {describe_os_error(error)}"
    return f"cannot connect to {host}: {describe_os_error(error)}"


def open_socket(address: tuple[Any, ...]) -> socket.socket:
    """Open the socket for a connection to *address*, a tuple as ``getaddrinfo`` returns it.

    A model may think for minutes; without keep-alive probes a router drops so quiet a connection.
    """
    family, kind, protocol, _, _ = address
    connection = socket.socket(family, kind, protocol)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
        if (option := getattr(socket, name, None)) is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, 60)
    return connection
