"""Runs on a terminal of their own, looked at as a user does, and from another terminal."""

import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyte
import pytest
from msgspec import structs

from codeclm.engine.reporting.progress_file import read_progress
from codeclm.engine.reporting.progress_text import state_text
from codeclm.engine.store.folder import Folder
from codeclm.providers import json_codec

from .commands import COMMAND, codeclm, environment, started, write_seeds
from .test_progress import progress

RUN = (
    *("run", "--seeds", "seeds.jsonl", "--strong", "scripted/s", "--target", "scripted/t"),
    *("--per-metadata", "2", "-n", "300", "--out", "tour"),
    *("--set", "strong.options={latency=0.2}", "--set", "strong.max_concurrent=8"),
)

LOGIN = "import os, sys; os.login_tty(int(sys.argv[1])); os.execvp(sys.argv[2], sys.argv[2:])"
"""Makes a pseudo-terminal the command's own, so that Ctrl-C typed there reaches it."""


class Terminal:
    """A pseudo-terminal that a command runs on, and what it shows.

    Attributes:
        screen: pyte's.
        codes: everything that was written on it.
    """

    def __init__(self, folder: Path, argv: tuple[str, ...], columns: int, **environ: str) -> None:
        self._primary, secondary = os.openpty()
        self.screen = pyte.Screen(columns, 24)
        self.codes = b""
        self._stream = pyte.ByteStream(self.screen)
        self.resize(columns)
        env = environment(folder, **{"TERM": "xterm-256color", **environ})
        self.process = subprocess.Popen(
            [sys.executable, "-c", LOGIN, str(secondary), *COMMAND, *argv],
            cwd=folder,
            env=env,
            pass_fds=[secondary],
        )
        os.close(secondary)

    def resize(self, columns: int) -> None:
        self.screen.resize(24, columns)
        size = struct.pack("HHHH", 24, columns, 0, 0)
        fcntl.ioctl(self._primary, termios.TIOCSWINSZ, size)

    def type(self, keys: bytes) -> None:
        os.write(self._primary, keys)

    def until(self, text: str) -> list[str]:
        """Read until the screen shows *text*, and return its lines."""
        while text not in "\n".join(self.screen.display):
            if not self._read():
                raise AssertionError(f"{text!r} was not shown: {self.screen.display}")
        return [line.rstrip() for line in self.screen.display if line.strip()]

    def end(self) -> int:
        """Read until the command ends; return its exit status."""
        while self._read():
            pass
        return self.process.wait()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._primary)

    def _read(self) -> bool:
        with suppress(OSError):  # EIO: nobody has the other side open any more
            data = os.read(self._primary, 65536)
            self.codes += data
            self._stream.feed(data)
            return bool(data)
        return False


@contextmanager
def terminal(folder: Path, *argv: str, columns: int = 80, **environ: str) -> Generator[Terminal]:
    opened = Terminal(folder, argv, columns, **environ)
    try:
        yield opened
    finally:
        opened.close()


@pytest.mark.slow
def test_a_run_on_a_terminal_is_resized_and_stopped(tmp_path: Path) -> None:
    write_seeds(tmp_path, 200)
    with terminal(tmp_path, *RUN) as display:
        display.until(" so far, ")
        for columns in (60, 120, 80):
            display.resize(columns)
            lines = display.until("selected by round")
            assert sum(line.startswith("rows ") for line in lines) == 1, lines
            assert sum(" so far, " in line for line in lines) == 1, lines
        display.type(b"\x03")
        stopping = display.until("stopping: ")
        status = display.end()

    assert any("in flight; Ctrl-C again to stop now" in line for line in stopping)
    assert status == 5
    assert b"\x1b[?25l" not in display.codes  # the cursor was never hidden
    assert (tmp_path / "tour" / "alpaca.jsonl").is_file()
    assert "codeclm: to continue: codeclm resume tour" in display.screen.display[22]


