"""Where a command's settings come from: the command line, a file, ``./.env``; whom they trust."""

import io
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, cast

from dotenv import dotenv_values
from msgspec import structs

from ..calls.gate import EndpointUse, Origin
from ..config import (
    NO_KEY,
    ConfigError,
    RoleConfig,
    header_variables,
    hosted_model,
    parse_overrides,
)
from ..data.errors import UserError
from ..data.files import read_bounded
from ..disk import trust
from .arguments import Arguments
from .output import print_message

DOTENV: Final = Path(".env")

_STEERING: Final = re.compile(
    r".*_BASE_URL|.*_API_BASE|.*_ENDPOINT|(?:.*_)?PROXY|SSL_.*|XDG_.*|CODECLM_CACHE_DIR|PYTHON.*"
    r"|LD_.*|DYLD_.*|HOME|PATH|TMPDIR|TEMP|TMP|NETRC",
    re.IGNORECASE,
)
"""Variables that would send keys or answers elsewhere, or move what this program reads."""


def add_trust(parser: Arguments) -> None:
    parser.add_argument(
        "--trust",
        action="store_true",
        help="trust the run's folder and ./.env from now on: they may say where keys and data go",
    )


def find_origin(
    file: Path | None,
    overrides: Sequence[str],
    roles: Iterable[RoleConfig],
    *,
    trusted: bool,
    in_run_folder: bool = False,
) -> Origin:
    """Read ``./.env``, and return where the settings in *file* and *overrides* come from.

    Args:
        file: the configuration file.
        overrides: ``KEY=VALUE`` of the command line.
        roles: the models whose keys ``./.env`` may hold.
        trusted: whether the user says ``--trust``.
        in_run_folder: whether *file* is certainly in a run's folder; else it is looked up.

    Raises:
        ConfigError: a file cannot be read.
    """
    dotenv = _read_dotenv(roles, trusted=trusted)
    if file is not None and (in_run_folder or _is_in_run_folder(file)):
        return structs.replace(file_origin(file, overrides, trusted=trusted), dotenv=dotenv)
    return Origin(file, frozenset(_texts(parse_overrides(overrides))), dotenv)


def file_origin(file: Path, overrides: Sequence[str], *, trusted: bool) -> Origin:
    """Return where the settings in *file*, in a run's folder, and *overrides* come from.

    Raises:
        ConfigError: the file cannot be read.
    """
    content = _read(file)
    if trusted:
        trust.remember(content)
    is_foreign = not trusted and not trust.is_remembered(content)
    return Origin(file, frozenset(_texts(parse_overrides(overrides))), is_foreign=is_foreign)


def print_endpoints(endpoints: Iterable[EndpointUse]) -> None:
    """Say where data and keys go, on stderr; models in this process go nowhere."""
    for use in endpoints:
        if use.address:
            print_message(str(use))


def _is_in_run_folder(file: Path) -> bool:
    names = ("manifest.json", "ledger.sqlite", "loop.json")
    return any((file.parent / name).exists() for name in names)


def _read(path: Path) -> bytes:
    try:
        return read_bounded(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def _texts(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for value in cast("dict[str, Any]", tree).values():
            yield from _texts(value)


# -- ./.env -----------------------------------------------------------------------------------


def _read_dotenv(roles: Iterable[RoleConfig], *, trusted: bool) -> frozenset[str]:
    """Set the keys that ``./.env`` holds, and return their names; a variable that is set wins.

    It belongs to the folder, which may be a stranger's: unless it is trusted, only the keys that
    *roles* use are taken, and nothing that says where they go.
    """
    if not DOTENV.is_file() and not DOTENV.exists():
        return frozenset()
    content = _read(DOTENV)
    marked = b"dotenv\0" + content
    if trusted:
        trust.remember(marked)
    is_trusted = trusted or trust.is_remembered(marked)
    variables = _parse(content, interpolate=is_trusted)
    unset = {name: value for name, value in variables.items() if name not in os.environ}
    keys = _key_variables(roles)
    accepted = {name: value for name, value in unset.items() if is_trusted or name in keys}
    os.environ.update(accepted)
    _report_ignored(unset.keys() - accepted.keys())
    return frozenset(accepted)


def _parse(content: bytes, *, interpolate: bool) -> dict[str, str]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"./{DOTENV}: not UTF-8 at byte {error.start}") from error
    if "\0" in text:
        raise ConfigError(f"./{DOTENV}: holds a NUL character")
    values = dotenv_values(stream=io.StringIO(text), interpolate=interpolate)
    return {name: value for name, value in values.items() if name and value is not None}


def _key_variables(roles: Iterable[RoleConfig]) -> set[str]:
    names = set[str]()
    for role in roles:
        names |= {role.api_key} - {NO_KEY} if role.api_key else set()
        names |= set(header_variables(role))
        try:
            names |= set(hosted_model(role).host.key_variables)
        except UserError:
            continue  # whoever checks the role says what is wrong with it
    return {name for name in names if not _is_steering(name)}


def _is_steering(name: str) -> bool:
    return _STEERING.fullmatch(name) is not None


def _report_ignored(names: Collection[str]) -> None:
    steering = sorted(filter(_is_steering, names))
    if steering:
        print_message(
            f"./{DOTENV}: ignored {', '.join(steering)}: it may only give keys; set them in the"
            " environment, or run with --trust, once"
        )
