"""``plan --from``: a pilot's rates tell what its run takes, or the pilot is refused."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from .commands import codeclm, write_seeds

SHARED = Path(__file__).parents[2] / "shared" / "data"
EVOL, VICUNA = SHARED / "evol_instruct_testset.jsonl", SHARED / "vicuna_bench_question.jsonl"
MODELS = ("--strong", "scripted/strong", "--target", "scripted/target")
PRICES = tuple(
    word
    for role in ("strong", "target")
    for word in (*("--set", f"{role}.price_input=2", "--set", f"{role}.price_output=8"),)
)


class Case(NamedTuple):
    """A run, and what makes its pilot small."""

    seeds: Path
    run: tuple[str, ...]
    pilot: tuple[str, ...]


def json_of(folder: Path, *argv: str, cache: str = "cache") -> dict[str, Any]:
    done = codeclm(*argv, "--json", cwd=folder, CODECLM_CACHE_DIR=str(folder / cache))
    assert done.returncode in {0, 3}, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def forecast_and_run(folder: Path, case: Case) -> tuple[dict[str, Any], dict[str, Any]]:
    line = ("--seeds", str(case.seeds), *MODELS, *PRICES, *case.run)
    json_of(folder, "run", *line, *case.pilot, "--out", "pilot")
    expected = json_of(folder, "plan", *line, "--from", "pilot")
    return expected, json_of(folder, "run", *line, "--out", "run", cache="another")


def check(expected: dict[str, Any], run: dict[str, Any]) -> None:
    calls, money = expected["calls"], expected["money"]
    assert calls["mean"] == pytest.approx(run["calls_in_all"], rel=0.15)
    assert money["mean"] == pytest.approx(run["money_in_all"], rel=0.15)
    assert calls["low"] <= run["calls_in_all"] <= calls["high"]
    assert sum(cost["calls"] for cost in expected["costs"]) == calls["mean"]


@pytest.mark.parametrize(
    ("run", "pilot"),
    [
        (("--target-rows", "150"), ("--limit", "40", "--target-rows", "40")),
        (("--per-metadata", "3", "--threshold", "4"), ("--limit", "20", "--threshold", "10")),
    ],
)
def test_a_pilot_tells_what_a_run_takes_also_at_a_lower_threshold(
    tmp_path: Path, run: tuple[str, ...], pilot: tuple[str, ...]
) -> None:
    seeds = write_seeds(tmp_path, 100)
    expected, taken = forecast_and_run(tmp_path, Case(seeds, run, pilot))

    check(expected, taken)
    rows = expected["rows_per_instruction"]
    assert rows["low"] <= taken["rows"] / taken["instructions"]["input"] <= rows["high"]


FORECASTS = {
    "evol, N 200": Case(EVOL, ("--target-rows", "200"), ("--limit", "60", "--target-rows", "60")),
    "evol, N 500, augmented": Case(
        EVOL,
        ("--target-rows", "500", "--augment-to", "200"),
        ("--limit", "40", "--target-rows", "60", "--augment-to", "40"),
    ),
    "evol, 5 each, theta 5": Case(
        EVOL, ("--per-metadata", "5", "--threshold", "5"), ("--limit", "30", "--threshold", "10")
    ),
    "vicuna, N 100, wizardlm-plus": Case(
        VICUNA,
        ("--target-rows", "100", "--recipe", "wizardlm-plus"),
        ("--limit", "30", "--target-rows", "30"),
    ),
    "vicuna, N 160, wizardlm": Case(
        VICUNA,
        ("--target-rows", "160", "--recipe", "wizardlm"),
        ("--limit", "40", "--target-rows", "60"),
    ),
    "evol, N 200, alpagasus": Case(
        EVOL,
        ("--target-rows", "200", "--recipe", "alpagasus"),
        ("--limit", "100", "--target-rows", "40"),
    ),
}


@pytest.mark.slow
@pytest.mark.skipif(not EVOL.exists(), reason="the test sets are not beside the repository")
@pytest.mark.parametrize("name", FORECASTS)
def test_runs_whose_bounds_are_up_to_16_fold_apart(tmp_path: Path, name: str) -> None:
    check(*forecast_and_run(tmp_path, FORECASTS[name]))


@pytest.fixture(scope="module")
def piloted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pilot of 40 instructions, and one of 8."""
    folder = tmp_path_factory.mktemp("piloted")
    write_seeds(folder, 60)
    for name, limit in (("pilot", "20"), ("small", "4")):
        json_of(folder, "run", *PILOT, "--limit", limit, "--out", name)
    json_of(folder, "run", *PILOT, *CONFIRM, "--limit", "20", "--out", "confirmed")
    return folder


