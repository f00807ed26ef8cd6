"""A run's folder: what it was started with, who works on it, where its files are.

``config.toml`` as run, ``manifest.json`` (what is needed to say "the same run"), ``ledger.sqlite``,
``events.jsonl``, ``summary.json`` and the exports.
"""

import fcntl
import json
import os
import socket
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec import Struct

from ...providers import json_codec
from .. import config as configuration
from ..config import Config, RoleConfig, structured
from ..data.errors import UserError
from ..disk.atomic import remove_leftovers, replace_file
from .export import FORMATS

FORMAT = 1
"""Of the folder; raised when an older one can't be read any more."""


class FolderError(UserError):
    """The folder can't be used. The message says which, why, and what to do."""


class Manifest(Struct, frozen=True):
    """What makes two runs the same run."""

    format: int
    codeclm: str
    python: str
    started: str
    seeds: str
    """Digest of the seed files' bytes."""
    settings: dict[str, Any]
    """Everything that can change the dataset."""
    prompts: dict[str, dict[str, str]]
    """Digest of each stage's template, by role."""
    files: dict[str, str] = {}
    """What was read, for people; not compared."""


# What may differ between two sessions of one run: how it is carried out, not what comes out.
_OPERATIONAL = frozenset({"seeds", "out", "cache", "retry", "export", "prompts", "limit", "budget"})
_ROLE_OPERATIONAL = frozenset(
    {
        "api_key",
        "timeout",
        "transport",
        "max_concurrent",
        "requests_per_minute",
        "tokens_per_minute",
        "price_input",
        "price_cached",
        "price_output",
        "options",
        "prompts",
        "headers",
    }
)


def manifest(
    config: Config,
    roles: Mapping[str, RoleConfig],
    *,
    seeds: str,
    prompts: Mapping[str, dict[str, str]],
    tests: Mapping[str, str] | None = None,
) -> Manifest:
    """Say what makes a run of *config*.

    Args:
        config: the run's settings.
        roles: those of the models it asks.
        seeds: digest of the seed files.
        prompts: digests of the templates by role.
        tests: digests of the test sets by name.
    """
    whole = {k: v for k, v in _values(config).items() if k not in _OPERATIONAL}
    if config.limit is not None:
        whole["limit"] = config.limit
    for unasked in {"strong", "target", "judge"} - roles.keys():
        del whole[unasked]
    del whole["quality"]["tests"]  # where they are; what they say counts
    whole["quality"]["test_sets"] = dict(tests or {})
    for name, role in roles.items():
        table = _values(role)
        table["structured_output"] = structured(role)
        whole[name] = {k: v for k, v in table.items() if k not in _ROLE_OPERATIONAL}
    return Manifest(
        FORMAT,
        version("codeclm"),
        sys.version.split()[0],
        datetime.now(UTC).isoformat(timespec="seconds"),
        seeds,
        whole,
        dict(prompts),
        {"seeds": ", ".join(str(path) for path in config.seed_files)},
    )


def _values(table: Struct) -> dict[str, Any]:
    """Return all settings, defaults too: another version's defaults may differ."""
    values: dict[str, Any] = {}
    for name in table.__struct_fields__:
        value = getattr(table, name)
        if isinstance(value, Struct):
            values[name] = _values(value)
        elif value is not None:
            values[name] = json.loads(json_codec.dumps(value))  # as it will be read back
    return values


def differences(old: Manifest, new: Manifest) -> list[str]:
    """Say, a line each, in what *new* is not the same run as *old*."""
    lines = _compare("", old.settings, new.settings)
    if old.seeds != new.seeds:
        lines.append("the seed files have other contents")
    for role in new.prompts:
        before, now = old.prompts.get(role, {}), new.prompts[role]
        changed = [stage for stage in now if before.get(stage) != now[stage]]
        if changed:
            lines.append(f"{role}'s prompts have changed: {', '.join(changed)}")
    return lines


def _compare(under: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    lines = list[str]()
    for key in sorted(old.keys() | new.keys()):
        before, now = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(now, dict):
            tables = cast("tuple[dict[str, Any], dict[str, Any]]", (before, now))
            lines += _compare(f"{under}{key}.", *tables)
        elif before != now:
            lines.append(f"{under}{key}: {_word(before)} → {_word(now)}")
    return lines


def _word(value: Any) -> str:
    return "(default)" if value is None else repr(value)


class Folder:
    """Paths of one run, and its lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.toml"
        self.manifest = path / "manifest.json"
        self.ledger = path / "ledger.sqlite"
        self.events = path / "events.jsonl"
        self.summary = path / "summary.json"
        self._lock = path / "run.lock"

    def make(self) -> None:
        """Make the folder and see that it can be written.

        Raises:
            FolderError: it can't.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            probe = self.path / f".probe-{os.getpid()}"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise FolderError(
                f"{self.path}: {error.strerror}: choose a folder that can be written (--out)"
            ) from error

    @contextmanager
    def locked(self) -> Generator[None]:
        """Hold the run for this process.

        Raises:
            FolderError: another process does; the message says which, and on which host.
        """
        with self._lock.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
    def is_held(self) -> bool:
        """Whether a process works on this run now."""
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
        exports = [self.path / f"{name}.jsonl" for name in FORMATS]
        remove_leftovers([self.config, self.manifest, self.summary, *exports])

    def read_manifest(self) -> Manifest | None:
        """Return what the run was started with; None where there is no run yet.

        Raises:
            FolderError: the file is there and can't be read.
        """
        try:
            data = self.manifest.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FolderError(f"{self.manifest}: {error.strerror}") from error
        try:
            return json_codec.loads(data, _manifest)
        except msgspec.MsgspecError as error:
            raise FolderError(
                f"{self.manifest}: it is damaged ({error}): move the folder away and run again;"
                " answers already paid for are in the cache"
            ) from error

    def begin(self, config: Config, fresh: Manifest) -> None:
        """Write down what the run is."""
        text = f"# {fresh.started}: as run by codeclm {fresh.codeclm}\n{configuration.dump(config)}"
        replace_file(self.config, text.encode())
        replace_file(self.manifest, msgspec.json.format(json_codec.dumps(fresh), indent=2))


_manifest = msgspec.json.Decoder(Manifest)
