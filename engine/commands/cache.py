"""``codeclm cache``: examine, verify and shrink the cache of paid answers."""

import argparse
import time
from collections import Counter
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from ..calls.cache_file import CacheFile, open_cache_file
from ..calls.keys import KeyFieldsWithOptions
from ..calls.replies import StoredReply
from ..config import CacheConfig, ConfigError
from .arguments import add_action, add_examples, non_negative
from .exit_status import ExitStatus
from .output import print_message, print_text


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
        "key", nargs="+", help="one or two keys, or their beginnings; `codeclm inspect` shows them"
    )
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


def run(args: argparse.Namespace) -> int:
    status: int = args.action(args)
    return status


def _open(args: argparse.Namespace) -> AbstractContextManager[CacheFile]:
    folder = args.cache or CacheConfig().path()
    if not (folder / "cache.db").exists():
        raise ConfigError(f"{folder}: there is no cache in this folder")
    return open_cache_file(folder)


def _stats(args: argparse.Namespace) -> int:
    models = Counter[str]()
    damaged = 0
    oldest, newest = float("inf"), 0.0
    with _open(args) as cache:
        for _, reply in cache.replies():
            if reply is None:
                damaged += 1
                continue
            models[str(_key_fields(reply).get("model", "?"))] += 1
            oldest, newest = min(oldest, reply.time), max(newest, reply.time)
    print_text(f"folder   {cache.folder}")
    size = cache.path.stat().st_size / 1e6
    print_text(f"answers  {models.total() + damaged:,} in {size:,.1f} MB")
    if models:
        print_text(f"from     {_minute(oldest)} to {_minute(newest)}")
    for name, count in models.most_common():
        print_text(f"  {name:<40} {count:>12,}")
    if damaged:
        print_text(f"damaged  {damaged:,}: they are requested again when needed")
    return ExitStatus.DONE


def _verify(args: argparse.Namespace) -> int:
    with _open(args) as cache:
        problems = cache.integrity_errors()
        damaged = 0 if problems else sum(reply is None for _, reply in cache.replies())
    for problem in problems:
        print_message(f"{cache.path}: {problem}")
    if damaged:
        print_message(f"{cache.path}: {damaged:,} answers cannot be read")
    if problems or damaged:
        return ExitStatus.FAILED
    print_text(f"{cache.path}: no damage found")
    return ExitStatus.DONE


def _explain(args: argparse.Namespace) -> int:
    with _open(args) as cache:
        replies = [
            reply
            for key, reply in cache.replies()
            if reply is not None and key.hex().startswith(tuple(args.key))
        ]
    if not replies:
        raise ConfigError(f"no key begins with {' or '.join(args.key)}")
    keys = [_key_fields(reply) for reply in replies[:2]]
    for name in keys[0]:
        values = [fields.get(name) for fields in keys]
        differ = len(values) > 1 and values[0] != values[1]
        print_text(f"{'≠' if differ else ' '} {name:<16} {'  |  '.join(map(str, values))}")
    if len(keys) > 1 and keys[0] == keys[1]:
        print_text("≠ messages         the text of the prompt; all else is equal")
    return ExitStatus.DONE


def _prune(args: argparse.Namespace) -> int:
    limit = max(0.0, time.time() - args.older_than * 86400)
    with _open(args) as cache:
        if args.dry_run:
            print_text(f"{cache.count_older(limit):,} answers are older than {_minute(limit)}")
            return ExitStatus.DONE
        print_text(f"deleted {cache.delete_older(limit):,} answers older than {_minute(limit)}")
        return _pack_open(cache)


def _pack(args: argparse.Namespace) -> int:
    with _open(args) as cache:
        return _pack_open(cache)


def _pack_open(cache: CacheFile) -> int:
    before = cache.path.stat().st_size
    cache.vacuum()
    after = cache.path.stat().st_size
    print_text(f"{cache.path}: from {before / 1e6:,.1f} MB to {after / 1e6:,.1f} MB")
    return ExitStatus.DONE


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
