"""What holds after every command, whatever it was given."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from codeclm.engine.commands.exit_status import ExitStatus

SECRETS = {
    "OPENAI_API_KEY": "sk-proj-Zx81kQ4vT7mB2pL9wR3yN6",
    "ANTHROPIC_API_KEY": "sk-ant-api03-Hq7yW2nE5tU8iO1pA4sD",
    "GEMINI_API_KEY": "AIzaSyD4fG7hJ0kL3zX6cV9bN2mQ5wE8rT1yU",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI7K7MDENGbPxRfiCYCANARY",
    "GITHUB_TOKEN": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
}
"""Variables of the environment, and what they hold."""

_RAW = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_FRAME = re.compile(r'File "[^"]*?(?:codeclm|site-packages|lib/python[^/]*)/([^"]*)", line (\d+)')
_COMPLAINTS = ("Exception ignored", "never retrieved", "was never awaited", "Fatal Python error")


def problems(done: subprocess.CompletedProcess[str], folder: Path) -> Iterator[str]:
    """Yield what *done*, a command in *folder*, has done that no command may."""
    if done.returncode not in set(ExitStatus):
        yield f"exit status {done.returncode}"
    output = done.stdout + done.stderr
    if "Traceback (most recent call last)" in output:
        yield f"traceback: {_place(output)}"
    yield from (f"{complaint!r} in the output" for complaint in _COMPLAINTS if complaint in output)
    if (match := _RAW.search(output)) is not None:
        yield f"raw {match[0]!r} in the output"
    if done.returncode == ExitStatus.WRONG_INPUT and not done.stderr.strip():
        yield "exit status 2 without a word"
    yield from _leaks(output, folder)


def _place(output: str) -> str:
    """Return the innermost frame of ours, and the error."""
    frames = _FRAME.findall(output)
    error = next((line for line in reversed(output.splitlines()) if "Error" in line), "")
    ours = [f"{name}:{line}" for name, line in frames if name.startswith(("engine", "providers"))]
    return f"{(ours or ['?'])[-1]} {error.strip('| ')[:100]}"


def _leaks(output: str, folder: Path) -> Iterator[str]:
    for name, secret in SECRETS.items():
        if secret in output:
            yield f"{name} in the output"
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink() and secret.encode() in path.read_bytes():
                yield f"{name} in {path.relative_to(folder)}"
