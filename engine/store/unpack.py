"""Unpack what `codeclm pack` made, which may be a stranger's: a run's folder with its own cache.

Nothing outside of the new folder is written, unless the user names a cache; the folder appears when
all of it has been read and checked.
"""

import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, structs

from ...providers import json_codec
from ..calls.cache_file import CacheFile, Entry, open_cache_file
from ..calls.spending import Charge, Spending, stored_spending
from ..calls.uses import KEY_SIZE, Use
from ..config import CacheConfig, Config, ConfigError, load_config, to_toml
from ..data import seeds
from ..disk.atomic import WriteError, replace_file
from ..disk.sqlite import StorageError
from . import archive
from .archive import ArchiveError, Member, read_members
from .folder import Folder, FolderError
from .lost_answers import LostAnswers, find_lost_answers
from .pack import FORMAT, PackHeader, is_answer, with_metadata_file
from .pack_check import ROLES
from .reader import LedgerReader

_GROUP: Final = 500
"""Answers that are stored at once."""

_LONGEST_LINE: Final = 256 << 20
"""Bytes of an answer's line."""

_ANSWER: Final = re.compile(rb"[0-9a-f]{%d} " % (2 * KEY_SIZE))

_header = msgspec.json.Decoder(PackHeader)


class Unpacked(Struct, frozen=True):
    """A run that was unpacked.

    Attributes:
        folder: the run's.
        cache: the folder of its cache.
        answers: how many came with it.
        lost: what going on would pay again; None if nothing.
    """

    folder: Path
    cache: Path
    answers: int
    lost: LostAnswers | None


def unpack(
    path: Path, *, most_bytes: int, to: Path | None = None, cache: Path | None = None
) -> Unpacked:
    """Unpack the file *path* into a new folder. Blocks.

    Args:
        path: the pack.
        most_bytes: that it may unpack to.
        to: the run's folder; None: ``runs/NAME``.
        cache: a cache to put the answers into; None: one of the run's own, in its folder.

    Raises:
        ArchiveError: the file cannot be used, or the folder exists.
        StorageError, WriteError: a file cannot be written.
    """
    members = read_members(path, most_bytes)
    header = _read_header(path, members)
    as_named = to or Path("runs") / _name(header)
    folder = as_named.absolute()
    _check_new(folder)
    partial = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.partial")
    try:
        try:
            partial.mkdir(parents=True, mode=0o700)
            first = _write_files(members, partial)
        except OSError as error:
            raise WriteError(f"{folder}: cannot be written ({error.strerror})") from error
        own_cache = folder / "cache"
        _relocate(path, Folder(partial), folder, cache or own_cache, whole=header.whole)
        count = _store_answers(path, cache or partial / "cache", chain(first, members), header)
        with suppress(OSError):
            folder.rmdir()  # an empty one may be there
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    try:
        lost = _find_lost(Folder(folder))
    except StorageError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise _damaged(path, archive.LEDGER) from error
    return Unpacked(as_named, cache or as_named / "cache", count, lost)


def _damaged(path: Path, name: str) -> ArchiveError:
    """Return an error that says so of the file *name* in the pack, not of our copy of it."""
    return ArchiveError(
        f"{path}: damaged: its {name} cannot be read: fetch the file again, or unpack it with the"
        " codeclm that packed it"
    )


def _find_lost(folder: Folder) -> LostAnswers | None:
    config = load_config(folder.config, check=False)
    with LedgerReader(folder.ledger) as ledger:
        return find_lost_answers(folder, ledger, config.cache.database(), config.all_roles)


def _read_header(path: Path, members: Iterator[Member]) -> PackHeader:
    member = next(members, None)
    if member is None or member.name != archive.PACK:
        raise ArchiveError(f"{path}: not a pack of codeclm")
    try:
        header = json_codec.loads(member.read(), _header)
    except msgspec.MsgspecError as error:
        raise ArchiveError(f"{path}: not a pack of codeclm ({error})") from error
    if header.format != FORMAT:
        raise ArchiveError(
            f"{path}: made by codeclm {header.codeclm[:40]} (pack format {header.format}, this one"
            f" reads {FORMAT}): unpack it with that version"
        )
    return header


def _name(header: PackHeader) -> str:
    """Return the run's name as a folder may be called."""
    return re.sub(r"[^\w-]+", "-", header.name)[:80].strip("-") or "run"


def _check_new(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise ArchiveError(f"{folder}: already exists: choose another folder with --to")


def _write_files(members: Iterator[Member], folder: Path) -> tuple[Member, ...]:
    """Write the files before the answers; return the first file of answers, if there is one.

    Raises:
        OSError: one cannot be written.
    """
    for member in members:
        if member.name.startswith("answers/"):
            return (member,)
        target = folder / member.name.removeprefix("run/")
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(target, flags, 0o600), "wb") as file:
            file.writelines(member.chunks)
    return ()


# -- the run in its new place -------------------------------------------------------------------


