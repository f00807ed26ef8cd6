"""Open an HTTP session over either transport.

A transport is imported when it is opened: aiohttp takes 0.3 s, and the lean one is an extra.
"""

from functools import partial
from importlib.util import find_spec
from typing import assert_never

from ..base import Transport
from ..optional import install_command
from .exchange import HttpSession


def check_transport(transport: Transport) -> None:
    """Check, without opening it, that `open_session` could open *transport*.

    Raises:
        ValueError: what it needs is not installed.
    """
    if transport == "lean" and None in map(find_spec, ("httptools", "aiohappyeyeballs")):
        raise ValueError(f'transport = "lean" needs an extra: {install_command("lean")}')


def open_session(
    *,
    timeout: float = 600.0,
    connect_timeout: float = 30.0,
    keepalive: float = 4.0,
    transport: Transport = "aiohttp",
) -> HttpSession:
    """Open a session; call this, and close the session, in the event loop that uses it.

    Args:
        timeout: Seconds of silence after which a call is given up. Replies are not streamed, so
            the server is silent while the model writes: this bounds the slowest answer.
        connect_timeout: Seconds to reach a server, TLS included.
        keepalive: Seconds to keep an idle connection. Less than the 5 s after which uvicorn (vLLM,
            SGLang) and Node close theirs: the side that closes first never meets a stale one.
        transport: The transport that carries calls. "lean" costs a quarter of the CPU of "aiohttp"
            and leaves endpoints behind a proxy to it.

    Raises:
        ValueError: what *transport* needs is not installed.
    """
    check_transport(transport)
    open_aiohttp = partial(_open_aiohttp, timeout, connect_timeout, keepalive)
    match transport:
        case "aiohttp":
            return open_aiohttp()
        case "lean":
            from .lean_transport import LeanSession  # noqa: PLC0415  (an extra)

            return LeanSession(
                timeout=timeout,
                connect_timeout=connect_timeout,
                keepalive=keepalive,
                open_proxied=open_aiohttp,
            )
        case _:
            assert_never(transport)


def _open_aiohttp(timeout: float, connect_timeout: float, keepalive: float) -> HttpSession:
    from .aiohttp_transport import AiohttpSession  # noqa: PLC0415  (takes 0.3 s)

    return AiohttpSession(timeout=timeout, connect_timeout=connect_timeout, keepalive=keepalive)
