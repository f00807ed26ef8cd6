"""``codeclm cache``: examine, verify and shrink the cache of paid answers."""

import argparse
import time
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ..calls.cache_file import CacheFile, open_cache_file
from ..calls.keys import KeyFieldsWithOptions
from ..calls.replies import StoredReply
from ..config import CacheConfig, ConfigError
from .arguments import Subparsers, add_action, add_examples, add_json, non_negative
from .exit_status import ExitStatus
from .output import print_json, print_message, print_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    stats = add_action(actions, "stats", _stats, "count the answers by model")
    verify = add_action(
        actions, "verify", _verify, "read every answer; exit status 1 if one is damaged"
    )
    explain = add_action(
        actions, "explain", _explain, "show what a key was made of, or how two keys differ"
    )
    explain.add_argument(
        "key",
        nargs="+",
        metavar="KEY",
        help="one or two keys, or their beginnings; `codeclm inspect` shows them",
    )
    prune = _add_prune(actions)
    pack = add_action(actions, "pack", _pack, "compact the file: return free space to the disk")
    add_examples(
        parser,
        "codeclm cache stats",
        "codeclm cache explain 3f2a 9c41",
        "codeclm cache prune --older-than 90 --dry-run",
    )
    for action in (stats, verify, explain, prune, pack):
        action.add_argument(
            "--cache", type=Path, metavar="DIR", help="the cache's folder (default: the user's)"
        )
        add_json(action)


def _add_prune(actions: Subparsers) -> argparse.ArgumentParser:
    prune = add_action(actions, "prune", _prune, "delete old answers and compact the file")
    prune.add_argument(
        "--older-than",
        type=non_negative,
        required=True,
        metavar="DAYS",
        help="delete answers older than this",
    )
    prune.add_argument(
        "--dry-run", action="store_true", help="only count the answers that would be deleted"
    )
    return prune


def run(args: argparse.Namespace) -> int:
    status: int = args.action(args)
    return status


def _open(args: argparse.Namespace) -> AbstractContextManager[CacheFile]:
    folder = args.cache or CacheConfig().path()
    if not (folder / "cache.db").exists():
        raise ConfigError(f"{folder}: there is no cache in this folder")
    return open_cache_file(folder)


class CacheStats(Struct, frozen=True):
    """The answers of a cache: their number by model, those damaged, and when they arrived.

    Times are seconds since 1970; None without answers.
    """

    folder: str
    bytes: int
    answers: int
    damaged: int
    oldest: float | None
    newest: float | None
    models: dict[str, int]


def _stats(args: argparse.Namespace) -> int:
    models, times, damaged = Counter[str](), array("d"), 0
    with _open(args) as cache:
        for _, reply in cache.replies():
            if reply is None:
                damaged += 1
                continue
            models[str(_key_fields(reply).get("model", "?"))] += 1
            times.append(reply.time)
    stats = CacheStats(
        str(cache.folder),
        cache.path.stat().st_size,
        models.total() + damaged,
        damaged,
        min(times, default=None),
        max(times, default=None),
        dict(models.most_common()),
    )
    _print(args, stats, "\n".join(_stats_lines(stats)))
    return ExitStatus.DONE


def _stats_lines(stats: CacheStats) -> Iterator[str]:
    yield f"folder   {stats.folder}"
    yield f"answers  {stats.answers:,} in {stats.bytes / 1e6:,.1f} MB"
    if stats.oldest is not None and stats.newest is not None:
        yield f"from     {_minute(stats.oldest)} to {_minute(stats.newest)}"
    for name, count in stats.models.items():
        yield f"  {name:<40} {count:>12,}"
    if stats.damaged:
        yield f"damaged  {stats.damaged:,}: they are requested again when needed"


class Damage(Struct, frozen=True):
    """What is wrong with a cache: with its file, and with how many answers. Nothing, if sound."""

    path: str
    problems: tuple[str, ...]
    unreadable: int


