"""The gate before a run: every endpoint is built, and where data and keys would go is shown.

A key may go to its vendor's own hosts, and to an address that the user gave: on the command line,
in the environment, or in a configuration outside runs' folders. The configuration in a run's folder
that this user did not begin is a stranger's: what it would send elsewhere, and which of the user's
files it would send at all, needs ``--trust``.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from ...providers.base import Provider
from ...providers.hosts import open_provider
from ...providers.http.endpoint import Endpoint
from ...providers.http.events import Assembly
from ...providers.http.exchange import Response
from ...providers.http.session import check_transport
from ...providers.kinds import ProviderKind, ProviderSettings
from ..config import (
    ConfigError,
    RoleConfig,
    api_key,
    base_url,
    header_variables,
    hosted_model,
    key_variable,
    read_headers,
)
from ..data.files import user_path
from ..data.seeds import remote
from .prompts import PROMPTS


class Origin(Struct, frozen=True):
    """Where a configuration comes from. By default: from the program that calls us.

    Attributes:
        file: the configuration file.
        command_line: the values that the command line gives, whatever settings they are for.
        dotenv: the variables that ``./.env`` set.
        is_foreign: whether *file* is in a run's folder that the user neither began nor trusts.
    """

    file: Path | None = None
    command_line: frozenset[str] = frozenset()
    dotenv: frozenset[str] = frozenset()
    is_foreign: bool = False

    def of_setting(self, value: str) -> str:
        """Say where the setting *value* comes from."""
        if value in self.command_line:
            return "command line"
        return "configuration" if self.file is None else str(self.file)

    def of_variable(self, name: str) -> str:
        """Say where the environment variable *name* comes from."""
        return "./.env" if name in self.dotenv else "environment"

    def is_suspect(self, value: str) -> bool:
        """Whether the setting *value* is a stranger's."""
        return self.is_foreign and value not in self.command_line

    def is_suspect_file(self, path: str) -> bool:
        """Whether a stranger names the file or folder *path*, which is not the stranger's own."""
        if not self.is_suspect(path) or self.file is None:
            return False
        return not user_path(path).resolve().is_relative_to(self.file.parent.resolve())


class EndpointUse(Struct, frozen=True):
    """Where the data of one role would go, and with which key.

    Attributes:
        role: the role's name.
        model: as configured.
        address: the endpoint's; empty for models that run in this process.
        details: what to say about the address, the key and the headers.
    """

    role: str
    model: str
    address: str
    details: tuple[str, ...]

    def __str__(self) -> str:
        if not self.address:
            return f"{self.role:<8} {self.model} in this process"
        return f"{self.role:<8} {self.model} at {'; '.join((self.address, *self.details))}"


def pass_gate(
    roles: Mapping[str, RoleConfig],
    where: str,
    origin: Origin,
    files: Iterable[tuple[str, str]] = (),
) -> tuple[EndpointUse, ...]:
    """Check that the endpoints of *roles* can be called, and may be. Makes no call.

    Args:
        roles: settings by the role's name.
        where: names the configuration in messages.
        origin: where it comes from.
        files: what becomes part of prompts, as pairs of a setting and the path that it names.

    Raises:
        ConfigError: one cannot be called, or a stranger's configuration chose it.
    """
    # First: checks look for files and modules that a stranger names.
    suspects = [line for name, role in roles.items() for line in _suspects(name, role, origin)]
    suspects += _suspect_files(roles.values(), files, origin)
    if suspects:
        raise ConfigError(
            f"{where}: this run was not begun by you on this machine, and its configuration says"
            " what to send where:\n"
            + "".join(f"    {line}\n" for line in suspects)
            + "if you trust whoever wrote it, run the same command with --trust, once"
        )
    for name, role in roles.items():
        check_endpoint(role, f"{where}: {name}")
    for name, role in roles.items():
        _check_by_opening(role, f"{where}: {name}")
    return tuple(_use(name, role, origin) for name, role in roles.items())


