"""Exclusive use of a folder: no process takes itself to be alone when it is not."""

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from codeclm.engine.disk.exclusive import ExclusiveUse, entry_lock

USER = """
import sys
from pathlib import Path
from codeclm.engine.disk.exclusive import ExclusiveUse, entry_lock
with entry_lock(Path(sys.argv[1])):
    use = ExclusiveUse(Path(sys.argv[1]))
for _ in sys.stdin:
    print(use.alone, flush=True)
"""


class Process:
    """Another process that has the folder open."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    @property
    def alone(self) -> bool:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("?\n")
        self._process.stdin.flush()
        return self._process.stdout.readline() == "True\n"

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def other_process(folder: Path) -> Generator[Process]:
    with subprocess.Popen(
        [sys.executable, "-c", USER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Process(process)
        finally:
            process.kill()


def test_who_comes_second_ends_the_first_ones_exclusive_use_and_has_none(tmp_path: Path) -> None:
    with ExclusiveUse(tmp_path) as use:
        before = use.alone
        with other_process(tmp_path) as other:
            other_alone, during = other.alone, use.alone
            other.kill()
        after = use.alone

    assert (before, during, after) == (True, False, False)
    assert not other_alone


def test_the_next_one_is_alone_once_all_others_have_gone(tmp_path: Path) -> None:
    """However they went."""
    with other_process(tmp_path) as other:
        other_alone = other.alone
        other.kill()
    with ExclusiveUse(tmp_path):
        pass
    with ExclusiveUse(tmp_path) as use:
        alone = use.alone

    assert (other_alone, alone) == (True, True)


def test_who_comes_waits_until_the_one_inside_has_set_itself_up(tmp_path: Path) -> None:
    with entry_lock(tmp_path), ExclusiveUse(tmp_path) as use, other_process(tmp_path):
        alone = use.alone  # whenever this is asked: the other one cannot have entered

    assert alone


def test_a_folder_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ExclusiveUse(tmp_path / "missing")
