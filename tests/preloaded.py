"""A process that has imported codeclm already and forks for every command.

Most of what a short command costs is importing the program. A fork of this process has done that,
and is otherwise what a user starts: its own pid, memory, signals, folder and environment. `run`
stands in for `subprocess.run`; the other half runs as ``python -m tests.preloaded FD``.

Variables that the interpreter reads at its start, as PYTHONHASHSEED, are the one thing a fork
cannot change: a command with one of its own is started as a new process.
"""

import atexit
import gc
import json
import os
import pkgutil
import resource
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import IO, NoReturn

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT = 120.0
"""Seconds after which a command is taken to hang."""

_INTERPRETER = ("PYTHON", "LC_", "LANG", "MALLOC")
"""Beginnings of variables that are read before any Python code runs."""

_lock = Lock()


def run(
    arguments: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    memory: int | None = None,
    timeout: float = TIMEOUT,
) -> subprocess.CompletedProcess[str]:
    """Run ``codeclm`` with *arguments* to its end and capture what it prints.

    Args:
        arguments: without the program's name.
        cwd: the folder to start it in.
        env: its environment.
        memory: most bytes of its address space, if it is forked.
        timeout: seconds after which it is killed.

    Raises:
        TimeoutError: it was.
    """
    if not hasattr(socket, "send_fds") or any(
        name.startswith(_INTERPRETER) and value != os.environ.get(name)
        for name, value in env.items()
    ):
        return _run_new(arguments, cwd, env, timeout)
    with _output_file() as out, _output_file() as err:
        command = json.dumps([list(arguments), str(cwd), dict(env), memory]).encode()
        status = _status(command, out, err, timeout)
        return subprocess.CompletedProcess(list(arguments), status, _text(out), _text(err))


def _run_new(
    arguments: Sequence[str], cwd: Path, env: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [sys.executable, "-m", "codeclm.engine", *arguments],
            cwd=cwd,
            env=env,
            capture_output=True,
            encoding="utf-8",
            errors="backslashreplace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError from error


def _output_file() -> IO[str]:
    return tempfile.TemporaryFile("w+", encoding="utf-8", errors="backslashreplace", newline="")


def _text(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def _status(command: bytes, out: IO[str], err: IO[str], timeout: float) -> int:
    ours, theirs = socket.socketpair()
    with ours, ours.makefile("r") as answers:
        with theirs, _lock:
            control = _preloaded()
            fds = [out.fileno(), err.fileno(), theirs.fileno()]
            socket.send_fds(control, [len(command).to_bytes(4, "big")], fds)
            control.sendall(command)
        pid = int(answers.readline())
        ours.settimeout(timeout)
        try:
            return os.waitstatus_to_exitcode(int(answers.readline()))
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            raise


@cache
def _preloaded() -> socket.socket:
    """Start the process, which ends when the returned socket is closed: when this process ends."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.preloaded", str(theirs.fileno())],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours


# -- the other process ------------------------------------------------------------------------


def _import_everything() -> None:
    for name in ("engine", "providers", "prompts"):
        package = import_module(f"codeclm.{name}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                import_module(module.name)
    for name in ("uvloop", "anyio._backends._asyncio"):  # imported when a loop starts
        import_module(name)
    gc.collect()
    gc.freeze()  # forks share what is loaded: a collection need not look at it


def _serve(control: socket.socket) -> None:
    """Fork for every command that comes in, until nobody can send one."""
    while True:
        header, fds, _, _ = socket.recv_fds(control, 4, 3)
        if not header:
            return
        size = int.from_bytes(header, "big")
        command = bytearray()
        while len(command) < size:
            if not (chunk := control.recv(size - len(command))):
                return  # the other process was killed while it sent
            command += chunk
        if os.fork() == 0:
            control.close()
            _supervise(json.loads(command), *fds)
        for fd in fds:
            os.close(fd)
        _reap()


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _supervise(command: "Command", out: int, err: int, to: int) -> None:
    """Fork once more, tell the command's pid and how it ended, and end."""
    pid = os.fork()
    if pid == 0:
        os.close(to)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.closerange(3, max(out, err) + 1)
        _become(*command)
    os.write(to, f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    os.write(to, f"{status}\n".encode())
    os._exit(0)


Command = tuple[list[str], str, dict[str, str], int | None]
"""Arguments, folder, environment, memory."""


def _become(arguments: list[str], cwd: str, env: dict[str, str], memory: int | None) -> NoReturn:
    if memory is not None:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv[1:] = arguments
    raise SystemExit(import_module("codeclm.engine.cli").main(arguments))


if __name__ == "__main__":
    sys.path[:] = [folder for folder in sys.path if folder != str(ROOT)]
    _import_everything()
    _serve(socket.socket(fileno=int(sys.argv[1])))