def _verify(args: argparse.Namespace) -> int:
    with _open(args) as cache:
        problems = cache.integrity_errors()
        unreadable = 0 if problems else sum(reply is None for _, reply in cache.replies())
    for problem in problems:
        print_message(f"{cache.path}: {problem}")
    if unreadable:
        print_message(f"{cache.path}: {unreadable:,} answers cannot be read")
    is_sound = not problems and not unreadable
    remark = f"{cache.path}: no damage found" if is_sound else ""
    _print(args, Damage(str(cache.path), tuple(problems), unreadable), remark)
    return ExitStatus.DONE if is_sound else ExitStatus.FAILED


class KeyParts(Struct, frozen=True):
    """What a key was made of, besides the messages, which are not stored."""

    key: str
    parts: dict[str, Any]


def _explain(args: argparse.Namespace) -> int:
    with _open(args) as cache:
        keys = [
            KeyParts(key.hex(), _key_fields(reply))
            for key, reply in cache.replies()
            if reply is not None and key.hex().startswith(tuple(args.key))
        ][:2]
    if not keys:
        raise ConfigError(f"no key begins with {' or '.join(args.key)}")
    _print(args, keys, "\n".join(_explained([key.parts for key in keys])))
    return ExitStatus.DONE


def _explained(keys: list[dict[str, Any]]) -> Iterator[str]:
    for name in keys[0]:
        values = [parts.get(name) for parts in keys]
        differ = len(values) > 1 and values[0] != values[1]
        yield f"{'≠' if differ else ' '} {name:<16} {'  |  '.join(map(str, values))}"
    if len(keys) > 1 and keys[0] == keys[1]:
        yield "≠ messages         the text of the prompt; all else is equal"


class Shrunk(Struct, frozen=True):
    """A cache before and after answers were deleted and its file was compacted.

    Attributes:
        older: how many answers are older than the limit.
        deleted: how many of them were deleted; none with ``--dry-run``.
    """

    path: str
    older: int
    deleted: int
    bytes_before: int
    bytes_after: int


def _prune(args: argparse.Namespace) -> int:
    limit = max(0.0, time.time() - args.older_than * 86400)
    with _open(args) as cache:
        if args.dry_run:
            older, size = cache.count_older(limit), cache.path.stat().st_size
            remark = f"{older:,} answers are older than {_minute(limit)}"
            _print(args, Shrunk(str(cache.path), older, 0, size, size), remark)
            return ExitStatus.DONE
        deleted = cache.delete_older(limit)
        return _compact(
            args, cache, deleted, f"deleted {deleted:,} answers older than {_minute(limit)}\n"
        )


def _pack(args: argparse.Namespace) -> int:
    with _open(args) as cache:
        return _compact(args, cache, 0, "")


def _compact(args: argparse.Namespace, cache: CacheFile, deleted: int, remark: str) -> int:
    before = cache.path.stat().st_size
    cache.vacuum()
    after = cache.path.stat().st_size
    remark += f"{cache.path}: from {before / 1e6:,.1f} MB to {after / 1e6:,.1f} MB"
    _print(args, Shrunk(str(cache.path), deleted, deleted, before, after), remark)
    return ExitStatus.DONE


def _print(args: argparse.Namespace, document: object, text: str) -> None:
    if args.json:
        print_json(document)
    elif text:
        print_text(text)


def _key_fields(reply: StoredReply) -> dict[str, Any]:
    """Return the parts of the reply's key by name, except the messages."""
    try:
        fields = msgspec.json.decode(reply.about, type=list[Any])
    except msgspec.ValidationError:
        fields = []  # written by another program
    return {
        **dict(zip(KeyFieldsWithOptions.__struct_fields__, fields, strict=False)),
        "sample": reply.sample,
    }


def _minute(seconds: float) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):  # written by another program
        return "an impossible time"
