"""Atomic writes: the old content or the new one, and nothing left beside it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from codeclm.engine.disk.atomic import WriteError, remove_leftovers, replace_file, replacing


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_and_missing_folders_are_created(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "x.json"
    replace_file(path, b"old")
    replace_file(path, b"new")

    assert path.read_bytes() == b"new"
    assert names(path.parent) == ["x.json"]


def test_a_reader_finds_the_old_content_until_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"ne")
        file.flush()
        during = path.read_bytes()
        file.write(b"w")

    assert (during, path.read_bytes()) == (b"old", b"new")


def test_an_exception_leaves_the_old_content_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"old")

    def write_half() -> None:
        with replacing(path) as file:
            file.write(b"half")
            raise KeyError("the source failed")

    with pytest.raises(KeyError):
        write_half()

    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["x.json"]


def test_a_symbolic_link_keeps_pointing_to_its_target(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    replace_file(tmp_path / "link", b"new")

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with subprocess.Popen(["/bin/cat", str(path)], stdout=subprocess.PIPE) as reader:
        replace_file(path, b"through")
        content, _ = reader.communicate()

    assert content == b"through"
    assert names(tmp_path) == ["pipe"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("folder", "is a folder; name a file in it"),
        ("a file/x.json", r"cannot be written \((Not a directory|File exists)\)"),
        ("n" * 250, r"cannot be written \(File name too long\)"),
    ],
)
def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "a file").touch()
    with pytest.raises(WriteError, match=message) as caught:
        replace_file(tmp_path / name, b"new")

    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert names(tmp_path) == ["a file", "folder"]


KILLED = """
import os, signal, sys
from pathlib import Path
from codeclm.engine.disk.atomic import replacing

with replacing(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"old")
    (tmp_path / ".y.json.0123abcd.tmp").touch()
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    before = names(tmp_path)
    remove_leftovers([path])

    assert done.returncode == -signal.SIGKILL
    assert len(before) == 3
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == [".y.json.0123abcd.tmp", "x.json"]
