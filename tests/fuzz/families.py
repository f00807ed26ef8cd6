"""The families of cases: each writes damaged files into a folder, and names commands.

What a family damages is read or sent by strangers in real life; what it leaves whole is the
user's own.
"""

import gzip
import io
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any, cast

from msgspec import Struct

from codeclm.engine.commands import COMMANDS
from codeclm.engine.commands.settings import RUN_FLAGS

from .mutate import ODD_VALUES, PIECES, mutate_bytes, mutate_value

Commands = Sequence[Sequence[str]]

SCRIPTED = ("--strong", "scripted/strong", "--target", "scripted/target")
SMALL = ("--per-metadata", "1", "--max-iterations", "1", "--limit", "3", "--display", "none")
RUN = ("run", "--seeds", "seeds.jsonl", *SCRIPTED, *SMALL, "--out", "r")


class Surroundings(Struct, frozen=True):
    """What all cases share: a finished run of ours, and the address of a damaging server."""

    finished: Path
    url: str


Family = Callable[[Random, Path, Surroundings], Commands]

RECORDS: tuple[dict[str, Any], ...] = (
    {"instruction": "Write a haiku on rain.", "input": "rain", "output": "Drops", "n": 3},
    {"instruction": "Solve 2x + 3 = 9.", "messages": [{"role": "user", "content": "Solve."}]},
    {"prompt": "List five rivers.", "text": "Nile", "tags": ["geo", None], "meta": {"a": {"b": 1}}},
)


def write_seeds(folder: Path) -> None:
    """Write whole seeds, ``seeds.jsonl``."""
    lines = (json.dumps({"instruction": f"Explain topic {n}."}) for n in range(3))
    (folder / "seeds.jsonl").write_text("\n".join(lines), "utf-8")


# -- seeds ------------------------------------------------------------------------------------


def seeds(dice: Random, folder: Path, _surroundings: Surroundings) -> Commands:
    """Damaged files of seeds, of every format."""
    name = dice.choice(tuple(_SEED_FORMATS))
    records = list(RECORDS)
    if dice.random() < 0.3:
        records = [mutate_value(dice, record) for record in records]
    content = _SEED_FORMATS[name](records)
    if dice.random() < 0.9:
        content = mutate_bytes(dice, content)
    if dice.random() < 0.2:
        content, name = gzip.compress(content), f"{name}.gz"
        content = mutate_bytes(dice, content) if dice.random() < 0.5 else content
    (folder / name).write_bytes(content)
    field = ("--seed-field", _text(dice)) if dice.random() < 0.2 else ()
    template = ("--seed-template", _text(dice)) if dice.random() < 0.2 else ()
    line = ("--seeds", name, *SCRIPTED, *field, *template)
    return [("check", *line), ("run", *line, *SMALL, "--out", "r"), ("report", "r")]


def _json_lines(records: Iterable[Any]) -> bytes:
    return b"\n".join(_json(record) for record in records)


def _json(value: Any) -> bytes:
    return json.dumps(value, default=repr).encode("utf-8", "backslashreplace")