def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines(tmp_path: Path) -> None:
    write_seeds(tmp_path, 2)
    with terminal(tmp_path, *RUN[:-4], columns=100, TERM="dumb") as display:
        status = display.end()

    assert b"\x1b" not in display.codes
    assert status in {0, 3}


@pytest.mark.slow
def test_a_resumed_run_goes_on_with_the_rows_it_has(tmp_path: Path) -> None:
    write_seeds(tmp_path, 200)
    with started(*RUN, "--json", cwd=tmp_path) as process:
        before = _json_until(process, lambda line: (line["output"]["rows"] or 0) >= 20)
        process.send_signal(signal.SIGINT)
        process.communicate()
    with started("resume", "tour", "--json", cwd=tmp_path) as process:
        after = _json_until(process, lambda line: line["output"]["rows"] is not None)
        process.kill()
        process.communicate()

    assert after["output"]["rows"] >= before["output"]["rows"]
    assert after["spending"]["calls"] >= before["spending"]["calls"]


@pytest.mark.slow
def test_another_process_watches_a_run_until_it_ends(tmp_path: Path) -> None:
    write_seeds(tmp_path, 200)
    with started(*RUN, "--display", "none", cwd=tmp_path) as run:
        watch = subprocess.Popen(
            [*COMMAND, "status", "tour", "--watch", "--json"],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert watch.stderr is not None
        first = json.loads(watch.stderr.readline())
        mode = (tmp_path / "tour" / "progress.json").stat().st_mode & 0o777
        run.send_signal(signal.SIGINT)
        _, err = run.communicate()
        result, _ = watch.communicate()

    assert mode == 0o600
    assert (run.returncode, watch.returncode) == (5, 0)
    assert "codeclm: stopping: " in err
    assert first["run"] == "tour"
    assert json.loads(result)["ending"] == "stopped"
    assert not (tmp_path / "tour" / "progress.json").exists()


def _json_until(process: subprocess.Popen[str], is_enough: Callable[[Any], bool]) -> dict[str, Any]:
    assert process.stderr is not None
    for text in process.stderr:
        line: dict[str, Any] = json.loads(text)
        if is_enough(line):
            return line
    raise AssertionError("the run ended")


def test_a_run_whose_log_nobody_reads_any_more_goes_on(tmp_path: Path) -> None:
    write_seeds(tmp_path, 30)
    with started(*RUN[:-6], "-n", "60", "--out", "tour", *RUN[-4:], cwd=tmp_path) as run:
        assert run.stderr is not None
        run.stderr.close()
        status = run.wait()

    assert status == 0
    assert (tmp_path / "tour" / "alpaca.jsonl").read_bytes().count(b"\n") == 60


def test_watching_a_run_that_nobody_works_on_is_its_status(tmp_path: Path) -> None:
    write_seeds(tmp_path, 2)
    codeclm(*RUN[:-4], "--display", "none", cwd=tmp_path)
    status = codeclm("status", "tour", cwd=tmp_path)
    watched = codeclm("status", "tour", "--watch", cwd=tmp_path)

    assert (watched.returncode, watched.stdout, watched.stderr) == (0, status.stdout, "")


def test_a_session_that_writes_nothing_new_is_said_to_be_silent(tmp_path: Path) -> None:
    """As while it is stopped by SIGSTOP, or its machine is busy."""
    folder = Folder(tmp_path)
    folder.progress.write_bytes(json_codec.dumps(structs.replace(progress(), written_at=1000.0)))
    fresh, stale = read_progress(folder, now=1001.0), read_progress(folder, now=1072.0)

    assert fresh is not None
    assert stale is not None
    assert state_text(fresh) == state_text(progress())
    assert state_text(stale) == "no news for 1:12: paused, or its machine is busy"


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"run": 1}', b"\xff\xfe", b"[" * 100_000, b'{"share": 1e308}']
)
def test_a_file_of_progress_that_is_damaged_is_no_progress(tmp_path: Path, content: bytes) -> None:
    folder = Folder(tmp_path)
    folder.progress.write_bytes(content)

    assert read_progress(folder) is None
