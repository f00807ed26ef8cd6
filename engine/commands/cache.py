"""cache: what is in the store of paid answers, is it sound, what is a key made of, make room."""

import argparse
import sys
import time
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import Verbs, add_verb, duration
from .status import DONE, FAILED, WRONG

if TYPE_CHECKING:
    from ..calls.cache_file import CacheFile
    from ..calls.replies import StoredReply


def add(verbs: Verbs) -> None:
    parser = add_verb(verbs, "cache", _help, "the store of paid answers: stats, verify, explain, …")
    parser.set_defaults(parser=parser)
    inner = parser.add_subparsers(metavar="ACTION")
    stats = add_verb(inner, "stats", _stats, "how many answers, of which models, how large")
    verify = add_verb(
        inner, "verify", _verify, "read every answer; exit status 1 if one is damaged"
    )
    explain = add_verb(inner, "explain", _explain, "what a key was made of, or how two differ")
    prune = add_verb(inner, "prune", _prune, "delete answers older than so many days, and pack")
    pack = add_verb(inner, "pack", _pack, "give the space of deleted answers back to the disk")
    for action in (stats, verify, explain, prune, pack):
        action.add_argument("--cache", type=Path, metavar="DIR", help="default: the user's")
    explain.add_argument(
        "key", nargs="+", help="one or two keys, or their beginnings (see inspect)"
    )
    prune.add_argument("--older-than", type=duration, required=True, metavar="DAYS")
    prune.add_argument("--dry-run", action="store_true", help="only say how many there are")


def _help(args: argparse.Namespace) -> int:
    args.parser.print_help()
    return WRONG


def _open(args: argparse.Namespace) -> "AbstractContextManager[CacheFile]":
    from ..calls.cache_file import open_cache_file
    from ..calls.clients import cache_folder
    from ..config import Config, ConfigError

    folder = args.cache or cache_folder(Config())
    if not (folder / "cache.db").exists():
        raise ConfigError(f"{folder}: there is no cache yet")
    return open_cache_file(folder)


def _stats(args: argparse.Namespace) -> int:
    models: dict[str, int] = {}
    oldest, newest, damaged, count = float("inf"), 0.0, 0, 0
    with _open(args) as cache:
        for _, answer in cache.replies():
            count += 1
            if answer is None:
                damaged += 1
                continue
            name = _asked(answer).get("model", "?")
            models[name] = models.get(name, 0) + 1
            oldest, newest = min(oldest, answer.time), max(newest, answer.time)
    print(f"folder   {cache.folder}")
    print(f"answers  {count:,} in {cache.path.stat().st_size / 1e6:,.1f} MB")
    if models:
        print(f"from     {_day(oldest)} to {_day(newest)}")
    for name, number in sorted(models.items(), key=lambda pair: -pair[1]):
        print(f"  {name:<40} {number:>12,}")
    if damaged:
        print(f"damaged  {damaged:,}: they will be asked again when they are needed")
    return DONE


def _verify(args: argparse.Namespace) -> int:
    with _open(args) as cache:
        problems = cache.integrity_errors()
        damaged = 0 if problems else sum(answer is None for _, answer in cache.replies())
    for problem in problems:
        print(f"codeclm: {cache.path}: {problem}", file=sys.stderr)
    if damaged:
        print(f"codeclm: {damaged:,} answers can't be read", file=sys.stderr)
    if problems or damaged:
        return FAILED
    print(f"{cache.path}: sound")
    return DONE


def _explain(args: argparse.Namespace) -> int:
    with _open(args) as cache:
        found = [
            (key.hex(), answer)
            for key, answer in cache.replies()
            if answer is not None and key.hex().startswith(tuple(args.key))
        ]
    if not found:
        print(f"codeclm: no key begins with {' or '.join(args.key)}", file=sys.stderr)
        return WRONG
    asked = [_asked(answer) for _, answer in found[:2]]
    for name in asked[0]:
        values = [fields.get(name) for fields in asked]
        differ = len(values) > 1 and values[0] != values[1]
        print(f"{'≠' if differ else ' '} {name:<16} {'  |  '.join(map(str, values))}")
    if len(asked) > 1 and asked[0] == asked[1]:
        print("≠ messages         the prompt's text; everything else is the same")
    return DONE


def _prune(args: argparse.Namespace) -> int:
    than = time.time() - args.older_than * 86400
    with _open(args) as cache:
        if args.dry_run:
            print(f"{cache.count_older(than):,} answers are from before {_day(than)}")
            return DONE
        print(f"{cache.delete_older(than):,} answers from before {_day(than)} were deleted")
        return _packed(cache)


def _pack(args: argparse.Namespace) -> int:
    with _open(args) as cache:
        return _packed(cache)


def _packed(cache: "CacheFile") -> int:
    before = cache.path.stat().st_size
    cache.vacuum()
    after = cache.path.stat().st_size
    print(f"{cache.path}: {before / 1e6:,.1f} MB, now {after / 1e6:,.1f} MB")
    return DONE


def _asked(answer: "StoredReply") -> dict[str, Any]:
    """What the key was made of, by name, short of the messages."""
    import msgspec

    from ..calls.keys import KeyFields

    values = msgspec.json.decode(answer.about)
    names = KeyFields.__struct_fields__
    return {**dict(zip(names, values or (), strict=False)), "sample": answer.sample}


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"
