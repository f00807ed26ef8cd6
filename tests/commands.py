"""The command as a user runs it: a process of its own, in a folder of the test's."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import preloaded

COMMAND = (sys.executable, "-m", "codeclm.engine")


def environment(folder: Path, **more: str) -> dict[str, str]:
    """This process's, without its keys, and with a cache in *folder*."""
    clean = {k: v for k, v in os.environ.items() if not k.endswith(("_API_KEY", "_BASE_URL"))}
    return {**clean, **_folders(folder), "NO_COLOR": "1", **more}


def _folders(folder: Path) -> dict[str, str]:
    """The user's own folders, in *folder*."""
    return {
        "CODECLM_CACHE_DIR": str(folder / "cache"),
        "XDG_STATE_HOME": str(folder / "state"),
    }


def codeclm(*argv: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return preloaded.run(argv, cwd=cwd, env=environment(cwd, **environ))


def started(*argv: str, cwd: Path, **environ: str) -> subprocess.Popen[str]:
    """Begin the command, and return once it says in which folder it works."""
    process = subprocess.Popen(
        [*COMMAND, *argv],
        cwd=cwd,
        env=environment(cwd, **environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("codeclm: ")
    return process


def write_seeds(folder: Path, count: int = 12, name: str = "seeds.jsonl") -> Path:
    return write_lines(folder / name, ({"instruction": f"Tell me of {n}."} for n in range(count)))


def write_lines(path: Path, records: Iterable[Any]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return path
