"""Who may ask the page's server: the browser that has its address, from that address alone.

The token keeps other programs and users of the machine out; the checks of Host and Origin keep out
pages of other sites, also those whose name is made to lead here (DNS rebinding).
"""

import secrets
from collections.abc import Mapping

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class Guard:
    """Checks requests to a server on *port*."""

    def __init__(self, port: int, token: str | None = None) -> None:
        self.port = port
        self.token = token or secrets.token_urlsafe(24)
        self._hosts = {f"{name}:{port}" for name in _LOOPBACK}
        if port == 80:
            self._hosts.update(_LOOPBACK)

    def refusal(self, headers: Mapping[str, str], token: str) -> str:
        """Say why a request with *headers* and *token* is refused; empty if it is not."""
        host = headers.get("Host", "")
        if host.lower() not in self._hosts:
            return "this server answers to 127.0.0.1 and localhost alone"
        origin = headers.get("Origin")
        if origin is not None and origin.removeprefix("http://").lower() not in self._hosts:
            return "requests from other sites are refused"
        is_ours = headers.get("Sec-Fetch-Site", "none") in {"none", "same-origin"}
        if not is_ours and headers.get("Sec-Fetch-Dest") != "document":  # a link may lead here
            return "requests from other sites are refused"
        if not secrets.compare_digest(token.encode("utf-8", "surrogatepass"), self.token.encode()):
            return "the address lacks its token: open the one that `codeclm view` printed"
        return ""
