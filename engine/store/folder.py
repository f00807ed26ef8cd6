"""A run's folder: where its files are, which process works on it, and which run it is.

It holds ``config.toml`` as run, ``manifest.json``, ``ledger.sqlite``, ``events.jsonl``,
``summary.json`` and the exports; while a session works on it also ``progress.json``.
"""

import fcntl
import os
import socket
import time
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from ...providers import json_codec
from ..data.errors import UserError
from ..data.files import open_regular, read_bounded
from ..data.formats import EXPORTS
from ..disk import trust
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


class Folder:
    """The paths of a run's files, and its lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.toml"
        self.manifest = path / "manifest.json"
        self.ledger = path / "ledger.sqlite"
        self.events = path / "events.jsonl"
        self.summary = path / "summary.json"
        self.progress = path / "progress.json"
        self._lock = path / "run.lock"

    def export(self, format_name: str) -> Path:
        """Return the path of the export that a run itself writes."""
        return self.path / f"{format_name}.jsonl"

    def make(self, *, force: bool = False, results: Iterable[str] = ()) -> None:
        """Create the folder if it is missing, and check that it is ours and can be written.

        Args:
            force: whether files in it that codeclm did not write may be replaced.
            results: names of the files that will be written beside a run's own.

        Raises:
            FolderError: it cannot be written, or holds files that are not a run's.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            probe = self.path / f".probe-{os.getpid()}"
            os.close(open_regular(probe, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW))
            probe.unlink()
        except OSError as error:
            raise FolderError(
                f"{self.path}: cannot be created ({error.strerror}): choose another folder"
                " with --out"
            ) from error
        if not force and (theirs := self._foreign_files(results)):
            raise FolderError(
                f"{self.path}: not a run's folder, and its {theirs[0].name} would be replaced:"
                " choose another folder (--out), or --force"
            )

    def _foreign_files(self, results: Iterable[str]) -> list[Path]:
        """Return the files that we would replace or extend and that no run of ours wrote."""
        if self.manifest.is_file() or self._lock.is_file():  # the lock is a run's first file
            return []
        exports = [self.export(name) for name in EXPORTS.names()]
        others = (self.path / name for name in results)
        ours = [self.config, self.events, self.ledger, self.summary, *exports, *others]
        return [path for path in ours if path.exists() and not self._is_only_config(path)]

    def _is_only_config(self, path: Path) -> bool:
        """Whether *path* is all that somebody kept of a run: its ``config.toml`` as run."""
        if path != self.config:
            return False
        try:
            return b": as run by codeclm " in read_bounded(path).partition(b"\n")[0]
        except OSError:
            return False

    # -- the lock -----------------------------------------------------------------------------

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keep other processes from working on this run.

        Blocks for a fifth of a second where the lock is not free.

        Raises:
            FolderError: one already does; the message names its process and host.
        """
        with ExitStack() as stack:
            try:
                # The folder first: its lock outlives the lock file, which anybody may delete.
                stack.callback(os.close, folder := os.open(self.path, os.O_RDONLY))
                _lock_folder(folder)
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
                stack.callback(os.close, file := open_regular(self._lock, flags))
                _lock(file, fcntl.LOCK_EX)
            except BlockingIOError as error:
                raise FolderError(
                    f"{self.path}: {self._holder()} is working on this run: wait for it, or stop it"
                ) from error
            except OSError as error:
                raise FolderError(f"{self._lock}: {error.strerror}: remove it") from error
            os.ftruncate(file, 0)
            os.pwrite(file, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
            self._remove_leftovers()
            yield

    def _holder(self) -> str:
        """Return the process and host that the lock file names."""
        try:
            content = read_bounded(self._lock, flags=os.O_NOFOLLOW)
        except OSError:
            content = b""
        return content[:200].decode("utf-8", "replace").strip() or "another process"

    @property
    def is_locked(self) -> bool:
        """Whether a process is working on this run."""
        for path in (self.path, self._lock):
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                if _is_locked(descriptor):
                    return True
            finally:
                os.close(descriptor)
        return False

    def _remove_leftovers(self) -> None:
        """Delete what a killed process left half-written; the lock is held.

        Files that the user names (`codeclm export --to`) may be in progress and are left alone.
        """
        exports = [self.export(name) for name in EXPORTS.names()]
        remove_leftovers([self.config, self.manifest, self.summary, self.progress, *exports])

    # -- the manifest -------------------------------------------------------------------------

    def read_manifest(self) -> Manifest | None:
        """Return what the run was started with; None if no run has been started here.

        Raises:
            FolderError: the manifest cannot be read, or another version of codeclm wrote it.
        """
        try:
            data = read_bounded(self.manifest, flags=os.O_NOFOLLOW)
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

    def write_manifest(self, config: str, manifest: Manifest, *, trusted: bool) -> None:
        """Write *manifest*, and *config* (TOML) as it was run.

        Args:
            config: the configuration.
            manifest: what makes the run this run.
            trusted: whether the user is asked no more about what the configuration names.

        Raises:
            WriteError: they cannot be written.
        """
        header = f"# {manifest.started}: as run by codeclm {manifest.codeclm}\n"
        content = (header + config).encode()
        if trusted:  # before the file: a run killed in between resumes without a question
            trust.remember(content)
        replace_file(self.config, content, private=True)
        formatted = msgspec.json.format(json_codec.dumps(manifest), indent=2)
        replace_file(self.manifest, formatted, private=True)


def _lock(descriptor: int, operation: int) -> None:
    """Lock, waiting no longer than somebody takes to ask whether it is locked.

    Raises:
        BlockingIOError: another process holds the lock.
        OSError: the file system does not lock this.
    """
    for _ in range(_LOCK_ATTEMPTS - 1):
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
            return
        time.sleep(_LOCK_PAUSE)
    fcntl.flock(descriptor, operation | fcntl.LOCK_NB)


def _lock_folder(descriptor: int) -> None:
    """Lock a folder, where its file system can: some lock only what is open for writing.

    Raises:
        BlockingIOError: another process holds the lock.
    """
    try:
        _lock(descriptor, fcntl.LOCK_EX)
    except BlockingIOError:
        raise
    except OSError:
        return


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
