"""Download a seed file over HTTPS."""

import http.client
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from .source import SeedError

_MOST: Final = 32 << 30
"""Bytes of a file."""

_TIMEOUT: Final = 60.0
"""Seconds of silence."""

_BLOCK: Final = 1 << 20
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class _SafeRedirects(HTTPRedirectHandler):
    """Follows a redirect only to where `check` lets us go."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        try:
            check(newurl)
        except SeedError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def check(address: str) -> None:
    """Check that *address* is one of https; http only on this machine.

    Raises:
        SeedError: it is not.
    """
    parts = urlsplit(address)
    if not parts.hostname:
        raise SeedError(f"{address}: the address has no host")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise SeedError(f"{address}: seeds are downloaded over https only")


def download(address: str, to: Path) -> dict[str, str]:
    """Download *address* to the new file *to*, and return its digest. Blocks.

    An address may end in ``#sha256=HEX``; the file must then have this digest.

    Raises:
        SeedError: it cannot be downloaded whole, or is another file.
        OSError: *to* cannot be written.
    """
    url, _, expected = address.partition("#sha256=")
    headers = {"User-Agent": "codeclm", "Accept-Encoding": "identity"}
    request = Request(url, headers=headers)  # noqa: S310  (`check` has seen its scheme)
    try:
        with build_opener(_SafeRedirects).open(request, timeout=_TIMEOUT) as reply:
            digest = _save(address, reply, to)
    except HTTPError as error:
        error.close()
        raise SeedError(f"{url}: HTTP {error.code} {error.reason}") from error
    except (URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error
        raise SeedError(f"{url}: cannot be downloaded ({reason}): try again") from error
    if expected and digest != expected.lower():
        raise SeedError(f"{url}: another file than expected: its SHA-256 is {digest}")
    return {"sha256": digest}


def _save(address: str, reply: Any, to: Path) -> str:
    length, size, digest = reply.headers.get("Content-Length"), 0, sha256()
    with to.open("xb") as file:
        while block := reply.read(_BLOCK):
            size += len(block)
            if size > _MOST:
                raise SeedError(f"{address}: larger than {_MOST:,} bytes")
            digest.update(block)
            file.write(block)
    if length is not None and length.isdecimal() and int(length) != size:
        raise SeedError(f"{address}: cut off after {size:,} of {int(length):,} bytes: try again")
    return digest.hexdigest()
