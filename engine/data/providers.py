"""The providers a model name can begin with: the built-in hosts and those of installed packages."""

from typing import Final, NamedTuple

from ...providers.hosts import ALIASES, HOSTS, Host, check_kinds
from .errors import UserError
from .registry import PluginError, Registry

PROVIDERS: Final = Registry("codeclm.providers", "provider", Host, HOSTS, aliases=ALIASES)

CUSTOM: Final = "openai"
"""The provider of a model that has only a base URL: most servers speak its protocol."""


class ModelNameError(UserError):
    """A model is not given as ``provider/model``. The message says what to write."""


class HostedModel(NamedTuple):
    """A model and where it is served."""

    host: Host
    model: str


def resolve_model(text: str, *, has_base_url: bool = False) -> HostedModel:
    """Split ``provider/model`` or ``provider:model`` and look the provider up.

    Only the first separator counts: model ids contain both. With a base URL, a text that does not
    begin with a provider's name is, as a whole, a model of that server; so is one that begins with
    an alias, which may be an organisation's name, as in ``google/gemma-4-31b-it``.

    Raises:
        ModelNameError: the provider or the model is missing.
        UnknownNameError: no provider has this name.
        PluginError: the package that adds the provider cannot be used.
    """
    text = text.strip()
    end = next((at for at, char in enumerate(text) if char in "/:"), None)
    name = "" if end is None else text[:end].lower()
    if has_base_url and name not in PROVIDERS.names():
        name, model = CUSTOM, text
    elif end is None:
        raise ModelNameError(f"{text!r} names no provider; write provider/model")
    else:
        model = text[end + 1 :]
    host = PROVIDERS[name]
    try:
        check_kinds((*HOSTS, host))
    except ValueError as error:
        raise PluginError(f"provider {host.name}: {error}") from error
    if not model:
        raise ModelNameError(f"{text!r} names no model; write {host.name}/MODEL")
    return HostedModel(host, model)
