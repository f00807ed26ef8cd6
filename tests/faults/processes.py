"""Start the fault server and real ``codeclm`` processes, and talk to them."""

import http.client
import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from .. import preloaded
from .server import Ask, Seen, Settings, Totals

T = TypeVar("T")

HANGS = 100.0
"""Seconds after which a process is taken to hang; a busy machine needs a tenth of it."""

ROOT = Path(__file__).resolve().parents[2]


class FaultServer:
    """A running server, and its control path."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        where = json.loads(process.stdout.readline())
        self.process = process
        self.url: str = where["api"]
        self._control = http.client.HTTPConnection(where["control"].removeprefix("http://"))

    def set(self, settings: Settings | None = None, **values: Any) -> None:
        """Change how the server behaves from now on; what it counted stays."""
        self._ask("set", settings or Settings(**values))

    def reset(self, settings: Settings | None = None, **values: Any) -> None:
        """Change how it behaves and forget what it counted."""
        self._ask("reset", settings or Settings(**values))

    def seen(self) -> list[Seen]:
        return msgspec.json.decode(self._ask("seen"), type=list[Seen])

    def totals(self) -> Totals:
        return msgspec.json.decode(self._ask("totals"), type=Totals)

    def wait(self, answered: int, *, purpose: str = "", timeout: float = 0.2) -> Totals:
        """Wait until so many requests were answered, *timeout* seconds at most."""
        told = self._ask("wait", Ask(answered, purpose, timeout))
        return msgspec.json.decode(told, type=Totals)

    def refuse(self, seconds: float) -> None:
        """Refuse all connections for a while."""
        self._ask("refuse", seconds)

    def close(self) -> None:
        self._control.close()
        self.process.terminate()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _ask(self, what: str, value: Any = None) -> bytes:
        self._control.request("POST", f"/control/{what}", msgspec.json.encode(value))
        return self._control.getresponse().read()


@contextmanager
def fault_server() -> Generator[FaultServer]:
    """Start a server in a process of its own, and end it."""
    command = [sys.executable, "-m", f"{__package__}.server"]
    server = FaultServer(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE))
    try:
        yield server
    finally:
        server.close()


def command(*arguments: object) -> list[str]:
    """A ``codeclm`` command line."""
    return [str(Path(sysconfig.get_path("scripts")) / "codeclm"), *map(str, arguments)]


def codeclm(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run ``codeclm`` in *cwd* to its end."""
    return preloaded.run([str(argument) for argument in arguments], cwd=cwd, env=environment())


def environment(**more: str) -> Mapping[str, str]:
    """Nothing of the user's but what a process needs to start."""
    kept = {
        name: os.environ[name]
        for name in ("PATH", "HOME", "LANG", "PYTHONPATH")
        if name in os.environ
    }
    return {**kept, **more}


def write_seeds(path: Path, number: int, *, start: int = 0) -> Path:
    """Write *number* seeds, each another one."""
    lines = [
        json.dumps({"instruction": f"Explain topic number {n} to a beginner, in plain words."})
        for n in range(start, start + number)
    ]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path
