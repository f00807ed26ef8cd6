"""How often a judge that errs selects pairs that are truly far apart, and what each costs.

    scripts/bench judges

Runs the real command with scripted models and judges that are programs (``python/…``). An answer
has a latent quality; a judge sees it with its own error. A selected pair is true if the latent gap
exceeds θ, too, for the same answer. The paper's rule is compared with ``filter.samples``,
``filter.confirm``, three judges of the kind, and the mean over log-probabilities.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from . import simulated_judges
from .measuring import announce, arguments, keep, show
from .simulated_judges import NAMES, latent, serving

THREE = ("", "_2", "_3")


def rules(judge: str, address: str) -> dict[str, tuple[str, ...]]:
    """Return the flags of each rule, for a judge whose server is at *address*."""
    one = ("--judge", f"python/simulated_judges:{judge}", "--set", "judge.temperature=1")
    three = [
        word
        for number in THREE
        for word in (
            *("--set", f"judges.j{number}.model=python/simulated_judges:{judge}{number}"),
            *("--set", f"judges.j{number}.temperature=1"),
        )
    ]
    server = ("--judge", f"vllm/{judge}", "--set", f"judge.base_url={address}")
    return {
        "paper": one,
        "confirm": (*one, "--set", "filter.confirm=true"),
        "samples 2": (*one, "--set", "filter.samples=2"),
        "samples 4": (*one, "--set", "filter.samples=4"),
        "3 judges": tuple(three),
        "logprobs": (*server, "--set", "judge.score=logprobs"),
    }


class Result(NamedTuple):
    """Instructions scored and selected, those selected rightly, and paid or free calls."""

    scored: int
    selected: int
    true: int
    target_kept: int
    calls: int


def main() -> None:
    job, _ = arguments(__doc__)
    about = announce("judges")
    seeds, judges = job.pick((5, ("exact", "dice")), (20, NAMES), (60, NAMES))
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="codeclm-judges-") as name, serving() as address:
        folder = Path(name)
        shutil.copy(simulated_judges.__file__, folder / "simulated_judges.py")
        lines = (json.dumps({"instruction": f"Tell me of {n}."}) + "\n" for n in range(seeds))
        (folder / "seeds.jsonl").write_text("".join(lines))
        for judge in judges:
            for rule, flags in rules(judge, address).items():
                rows.append(_row(judge, rule, _run(folder, judge, rule, flags)))
                show(f"{judge}, {rule}", rows[-1:])
    show(f"{seeds} seeds of 5 instructions, θ = 3", rows)
    keep(job, "judges", about, {"rows": rows})


def _run(folder: Path, judge: str, rule: str, flags: Iterable[str]) -> Result:
    out = f"{judge}-{rule.replace(' ', '-')}"
    _codeclm(
        folder,
        "run",
        *("--seeds", "seeds.jsonl", "--strong", "scripted/strong", "--target", "scripted/target"),
        *("--per-metadata", "5", "--out", out, "--display", "none", *flags),
    )
    listed = _codeclm(folder, "inspect", out, "--json", "--limit", "1000000")
    return _count([json.loads(line) for line in listed.splitlines()])


def _codeclm(folder: Path, *argv: str) -> str:
    environ = {**os.environ, "PYTHONPATH": str(folder), "CODECLM_CACHE_DIR": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, "-m", "codeclm.engine", *argv],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in {0, 3}:
        raise RuntimeError(done.stderr)
    return done.stdout


def _count(examples: list[dict[str, Any]]) -> Result:
    true = target_kept = 0
    selected = [one for one in examples if one.get("winner")]
    for example in selected:
        last = example["iterations"][-1]
        gap = latent(last["strong"]["text"]) - latent(last["target"]["text"])
        winner = example["winner"]
        true += gap > 3 if winner == "strong" else gap < -3
        target_kept += winner == "target"
    calls = sum(len(example["calls"]) for example in examples)
    return Result(len(examples), len(selected), true, target_kept, calls)


def _row(judge: str, rule: str, result: Result) -> dict[str, Any]:
    scored, selected, true, target_kept, calls = result
    return {
        "judge": judge,
        "rule": rule,
        "scored": scored,
        "selected": selected,
        "truly, %": round(100 * true / selected) if selected else "-",
        "target's kept": target_kept,
        "calls": calls,
        "calls/true pair": round(calls / true, 1) if true else "-",
    }


if __name__ == "__main__":
    main()
