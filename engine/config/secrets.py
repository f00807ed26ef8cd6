"""Keys are named, never written: which settings hold a secret, and what ``$NAME`` stands for.

The configuration is copied into the run's folder, which people share. A secret in it is refused
before anything is written, and is never repeated in the message.
"""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast
from urllib.parse import urlsplit

from .role_settings import RoleConfig
from .values import ConfigError

_REFERENCE: Final = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")
"""``$NAME`` or ``${NAME}``."""

_SECRET_NAME: Final = re.compile(
    r"(?:^|[-_.])(?:authorization|auth|cookie|credentials?|passw(?:or)?d|secret|token|key)$"
    r"|api[-_]?key$",
    re.IGNORECASE,
)
_PUBLIC_NAMES: Final = frozenset({"prompt_cache_key", "idempotency-key"})
"""Names of settings that end like a secret's and are none."""

_SECRET_VALUE: Final = re.compile(
    r"\b(?:sk-[\w-]{16,}|(?:gsk|hf|ghp|gho|ghs|xai|glpat|r8)[_-]\w{16,}|github_pat_\w{16,}"
    r"|xox[abprs]-[\w-]{10,}|AKIA[0-9A-Z]{16}|AIza[\w-]{30,}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]+)"
)
"""What the keys of well-known vendors look like, and JSON web tokens."""

_API_VERSION: Final = re.compile(r"(?:api-version=[\w.-]{1,40})?")
"""The one query that is no secret: Azure's."""

_SCHEME: Final = re.compile(r"(?:bearer|basic|token|api-?key|key)\b", re.IGNORECASE)

_VARIABLE_NAME: Final = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|[A-Z]{3,24}")
"""What a variable's name looks like; ``AKIAIOSFODNN7EXAMPLE`` is a key in capitals."""


def check_secrets(role: RoleConfig, where: str) -> None:
    """Check that no setting of *role* holds a secret itself.

    Raises:
        ConfigError: one does; the message starts with *where* and the key, and repeats no value.
    """
    _check_url(role.base_url or "", f"{where}.base_url")
    for name, value in role.headers.items():
        literal = _SCHEME.sub("", _REFERENCE.sub("", value)).strip()
        if _is_secret(name, literal):
            raise ConfigError(
                f"{where}.headers.{name}: must not hold a secret: put it into an environment"
                f' variable and write "$NAME"'
            )
    for table in ("extra", "options"):
        for path, value in _texts(getattr(role, table)):
            if _is_secret(path.rpartition(".")[2], value):
                raise ConfigError(
                    f"{where}.{table}.{path}: must not hold a secret: it would be copied into the"
                    " run's folder; send it in a header, as $NAME"
                )


def describe_missing_key(variable: str) -> str:
    """Say that *variable*, which should hold a key, is not set; it may be the key itself."""
    if _VARIABLE_NAME.fullmatch(variable) and not _SECRET_VALUE.search(variable):
        return f"the environment variable {variable} is not set"
    return "must be the NAME of an environment variable that is set, not a key"


def header_variables(role: RoleConfig) -> tuple[str, ...]:
    """Return the environment variables that the headers of *role* name, each once."""
    matches = (match for value in role.headers.values() for match in _REFERENCE.finditer(value))
    return tuple(dict.fromkeys(match[1] or match[2] for match in matches))


def read_headers(role: RoleConfig, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the headers of *role*, each ``$NAME`` replaced by that environment variable.

    Raises:
        ConfigError: a variable is not set.
    """

    def value_of(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in environ:
            raise ConfigError(f"headers: {describe_missing_key(name)}")
        return environ[name].strip()

    return {name: _REFERENCE.sub(value_of, value) for name, value in role.headers.items()}


def _check_url(url: str, where: str) -> None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return  # whoever builds the endpoint says what is wrong with it
    if "@" in parts.netloc:
        raise ConfigError(
            f"{where}: must not hold a user name or password: give the key as api_key = NAME"
        )
    if not _API_VERSION.fullmatch(parts.query) or parts.fragment:
        raise ConfigError(
            f"{where}: must not have a query or fragment, which may hold a key: give the key as"
            " api_key = NAME"
        )
    if _SECRET_VALUE.search(url):
        raise ConfigError(f"{where}: holds what looks like a key: give it as api_key = NAME")


def _is_secret(name: str, value: str) -> bool:
    if not value:
        return False
    if _SECRET_VALUE.search(value):
        return True
    return name.lower() not in _PUBLIC_NAMES and bool(_SECRET_NAME.search(name))


def _texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text within *value* with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in cast("dict[str, Any]", value).items():
            yield from _texts(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list | tuple):
        for inner in cast("list[Any]", value):
            yield from _texts(inner, path)
