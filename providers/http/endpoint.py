"""An endpoint's address, headers, proxy and TLS, prepared and checked once."""

import os
import re
import ssl
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from urllib.request import getproxies, proxy_bypass

from msgspec import Struct
from multidict import CIMultiDict, istr
from yarl import URL

from .failures import describe_os_error, sanitize


class Endpoint(Struct, frozen=True, eq=False):
    """An endpoint's address and what is sent with every call; built by `make_endpoint`.

    Compared by identity, so that a transport can keep its state in a dictionary.

    Attributes:
        url: The address to post to.
        where: Names the endpoint in messages.
        headers: Sent with every call.
        proxy: The proxy to go through, if any.
        tls: The context for https; None for http.
        secrets: Texts that must never appear in a message, the longest first.
    """

    url: URL
    where: str
    headers: "CIMultiDict[str]"
    proxy: URL | None
    tls: ssl.SSLContext | None
    secrets: tuple[str, ...]

    def at(self, url: URL) -> "Endpoint":
        """Return another path of the same server."""
        return Endpoint(url, f"POST {url}", self.headers, self.proxy, self.tls, self.secrets)


def make_endpoint(
    url: str, *, headers: Mapping[str, str], secrets: tuple[str, ...] = ()
) -> Endpoint:
    """Prepare the calls to *url*. The values of *headers* count as secrets, except the usual ones.

    Raises:
        ValueError: *url* is not an http(s) URL or holds a password or a query; a header holds a
            line break or is not the caller's to set; the proxy cannot be used; or
            ``SSL_CERT_FILE`` or ``SSL_CERT_DIR`` does not lead to certificates. The message
            repeats no password, query or header value.
    """
    parsed = _parse_url(url)
    built = CIMultiDict[str]()
    # gzip would cost a quarter of a call's CPU to save a kilobyte.
    for name, value in (("Accept", "application/json"), ("Accept-Encoding", "identity")):
        built[istr(name)] = value
    built[istr("Content-Type")] = "application/json"
    built[istr("User-Agent")] = "codeclm"
    for name, value in headers.items():
        _check_header(name, value)
        built[istr(name)] = value
    private = (value for name, value in built.items() if name.title() not in _PUBLIC_HEADERS)
    # The longest first: masking a part of a longer one would leave the rest.
    masked = tuple(sorted({*secrets, *private}, key=len, reverse=True))
    proxy = _find_proxy(parsed)
    is_encrypted = "https" in {parsed.scheme, proxy and proxy.scheme}
    tls = _tls_context() if is_encrypted else None
    return Endpoint(parsed, f"POST {parsed}", built, proxy, tls, masked)


def bearer_endpoint(url: str, api_key: str | None, headers: Mapping[str, str] | None) -> Endpoint:
    """Prepare the calls to *url*, which send *api_key*, if there is one, as OpenAI's API takes it.

    Raises:
        ValueError: see `make_endpoint`.
    """
    key_header = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    secrets = (api_key,) if api_key else ()
    return make_endpoint(url, headers={**key_header, **(headers or {})}, secrets=secrets)


def proxy_address(proxy: URL | None) -> str:
    """Return where a proxy is, without its password."""
    return "" if proxy is None else f"{proxy.scheme}://{proxy.host_subcomponent}:{proxy.port}"


_PUBLIC_HEADERS = frozenset({"Accept", "Accept-Encoding", "Content-Type", "User-Agent"})
_LONGEST_HOST = 253
_LONGEST_LABEL = 63
_FRAMING_HEADERS = frozenset(
    {"content-length", "transfer-encoding", "connection", "expect", "upgrade"}
)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A field name (RFC 9110 §5.6.2)."""


def _parse_url(url: str) -> URL:
    try:
        parsed = URL(url)
        port = parsed.port  # yarl parses and validates it only now
        _check_host_name(parsed.raw_host or "")
    except ValueError:
        raise ValueError("the base URL cannot be parsed") from None
    if parsed.raw_user is not None or parsed.raw_password is not None:
        raise ValueError("the base URL holds a password; give the key separately")
    if parsed.scheme not in {"http", "https"} or not parsed.raw_host or not port:
        address = sanitize(url.partition("?")[0])
        raise ValueError(f"the base URL must be http:// or https://, got {address}")
    if parsed.raw_query_string or parsed.raw_fragment:
        bare = parsed.with_query(None).with_fragment(None)
        raise ValueError(f"the base URL {bare} must not have a query or fragment")
    return parsed


def _check_host_name(host: str) -> None:
    """Check what a resolver would refuse only at the first call (RFC 1035 §2.3.4)."""
    labels = host.removesuffix(".").split(".")
    if len(host) > _LONGEST_HOST or not all(1 <= len(label) <= _LONGEST_LABEL for label in labels):
        raise ValueError("not a host name")
    if any(char.isspace() or char == "%" for char in host) and ":" not in host:
        raise ValueError("not a host name")


def _check_header(name: str, value: str) -> None:
    if not (name + value).isprintable():
        raise ValueError(f"the header {sanitize(name)} holds a line break or control character")
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"the header {sanitize(name)!r} has an invalid name")
    if name.lower() in _FRAMING_HEADERS:
        raise ValueError(f"the header {name} is made for each call and cannot be set")


def _find_proxy(url: URL) -> URL | None:
    """Return the proxy that the environment names for *url*; loopback never goes through one."""
    host = url.raw_host or ""
    if host in {"localhost", "::1"} or host.startswith("127.") or proxy_bypass(host):
        return None
    proxies = getproxies()
    address = proxies.get(url.scheme) or proxies.get("all")
    if not address:
        return None
    try:
        proxy = URL(address if "://" in address else f"http://{address}")
        port = proxy.port
        _check_host_name(proxy.raw_host or "")
    except ValueError:
        name = f"{url.scheme}_proxy".upper()
        raise ValueError(f"the proxy in {name} cannot be parsed: write http://HOST:PORT") from None
    if proxy.scheme not in {"http", "https"} or not port:
        raise ValueError(f"the proxy {proxy_address(proxy)} is not an HTTP proxy")
    return proxy


def _tls_context() -> ssl.SSLContext:
    """Return the context that the environment asks for now: .env may have named a file."""
    return _load_certificates(
        os.environ.get("SSL_CERT_FILE") or "", os.environ.get("SSL_CERT_DIR") or ""
    )


@lru_cache(maxsize=4)  # reading the system's certificates takes 40 ms
def _load_certificates(file: str, folder: str) -> ssl.SSLContext:
    for part in filter(None, folder.split(os.pathsep)):  # OpenSSL says nothing of a missing one
        if not Path(part).is_dir():
            raise ValueError(f"SSL_CERT_DIR={part}: no such folder")
    try:
        context = ssl.create_default_context(cafile=file or None, capath=folder or None)
    except OSError as error:
        raise ValueError(f"SSL_CERT_FILE={file}: {describe_os_error(error)}") from error
    context.set_alpn_protocols(["http/1.1"])
    return context
