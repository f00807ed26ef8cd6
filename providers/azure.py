"""OpenAI's models on Azure: its v1 API, and its classic one with a deployment in the path.

The classic API needs a version: ``options = { api_version = "2024-10-21" }``, or the address as the
portal shows it, ``…/openai/deployments/NAME/chat/completions?api-version=…``. Both take the key in
the header ``api-key``; an Entra token goes into ``headers``, with ``api_key = "none"``.
"""

from collections.abc import Mapping
from urllib.parse import quote

from yarl import URL

from .base import ResponseFormat
from .http.exchange import HttpSession
from .openai import Dialect, OpenAI


class Azure(OpenAI):
    """A provider that speaks chat completions to one Azure resource.

    Args:
        session: Carries the calls; the caller owns it.
        base_url: The resource, its ``/openai/v1``, or a deployment's address.
        model: The deployment's name.
        api_version: The classic API's version; empty: v1, unless the address holds one.
        api_key: The resource's key.
        headers: Sent with every call.
        structured: The strictest response format that the deployment honours.

    Raises:
        ValueError: the base URL or a header cannot be used, or a version is missing.
    """

    kind = "azure"

    def __init__(
        self,
        session: HttpSession,
        *,
        base_url: str,
        model: str,
        api_version: str,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        structured: ResponseFormat = "text",
    ) -> None:
        address, version = azure_address(base_url, model, api_version)
        key_header = {"api-key": api_key} if api_key else {}
        super().__init__(
            session,
            base_url=address,
            headers={**key_header, **(headers or {})},
            structured=structured,
        )
        if version:
            url = self._endpoint.url.with_query({"api-version": version})
            self._endpoint = self._endpoint.at(url)

    def _choose_dialect(self) -> Dialect:
        return Dialect(is_openai=True)


def azure_address(base_url: str, deployment: str, version: str) -> tuple[str, str]:
    """Return the address below which the API is, and its version; v1 has none.

    Raises:
        ValueError: a deployment's address comes without a version.
    """
    bare, _, query = base_url.partition("?")
    version = version or URL(f"?{query}").query.get("api-version", "")
    bare = bare.rstrip("/").removesuffix("/chat/completions")
    if "/deployments/" in bare:
        if not version:
            raise ValueError(
                f'{bare} needs a version: add options = {{ api_version = "2024-10-21" }}'
            )
        return bare, version
    resource = bare.removesuffix("/v1").removesuffix("/openai")
    if version and not bare.endswith("/v1"):
        return f"{resource}/openai/deployments/{quote(deployment, safe='')}", version
    return f"{resource}/openai/v1", ""
