"""Carry out cases, one after another, and collect what went wrong."""

import os
import shutil
import subprocess
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random

from msgspec import Struct

from .. import preloaded
from ..commands import environment
from .families import FAMILIES, RUN, Surroundings, write_seeds
from .invariants import SECRETS, problems
from .server import Server, damaging_server

TIMEOUT = 60.0
"""Seconds of one command; a busy machine needs a few."""

MEMORY = 2 << 30
"""Bytes of address space, of which a command that does nothing takes 0.6 GB."""


class Finding(Struct, frozen=True):
    """Something that no command may do."""

    family: str
    number: int
    problem: str
    command: Sequence[str]


class Fuzzer:
    """Carries out cases in folders below *folder*; that of a case with findings stays."""

    def __init__(self, folder: Path, *, seed: int, server: Server) -> None:
        self._folder = folder
        self._seed = seed
        self._server = server
        self._surroundings = Surroundings(folder / "finished", server.url)
        self.commands = 0
        self.statuses: dict[int, int] = {}

    def prepare(self) -> None:
        """Make the finished run that strangers' folders are made of."""
        home = self._surroundings.finished
        home.mkdir(parents=True)
        write_seeds(home)
        for line in (RUN, ("review", "export", "r", "--to", "rev.csv")):
            done = _run(line, home)
            if done.returncode:
                raise RuntimeError(f"{line}: {done.stderr}")

    def case(self, number: int, family: str | None = None) -> list[Finding]:
        """Carry out case *number*; the same seed and number damage the same things."""
        dice = Random(f"{self._seed}/{number}")
        name = family or tuple(FAMILIES)[number % len(FAMILIES)]
        folder = self._folder / f"case-{number}"
        folder.mkdir()
        self._server.reset(f"{self._seed}/{number}")
        findings = list[Finding]()
        for command in FAMILIES[name](dice, folder, self._surroundings):
            found = self._command(command, folder)
            findings += [Finding(name, number, problem, command) for problem in found]
        if not findings:
            shutil.rmtree(folder)
        return findings

    def _command(self, command: Sequence[str], folder: Path) -> Iterator[str]:
        self.commands += 1
        try:
            done = _run(command, folder)
        except TimeoutError:
            yield f"{command[0]} takes more than {TIMEOUT:g} s"
            return
        self.statuses[done.returncode] = self.statuses.get(done.returncode, 0) + 1
        yield from problems(done, folder)


def _run(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environ = environment(folder, **SECRETS)
    if any(word.endswith(".parquet") for word in command):
        environ["PYTHONHASHSEED"] = "1"  # a new process: Arrow's threads do not bear a fork
    return preloaded.run(command, cwd=folder, env=environ, memory=MEMORY, timeout=TIMEOUT)


@contextmanager
def fuzzer(folder: Path, *, seed: int) -> Generator[Fuzzer]:
    """Return a fuzzer with a server of its own."""
    before = os.umask(0o077)
    try:
        with damaging_server() as server:
            made = Fuzzer(folder, seed=seed, server=server)
            made.prepare()
            yield made
    finally:
        os.umask(before)
