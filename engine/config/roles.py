"""Resolve the settings of a role: its provider and model, its address, its key."""

import os
from math import isfinite
from typing import Any, Final, cast

from ...providers.base import ResponseFormat
from ...providers.models import model_table
from ..data.errors import UserError
from ..data.providers import HostedModel, resolve_model
from .role_settings import JudgeConfig, RoleConfig
from .sampling import check_sampling
from .secrets import check_secrets, describe_missing_key
from .values import ConfigError

NO_KEY: Final = "none"
"""The ``api_key`` of a role whose server gets none."""


def hosted_model(role: RoleConfig) -> HostedModel:
    """Return the host and the model that *role* names.

    Raises:
        UserError: the provider or the model is missing or unknown.
    """
    return resolve_model(role.model, has_base_url=bool(role.base_url))


def base_url(role: RoleConfig) -> str:
    """Return the address of the role's endpoint; empty for models that run in this process."""
    return (role.base_url or hosted_model(role).host.address()).rstrip("/")


def api_key(role: RoleConfig) -> str | None:
    """Return the role's API key. None: none is sent.

    Raises:
        ConfigError: the environment variable that should hold it is not set.
    """
    if role.api_key == NO_KEY:
        return None
    if role.api_key:
        value = os.environ.get(role.api_key, "").strip()
        if not value:
            raise ConfigError(describe_missing_key(role.api_key))
        return value
    host = hosted_model(role).host
    if role.base_url and not host.owns(role.base_url):
        return host.key() if host.may_send_key(role.base_url) else None
    try:
        return host.required_key()
    except ValueError as error:
        raise ConfigError(str(error)) from error


def key_variable(role: RoleConfig) -> str | None:
    """Return the name of the variable that holds the role's key; None: none is sent."""
    if role.api_key:
        return None if role.api_key == NO_KEY else role.api_key
    host = hosted_model(role).host
    if role.base_url and not host.may_send_key(role.base_url):
        return None
    return host.key_variable()


def response_format(role: RoleConfig) -> ResponseFormat:
    """Return the response format that *role* asks for."""
    if role.structured_output != "auto":
        return role.structured_output
    return hosted_model(role).host.kind.default_format


def is_program(role: RoleConfig) -> bool:
    """Whether *role* is a function of the user's, which scores each answer by itself.

    A provider that is not installed counts as a model: its run can be read all the same.
    """
    try:
        return hosted_model(role).host.kind.is_program
    except UserError:
        return False


def scores_by_logprobs(role: RoleConfig) -> bool:
    """Whether the scores of *role* are means over log-probabilities."""
    return isinstance(role, JudgeConfig) and role.score == "logprobs"


def reply_options(role: RoleConfig) -> dict[str, Any]:
    """Return the provider's options that can change a reply and are not at their default.

    Raises:
        ValueError: an option is unknown or has the wrong type.
    """
    return hosted_model(role).host.kind.reply_options(role.options)


def check_role(role: RoleConfig, where: str) -> None:
    """Check that *role* can be called: its provider exists, its key is set, and it holds none.

    Raises:
        ConfigError: it cannot; the message starts with *where* and the key at fault.
    """
    try:
        host, _ = hosted_model(role)
    except UserError as error:
        raise ConfigError(f"{where}.model: {error}{_such_as(role.model)}") from error
    try:
        api_key(role)
    except ConfigError as error:
        raise ConfigError(f"{where}.api_key: {error}") from error
    check_sampling(role, where)
    check_secrets(role, where)
    if not _is_writable(role.extra):
        raise ConfigError(f"{where}.extra: null, inf and nan cannot be written to config.toml")
    if scores_by_logprobs(role) and not host.kind.logprobs:
        raise ConfigError(
            f'{where}.score: {host.name} gives no log-probabilities: write score = "text"'
        )
    if "stream" in role.extra:
        raise ConfigError(f"{where}.extra: stream is a setting of its own: stream = true")
    _check_prices(role, where)
    if role.base_url and not host.kind.over_http:
        raise ConfigError(
            f"{where}.base_url: {host.name} models run in this process: remove it, or name the"
            " server's provider in model"
        )
    if not role.base_url and (missing := host.missing_variable()):
        raise ConfigError(f"{where}.base_url: {host.name} needs {missing}: set it, or base_url")
    if role.stream and not host.kind.over_http:
        raise ConfigError(
            f"{where}.stream: {host.name} models run in this process, where nothing is streamed:"
            " remove it"
        )
    # Whatever else may be wrong with it is found when the endpoint is built.
    if host.kind.over_http and not base_url(role).startswith(("http://", "https://")):
        raise ConfigError(f"{where}.base_url: must be an http(s) address, got {base_url(role)!r}")


def _check_prices(role: RoleConfig, where: str) -> None:
    if (role.price_input is None) != (role.price_output is None):
        raise ConfigError(f"{where}: price_input and price_output: set both or neither")
    for name in ("price_cached", "price_written"):
        if getattr(role, name) is not None and role.price_input is None:
            raise ConfigError(f"{where}.{name}: set price_input and price_output, too")


def _is_writable(value: Any) -> bool:
    """Return whether *value* can be written both in TOML and in a request's JSON."""
    if isinstance(value, dict):
        return all(map(_is_writable, cast("dict[str, Any]", value).values()))
    if isinstance(value, list | tuple):
        return all(map(_is_writable, cast("list[Any]", value)))
    return value is not None and (not isinstance(value, float) or isfinite(value))


def _such_as(model: str) -> str:
    """Return what *model* is called with its vendor, if the table of models knows the name."""
    rows = [row for row in model_table().models if row.name == model.lower() and not row.is_family]
    return f", such as {rows[0].provider}/{rows[0].name}" if rows else ""
