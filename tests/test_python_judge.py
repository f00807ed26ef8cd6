"""A model that is a program: a function of the user's own."""

import json
import sys
from importlib import invalidate_caches
from pathlib import Path
from typing import Any

import pytest

from codeclm.providers.base import Denied, Message, Rejected, Request
from codeclm.providers.python.naming import find_function
from codeclm.providers.python.provider import PythonFunction, open_function

from .commands import codeclm, write_seeds

JUDGE = """
import numbers

def length(instruction, answer):
    assert instruction and answer
    return min(10, len(answer) / 40)

async def even(instruction, answer):
    return len(answer) % 2 == 0

def nothing(instruction, answer):
    return None

def text(instruction, answer):
    return "8"

def high(instruction, answer):
    return 11

def infinite(instruction, answer):
    return float("inf")

def endless(instruction, answer):
    return 10 ** 400

def unprintable(instruction, answer):
    return 10 ** 5000

def failing(instruction, answer):
    raise LookupError("no key for this task")

def sampler(messages, *, sample):
    return sample

def parrot(messages):
    role, content = messages[-1]["role"], messages[-1]["content"]
    if "none" in content:
        return None
    return 7 if "seven" in content else f"{role}: {content}"

value = 8
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path with the package ``judging``, which has a module ``tasks``."""
    folder = tmp_path / "site" / "judging"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported to be found')")
    (folder / "tasks.py").write_text(JUDGE)
    (tmp_path / "site" / "judged.py").write_text(JUDGE)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    invalidate_caches()
    return tmp_path / "site"


async def opened(function: str) -> PythonFunction:
    return await open_function(f"judged:{function}")


def question(instruction: str, first: str, second: str) -> Request:
    return Request(
        model="judged:length",
        messages=(
            Message("system", instruction),
            Message("assistant", first),
            Message("user", second),
        ),
        purpose="score",
    )


async def test_each_answer_gets_its_score_in_the_order_asked(package: Path) -> None:
    judge = await opened("length")

    there = await judge.complete(question("{{x}} ---\n", "a" * 100, "b" * 300))
    back = await judge.complete(question("{{x}} ---\n", "b" * 300, "a" * 100))

    assert (there.text, back.text) == ("2.5 7.5", "7.5 2.5")


async def test_a_coroutine_function_and_truth_values_are_scores(package: Path) -> None:
    reply = await (await opened("even")).complete(question("i", "ab", "abc"))

    assert reply.text == "10 0"


@pytest.mark.parametrize(
    ("function", "error", "says"),
    [
        ("nothing", Rejected, "returned None"),
        ("text", Denied, "returned '8'"),
        ("high", Denied, "returned 11"),
        ("infinite", Denied, "returned inf"),
        ("endless", Denied, r"returned 10{59}…: it must return a number"),
        ("unprintable", Denied, "returned a value of type int: it must return a number"),
        ("failing", Denied, "no key for this task"),
    ],
)
async def test_what_is_no_score_is_an_error(
    package: Path, function: str, error: type[Exception], says: str
) -> None:
    judge = await opened(function)

    with pytest.raises(error, match=says):
        await judge.complete(question("i", "a", "b"))


async def test_a_function_of_messages_writes_replies(package: Path) -> None:
    function = await opened("parrot")

    def says(text: str) -> Request:
        return Request(model="m", messages=(Message("user", text),), purpose="respond")

    assert (await function.complete(says("{{x}} ---"))).text == "user: {{x}} ---"
    with pytest.raises(Rejected, match="returned None"):
        await function.complete(says("none"))
    with pytest.raises(Denied, match="returned 7"):
        await function.complete(says("seven"))


async def test_a_function_that_samples_gets_what_tells_samples_apart(package: Path) -> None:
    request = Request(model="m", messages=(Message("user", "i"),), sample="7/1")

    assert (await (await opened("sampler")).complete(request)).text == "7/1"


def test_looking_for_a_function_imports_nothing(package: Path) -> None:
    assert find_function("judging.tasks:length") == package / "judging" / "tasks.py"
    with pytest.raises(ValueError, match="imported to be found"):
        PythonFunction("judging.tasks:length")