def _relocate(path: Path, partial: Folder, folder: Path, cache: Path, *, whole: bool) -> None:
    """Let the configuration in *partial* name the files of *folder*; check that all are there.

    A cache that is not *whole* does not pass for the one that the run used.

    Raises:
        UserError: a file is missing or damaged, or the seeds are not those of the run.
    """
    for needed in (partial.config, partial.manifest, partial.ledger):
        if not needed.is_file():
            raise ArchiveError(f"{path}: damaged: it has no {needed.name}")
    try:
        manifest = partial.read_manifest()
        assert manifest is not None
    except FolderError as error:
        raise _damaged(path, archive.MANIFEST) from error
    try:
        packed = load_config(partial.config, check=False)
    except ConfigError as error:
        raise _damaged(path, archive.CONFIG) from error
    try:
        LedgerReader(partial.ledger).close()  # checks its version and its tables
    except StorageError as error:
        raise _damaged(path, archive.LEDGER) from error
    if packed.seeds:
        here = structs.replace(packed, seeds=(str(partial.path / "seeds"),))
        if seeds.digest(here.seed_source) != manifest.seeds:
            raise ArchiveError(f"{path}: damaged: its seeds are not those of its run")
    config = _placed(packed, folder, cache)
    settings = with_metadata_file(manifest.settings, config.metadata.file)
    used = str(cache.absolute()) if whole else ""
    moved = structs.replace(manifest, settings=settings, cache=used)
    header = f"# {manifest.started}: as run by codeclm {manifest.codeclm}\n"
    replace_file(partial.config, (header + to_toml(config)).encode(), private=True)
    formatted = msgspec.json.format(json_codec.dumps(moved), indent=2)
    replace_file(partial.manifest, formatted, private=True)


def _placed(config: Config, folder: Path, cache: Path) -> Config:
    """Return *config*, as a pack holds it, with the files' places in *folder*."""
    own = {
        role: structs.replace(getattr(config, role), prompts=str(folder / "prompts" / role))
        for role in ROLES
        if getattr(config, role).prompts == f"prompts/{role}"
    }
    metadata, quality, tests = config.metadata, config.quality, str(folder / "tests")
    if metadata.file:
        metadata = structs.replace(metadata, file=str(folder / archive.METADATA))
    return structs.replace(
        config,
        seeds=(str(folder / "seeds"),) if config.seeds else (),
        out=str(folder),
        cache=CacheConfig(str(cache.absolute())),
        prompts=str(folder / config.prompts) if config.prompts == "prompts/all" else config.prompts,
        metadata=metadata,
        quality=structs.replace(quality, tests=tests) if quality.decontaminate else quality,
        **own,
    )


# -- answers ------------------------------------------------------------------------------------


def _answer_lines(path: Path, members: Iterable[Member]) -> Iterator[tuple[bytes, bytes]]:
    """Yield key and value of each answer.

    Raises:
        ArchiveError: a line is not an answer.
    """
    for member in members:
        if not member.name.startswith("answers/"):
            raise ArchiveError(f"{path}: not a pack of codeclm: {member.name} behind the answers")
        for line in _lines(member.chunks):
            if not _ANSWER.match(line) or not is_answer(line[2 * KEY_SIZE + 1 :]):
                raise ArchiveError(f"{path}: damaged: {member.name} holds something else")
            yield bytes.fromhex(line[: 2 * KEY_SIZE].decode()), line[2 * KEY_SIZE + 1 :]


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of *chunks*; an answer is never divided between two files."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
        if len(rest) > _LONGEST_LINE:
            rest = b"too long"
    if rest:
        yield rest


def _store_answers(path: Path, folder: Path, members: Iterator[Member], header: PackHeader) -> int:
    """Put the answers in *members* into the cache in *folder*; return their number.

    The keys of those that the run used are stored first, so that what is missing is missed.

    Raises:
        ArchiveError: they are damaged.
        StorageError: the cache cannot be written.
    """
    count = 0
    with open_cache_file(folder) as cache:
        _store_accounts(cache, header.sessions)
        _store_uses(path, cache, next(members, None), header.sessions)
        lines = _answer_lines(path, members)
        while group := [Entry(key, value) for key, value in islice(lines, _GROUP)]:
            cache.put(group)
            count += len(group)
    return count


def _store_uses(
    path: Path, cache: CacheFile, keys: Member | None, sessions: dict[str, Spending]
) -> None:
    """Note in *cache* that the run used the answers with *keys*.

    They are booked on one of its *sessions*: one that paid, as only those are asked about.
    """
    if keys is None or keys.name != archive.KEYS:
        raise ArchiveError(f"{path}: damaged: it has no {archive.KEYS}")
    user = max(sessions, key=lambda name: (sessions[name].calls > 0, name), default="")
    for chunk in keys.chunks:
        if len(chunk) % KEY_SIZE:
            raise ArchiveError(f"{path}: damaged: {archive.KEYS} is cut off")
        starts = range(0, len(chunk), KEY_SIZE)
        cache.put([Use(chunk[start : start + KEY_SIZE], user) for start in starts])


def _store_accounts(cache: CacheFile, sessions: dict[str, Spending]) -> None:
    """Put what *sessions* have paid into *cache*, unless it knows them."""
    known = stored_spending(cache.path, list(sessions))
    charges = [
        Charge(name, role, stage, usage)
        for name, spending in sessions.items()
        if name not in known or not known[name].calls
        for role, stages in spending.usage.items()
        for stage, usage in stages.items()
    ]
    cache.add_charges(charges)