def _members(value: Any) -> dict[str, Any]:
    """Return the members of an object; of anything else, none."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _table(separator: str) -> Callable[[Iterable[Any]], bytes]:
    def rows(records: Iterable[Any]) -> bytes:
        cells = [_members(record).values() or [record] for record in records]
        lines = ["instruction,input,output,n".replace(",", separator)]
        lines += [separator.join(f'"{cell}"'[:5000] for cell in row) for row in cells]
        return "\n".join(lines).encode("utf-8", "replace")

    return rows


def _parquet(records: Iterable[Any]) -> bytes:
    try:
        pa: Any = import_module("pyarrow")
        parquet: Any = import_module("pyarrow.parquet")
    except ImportError:
        return _json_lines(records)
    sink = io.BytesIO()
    column = [str(record)[:5000].encode("utf-8", "replace").decode() for record in records]
    parquet.write_table(pa.table({"instruction": column}), sink)
    return sink.getvalue()


_SEED_FORMATS: dict[str, Callable[[Iterable[Any]], bytes]] = {
    "s.jsonl": _json_lines,
    "s.json": lambda records: _json(list(records)),
    "s.csv": _table(","),
    "s.tsv": _table("\t"),
    "s.parquet": _parquet,
}


# -- settings ---------------------------------------------------------------------------------


def settings(dice: Random, folder: Path, _surroundings: Surroundings) -> Commands:
    """Damaged configurations, of every format, flags and overrides."""
    write_seeds(folder)
    tree: Any = {
        "seeds": "seeds.jsonl",
        "out": "r",
        "limit": 2,
        "strong": {"model": "scripted/a", "options": {"latency": 0.0}, "headers": {"X": "y"}},
        "target": {"model": "scripted/b", "temperature": 0.5, "extra": {"top_k": 4}},
        "decode": {"per_metadata": 1},
        "filter": {"threshold": 2.0, "max_iterations": 1},
        "quality": {"near_duplicates": "minhash", "languages": ["en"]},
        "export": ["alpaca"],
        "compare": {"recipes": ["codeclm", "self-instruct"], "target_rows": 2},
    }
    for _ in range(dice.randint(0, 2)):
        tree = mutate_value(dice, tree)
    name = dice.choice(("c.toml", "c.json", "c.yaml"))
    content = _toml(tree) if name == "c.toml" else _json(tree)
    if dice.random() < 0.6:
        content = mutate_bytes(dice, content)
    (folder / name).write_bytes(content)
    more = tuple(word for _ in range(dice.randint(0, 2)) for word in _override(dice))
    return [
        ("check", name, *more),
        ("plan", name, *more),
        ("run", name, *more, "--max-calls", "30", "--display", "none", "--out", "r"),
        ("compare", name, "--plan"),
        ("evaluate", name),
    ]


def _toml(tree: Any) -> bytes:
    lines, tables = list[str](), list[str]()
    for name, value in _members(tree).items():
        if members := _members(value):
            inner = (f"{_json(key).decode()} = {_toml_value(one)}" for key, one in members.items())
            tables += [f"[{_json(name).decode()}]", *inner]
        else:
            lines.append(f"{_json(name).decode()} = {_toml_value(value)}")
    return "\n".join([*lines, *tables]).encode("utf-8", "replace")


def _toml_value(value: Any) -> str:
    if members := _members(value):
        pairs = (f"{_json(key).decode()} = {_toml_value(one)}" for key, one in members.items())
        return f"{{ {', '.join(pairs)} }}"
    return _json(value).decode()


def _override(dice: Random) -> tuple[str, ...]:
    if dice.random() < 0.5:
        flag = dice.choice(RUN_FLAGS)
        return (flag.options[0], _text(dice))
    setting = dice.choice(
        [name.replace("*", "strong") for flag in RUN_FLAGS for name in flag.settings]
    )
    return ("--set", f"{setting}={_text(dice)}")


def _text(dice: Random) -> str:
    """Return an odd word for the command line, which can hold no NUL."""
    value = dice.choice((dice.choice(PIECES).decode("utf-8", "replace"), dice.choice(ODD_VALUES)))
    text = value if isinstance(value, str) else _json(value).decode()
    return text.replace("\0", "")[:20_000].encode("utf-8", "replace").decode()


def command_lines(dice: Random, folder: Path, surroundings: Surroundings) -> Commands:
    """Odd words behind every verb, in a folder with a finished run."""
    shutil.copytree(surroundings.finished, folder, dirs_exist_ok=True)
    words: tuple[str, ...] = (
        "r",
        "seeds.jsonl",
        "cache",
        "stats",
        "export",
        "import",
        "--to",
        "--json",
        "--force",
    )
    words += (
        "--out",
        "--limit",
        "--model",
        "--set",
        "--plan",
        "-n",
        "--tests",
        "--trainer",
        "--format",
    )
    verbs = [verb for verb in COMMANDS if verb not in {"tune", "answer", "bench"}]
    return [
        (
            dice.choice(verbs),
            *(dice.choice(words) if dice.random() < 0.6 else _text(dice) for _ in range(length)),
        )
        for length in (1, 2, 3, 4)
    ]


# -- answers ----------------------------------------------------------------------------------


def answers(dice: Random, folder: Path, surroundings: Surroundings) -> Commands:
    """Damaged answers of every dialect, over both transports."""
    write_seeds(folder)
    vendor = dice.choice(("openai", "openai", "anthropic", "gemini"))
    base = f"{surroundings.url}/v1" if vendor == "openai" else surroundings.url
    patience = ("timeout=0.5", "deadline=2", f"transport={dice.choice(('aiohttp', 'lean'))}")
    stream = f"stream={dice.choice(('true', 'false'))}"
    form = f"structured_output={dice.choice(('auto', 'json_object', 'json_schema'))}"
    roles = (
        f"{role}.{text}"
        for role in ("strong", "target", "judge")
        for text in (*patience, stream, form)
    )
    retry = ("retry.attempts=3", "retry.first_wait=0.01", "retry.longest_wait=0.05")
    waits = (*retry, "retry.budget=1", "retry.outage=0.3", "parse_attempts=2")
    line = ("--strong", f"{vendor}/s", "--target", f"{vendor}/t", "--base-url", base)
    run = ("run", "--seeds", "seeds.jsonl", *line, *SMALL, "--out", "r", "--max-calls", "25")
    overrides = tuple(word for setting in (*roles, *waits) for word in ("--set", setting))
    return [
        (*run, *overrides),
        ("status", "r"),
        ("report", "r"),
        ("review", "export", "r", "--to", "x.csv"),
    ]


# -- folders ----------------------------------------------------------------------------------


def folders(dice: Random, folder: Path, surroundings: Surroundings) -> Commands:
    """Run folders, caches, reviews and ``.env`` files of somebody else."""
    shutil.copytree(surroundings.finished, folder, dirs_exist_ok=True)
    for _ in range(dice.randint(1, 3)):
        dice.choice((_damage_file, _damage_file, _damage_rows, _damage_rows, _replace_file))(
            dice, folder
        )
    verbs = dice.sample(_VERBS, 5)
    return [*verbs, ("resume", "r", "--display", "none"), RUN]


_VERBS: tuple[tuple[str, ...], ...] = (
    ("status", "r"),
    ("status", "r", "--json"),
    ("report", "r", "--force"),
    ("export", "r", "--to", "x.jsonl"),
    ("export", "r", "--format", "preference", "--to", "y.jsonl"),
    ("export", "r", "--trainer", "axolotl", "--model", "m/m", "--to", "t"),
    ("review", "export", "r", "--to", "x.csv"),
    ("review", "import", "r", "rev.csv"),
    ("calibrate", "r"),
    ("inspect", "r", "0"),
    ("contamination", "r", "--against", "seeds.jsonl"),
    ("check", "r/config.toml"),
    ("plan", "r/config.toml"),
    ("cache", "stats", "--cache", "cache"),
    ("cache", "verify", "--cache", "cache"),
    ("cache", "explain", "", "--cache", "cache"),
    ("cache", "prune", "--older-than", "1", "--cache", "cache"),
    ("resume", "r", "--retry-failed", "--display", "none"),
)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _damage_file(dice: Random, folder: Path) -> None:
    path = dice.choice(_files(folder))
    content = path.read_bytes()
    if path.suffix == ".json" and dice.random() < 0.6:
        with suppress(ValueError, TypeError, OverflowError):
            content = _json(mutate_value(dice, json.loads(content)))
    else:
        content = mutate_bytes(dice, content)
    path.write_bytes(content)


def _replace_file(dice: Random, folder: Path) -> None:
    path = dice.choice([*_files(folder), folder / ".env"])
    path.unlink(missing_ok=True)
    match dice.randrange(6):
        case 0:
            path.mkdir()
        case 1:
            os.mkfifo(path)
        case 2:
            path.symlink_to(dice.choice(("/dev/zero", "/etc/passwd", "nowhere", path.name)))
        case 3:
            path.write_bytes(dice.choice(PIECES))
        case 4:
            path.write_text("OPENAI_BASE_URL=http://127.0.0.1:9\nHTTPS_PROXY=a\nOPENAI_API_KEY=x\n")
        case _:
            pass


def _damage_rows(dice: Random, folder: Path) -> None:
    """Change a value, or what there is, in one of the databases."""
    path = dice.choice(
        [path for path in _files(folder) if path.suffix in {".sqlite", ".db"}] or [None]
    )
    if path is None:
        return
    with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA ignore_check_constraints = ON")
        tables = [
            name
            for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        ]
        table = dice.choice(tables or ["facts"])
        columns = [row[1] for row in database.execute(f'PRAGMA table_info("{table}")')]
        column = dice.choice(columns or ["key"])
        value = dice.choice(
            (
                dice.choice(PIECES),
                *(value for value in ODD_VALUES if isinstance(value, str | float)),
                2**62,
            )
        )
        if isinstance(value, str):
            value = value.encode("utf-8", "replace").decode()
        where = dice.choice(("", "WHERE rowid = (SELECT min(rowid) FROM {0})")).format(f'"{table}"')
        database.execute(f'UPDATE OR REPLACE "{table}" SET "{column}" = ? {where}', (value,))
        if dice.random() < 0.1:
            database.execute("CREATE TRIGGER t AFTER INSERT ON facts BEGIN SELECT 1; END")


FAMILIES: dict[str, Family] = {
    "seeds": seeds,
    "settings": settings,
    "command_lines": command_lines,
    "answers": answers,
    "folders": folders,
}
