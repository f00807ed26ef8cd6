"""Pack a run into one file, with all that it takes to go on elsewhere without paying again.

That is its folder, its seeds (or metadata), its own prompts and test sets, and of the cache the
answers that its sessions used. No key is among them, and no path of this machine.
"""

import io
import re
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, structs

from ...providers import json_codec
from ..calls.cache_file import CacheFile, open_cache_file
from ..calls.gate import Origin
from ..calls.prompts import prompts_source
from ..calls.replies import decode_reply
from ..calls.spending import Spending, stored_spending
from ..calls.uses import stored_uses
from ..config import CacheConfig, Config, to_toml
from ..data.files import open_input, read_bounded, user_path
from ..data.seeds.files import SeedFile, find_files
from ..data.test_sets import TEST_SETS
from ..disk.sqlite import storage_error
from . import archive
from .archive import ArchiveWriter
from .folder import Folder
from .lost_answers import LostAnswersError, answer_keys, describe_lost, find_lost_answers
from .manifest import Manifest
from .pack_check import (
    ROLES,
    PackError,
    check_origin,
    check_unchanged,
    own_prompts,
    prompt_files,
    published_tests,
)
from .reader import LedgerReader

FORMAT: Final = 2
"""Of a pack; raise it whenever an older one can no longer be read."""

_PART: Final = 4 << 20
"""Bytes of answers in one file of the archive, and so in memory."""


class PackHeader(Struct, frozen=True):
    """``pack.json``, the first file of a pack."""

    format: int
    codeclm: str
    name: str
    """Of the run's folder."""
    sessions: dict[str, Spending]
    """What each session has paid for, as the cache knows it: nothing where it knows nothing."""
    whole: bool
    """Whether the cache had all paid answers that the rest of the run needs."""


class Packed(Struct, frozen=True):
    """What a pack holds.

    Attributes:
        answers: how many.
        missing: answers that the run used and the cache no longer has.
        seed_files: how many.
        left_out: files that the configuration names and that are not in it.
    """

    answers: int
    missing: int
    seed_files: int
    left_out: tuple[str, ...]


def pack(
    folder: Folder,
    config: Config,
    to: Path,
    *,
    origin: Origin = Origin(),  # noqa: B008
    pay_again: bool = False,
) -> Packed:
    """Write the run in *folder*, which has *config*, to the file *to*. Blocks.

    Args:
        folder: the run's.
        config: its configuration.
        to: the file.
        origin: who wrote the configuration; by default the calling program.
        pay_again: pack it although the cache lacks answers that the rest of the run needs.

    Raises:
        LostAnswersError: the cache lacks some; the message says what they cost.
        FolderError: another process is working on the run.
        SeedError: the seed files cannot be read.
        PackError: a file is not the one that the run was started with, or a stranger named it.
        StorageError, WriteError: a file cannot be read or written.
    """
    with folder.locked():
        manifest = folder.read_manifest()
        if manifest is None:
            raise PackError(f"{folder.path}: no run has been started here: nothing to pack")
        files = [] if config.metadata.file else find_files(config.seed_source)
        check_origin(config, (file.path for file in files), origin)
        check_unchanged(folder, config, manifest)
        whole = _has_answers(folder, config, pay_again=pay_again)
        with archive.writing(to) as writer:
            packing = _Packing(folder, config, manifest, files, writer)
            return packing.write(to.absolute().parent, whole=whole)


def _has_answers(folder: Folder, config: Config, *, pay_again: bool) -> bool:
    """Whether the cache has all paid answers that the rest of the run needs.

    Raises:
        LostAnswersError: it has not, and the user does not want to *pay_again*.
    """
    with LedgerReader(folder.ledger) as ledger:
        lost = find_lost_answers(folder, ledger, config.cache.database(), config.all_roles)
    if lost is not None and not pay_again:
        raise LostAnswersError(describe_lost(lost, config.cache.path(), packing=True))
    return lost is None


