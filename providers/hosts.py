"""Hosts known by name: their addresses, protocols and key variables.

As of November 2026. A server that is not listed but speaks chat completions is reached as
``openai/NAME`` with a base URL. Another distribution adds a host by an entry point: see `Host`.
"""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Struct, structs

from .base import Provider, ResponseFormat
from .kinds import (
    ANTHROPIC,
    AZURE,
    GEMINI,
    LOCAL,
    MISTRAL,
    OPENAI,
    PYTHON,
    SCRIPTED,
    TRANSFORMERS,
    ProviderKind,
    ProviderSettings,
)


class Host(Struct, frozen=True):
    """A provider by the name that ``model = "NAME/MODEL"`` begins with.

    Another distribution adds one by an entry point in the group ``codeclm.providers`` that has the
    same name and points to a `Host`. Its kind may be one of `kinds`, or a row of its own::

        ECHO = Host("echo", ProviderKind("echo", open_echo, EchoOptions))

    Attributes:
        name: In lower case.
        kind: The protocol that the host speaks.
        base_url: Where it is; empty for models that run in this process. ``{NAME}`` stands for an
            environment variable, ``{NAME|OTHER}`` for the first one that is set.
        key_variables: The environment variables that may hold its key; the first one set counts.
        needs_key: Whether it refuses calls without a key.
        structured: The strictest response format that all of its models honour, as far as known.
        domains: Where else than at its base URL its key may go: these domains and all below them.
    """

    name: str
    kind: ProviderKind[Any]
    base_url: str = ""
    key_variables: tuple[str, ...] = ()
    needs_key: bool = False
    structured: ResponseFormat = "text"
    domains: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.name != self.name.lower():
            raise ValueError(f"host {self.name}: the name must be in lower case")
        if self.kind.over_http != bool(self.base_url):
            rule = "needs a base URL" if self.kind.over_http else "takes no base URL"
            raise ValueError(f"host {self.name}: kind {self.kind.name} {rule}")

    @property
    def base_url_variable(self) -> str:
        """The environment variable that overrides the host's address."""
        return f"{self.name.upper().replace('-', '_')}_BASE_URL"

    def address(self, environ: Mapping[str, str] = os.environ) -> str:
        """Return where the host is: ``<NAME>_BASE_URL`` if set, else its own base URL.

        Variables that are not set stay as they are written: see `missing_variable`.
        """
        override = environ.get(self.base_url_variable, "").strip()
        return override or self.own_address(environ)

    def own_address(self, environ: Mapping[str, str] = os.environ) -> str:
        """Return the host's own base URL."""
        return _VARIABLE.sub(lambda match: _first(match[1], environ) or match[0], self.base_url)

    def address_variables(self, environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
        """Return the environment variables that the host's own address is made of."""
        return tuple(
            next((name for name in match[1].split("|") if environ.get(name, "").strip()), "")
            for match in _VARIABLE.finditer(self.base_url)
        )

    def missing_variable(self, environ: Mapping[str, str] = os.environ) -> str | None:
        """Return the variable that the host's address needs and that is not set; None: none."""
        match = _VARIABLE.search(self.address(environ))
        return None if match is None else match[1].partition("|")[0]

    def owns(self, address: str) -> bool:
        """Whether *address* is the vendor's own: a key may go there unasked."""
        try:
            own, other = urlsplit(self.own_address()), urlsplit(address)
        except ValueError:
            return False
        if other.scheme != (own.scheme or "https") or not other.hostname:
            return False
        below = tuple(f".{domain}" for domain in self.domains)
        is_named = other.hostname in {own.hostname, *self.domains}
        return is_named or other.hostname.endswith(below) or self._is_spelt_as(other.hostname)

    def _is_spelt_as(self, hostname: str) -> bool:
        """Whether *hostname* is the own one, with another value of its variables: a region."""
        own = urlsplit(self.base_url).hostname or ""
        literal, *rest = re.split(r"\{[^}]*\}", own)
        pattern = "[a-z0-9-]+".join(map(re.escape, (literal, *rest)))
        return bool(literal) and re.fullmatch(pattern, hostname) is not None

    def may_send_key(self, address: str) -> bool:
        """Whether the host's key may go to *address* unless the user says so.

        A vendor's goes to the vendor alone. A server of one's own has a key of its own: it goes to
        wherever that server is.
        """
        return not self.needs_key or self.owns(address)

    def key_variable(self, environ: Mapping[str, str] = os.environ) -> str | None:
        """Return the name of the first variable that holds a key, None if there is none."""
        return next((name for name in self.key_variables if environ.get(name, "").strip()), None)

    def key(self, environ: Mapping[str, str] = os.environ) -> str | None:
        """Return the first key that *environ* holds for this host, None if there is none."""
        variable = self.key_variable(environ)
        return None if variable is None else environ[variable].strip()

    def required_key(self, environ: Mapping[str, str] = os.environ) -> str | None:
        """Return the key, or None where the host does without one.

        Raises:
            ValueError: the host needs a key; the message names the variables that may hold it.
        """
        key = self.key(environ)
        is_moved = self.address(environ) != self.own_address(environ)
        if key is None and self.needs_key and not is_moved:
            raise ValueError(f"{self.name} needs a key: set {' or '.join(self.key_variables)}")
        return key

    def structured_at(self, base_url: str) -> ResponseFormat:
        """Return the strictest response format honoured at *base_url*.

        A server that replaces a vendor's may not honour what the vendor's does.
        """
        return "text" if self.needs_key and not self.owns(base_url) else self.structured


_VARIABLE: Final = re.compile(r"\{([A-Z_|]+)\}")


def _first(names: str, environ: Mapping[str, str]) -> str:
    """Return the value of the first of *names*, ``A|B``, that is set."""
    return next(filter(None, (environ.get(name, "").strip() for name in names.split("|"))), "")


def check_kinds(hosts: Iterable[Host]) -> None:
    """Check that no two kinds have one name: their cache keys would meet.

    Raises:
        ValueError: two do.
    """
    kinds: dict[str, ProviderKind[Any]] = {}
    for host in hosts:
        if kinds.setdefault(host.kind.name, host.kind) is not host.kind:
            raise ValueError(f"two provider kinds have the name {host.kind.name!r}: rename one")


async def open_provider(host: Host, settings: ProviderSettings) -> Provider:
    """Open a provider of *host*. A local model is loaded by the first call.

    Raises:
        ValueError: an address, a header, an option or a local model's file cannot be used.
        FileNotFoundError: a local model, or what runs it, is missing.
    """
    base_url = settings.base_url or host.address()
    settings = structs.replace(settings, base_url=base_url, structured=host.structured_at(base_url))
    provider = await host.kind.open(settings, host.kind.read_options(settings.options))
    if provider.kind != host.kind.name:  # cache keys of two kinds must never meet
        model = f"{host.name}/{settings.model}".rstrip("/")
        raise ValueError(
            f"{model}: class {type(provider).__name__} has kind"
            f" {provider.kind!r}, but its ProviderKind is named {host.kind.name!r}"
        )
    return provider


def _hosted(
    name: str,
    base_url: str,
    *,
    kind: ProviderKind[Any] = OPENAI,
    other_keys: tuple[str, ...] = (),
    structured: ResponseFormat = "text",
    domains: tuple[str, ...] = (),
) -> Host:
    """Return the row of a vendor, which needs a key."""
    keys = (f"{name.upper()}_API_KEY", *other_keys)
    return Host(name, kind, base_url, keys, needs_key=True, structured=structured, domains=domains)


def _self_hosted(name: str, port: int) -> Host:
    """Return the row of a server on this machine; it takes a key if it was started with one."""
    url = f"http://localhost:{port}/v1"
    return Host(name, OPENAI, url, (f"{name.upper()}_API_KEY",), structured="json_schema")


HOSTS: Final = (
    _hosted(
        "openai", "https://api.openai.com/v1", structured="json_schema", domains=("openai.com",)
    ),
    _hosted("anthropic", "https://api.anthropic.com", kind=ANTHROPIC, domains=("anthropic.com",)),
    _hosted(
        "gemini",
        "https://generativelanguage.googleapis.com",
        kind=GEMINI,
        other_keys=("GOOGLE_API_KEY",),
        structured="json_schema",
    ),
    _hosted("openrouter", "https://openrouter.ai/api/v1", domains=("openrouter.ai",)),
    _hosted("together", "https://api.together.xyz/v1", domains=("together.xyz", "together.ai")),
    _hosted(
        "groq", "https://api.groq.com/openai/v1", structured="json_object", domains=("groq.com",)
    ),
    _hosted(
        "deepseek",
        "https://api.deepseek.com/v1",
        structured="json_object",
        domains=("deepseek.com",),
    ),
    _hosted(
        "mistral",
        "https://api.mistral.ai/v1",
        kind=MISTRAL,
        structured="json_schema",
        domains=("mistral.ai",),
    ),
    _hosted(
        "fireworks",
        "https://api.fireworks.ai/inference/v1",
        structured="json_schema",
        domains=("fireworks.ai",),
    ),
    _hosted("xai", "https://api.x.ai/v1", structured="json_schema", domains=("x.ai",)),
    Host(
        "azure",
        AZURE,
        "{AZURE_OPENAI_ENDPOINT|AZURE_API_BASE}",
        ("AZURE_OPENAI_API_KEY", "AZURE_API_KEY"),
        needs_key=True,
        structured="json_schema",
        domains=("openai.azure.com", "cognitiveservices.azure.com", "services.ai.azure.com"),
    ),
    _hosted(
        "bedrock",
        "https://bedrock-runtime.{AWS_REGION|AWS_DEFAULT_REGION}.amazonaws.com/openai/v1",
        other_keys=("AWS_BEARER_TOKEN_BEDROCK",),
    ),
    _hosted(
        "vertex",
        "https://aiplatform.googleapis.com/v1/projects/{GOOGLE_CLOUD_PROJECT}/locations/global"
        "/endpoints/openapi",
        other_keys=("VERTEX_ACCESS_TOKEN",),
        domains=("googleapis.com",),
    ),
    _hosted("cerebras", "https://api.cerebras.ai/v1", domains=("cerebras.ai",)),
    _hosted("cohere", "https://api.cohere.ai/compatibility/v1", other_keys=("CO_API_KEY",)),
    _hosted("dashscope", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"),
    _hosted("deepinfra", "https://api.deepinfra.com/v1/openai", domains=("deepinfra.com",)),
    _hosted("huggingface", "https://router.huggingface.co/v1", other_keys=("HF_TOKEN",)),
    _hosted("minimax", "https://api.minimax.io/v1", domains=("minimax.io",)),
    _hosted("moonshot", "https://api.moonshot.ai/v1", domains=("moonshot.ai",)),
    _hosted("novita", "https://api.novita.ai/openai/v1", domains=("novita.ai",)),
    _hosted("nvidia_nim", "https://integrate.api.nvidia.com/v1", other_keys=("NVIDIA_API_KEY",)),
    _hosted("perplexity", "https://api.perplexity.ai", domains=("perplexity.ai",)),
    _hosted("sambanova", "https://api.sambanova.ai/v1", domains=("sambanova.ai",)),
    _hosted("zai", "https://api.z.ai/api/paas/v4", domains=("z.ai",)),
    _self_hosted("vllm", 8000),
    _self_hosted("sglang", 30000),
    _self_hosted("ollama", 11434),
    _self_hosted("llamacpp", 8080),
    _self_hosted("lmstudio", 1234),
    Host("local", LOCAL, structured="json_schema"),
    Host("transformers", TRANSFORMERS),
    Host("scripted", SCRIPTED, structured="json_schema"),
    Host("python", PYTHON),
)

check_kinds(HOSTS)

ALIASES: Final = {
    "azure_openai": "azure",
    "cohere_chat": "cohere",
    "fireworks_ai": "fireworks",
    "google": "gemini",
    "hosted_vllm": "vllm",
    "lm_studio": "lmstudio",
    "mistralai": "mistral",
    "moonshotai": "moonshot",
    "nvidia": "nvidia_nim",
    "ollama_chat": "ollama",
    "vertex_ai": "vertex",
    "together_ai": "together",
    "togetherai": "together",
    "x-ai": "xai",
    "z-ai": "zai",
}
"""What other tools call these hosts."""
