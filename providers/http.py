"""Opens the session that carries calls, by one transport or another.

Neither is imported before it is wanted: a lean one needs no aiohttp.
"""

from functools import partial
from importlib.util import find_spec

from .base import Transport
from .exchange import Session


def check_transport(transport: Transport) -> None:
    """See, without opening it, whether `open_session` could.

    Raises:
        ValueError: what it needs is not installed.
    """
    if transport == "lean" and None in map(find_spec, ("httptools", "aiohappyeyeballs")):
        raise ValueError("transport = \"lean\" needs an extra: pip install 'codeclm[lean]'")


def open_session(
    *,
    timeout: float = 600.0,
    connect_timeout: float = 30.0,
    keepalive: float = 4.0,
    transport: Transport = "aiohttp",
) -> Session:
    """Open the session that all providers share; to be called, and closed, in the loop.

    Args:
        timeout: Seconds of silence after which a call is given up. A model that is not streamed is
            silent while it thinks, so this bounds the slowest answer.
        connect_timeout: Seconds to reach a server, TLS included.
        keepalive: Seconds an idle connection is kept. Below the 5 s after which uvicorn (vLLM,
            SGLang) and Node close theirs: the side that closes first never meets a stale one.
        transport: What carries calls. "lean" costs a quarter of the CPU of "aiohttp" and leaves
            endpoints behind a proxy to it.

    Raises:
        ValueError: what *transport* needs is not installed.
    """
    if transport == "aiohttp":
        return _over_aiohttp(timeout, connect_timeout, keepalive)
    check_transport(transport)
    from .lean import LeanSession

    return LeanSession(
        timeout=timeout,
        connect_timeout=connect_timeout,
        keepalive=keepalive,
        proxied=partial(_over_aiohttp, timeout, connect_timeout, keepalive),
    )


def _over_aiohttp(timeout: float, connect_timeout: float, keepalive: float) -> Session:
    from .over_aiohttp import AiohttpSession

    return AiohttpSession(timeout=timeout, connect_timeout=connect_timeout, keepalive=keepalive)
