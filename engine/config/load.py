"""Read settings from TOML, YAML or JSON files, and build the structs of `schema` from them."""

import json
import re
import shlex
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar, cast, get_args

import msgspec
from msgspec import Struct

from ...providers.optional import install_command
from ..data.files import read_bounded
from .checks import check_config
from .explain import check_keys, explain, is_table, named_tables
from .schema import Config
from .values import ConfigError, NotSent

Table = TypeVar("Table", bound=Struct)

TEMPLATE: Final = Path(__file__).with_name("template.toml")
"""What `codeclm init` writes: every setting with its default."""


def load_config(path: Path | str, overrides: Sequence[str] = (), *, check: bool = True) -> Config:
    """Read the file *path* (TOML, YAML or JSON) and apply *overrides*, each ``key=value``.

    With ``check=False`` conflicting settings are accepted, for reading a run.

    Raises:
        ConfigError: the configuration cannot be used; the message names the file and the key.
    """
    new = Path(path).with_suffix(".toml") if Path(path).suffix else path
    remedy = f"write one with: codeclm init {shlex.quote(str(new))}"
    tree = read_settings(Path(path), remedy=remedy)
    return build_config(tree, overrides, where=str(path), check=check)


def build_config(
    tree: Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    where: str = "settings",
    check: bool = True,
) -> Config:
    """Build a run's configuration from *tree*; messages start with *where*.

    Raises:
        ConfigError: as for `load_config`.
    """
    config = build_table(Config, tree, overrides, where=where)
    if check:
        check_config(config, where)
    return config


