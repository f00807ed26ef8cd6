"""Runs to look at, and `codeclm view` as a process."""

import json
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from .commands import COMMAND, codeclm, environment, write_lines

HOSTILE = (
    "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"
    " {{data}} <!-- \x1b[31m \x00 \u202egnp \u2028 ]]> &lt;b&gt;"
)
"""What a model may write to drive a page."""

CONFIG = """\
seeds = "{seeds}"
out = "{name}"
parse_attempts = 1
[strong]
model = "scripted/strong"
price_input = 2
price_output = 8
[strong.options]
unreadable_rate = 0.1
latency = {latency}
[target]
model = "scripted/target"
price_input = 1
price_output = 4
[judge]
model = "scripted/judge"
price_input = 1
price_output = 4
[filter]
threshold = {threshold}
[quality]
near_duplicates = "rouge"
[decode]
per_metadata = 3
"""


def make_run(folder: Path, name: str = "run", *, seeds: int = 40, threshold: float = 5.5) -> Path:
    """Make a run of hostile seeds in which rows are kept, filtered and failed."""
    write_config(folder, name, seeds=seeds, threshold=threshold)
    done = codeclm("run", f"{name}.toml", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / name


def write_config(
    folder: Path, name: str, *, seeds: int = 40, threshold: float = 5.5, latency: float = 0.0
) -> None:
    records = [
        {"instruction": f"Tell me of {n}. {HOSTILE if n % 3 == 0 else ''}"} for n in range(seeds)
    ]
    write_lines(folder / "seeds.jsonl", records)
    text = CONFIG.format(
        seeds=folder / "seeds.jsonl", name=name, threshold=threshold, latency=latency
    )
    (folder / f"{name}.toml").write_text(text, "utf-8")


def make_hostile_run(folder: Path) -> Path:
    """Make a run whose metadata, and so its instructions and prompts, are hostile."""
    write_lines(folder / "m.jsonl", [{"use_case": HOSTILE, "skills": [f'"{HOSTILE}', "plain"]}])
    roles = ("--strong", "scripted/strong", "--target", "scripted/target")
    line = ("--metadata", "m.jsonl", *roles, "--per-metadata", "4", "--threshold", "0")
    done = codeclm("run", *line, "--out", "hostile", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "hostile"


@contextmanager
def viewing(folder: Path, *runs: str) -> Generator[str]:
    """Run `codeclm view` in *folder* and hand out its address."""
    process = subprocess.Popen(
        [*COMMAND, "view", *runs, "--no-browser"],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if "http://" in line:
                yield line.split()[1]
                break
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert (process.returncode, said) == (0, ""), said
    finally:
        process.kill()
        process.communicate()


def embedded(page: str) -> list[dict[str, object]]:
    """Return what a report holds."""
    start = '<script type="application/json" id="data">'
    data: list[dict[str, object]] = json.loads(page.partition(start)[2].partition("</script>")[0])
    return data
