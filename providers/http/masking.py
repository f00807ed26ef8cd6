"""Keep keys that a server repeats out of what it answers: the answers become a dataset."""

from collections.abc import Iterable

from .endpoint import Endpoint
from .events import Assembly
from .exchange import HttpSession, Response

SHORTEST_KEY = 12
"""Characters. Shorter ones are placeholders ("ollama", "not-needed"), which are words of texts."""


class MaskedSession:
    """A session whose responses hold none of *secrets*; it owns the session that it wraps."""

    def __init__(self, session: HttpSession, secrets: Iterable[str]) -> None:
        self._session = session
        long = {secret for secret in secrets if len(secret) >= SHORTEST_KEY}
        # JSON may write a slash with a backslash before it. The longest first: masking a part of a
        # longer one would leave the rest.
        spellings = {form for key in long for form in (key, key.replace("/", "\\/"))}
        self._secrets = [form.encode() for form in sorted(spellings, key=len, reverse=True)]

    async def post(
        self, endpoint: Endpoint, body: bytes, /, assembly: Assembly | None = None
    ) -> Response:
        response = await self._session.post(endpoint, body, assembly)
        content = response.body
        for secret in self._secrets:
            if secret in content:
                content = content.replace(secret, b"***")
        return response if content is response.body else Response(content, response.headers)

    async def aclose(self) -> None:
        await self._session.aclose()