def build_table(
    kind: type[Table], tree: Mapping[str, Any], overrides: Sequence[str] = (), *, where: str
) -> Table:
    """Build a struct of *kind* from *tree*; messages start with *where*.

    Raises:
        ConfigError: a key is unknown, or a value has the wrong type or is out of range.
    """
    _check_size(tree, where)
    plain: dict[str, Any] = json.loads(json.dumps(tree, default=str))
    for override in overrides:
        _apply(override, plain)
    _check_text(plain, where)
    check_keys(plain, kind, where)
    _spell_out_nulls(plain, kind)
    try:
        return msgspec.convert(plain, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {explain(str(error), kind, plain)}") from error


def parse_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    """Return the tree of settings that *overrides* give.

    Raises:
        ConfigError: one is not ``key=value``.
    """
    tree: dict[str, Any] = {}
    for override in overrides:
        _apply(override, tree)
    return tree


def read_settings(path: Path, *, remedy: str = "check the path") -> dict[str, Any]:
    """Read a file of settings: YAML or JSON by its suffix, else TOML.

    Args:
        path: the file.
        remedy: what to do if there is none.

    Raises:
        ConfigError: the file cannot be read or parsed.
    """
    try:
        text = read_bounded(path).decode()
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file; {remedy}") from error
    except IsADirectoryError as error:
        if (path / "config.toml").is_file():
            raise ConfigError(
                f"{path}: a run's folder; to continue it: codeclm resume {shlex.quote(str(path))}"
            ) from error
        raise ConfigError(f"{path}: a folder; name a file of settings") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8: {error.reason}") from error
    parse: Callable[[str], Any] = _PARSERS.get(path.suffix.lower(), tomllib.loads)
    if _LONG_KEY.search(text) and parse is tomllib.loads:
        raise ConfigError(f"{path}: nested too deeply: at most {_DEEPEST} tables in one another")
    try:
        tree = parse(text)
    except RecursionError as error:
        raise ConfigError(f"{path}: nested too deeply") from error
    except (tomllib.TOMLDecodeError, msgspec.DecodeError, ValueError) as error:
        problem = " ".join(str(error).split())  # YAML's fill several lines
        if parse is tomllib.loads and path.suffix.lower() != ".toml":
            problem += (
                "; a configuration is TOML, YAML or JSON, and seeds are given as --seeds FILE"
            )
        raise ConfigError(f"{path}: {problem}") from error
    except ImportError as error:
        raise ConfigError(f"{path}: YAML needs an extra: {install_command('yaml')}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: must be a table of settings")
    return cast("dict[str, Any]", tree)


_DEEPEST: Final = 64
_LARGEST: Final = 200_000
"""Most values of a configuration, once aliases (YAML) are written out."""

_LONG_KEY: Final = re.compile(
    r"""(?:^|[\[{,])[ \t]*(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){64}""", re.MULTILINE
)
"""A dotted key whose parts take the parser time that grows with their square."""

_PARSERS: Final[dict[str, Callable[[str], Any]]] = {
    ".toml": tomllib.loads,
    ".json": json.loads,
    ".yaml": msgspec.yaml.decode,
    ".yml": msgspec.yaml.decode,
}


def _apply(override: str, tree: dict[str, Any]) -> None:
    """Set one ``table.key=value`` in *tree*; a value that is not TOML is plain text."""
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override}: write key=value, as in filter.threshold=2.5")
    *tables, name = key.strip().split(".")
    if len(tables) > _DEEPEST:
        raise ConfigError(f"--set {key[:40]}…: nested too deeply")
    value = _parse_value(key, text)
    for table in tables:
        inner: Any = tree.setdefault(table, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {override}: {table} is not a table")
        tree = cast("dict[str, Any]", inner)
    tree[name] = value


def _parse_value(key: str, text: str) -> Any:
    if _LONG_KEY.search(text):
        raise ConfigError(f"--set {key}: nested too deeply")
    try:
        parsed = tomllib.loads(f"x = {text}")
    except RecursionError as error:
        raise ConfigError(f"--set {key}: nested too deeply") from error
    except ValueError:  # not TOML, or a number with thousands of digits
        return text.strip()
    if parsed.keys() != {"x"}:
        raise ConfigError(f"--set {key}: holds more than one setting: repeat --set for each")
    return parsed["x"]


def _spell_out_nulls(tree: dict[str, Any], kind: type[Struct]) -> None:
    """Write "default" for the null of JSON and YAML where that is a value: TOML has no null."""
    for field in msgspec.structs.fields(kind):
        value = tree.get(field.name)
        if isinstance(value, dict):
            inner = cast("dict[str, Any]", value)
            if is_table(field.type):
                _spell_out_nulls(inner, field.type)
            elif (named := named_tables(field.type)) is not None:
                for table in inner.values():
                    if isinstance(table, dict):
                        _spell_out_nulls(cast("dict[str, Any]", table), named)
        elif field.name in tree and value is None and NotSent in get_args(field.type):
            tree[field.name] = "default"


def _check_size(tree: Mapping[str, Any], where: str) -> None:
    """Refuse what a few lines of YAML may stand for: aliases of aliases, or a table in itself.

    Raises:
        ConfigError: *tree* is nested too deeply, or holds too many values.
    """
    waiting: list[tuple[Any, int]] = [(tree, 0)]
    count = 0
    while waiting:
        value, depth = waiting.pop()
        count += 1
        if depth > _DEEPEST:
            raise ConfigError(f"{where}: nested too deeply")
        if count > _LARGEST:
            raise ConfigError(f"{where}: holds more than {_LARGEST:,} values")
        waiting += [(inner, depth + 1) for inner in _children(value)]


def _children(value: Any) -> Iterable[Any]:
    """Return what a table or a list holds."""
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).values()
    return cast("Sequence[Any]", value) if isinstance(value, list) else ()


def _check_text(tree: dict[str, Any], where: str) -> None:
    """Refuse lone surrogates, which file names that are not UTF-8 hold: TOML cannot keep them."""
    try:
        json.dumps(tree, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        text = ascii(error.object[error.start : error.end])
        raise ConfigError(f"{where}: {text} is not UTF-8: rename what holds it") from error