class _Packing:
    def __init__(
        self,
        folder: Folder,
        config: Config,
        manifest: Manifest,
        files: list[SeedFile],
        writer: ArchiveWriter,
    ) -> None:
        self._folder, self._config, self._manifest = folder, config, manifest
        self._writer = writer
        self._seeds = {file.path: _seed_name(number, file) for number, file in enumerate(files)}

    def write(self, temporary: Path, *, whole: bool) -> Packed:
        """Write everything.

        Args:
            temporary: a folder with room for a copy of the ledger.
            whole: whether the cache lacks nothing that the rest of the run needs.
        """
        with LedgerReader(self._folder.ledger) as ledger:
            database = self._config.cache.database()
            sessions = ledger.spending(database)
            keys = stored_uses(database, list(sessions))
            keys |= {bytes.fromhex(key) for key in answer_keys(ledger)}
            accounts = dict.fromkeys(sessions, Spending())
            self._write_small(accounts | stored_spending(database, list(sessions)), whole=whole)
        self._write_ledger(sessions, temporary)
        for path, name in self._seeds.items():
            self._copy(path, name)
        if self._config.metadata.file:
            self._copy(user_path(self._config.metadata.file), archive.METADATA)
        self._write_prompts()
        left_out = self._write_test_sets()
        self._add(archive.KEYS, b"".join(sorted(keys)))
        answers = self._write_answers(sorted(keys)) if database.is_file() else 0
        return Packed(answers, len(keys) - answers, len(self._seeds), left_out)

    def _write_small(self, sessions: dict[str, Spending], *, whole: bool) -> None:
        name = self._folder.path.absolute().name
        header = PackHeader(FORMAT, self._manifest.codeclm, name, sessions, whole)
        self._add(archive.PACK, json_codec.dumps(header))
        config = portable_config(self._config)
        self._add(archive.CONFIG, to_toml(config).encode())
        manifest = portable_manifest(self._manifest, config, list(self._seeds.values()))
        self._add(archive.MANIFEST, json_codec.dumps(manifest))
        if self._folder.summary.is_file():
            summary = msgspec.json.decode(
                read_bounded(self._folder.summary), type=dict[str, object]
            )
            # Its reason and its files may name paths of this machine.
            self._add(archive.SUMMARY, json_codec.dumps({**summary, "reason": "", "files": {}}))

    def _write_ledger(self, sessions: dict[str, Spending], temporary: Path) -> None:
        with tempfile.TemporaryDirectory(prefix=".codeclm-pack-", dir=temporary) as folder:
            copy = Path(folder) / "ledger.sqlite"
            _copy_ledger(self._folder.ledger, copy, sessions, self._seeds)
            self._copy(copy, archive.LEDGER)

    def _write_prompts(self) -> None:
        for name, source in own_prompts(self._config):
            for path in prompt_files(source):
                self._copy(path, f"prompts/{name}/{path.name}")

    def _write_test_sets(self) -> tuple[str, ...]:
        """Add the test sets that are known by name, and return the names of the others."""
        for test in published_tests(self._config):
            self._copy(test.path, f"tests/{test.path.name}")
        names = self._config.quality.decontaminate
        return tuple(name for name in names if name not in TEST_SETS)

    def _write_answers(self, keys: Iterable[bytes]) -> int:
        count = 0
        with open_cache_file(self._config.cache.path()) as cache:
            for number, part in enumerate(_parts(_answer_lines(cache, keys))):
                self._add(f"answers/{number:06}.jsonl", part)
                count += part.count(b"\n")
        return count

    def _add(self, name: str, content: bytes) -> None:
        self._writer.add(name, len(content), io.BytesIO(content))

    def _copy(self, path: Path, name: str) -> None:
        with open_input(path) as file:
            self._writer.add(name, path.stat().st_size, file)


def _answer_lines(cache: CacheFile, keys: Iterable[bytes]) -> Iterator[bytes]:
    for key in keys:
        value = cache.get(key)
        if value is not None and is_answer(value):
            yield b"%b %b\n" % (key.hex().encode(), value)


def is_answer(value: bytes) -> bool:
    """Whether *value* is a stored reply, on one line."""
    try:
        decode_reply(value)
    except msgspec.MsgspecError:
        return False
    return b"\n" not in value


def _parts(lines: Iterable[bytes]) -> Iterator[bytes]:
    part, size = list[bytes](), 0
    for line in lines:
        part.append(line)
        size += len(line)
        if size >= _PART:
            yield b"".join(part)
            part, size = [], 0
    if part:
        yield b"".join(part)


def _seed_name(number: int, file: SeedFile) -> str:
    """Return a name that keeps the file's place among the others, and its format."""
    name = file.path.name.lower()
    packed = ".gz" if name.endswith(".gz") else ""
    stem = re.sub(r"[^a-z0-9_-]+", "-", name.removesuffix(".gz").partition(".")[0])[:40]
    return f"seeds/{number:06}-{stem}.{file.format}{packed}"


# -- without paths of this machine --------------------------------------------------------------


def portable_config(config: Config) -> Config:
    """Return *config* with the names that files have in a pack."""
    own = {name for name, _ in own_prompts(config)}
    roles = {
        role: structs.replace(getattr(config, role), prompts=f"prompts/{role}")
        for role in ROLES
        if role in own
    }
    metadata, quality = config.metadata, config.quality
    if metadata.file:
        metadata = structs.replace(metadata, file=archive.METADATA)
    return structs.replace(
        config,
        seeds=("seeds",) if config.seeds else (),
        out=None,
        cache=CacheConfig(),
        prompts="prompts/all" if "all" in own else config.prompts,
        metadata=metadata,
        quality=structs.replace(quality, tests="tests") if quality.decontaminate else quality,
        **roles,
    )


def portable_manifest(manifest: Manifest, config: Config, names: list[str]) -> Manifest:
    """Return *manifest* with the paths of *config*, and *names* for its seed files."""
    files = {"seeds": ", ".join(names[:100]), "prompts": prompts_source(config)}
    by_number = zip(manifest.seed_files, names, strict=False)
    return structs.replace(
        manifest,
        settings=with_metadata_file(manifest.settings, config.metadata.file),
        files=files,
        seed_files=tuple(structs.replace(file, path=name) for file, name in by_number),
        cache="",
    )


def with_metadata_file(settings: dict[str, object], file: str | None) -> dict[str, object]:
    """Return a manifest's *settings* with another name for the user's metadata."""
    metadata = settings.get("metadata")
    if file is None or not isinstance(metadata, dict):
        return settings
    return {**settings, "metadata": {**metadata, "file": file}}


def _copy_ledger(
    ledger: Path, to: Path, sessions: dict[str, Spending], names: dict[Path, str]
) -> None:
    """Copy *ledger* as it is at one moment, with the accounts of *sessions*.

    Raises:
        StorageError: it cannot be read, or the copy cannot be written.
    """
    accounts = [(f"spent/{name}", json_codec.dumps(own).decode()) for name, own in sessions.items()]
    try:
        with closing(sqlite3.connect(ledger)) as source, closing(sqlite3.connect(to)) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=delete")
            copy.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", accounts)
            unreadable = "WHERE reason = 'unreadable_record' AND instr(detail, ?1)"
            for path, name in names.items():
                copy.execute(
                    f"UPDATE seeds SET detail = replace(detail, ?1, ?2) {unreadable}",
                    (str(path), name),
                )
            copy.commit()
            copy.execute("VACUUM")
    except sqlite3.Error as error:
        raise storage_error(ledger, error) from error
