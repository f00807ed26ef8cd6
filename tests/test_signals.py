"""SIGTERM at any moment of the command: a line, exit 5, and a run that goes on."""

import subprocess
from pathlib import Path

import pytest

from .commands import COMMAND, environment, write_seeds

HOOK = """
import os, signal, sys

pending = [signal.SIGTERM]

def hook(event, arguments):
    if pending and event == {event!r} and {text!r} in str(arguments[0]):
        pending.clear()
        os.kill(os.getpid(), signal.SIGTERM)

sys.addaudithook(hook)
"""
"""Python runs it at its start; it sends the signal when an audit event comes."""

RUN = (
    *("run", "--seeds", "seeds.jsonl", "--strong", "scripted/s", "--target", "scripted/t"),
    *("--per-metadata", "1", "--out", "r", "--display", "none"),
)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ("import", "codeclm.engine.commands.sessions"),
        ("import", "codeclm.engine.pipeline.session"),
        ("open", "seeds.jsonl"),
        ("os.rename", ".alpaca.jsonl."),
        ("os.rename", ".summary.json."),
    ],
)
def test_sigterm_ends_the_command_with_a_line(tmp_path: Path, event: str, text: str) -> None:
    write_seeds(tmp_path, 2)
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(HOOK.format(event=event, text=text))
    stopped = _run(tmp_path, PYTHONPATH=str(tmp_path / "hook"))
    again = _run(tmp_path)

    assert stopped.returncode == 5, (stopped.returncode, stopped.stderr)
    assert "codeclm: interrupted" in stopped.stderr
    assert stopped.stderr.count("continue") == 1
    assert "Traceback" not in stopped.stderr
    assert again.returncode == 0, again.stderr


def _run(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *RUN],
        cwd=folder,
        env=environment(folder, **environ),
        capture_output=True,
        text=True,
        check=False,
    )
