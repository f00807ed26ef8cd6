"""A run's folder: one process works on it, and only on a run that it can read."""

import fcntl
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from codeclm.engine.config import RoleConfig
from codeclm.engine.store.folder import Folder, FolderError
from codeclm.engine.store.manifest import (
    FORMAT,
    Manifest,
    default_settings,
    differences,
    new_manifest,
    role_settings,
)


def manifest(**settings: object) -> Manifest:
    return new_manifest(settings, seeds="s", prompts={"strong": {"encode": "1"}}, files={})


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder, written = Folder(tmp_path), manifest(seed=1, quality={"ngram": 13})
    before = folder.read_manifest()
    folder.write_manifest("seed = 1\n", written, trusted=False)

    assert before is None
    assert folder.read_manifest() == written
    assert folder.config.read_text().splitlines()[1:] == ["seed = 1"]


def test_a_folder_of_another_version_is_refused_in_one_line_that_says_what_to_do(
    tmp_path: Path,
) -> None:
    """Whatever else its manifest holds."""
    folder = Folder(tmp_path)
    folder.manifest.write_text(json.dumps({"format": 1, "seeds": ["of another shape"]}))
    with pytest.raises(FolderError) as caught:
        folder.read_manifest()

    assert str(caught.value) == (
        f"{folder.manifest}: written by another version of codeclm (folder format 1, this one"
        f" reads {FORMAT}): move the run's folder away and run again; answers already paid for"
        " come from the cache"
    )


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 2}', '{"format": "2"}', "\xff"])
def test_a_damaged_manifest_is_named_with_the_remedy(tmp_path: Path, content: str) -> None:
    folder = Folder(tmp_path)
    folder.manifest.write_text(content, "latin-1")
    with pytest.raises(FolderError, match=r"damaged .*: move the run's folder away") as caught:
        folder.read_manifest()

    assert str(caught.value).startswith(f"{folder.manifest}: ")


def test_differences_name_each_setting_and_what_it_was() -> None:
    old = manifest(seed=1, quality={"ngram": 13, "tests": []})
    new = manifest(seed=2, quality={"ngram": 8, "tests": []}, limit=5)

    assert differences(old, old, {}) == []
    assert differences(old, new, {}) == [
        "limit: not set when the run started → 5",
        "quality.ngram: 13 → 8",
        "seed: 1 → 2",
    ]


LOCKED = """
import sys
from pathlib import Path
from codeclm.engine.store.folder import Folder
with Folder(Path(sys.argv[1])).locked():
    print("locked", flush=True)
    sys.stdin.readline()
"""


def test_a_setting_that_is_newer_than_the_folder_is_no_difference_at_its_default() -> None:
    """Other values of it are, and so is a default where the folder has another value."""
    old = manifest(seed=1, quality={"ngram": 13})
    at_defaults = manifest(seed=1, quality={"ngram": 13, "test_sets": {}}, parse_attempts=3)
    changed = manifest(seed=0, quality={"ngram": 13}, parse_attempts=4)

    assert differences(old, at_defaults, default_settings()) == []
    assert differences(old, changed, default_settings()) == [
        "parse_attempts: not set when the run started → 4",
        "seed: 1 → 0",
    ]


def test_a_providers_options_are_recorded_unless_they_cannot_change_a_reply() -> None:
    role = RoleConfig(model="scripted/x", options={"latency": 1.0, "model_seed": "2"})
    plain = RoleConfig(model="scripted/x", options={"latency": 1.0, "model_seed": ""})

    assert role_settings(role)["options"] == {"model_seed": "2"}
    assert role_settings(plain)["options"] == {}


def test_a_run_that_a_process_works_on_is_locked_until_that_process_ends(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", LOCKED, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        during = folder.is_locked
        with pytest.raises(FolderError, match=f"process {process.pid} on .* is working"):
            folder.locked().__enter__()
        process.kill()
        process.communicate()

    assert during
    assert not folder.is_locked
    with folder.locked():
        assert not Folder(tmp_path / "elsewhere").is_locked


def test_a_run_may_start_while_others_ask_whether_it_works(tmp_path: Path) -> None:
    """Asking holds the lock for an instant, which is no reason to refuse the run."""
    folder = Folder(tmp_path)
    folder.make()
    for _ in range(20):
        with ThreadPoolExecutor(1) as pool:
            with (tmp_path / "run.lock").open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_SH)
                started = threading.Event()
                locking = pool.submit(_lock_once, folder, started)
                started.wait()
            locking.result()


def _lock_once(folder: Folder, started: threading.Event) -> None:
    started.set()
    with folder.locked():
        pass


def test_taking_the_lock_removes_what_a_killed_process_left_half_written(tmp_path: Path) -> None:
    """But not what a user may be writing beside it."""
    folder = Folder(tmp_path)
    for name in (".summary.json.0123abcd.tmp", ".alpaca.jsonl.0123abcd.tmp", ".mine.jsonl.1.tmp"):
        (tmp_path / name).touch()
    with folder.locked():
        pass

    assert {path.name for path in tmp_path.iterdir()} == {"run.lock", ".mine.jsonl.1.tmp"}
