"""Explain what is wrong with a tree of settings: the key, what it must be, what it is."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final, TypeGuard, cast, get_args

import msgspec
from msgspec import Struct, inspect

from .toml import toml_value
from .values import ConfigError

# -- unknown keys -----------------------------------------------------------------------------

_OTHER_NAMES: Final = {
    "rpm": "requests_per_minute",
    "tpm": "tokens_per_minute",
    "max_requests_per_minute": "requests_per_minute",
    "max_tokens_per_minute": "tokens_per_minute",
    "seed_field": "input.field",
    "seed_template": "input.template",
    "max_calls": "budget.calls",
    "max_cost": "budget.money",
    "max_hours": "budget.hours",
    "margin_threshold": "filter.threshold",
    "n_iterations": "filter.max_iterations",
    "n_rubrics": "decode.rubrics",
    "n_instructions": "decode.per_metadata",
    "strong_model": "strong.model",
    "target_model": "target.model",
    "judge_model": "judge.model",
    "max_parallel_requests": "max_concurrent",
    "max_concurrent_requests": "max_concurrent",
    "max_connections": "max_concurrent",
}
"""Other tools' names for the settings."""

_OTHER_VERBS: Final = {"compare": "compare", "run": "loop"}
"""The tables that only the files of one verb have."""


def check_keys(tree: Mapping[str, Any], root: type[Struct], where: str) -> None:
    """Check that every key of *tree* is a setting of *root* or of one of its tables.

    Raises:
        ConfigError: a key is not; the message names the nearest setting.
    """
    for table, verb in _OTHER_VERBS.items():
        if table in tree and table not in root.__struct_fields__:
            raise ConfigError(f"{where}: {table}: unknown setting; this file is for codeclm {verb}")
    _check_table(tree, root, root, where, "")


def _check_table(
    tree: Mapping[str, Any], table: type[Struct], root: type[Struct], where: str, prefix: str
) -> None:
    settings = {f.name: f.type for f in msgspec.structs.fields(table)}
    for key, value in tree.items():
        if key not in settings:
            hint = _nearest(key, list(settings), root)
            raise ConfigError(f"{where}: {prefix}{_shown(key)}: unknown setting; {hint}")
        if not isinstance(value, dict):
            continue
        inner, values = settings[key], cast("dict[str, Any]", value)
        if is_table(inner):
            _check_table(values, inner, root, where, f"{prefix}{key}.")
        elif (named := named_tables(inner)) is not None:
            for name, table_of_name in values.items():
                if isinstance(table_of_name, dict):
                    path = f"{prefix}{key}.{_shown(name)}."
                    _check_table(cast("dict[str, Any]", table_of_name), named, root, where, path)


def _shown(key: str) -> str:
    """Return *key* for a message in one line."""
    key = key if len(key) <= 80 else f"{key[:80]}…"
    return key if key.isprintable() else ascii(key)[1:-1]


def _nearest(key: str, siblings: list[str], root: type[Struct]) -> str:
    """Name the setting that *key* most likely means: a sibling, or any setting of *root*."""
    if key in _OTHER_NAMES:
        return f"it is called {_OTHER_NAMES[key]} here"
    paths = _paths(root)
    candidates = (
        paths.get(key)
        or get_close_matches(key, siblings, n=1, cutoff=0.8)
        or [paths[name][0] for name in get_close_matches(key, paths, n=1, cutoff=0.8)]
        or get_close_matches(key, siblings, n=1, cutoff=0.6)
    )
    return f"did you mean {candidates[0]}?" if candidates else f"available: {', '.join(siblings)}"


def _paths(root: type[Struct]) -> dict[str, list[str]]:
    """Return the paths of every setting by its name; one at the top comes first."""
    paths: dict[str, list[str]] = {}
    for field in msgspec.structs.fields(root):
        if is_table(field.type):
            for name in field.type.__struct_fields__:
                paths.setdefault(name, []).append(f"{field.name}.{name}")
        else:
            paths.setdefault(field.name, []).insert(0, field.name)
    return paths


def is_table(kind: Any) -> TypeGuard[type[Struct]]:
    """Whether a setting of type *kind* is a table."""
    return isinstance(kind, type) and issubclass(kind, Struct)


def named_tables(kind: Any) -> type[Struct] | None:
    """Return the table of a setting whose tables the user names (``judges``); None if it is not."""
    arguments = get_args(kind)
    return arguments[1] if len(arguments) == 2 and is_table(arguments[1]) else None


# -- wrong values -----------------------------------------------------------------------------

