"""Write the pages under docs/reference/ from what they describe, each time the site is built.

Settings come from the structs of ``engine/config``, the command line from its parsers; the Python
API's page names what ``codeclm`` exports, and autodoc reads the docstrings.
"""

import ast
import inspect
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from sphinx.application import Sphinx

import codeclm
from codeclm.engine.commands import COMMANDS, TASKS
from codeclm.engine.commands.parser import build_parser
from codeclm.engine.config import Config
from codeclm.engine.config.role_settings import JudgeConfig, RoleConfig
from codeclm.engine.evaluate.settings import EvaluationConfig
from codeclm.engine.loop.settings import LoopConfig, TuneConfig

UNBOUNDED = 1e12
"""Bounds this far out only keep nonsense away."""

PAGES = Path(__file__).parents[1] / "reference"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("builder-inited", lambda _: write_pages())
    return {"parallel_read_safe": True}


def write_pages() -> None:
    """Write the three pages of the reference."""
    PAGES.mkdir(exist_ok=True)
    for name, lines in (
        ("settings", settings_page()),
        ("command-line", command_line_page()),
        ("python", python_page()),
    ):
        (PAGES / f"{name}.md").write_text("\n".join(lines) + "\n", "utf-8")


# -- settings ---------------------------------------------------------------------------------


def settings_page() -> Iterator[str]:
    """Yield the page of every setting: top level, roles, tables."""
    yield "# Settings"
    yield ""
    yield (
        "Any of them can stand in a TOML, YAML or JSON file, and on the command line as"
        " `--set TABLE.KEY=VALUE`. `codeclm init` writes a file with all of them."
    )
    fields = msgspec.structs.fields(Config)
    tables = [field for field in fields if is_table(field.type)]
    yield from section("Top level", Config, [field for field in fields if not is_table(field.type)])
    yield from section("[strong], [target]", RoleConfig, msgspec.structs.fields(RoleConfig))
    common = RoleConfig.__struct_fields__
    judge = [field for field in msgspec.structs.fields(JudgeConfig) if field.name not in common]
    yield from section("[judge], [judges.NAME]: those of a role, and", JudgeConfig, judge)
    for table in tables:
        if not issubclass(table.type, RoleConfig):
            yield from section(f"[{table.name}]", table.type, msgspec.structs.fields(table.type))
    for verb, settings in (("evaluate", EvaluationConfig), ("loop", LoopConfig)):
        fields = msgspec.structs.fields(settings)
        own = [field for field in fields if not is_table(field.type)]
        yield from section(f"Of `codeclm {verb}`", settings, own)
    yield from section("[tune] of `codeclm loop`", TuneConfig, msgspec.structs.fields(TuneConfig))


def is_table(kind: Any) -> bool:
    """Return whether settings of this type are a table."""
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def section(title: str, table: type, fields: Any) -> Iterator[str]:
    """Yield one table's heading, what it is for, and a row for each setting."""
    meanings = attribute_docstrings(table)
    yield from ("", f"## {title}", "", inspect.getdoc(table) or "", "")
    yield from ("| setting | values | default | meaning |", "|---|---|---|---|")
    for field in fields:
        cells = (
            f"`{field.name}`",
            describe(field.type),
            default_of(field),
            meanings.get(field.name, "").replace("``", "`"),
        )
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def attribute_docstrings(table: type) -> dict[str, str]:
    """Return the text below each field of *table*, and of the classes that it is made from."""
    texts: dict[str, str] = {}
    for base in reversed([base for base in table.__mro__ if is_table(base)]):
        if base.__module__.startswith("msgspec"):
            continue
        body = ast.parse(inspect.getsource(base)).body[0].body  # type: ignore[attr-defined]
        for field, text in pairwise(body):
            is_documented = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
            if isinstance(field, ast.AnnAssign) and is_documented:
                name = field.target.id  # type: ignore[union-attr]
                texts[name] = " ".join(str(text.value.value).split())  # type: ignore[attr-defined]
    return texts


def describe(kind: Any) -> str:
    """Return the values of a type in words."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return f"{describe(arguments[0])}{bounds(arguments[1:])}"
    if origin is Literal:
        return ", ".join(f"`{msgspec.json.encode(value).decode()}`" for value in arguments)
    if origin in (Union, UnionType):
        return " or ".join(
            describe(argument) for argument in arguments if argument is not type(None)
        )
    if origin is tuple:
        return f"list of {describe(arguments[0])}"
    if origin is dict:
        return "table"
    names = {str: "text", int: "integer", float: "number", bool: "`true`, `false`"}
    return names.get(kind, getattr(kind, "__name__", str(kind)))


def bounds(metas: tuple[Any, ...]) -> str:
    """Return the range that *metas* allow, in words."""
    words = [
        f"{sign} {getattr(meta, name):,}"
        for meta in metas
        for name, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))
        if getattr(meta, name, None) is not None and abs(getattr(meta, name)) < UNBOUNDED
    ]
    return f" {', '.join(words)}" if words else ""


def default_of(field: Any) -> str:
    """Return a field's default as TOML writes it, or nothing where it has none."""
    value = field.default
    if value is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT:
        value = field.default_factory()
    if value is None or value is msgspec.NODEFAULT or value == {}:
        return ""
    return f"`{msgspec.json.encode(value).decode()}`"


# -- the command line ---------------------------------------------------------------------------


def command_line_page() -> Iterator[str]:
    """Yield the page of every command's help."""
    parser = build_parser(COMMANDS)
    yield from ("# Command line", "", "```text", parser.format_help().rstrip(), "```")
    for task, verbs in TASKS.items():
        yield from ("", f"## {task.capitalize()}")
        for verb in verbs:
            command = parser.commands[verb]
            yield from ("", f"### codeclm {verb}", "", "```text")
            yield command.format_help().rstrip()
            for action in command.commands.values():
                yield from ("", action.format_help().rstrip())
            yield "```"


# -- Python -------------------------------------------------------------------------------------


def python_page() -> Iterator[str]:
    """Yield the page of the public names, which autodoc fills in."""
    yield "# Python"
    for name in codeclm.__all__:
        kind = "class" if isinstance(getattr(codeclm, name), type) else "function"
        directive = "autoexception" if is_error(name) else f"auto{kind}"
        # Structs have a field for each setting; their page is the settings'.
        yield from ("", f"## {name}", "", "```{eval-rst}", f".. {directive}:: codeclm.{name}")
        yield "```"


def is_error(name: str) -> bool:
    """Return whether the public name is an exception."""
    value = getattr(codeclm, name)
    return isinstance(value, type) and issubclass(value, Exception)