@pytest.mark.parametrize(
    "model", ["", "judged", "judged:", ":f", "no.such:f", "judged:a b", "../judged:f", "os.:x"]
)
def test_what_names_no_function_is_refused(package: Path, model: str) -> None:
    with pytest.raises(FileNotFoundError):
        find_function(model)


@pytest.mark.parametrize("function", ["missing", "value"])
def test_a_module_without_the_function_is_refused(package: Path, function: str) -> None:
    with pytest.raises(ValueError, match=f"has no function '{function}'"):
        PythonFunction(f"judged:{function}")


def test_another_text_of_the_module_is_another_judge(package: Path) -> None:
    before = PythonFunction("judged:length").identity
    (package / "judged.py").write_text(JUDGE + "\n# better\n")

    assert PythonFunction("judged:length").identity != before


# -- in a run ---------------------------------------------------------------------------------

LINE = ("--seeds", "seeds.jsonl", "--strong", "scripted/strong", "--target", "scripted/target")


def run(folder: Path, package: Path, *more: str) -> dict[str, Any]:
    done = codeclm("run", *LINE, *more, "--json", cwd=folder, PYTHONPATH=str(package))
    assert done.returncode in {0, 3}, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_a_run_is_judged_by_a_program_and_pays_for_no_score(package: Path, tmp_path: Path) -> None:
    write_seeds(tmp_path, 4)

    first = run(tmp_path, package, "--judge", "python/judged:length", "--out", "a")
    again = run(tmp_path, package, "--judge", "python/judged:length", "--out", "b")
    exports = [(tmp_path / name / "alpaca.jsonl").read_bytes() for name in ("a", "b")]

    assert first["rows"] > 0
    assert first["gaps"]["scored_rounds"] > 0
    assert first["gaps"]["judge"]["flipped"] == 0
    assert exports[0] == exports[1]
    assert sum(stage["paid"] for stage in again["calls"].values()) == 0


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--strong", "python/judged:length"), "it can only score, but the strong is also asked"),
        (("--judge", "python/judged:parrot"), "so it cannot score"),
        (("--judge", "python/judged:missing"), "has no function 'missing'"),
        (("--judge", "python/nowhere:f"), "no module 'nowhere'"),
        (("--judge", "python/judged"), "must be python/MODULE:FUNCTION"),
    ],
)
def test_a_wrong_judge_is_one_line_before_anything_is_written(
    package: Path, tmp_path: Path, flags: tuple[str, str], says: str
) -> None:
    write_seeds(tmp_path, 2)
    for verb in ("check", "run"):
        done = codeclm(verb, *LINE, *flags, "--out", "run", cwd=tmp_path, PYTHONPATH=str(package))
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
        assert says in done.stderr
    assert not (tmp_path / "run" / "config.toml").exists()


@pytest.mark.parametrize("verb", ["status", "calibrate", "inspect", "report"])
def test_reading_a_run_imports_no_function_that_it_names(
    package: Path, tmp_path: Path, verb: str
) -> None:
    write_seeds(tmp_path, 2)
    run(tmp_path, package, "--judge", "python/judged:length", "--out", "gift")
    (package / "judged.py").write_text("open('harm', 'w').close()\ndef length(i, a): return 1\n")
    done = codeclm(verb, "gift", cwd=tmp_path, PYTHONPATH=str(package))
    gone = codeclm(verb, "gift", cwd=tmp_path)  # where the package is not installed

    assert (done.returncode, gone.returncode) == (0, 0), done.stderr + gone.stderr
    assert not (tmp_path / "harm").exists()


def test_a_stranger_s_folder_runs_no_function_of_its_choice(package: Path, tmp_path: Path) -> None:
    write_seeds(tmp_path, 2)
    (package / "harm.py").write_text("open('harm', 'w').close()\ndef f(i, a): return 1\n")
    gift = tmp_path / "gift"
    gift.mkdir()
    (gift / "config.toml").write_text(
        'seeds = "seeds.jsonl"\n[strong]\nmodel = "scripted/strong"\n'
        '[target]\nmodel = "scripted/target"\n[judge]\nmodel = "python/harm:f"\n'
    )
    done = codeclm("resume", "gift", cwd=tmp_path, PYTHONPATH=str(package))

    assert done.returncode == 2
    assert "harm:f" in done.stderr
    assert "--trust" in done.stderr
    assert not (tmp_path / "harm").exists()