_COMPLAINT = re.compile(r"(?P<problem>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?", re.DOTALL)
_EXPECTED = re.compile(
    r"Expected `(?P<types>[^`]+)`(?P<of_length> of length)?(?: (?P<bound>[<>]=? \S+))?"
    r"(?:, got `\w+`)?"
)
_STEP = re.compile(r"\.\.\.|[^.\[\]]+")
"""One step of a path: a name, a number, or ``...`` for any key."""
_NOUNS: Final = {
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "array": "a list",
    "object": "a table",
}
_SECRETIVE: Final = frozenset({"api_key", "base_url", "headers", "extra", "options", "..."})
"""Settings that may hold a secret: their values are not repeated."""


def explain(message: str, kind: type[Struct], tree: Mapping[str, Any]) -> str:
    """Say what msgspec's *message* about *tree* means: ``filter.threshold: must be a number ≤ 10``.

    Messages of an unknown form are returned unchanged, after the path.
    """
    complaint = _COMPLAINT.fullmatch(message)
    if complaint is None or not complaint["path"]:
        return message
    path, problem = complaint["path"], complaint["problem"]
    setting, is_named, _ = path.partition("[...]")
    if is_named and (named := named_tables(dict(_fields(kind)).get(setting))) is not None:
        return _explain_named(setting, named, cast("Mapping[str, Any]", tree[setting]))
    steps = _STEP.findall(path)
    value = _actual(tree, steps)
    if problem.startswith("Invalid enum value"):
        return f"{path}: must be {_alternative(kind, steps)}{value}"
    expected = _EXPECTED.fullmatch(problem)
    if expected is None:
        return f"{path}: {problem[:1].lower()}{problem[1:]}"
    if expected["types"] == "array" and "..." not in steps:
        return f"{path}: must be a list, as in [{toml_value(_value(tree, steps))}]"
    return f"{path}: {_requirement(expected)}{value}"


def _fields(kind: type[Struct]) -> Iterator[tuple[str, Any]]:
    return ((field.name, field.type) for field in msgspec.structs.fields(kind))


def _explain_named(setting: str, kind: type[Struct], tables: Mapping[str, Any]) -> str:
    """Say which of the *tables* that the user named is wrong: msgspec leaves out its name."""
    for name, table in tables.items():
        if not isinstance(table, dict):
            return f"{setting}.{_shown(name)}: must be a table, got {table!r:.80}"
        try:
            msgspec.convert(table, kind)
        except msgspec.ValidationError as error:
            complaint = explain(str(error), kind, cast("dict[str, Any]", table))
            return f"{setting}.{_shown(name)}.{complaint}"
    raise AssertionError("one of the tables is wrong")


def _requirement(expected: re.Match[str]) -> str:
    if expected["of_length"]:
        return "must not be empty" if expected["bound"] == ">= 1" else expected[0]
    types = [name for name in expected["types"].split(" | ") if name != "null"]
    bound = (expected["bound"] or "").removesuffix(".0").replace(">=", "≥").replace("<=", "≤")
    return f"must be {' or '.join(_NOUNS.get(name, name) for name in types)} {bound}".rstrip()


def _actual(tree: Any, steps: list[str]) -> str:
    if not _SECRETIVE.isdisjoint(steps):
        return ""
    value = _value(tree, steps)
    match value:
        case dict():
            return ", got a table"
        case list():
            return ", got a list"
        case _:
            text = repr(value)
            return f", got {text if len(text) <= 80 else f'{text[:80]}…'}"


def _value(tree: Any, steps: list[str]) -> Any:
    for step in steps:
        tree = tree[int(step) if step.isdecimal() else step]
    return tree


def _alternative(kind: type[Struct], steps: list[str]) -> str:
    """Name what text is allowed at *steps*, and that a number is where it is."""
    choices = _choices(kind, steps)
    if any(isinstance(one, inspect.IntType | inspect.FloatType) for one in _types(kind, steps)):
        return f"a number or {toml_value(choices[0])}"
    return f"one of {', '.join(map(str, choices))}"


def _choices(kind: type[Struct], steps: list[str]) -> list[Any]:
    """Return the values that are allowed at *steps*, sorted."""
    literals = [one for one in _types(kind, steps) if isinstance(one, inspect.LiteralType)]
    return [value for one in literals for value in one.values]


def _types(kind: type[Struct], steps: list[str]) -> list[inspect.Type]:
    """Return the types of which a value at *steps* may be."""
    types = [inspect.type_info(kind)]
    for step in steps:
        types = [inner for outer in types for inner in _inside(outer, step)]
    return [one for union in types for one in _alternatives(union)]


def _inside(kind: inspect.Type, step: str) -> Iterator[inspect.Type]:
    """Yield the types of what is at *step* within a value of *kind*."""
    for one in _alternatives(kind):
        if isinstance(one, inspect.StructType):
            yield from (field.type for field in one.fields if field.encode_name == step)
        elif isinstance(one, inspect.VarTupleType | inspect.ListType):
            yield one.item_type
        elif isinstance(one, inspect.DictType):
            yield one.value_type


def _alternatives(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    return kind.types if isinstance(kind, inspect.UnionType) else (kind,)
