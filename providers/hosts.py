"""Hosts known by name: where they are, how they speak, which variables hold their keys.

As of November 2026. Any other server that speaks chat completions is reached with a base URL.
"""

import os
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Literal

from msgspec import Struct

from .base import ResponseFormat

Kind = Literal["openai", "anthropic", "gemini", "local", "scripted"]


class Host(Struct, frozen=True):
    """``keys`` are the variables that may hold the key, the first one that is set counts.

    ``structured`` is the strictest response format that all its models honour, as far as is known.
    """

    name: str
    kind: Kind
    base_url: str = ""
    keys: tuple[str, ...] = ()
    needs_key: bool = False
    structured: ResponseFormat = "text"


def _hosted(
    name: str, base_url: str, *, kind: Kind = "openai", structured: ResponseFormat = "text"
) -> Host:
    return Host(name, kind, base_url, (f"{name.upper()}_API_KEY",), True, structured)


def _served(name: str, port: int) -> Host:
    """A server on this machine; it takes a key if it was started with one."""
    url = f"http://localhost:{port}/v1"
    return Host(name, "openai", url, (f"{name.upper()}_API_KEY",), False, "json_schema")


HOSTS: Mapping[str, Host] = {
    host.name: host
    for host in (
        _hosted("openai", "https://api.openai.com/v1", structured="json_schema"),
        _hosted("anthropic", "https://api.anthropic.com", kind="anthropic"),
        Host(
            "gemini",
            "gemini",
            "https://generativelanguage.googleapis.com",
            ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
            True,
            "json_schema",
        ),
        _hosted("openrouter", "https://openrouter.ai/api/v1"),
        _hosted("together", "https://api.together.xyz/v1"),
        _hosted("groq", "https://api.groq.com/openai/v1", structured="json_object"),
        _hosted("deepseek", "https://api.deepseek.com/v1", structured="json_object"),
        _hosted("mistral", "https://api.mistral.ai/v1", structured="json_schema"),
        _hosted("fireworks", "https://api.fireworks.ai/inference/v1", structured="json_schema"),
        _hosted("xai", "https://api.x.ai/v1", structured="json_schema"),
        _served("vllm", 8000),
        _served("sglang", 30000),
        _served("ollama", 11434),
        _served("llamacpp", 8080),
        _served("lmstudio", 1234),
        Host("local", "local", structured="json_schema"),
        Host("scripted", "scripted", structured="json_schema"),
    )
}


def find(name: str) -> Host:
    """The host called *name*.

    Raises:
        ValueError: there is none; the message names the nearest ones.
    """
    host = HOSTS.get(name.strip().lower())
    if host is not None:
        return host
    near = get_close_matches(name.lower(), HOSTS, n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(HOSTS)}"
    raise ValueError(f"no provider is called {name!r}; {hint}")


def split_model(text: str, *, default: str | None = None) -> tuple[str, str]:
    """Split ``provider/model`` or ``provider:model`` into a host's name and the model's.

    Only the first separator counts: model ids hold both. With *default* (a base URL was given, say)
    a text that does not begin with a known provider is a model of *default*'s, whole.

    Raises:
        ValueError: there is no provider, no such provider, or no model.
    """
    text = text.strip()
    end = next((at for at, char in enumerate(text) if char in "/:"), -1)
    name, model = (text[:end], text[end + 1 :]) if end >= 0 else ("", text)
    if default is not None and name.lower() not in HOSTS:
        name, model = default, text
    if end < 0 and default is None:
        raise ValueError(f"{text!r} names no provider: write provider/model")
    host = find(name)
    if not model:
        raise ValueError(f"{text!r} names no model: write {host.name}/model")
    return host.name, model


def variables(host: Host) -> tuple[str, ...]:
    """The environment variables that speak about *host*."""
    return (*host.keys, f"{host.name.upper()}_BASE_URL")


def base_url(host: Host, environ: Mapping[str, str] = os.environ) -> str:
    """Where *host* is, unless ``<NAME>_BASE_URL`` says otherwise."""
    return environ.get(f"{host.name.upper()}_BASE_URL", "").strip() or host.base_url


def api_key(host: Host, environ: Mapping[str, str] = os.environ) -> str | None:
    """The key for *host*, None where it has none and needs none.

    Raises:
        ValueError: it needs one; the message names the variable to set.
    """
    for name in host.keys:
        if key := environ.get(name, "").strip():
            return key
    if not host.needs_key or base_url(host, environ) != host.base_url:
        return None
    raise ValueError(f"{host.name} needs a key: set {' or '.join(host.keys)}")
