"""Talking to models. Knows no stage, no cache, no limit.

Nothing heavy is imported before it is opened: `codeclm --help` needs neither aiohttp nor llama.cpp.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Struct

from .base import Provider
from .hosts import Host, Kind

if TYPE_CHECKING:
    from .anthropic import Anthropic
    from .exchange import Session
    from .gemini import Gemini
    from .openai import OpenAI

T = TypeVar("T", bound=Struct)


def check(kind: Kind, model: str, options: Mapping[str, Any]) -> None:
    """See, without loading or calling anything, whether `open_provider` could be content.

    Raises:
        ValueError: an option is unknown or of another type, or a local model is not there.
    """
    if kind == "scripted":
        from .scripted import ScriptedOptions

        _read(options, ScriptedOptions)
    elif kind == "local":
        from .local import LocalOptions, find_model

        _read(options, LocalOptions)
        try:
            find_model(model)
        except FileNotFoundError as error:
            raise ValueError(str(error)) from error
    else:
        _refuse(kind, options)


async def open_provider(
    host: Host,
    session: "Session | None" = None,
    *,
    model: str = "",
    base_url: str = "",
    api_key: str | None = None,
    headers: Mapping[str, str] | None = None,
    identity: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Provider:
    """Open *host*; the session stays the caller's. A local *model* is loaded with the first call.

    Raises:
        ValueError: an address, a header, an option or the file of a local model cannot be used.
        FileNotFoundError: a local model, or what runs it, is not there.
    """
    if host.kind == "scripted":
        from .scripted import Scripted, ScriptedOptions

        return Scripted(_read(options or {}, ScriptedOptions))
    if host.kind == "local":
        from .local import LocalOptions, open_local

        return await open_local(model, _read(options or {}, LocalOptions))
    _refuse(host.kind, options)
    if session is None:
        raise ValueError(f"{host.name} is reached over HTTP: it needs a session")
    base_url = base_url or host.base_url
    # Another server in a vendor's place promises nothing of what the vendor does.
    moved = host.needs_key and base_url.rstrip("/") != host.base_url
    return _speaker(host.kind)(
        session,
        base_url=base_url,
        api_key=api_key,
        headers=headers,
        identity=identity,
        structured="text" if moved else host.structured,
    )


def _speaker(kind: Kind) -> "type[Anthropic | Gemini | OpenAI]":
    if kind == "anthropic":
        from .anthropic import Anthropic

        return Anthropic
    if kind == "gemini":
        from .gemini import Gemini

        return Gemini
    from .openai import OpenAI

    return OpenAI


def _refuse(kind: Kind, options: Mapping[str, Any] | None) -> None:
    if options:
        raise ValueError(f"{kind} takes no options (what goes into the body is `extra`)")


def _read(options: Mapping[str, Any], shape: type[T]) -> T:
    for name in options:
        if name not in shape.__struct_fields__:
            near = get_close_matches(name, shape.__struct_fields__, n=1)
            hint = f"did you mean {near[0]}?" if near else "known are "
            known = "" if near else ", ".join(shape.__struct_fields__)
            raise ValueError(f"unknown option {name!r}; {hint}{known}")
    try:
        return msgspec.convert(options, shape)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
