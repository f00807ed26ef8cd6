"""SIGTERM at any moment of the command: a line, exit 5, and a run that goes on."""

import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from .commands import COMMAND, environment, started, write_seeds

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


@pytest.mark.parametrize("delay", [0.0, 0.002, 0.02, 0.2])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_two_signals_at_any_distance_end_a_run_that_waits(
    tmp_path: Path, second: signal.Signals, delay: float
) -> None:
    """The session may be over before the second comes: it must not interrupt the ending loop."""
    write_seeds(tmp_path, 2)
    dead = ("--strong", "vllm/s", "--target", "vllm/t", "--base-url", "http://127.0.0.1:9/v1")
    process = started(
        *("run", "--seeds", "seeds.jsonl", *dead, "--out", "r", "--no-preflight"), cwd=tmp_path
    )
    _wait_for(tmp_path / "r" / "progress.json")
    process.send_signal(signal.SIGTERM)
    time.sleep(delay)  # what is tested is the distance
    with suppress(ProcessLookupError):
        process.send_signal(second)
    _, shown = process.communicate(timeout=60)

    assert process.returncode == 5, shown
    assert "Traceback" not in shown
    assert shown.count("codeclm resume r") == 1


def _wait_for(file: Path) -> None:
    while not file.exists():
        time.sleep(0.01)
