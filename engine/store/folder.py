"""A run's folder: where its files are, which process works on it, and which run it is.

It holds ``config.toml`` as run, ``manifest.json``, ``ledger.sqlite``, ``events.jsonl``,
``summary.json`` and the exports.
"""

import fcntl
import os
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import msgspec
from msgspec import Struct

from ...providers import json_codec
from ..data.errors import UserError
from ..data.formats import EXPORTS
from ..disk.atomic import remove_leftovers, replace_file
from .connection import START_OVER
from .manifest import FORMAT, Manifest


class FolderError(UserError):
    """A run's folder cannot be used. The message says which one, why, and what to do."""


class _Version(Struct, frozen=True):
    """The one field that the manifests of all versions have."""

    format: int


_version = msgspec.json.Decoder(_Version)
_manifest = msgspec.json.Decoder(Manifest)


_LOCK_ATTEMPTS, _LOCK_PAUSE = 20, 0.01
"""How often to try for the lock, and the seconds in between.

Whoever asks `Folder.is_locked` holds the lock for an instant, and must not make a run fail.
"""


def _lock(file: TextIO) -> None:
    """Lock *file*. Blocks.

    Raises:
        OSError: another process holds the lock, for longer than it takes to ask about it.
    """
    for _ in range(_LOCK_ATTEMPTS - 1):
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(_LOCK_PAUSE)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Folder:
    """The paths of a run's files, and its lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.toml"
        self.manifest = path / "manifest.json"
        self.ledger = path / "ledger.sqlite"
        self.events = path / "events.jsonl"
        self.summary = path / "summary.json"
        self._lock = path / "run.lock"

    def export(self, format_name: str) -> Path:
        """Return the path of the export that a run itself writes."""
        return self.path / f"{format_name}.jsonl"

    def make(self) -> None:
        """Create the folder if it is missing, and check that it can be written.

        Raises:
            FolderError: it cannot.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            probe = self.path / f".probe-{os.getpid()}"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise FolderError(
                f"{self.path}: cannot be created ({error.strerror}): choose another folder"
                " with --out"
            ) from error

    # -- the lock -----------------------------------------------------------------------------

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keep other processes from working on this run.

        Blocks for a fifth of a second where the lock is not free.

        Raises:
            FolderError: one already does; the message names its process and host.
        """
        with self._lock.open("a+") as file:
            try:
                _lock(file)
            except OSError as error:
                file.seek(0)
                holder = file.read(200).strip() or "another process"
                raise FolderError(
                    f"{self.path}: {holder} is working on this run: wait for it, or stop it"
                ) from error
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
            self._remove_leftovers()
            yield

    @property
    def is_locked(self) -> bool:
        """Whether a process is working on this run."""
        try:
            with self._lock.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def _remove_leftovers(self) -> None:
        """Delete what a killed process left half-written; the lock is held.

        Files that the user names (`codeclm export --to`) may be in progress and are left alone.
        """
        exports = [self.export(name) for name in EXPORTS.names()]
        remove_leftovers([self.config, self.manifest, self.summary, *exports])

    # -- the manifest -------------------------------------------------------------------------

    def read_manifest(self) -> Manifest | None:
        """Return what the run was started with; None if no run has been started here.

        Raises:
            FolderError: the manifest cannot be read, or another version of codeclm wrote it.
        """
        try:
            data = self.manifest.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FolderError(f"{self.manifest}: {error.strerror}") from error
        try:
            written = json_codec.loads(data, _version).format
            if written != FORMAT:
                raise FolderError(
                    f"{self.manifest}: written by another version of codeclm (folder format"
                    f" {written}, this one reads {FORMAT}): {START_OVER}"
                )
            return json_codec.loads(data, _manifest)
        except msgspec.MsgspecError as error:
            raise FolderError(f"{self.manifest}: damaged ({error}): {START_OVER}") from error

    def write_manifest(self, config: str, manifest: Manifest) -> None:
        """Write *manifest*, and *config* (TOML) as it was run.

        Raises:
            WriteError: they cannot be written.
        """
        header = f"# {manifest.started}: as run by codeclm {manifest.codeclm}\n"
        replace_file(self.config, (header + config).encode())
        replace_file(self.manifest, msgspec.json.format(json_codec.dumps(manifest), indent=2))