def check_endpoint(role: RoleConfig, where: str) -> None:
    """Check, without a call, that *role*'s provider can be opened.

    Raises:
        ConfigError: an option, the address, a header, the key, the proxy or a certificate cannot
            be used; the message repeats no secret.
    """
    host, model = hosted_model(role)
    try:
        host.kind.check(model, role.options)
        _check_prompt_names(host.kind, role.options)
        check_transport(role.transport)
        if host.kind.over_http:
            _build(role)
    except ValueError as error:
        raise ConfigError(f"{where}: {role.model}: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _check_prompt_names(kind: ProviderKind[Any], options: Mapping[str, Any]) -> None:
    names = PROMPTS.names()
    for option in sorted(kind.by_prompt & options.keys()):
        if unknown := sorted(set(options[option]) - set(names)):
            raise ValueError(
                f"options.{option}: no prompt is called {unknown[0]!r}:"
                f" available: {', '.join(names)}"
            )


def _check_by_opening(role: RoleConfig, where: str) -> None:
    """Open and close *role*'s provider if only that shows whether it works. It runs its code.

    Raises:
        ConfigError: it cannot be opened.
    """
    if hosted_model(role).host.kind.opened_by_checks:
        try:
            _build(role)
        except ValueError as error:
            raise ConfigError(f"{where}: {role.model}: {error}") from error


class _NoSession:
    """Stands in for a session while a provider is built, which calls nothing."""

    async def post(
        self, endpoint: Endpoint, body: bytes, /, assembly: Assembly | None = None
    ) -> Response:
        del body, assembly
        raise AssertionError(f"{endpoint.where}: a provider calls while it is being built")

    async def aclose(self) -> None: ...


def provider_settings(role: RoleConfig) -> ProviderSettings:
    """Return what the provider of *role* is opened with, but for its session.

    Raises:
        ConfigError: a variable that the role names is not set.
    """
    return ProviderSettings(
        model=hosted_model(role).model,
        base_url=base_url(role),
        api_key=api_key(role),
        headers=read_headers(role),
        options=role.options,
        session=_NoSession(),
    )


def _build(role: RoleConfig) -> None:
    """Open the provider of *role* and close it again."""

    async def build() -> Provider:
        provider = await open_provider(hosted_model(role).host, provider_settings(role))
        await provider.aclose()
        return provider

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(build())
        return
    # Within a loop, only as far as it goes without waiting: all the way, but for some plugins.
    building = build()
    try:
        building.send(None)
    except StopIteration:
        return
    finally:
        building.close()


# -- what is shown ----------------------------------------------------------------------------


def _use(name: str, role: RoleConfig, origin: Origin) -> EndpointUse:
    host = hosted_model(role).host
    if not host.kind.over_http:
        return EndpointUse(name, role.model, "", ())
    variables = header_variables(role)
    details = [_address_source(role, origin)]
    if (variable := key_variable(role)) is not None:
        details.append(f"key {variable} ({origin.of_variable(variable)})")
    else:
        details.append(_no_key(role))
    details += [f"header with ${name} ({origin.of_variable(name)})" for name in variables]
    return EndpointUse(name, role.model, base_url(role), tuple(details))


def _no_key(role: RoleConfig) -> str:
    """Say that no key is sent, and how to send the vendor's where that may be meant."""
    host = hosted_model(role).host
    variable = host.key_variable()
    if variable is None or role.api_key is not None:
        return "no key"
    return f'no key: {variable} is {host.name}\'s alone (to send it here: api_key = "{variable}")'


def _address_source(role: RoleConfig, origin: Origin) -> str:
    host = hosted_model(role).host
    if role.base_url is not None:
        return f"address from {origin.of_setting(role.base_url)}"
    if host.address() != host.own_address():
        variable = host.base_url_variable
        return f"address from {variable} ({origin.of_variable(variable)})"
    if variables := host.address_variables():
        return ", ".join(f"address from {name} ({origin.of_variable(name)})" for name in variables)
    return f"{host.name}'s own address"


def _suspects(name: str, role: RoleConfig, origin: Origin) -> Iterator[str]:
    """Yield what a stranger's configuration would send to where the user has not said."""
    host, model = hosted_model(role)
    if not host.kind.over_http:
        if host.kind.check_model is not None and origin.is_suspect(role.model):
            yield f"{name}: the model {model}, to be loaded into this process"
        return
    address, variable = base_url(role), key_variable(role)
    is_elsewhere = origin.is_suspect(role.base_url or "") and not host.owns(address)
    if role.base_url is not None and is_elsewhere:
        yield f"{name}: all prompts, with your seeds in them, to {address}"
        if role.api_key is None and variable is not None:
            yield f"{name}: the key in {variable} to {address}"
    is_usual = role.api_key in host.key_variables and host.owns(address)
    is_named = role.api_key is not None and variable is not None
    if is_named and origin.is_suspect(role.api_key or "") and not is_usual:
        yield f"{name}: the content of {variable}, as a key, to {address}"
    for header, value in role.headers.items():
        if origin.is_suspect(value) and "$" in value:
            yield f"{name}: the header {header}: {value} to {address}"


def _suspect_files(
    roles: Iterable[RoleConfig], files: Iterable[tuple[str, str]], origin: Origin
) -> Iterator[str]:
    """Yield which of the user's own files a stranger's configuration would send."""
    addresses = {base_url(role) for role in roles if hosted_model(role).host.kind.over_http}
    for setting, path in files:
        if remote.is_url(path):
            if origin.is_suspect(path):
                yield f"{setting}: a download of {path}"
        elif addresses and origin.is_suspect_file(path):
            yield f"{setting}: the content of {path}, to {', '.join(sorted(addresses))}"