# -- scoring more than once -------------------------------------------------------------------

FORGETFUL = """
from collections import Counter
seen = Counter()

def twice(instruction, answer, *, sample):
    '''Far apart the first two times that an answer is scored, alike from then on.'''
    seen[instruction, answer] += 1
    if seen[instruction, answer] > 2:
        return 5
    return 9 if len(answer.split()) > 115 else 2
"""

SAMPLED = ("--judge", "python/forgetful:twice")


def listed(folder: Path, name: str) -> list[dict[str, Any]]:
    done = codeclm("inspect", name, "--json", "--limit", "1000", cwd=folder)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_what_a_second_scoring_does_not_confirm_is_not_kept(package: Path, tmp_path: Path) -> None:
    (package / "forgetful.py").write_text(FORGETFUL)
    write_seeds(tmp_path, 3)

    plain = run(tmp_path, package, *SAMPLED, "--out", "plain")
    confirm = ("--set", "filter.confirm=true", "--cache", "another", "--out", "confirmed")
    confirmed = run(tmp_path, package, *SAMPLED, *confirm)
    rounds = [one for example in listed(tmp_path, "confirmed") for one in example["iterations"]]
    scored_again = [one for one in rounds if one["confirmation"]]

    assert plain["rows"] > 0
    assert confirmed["rows"] == 0
    assert scored_again
    assert all(abs(one["gap"]) > 3 for one in scored_again)
    assert {
        score[name]
        for one in scored_again
        for score in one["confirmation"]
        for name in ("strong", "target")
    } == {5}


def test_the_mean_of_several_scorings_is_the_gap(package: Path, tmp_path: Path) -> None:
    (package / "forgetful.py").write_text(FORGETFUL)
    write_seeds(tmp_path, 2)

    run(tmp_path, package, *SAMPLED, "--set", "filter.samples=2", "--out", "means")
    rounds = [one for example in listed(tmp_path, "means") for one in example["iterations"]]
    far = [one for one in rounds if one["gap"]]

    assert far
    for one in far:  # two of four scores of an answer are 9 or 2, the others 5
        assert sum(order["strong"] for order in one["judgements"]) in {14, 7}
        assert abs(one["gap"]) in {0, 3.5}


def test_a_program_that_takes_no_sample_is_not_asked_again(package: Path, tmp_path: Path) -> None:
    write_seeds(tmp_path, 2)
    judge = ("--judge", "python/judged:length", "--set", "judge.temperature=1")
    for setting in ("filter.confirm=true", "filter.samples=2"):
        flags = (*judge, "--set", setting, "--out", "run")
        done = codeclm("run", *LINE, *flags, cwd=tmp_path, PYTHONPATH=str(package))

        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
        assert setting.partition("=")[0] in done.stderr
        assert "parameter `sample`" in done.stderr
        assert "temperature" not in done.stderr


def test_calibrating_by_a_program_that_draws_at_random_advises_what_a_program_can_do(
    package: Path, tmp_path: Path
) -> None:
    (package / "dice.py").write_text(
        "import random\ndef throw(i, a): return random.randint(1, 10)\n"
    )
    write_seeds(tmp_path, 20)
    run(tmp_path, package, "--judge", "python/dice:throw", "--out", "pilot")
    done = codeclm("calibrate", "pilot", cwd=tmp_path)

    assert "no θ is recommended" in done.stdout
    assert "parameter `sample`" in done.stdout
    assert "temperature" not in done.stdout


def test_a_judge_that_repeats_itself_is_not_asked_again(tmp_path: Path) -> None:
    write_seeds(tmp_path, 2)
    for setting in ("filter.confirm=true", "filter.samples=2"):
        done = codeclm("run", *LINE, "--set", setting, "--out", "run", cwd=tmp_path)

        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
        assert "judge.temperature" in done.stderr
