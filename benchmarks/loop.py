"""What rounds of `codeclm loop` do to a small model's held-out accuracy, with three seeds.

    scripts/bench loop

The example's own files (``examples/loop``): a Llama of 112,000 parameters that knows short tasks, a
strong model and a judge that are programs, a held-out test set. Each seed samples other
instructions and trains in another order; all begin with the same model. Beside each loop two
controls: ``codeclm-metadata``, whose rows are not chosen by what the target gets wrong, and
``at-once``, as many rows as the loop has in the end, all of them made with the untuned target.
Needs the extra ``train``. With ``--folder`` it continues what it did there.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .measuring import announce, arguments, keep, show

ROOT = Path(__file__).resolve().parents[1]


class Arm(NamedTuple):
    """A loop to compare."""

    name: str
    recipe: str
    rounds: int
    rows: int
    """Of each round."""


def main() -> None:
    job, args = arguments(__doc__, _add_folder)
    about = announce("loop")
    seeds, rounds, rows, steps = job.pick((1, 1, 20, 20), (1, 1, 20, 20), (3, 3, 480, 600))
    arms = (
        Arm("codeclm", "codeclm", rounds, rows),
        Arm("codeclm-metadata", "codeclm-metadata", rounds, rows),
        Arm("at-once", "codeclm", 1, rounds * rows),
    )
    with tempfile.TemporaryDirectory(prefix="codeclm-loop-") as name:
        folder = args.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "runs" / "letters" / "model" / "config.json").exists():
            _python(
                folder, str(ROOT / "examples/loop/start.py"), "runs/letters", "--steps", str(steps)
            )
        table: list[dict[str, Any]] = []
        for seed in range(seeds):
            for arm in arms:
                table += _loop(folder, arm, seed)
                show(f"{arm.name}, seed {seed}", table[-arm.rounds - 1 :])
    show(f"{rows:,} rows a round", table)
    keep(job, "loop", about, {"rounds": table})


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", type=Path, help="where to work; the same one continues")


def _loop(folder: Path, arm: Arm, seed: int) -> list[dict[str, Any]]:
    """Carry out a loop and return its table."""
    settings = (
        f"run.recipe={arm.recipe}",
        f"run.seed={1000 * seed}",
        f"run.target_rows={arm.rows}",
        f"run.strong.prompts={ROOT / 'examples/loop/prompts'}",
        f"tune.seed={seed}",
    )
    flags = [word for setting in settings for word in ("--set", setting)]
    out = ("--out", f"runs/letters/{arm.name}-{seed}", "--rounds", str(arm.rounds))
    config = str(ROOT / "examples/loop/loop.toml")
    record = json.loads(
        _python(folder, "-m", "codeclm.engine", "loop", config, *out, "--json", *flags)
    )
    return [{"loop": arm.name, "seed": seed, **dict(_figures(one))} for one in record["rounds"]]


def _figures(record: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    run: dict[str, Any] = record["run"] or {}
    tuning: dict[str, Any] = record["tuning"] or {}
    result: dict[str, Any] = record["evaluation"]
    yield "round", record["number"]
    yield "rows", run.get("rows", "")
    yield "selected", _selected(run)
    yield "at once", run.get("by_iteration", {}).get("1", "")
    yield "trained on", tuning.get("rows", "")
    yield "overlapping", tuning.get("overlapping", "")
    yield "accuracy", result["crr"]
    yield "95 %", f"{result['interval']['low']:.1f} to {result['interval']['high']:.1f}"
    for name in ("to_start", "to_previous"):
        yield name, _points(result[name])
    yield "calls", run.get("calls", "")
    yield "seconds", round(sum(record["seconds"].values()))


def _selected(run: dict[str, Any]) -> str:
    rate: dict[str, Any] = run.get("selection", {})
    return f"{rate['selected']} of {rate['scored']}" if rate.get("scored") else ""


def _points(difference: dict[str, Any] | None) -> str:
    if difference is None:
        return ""
    points = difference["points"]
    return f"{points['mean']:+.1f} ({points['low']:+.1f} to {points['high']:+.1f})"


def _python(folder: Path, *argv: str) -> str:
    path = [str(ROOT / "examples/loop"), os.environ.get("PYTHONPATH", "")]
    ended = subprocess.run(
        [sys.executable, *argv],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            "CODECLM_CACHE_DIR": str(folder.resolve() / "cache"),
        },
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if ended.returncode not in {0, 3}:
        raise SystemExit(f"{' '.join(argv)}: exit status {ended.returncode}")
    return ended.stdout


if __name__ == "__main__":
    main()