CONFIRM = ("--set", "filter.confirm=true", "--set", "judge.temperature=1")
PILOT = ("--seeds", "seeds.jsonl", *MODELS, "--per-metadata", "2")


@pytest.mark.parametrize(
    ("pilot", "flags", "says"),
    [
        ("small", (), "8 instructions say too little"),
        ("pilot", ("--threshold", "6"), "make a pilot with --threshold 6 or more"),
        ("pilot", ("--strong", "scripted/other"), "strong.model"),
        ("pilot", ("--max-iterations", "2"), "filter.max_iterations: 4 → 2"),
        ("confirmed", (*CONFIRM, "--threshold", "2"), "make a pilot with --threshold 2"),
        ("nowhere", (), "not a run's folder"),
    ],
)
def test_a_pilot_that_says_nothing_is_refused_in_one_line(
    piloted: Path, pilot: str, flags: tuple[str, ...], says: str
) -> None:
    done = codeclm("plan", *PILOT, *flags, "--from", pilot, cwd=piloted)

    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert says in done.stderr


def test_an_unfinished_pilot_is_refused(tmp_path: Path) -> None:
    write_seeds(tmp_path, 60)
    codeclm("run", *PILOT, "--limit", "30", "--max-calls", "250", "--out", "pilot", cwd=tmp_path)
    done = codeclm("plan", *PILOT, "--from", "pilot", cwd=tmp_path)

    assert done.returncode == 2
    assert "not finished" in done.stderr
    assert "codeclm resume pilot" in done.stderr


def test_other_seeds_are_a_warning_and_a_bound_that_is_too_low_too(piloted: Path) -> None:
    write_seeds(piloted, 30, "others.jsonl")
    others = ("--seeds", "others.jsonl", *PILOT[2:], "--target-rows", "60", "--threshold", "2.9")
    bound = ("--set", "max_candidates=60")
    text = codeclm("plan", *others, *bound, "--from", "pilot", cwd=piloted).stdout

    assert "warning: the pilot had other seeds" in text
    assert "expected by the rates of pilot" in text
    assert "at least" in text


def test_a_judge_that_throws_dice_is_a_warning(tmp_path: Path) -> None:
    write_seeds(tmp_path, 40)
    (tmp_path / "dice.py").write_text(
        "import random\ndef throw(i, a): return random.randint(1, 10)\n"
    )
    line = (*PILOT, "--judge", "python/dice:throw")
    environ = {"PYTHONPATH": str(tmp_path)}
    codeclm("run", *line, "--limit", "20", "--out", "pilot", cwd=tmp_path, **environ)
    done = codeclm("plan", *line, "--from", "pilot", cwd=tmp_path, **environ)

    assert "warning: the judge is not reliable" in done.stdout


def test_a_pilot_of_cached_answers_knows_no_pace(piloted: Path) -> None:
    json_of(piloted, "run", *PILOT, "--limit", "20", "--out", "again")
    paid, cached = (json_of(piloted, "plan", *PILOT, "--from", name) for name in ("pilot", "again"))

    assert paid["seconds"] is not None
    assert cached["seconds"] is None
    assert cached["calls"]["mean"] == paid["calls"]["mean"]
