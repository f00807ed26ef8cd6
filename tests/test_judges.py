"""Several judges: their mean counts, and each is measured and paid by itself."""

import json
import sys
from collections.abc import Mapping
from fractions import Fraction
from functools import partial
from importlib import invalidate_caches
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.config import ConfigError, build_config
from codeclm.engine.data.judge import JudgeTally, RoundScores
from codeclm.engine.data.judges import PanelTally
from codeclm.engine.data.records import Judgement
from codeclm.engine.pipeline.stages.filter import quality_gap, verdict
from codeclm.engine.pipeline.stages.score import mean_of_judges, mean_of_samples
from codeclm.engine.reporting.judge import judge_lines

from .commands import codeclm, write_seeds
from .servers import ReceivedRequest, Say, Server, chat, say, serving

JUDGES = """
import random

def length(instruction, answer):
    return 9 if len(answer.split()) > 115 else 2

def mild(instruction, answer):
    return 7 if len(answer.split()) > 115 else 4

def dice(instruction, answer):
    return random.randint(1, 10)
"""

LINE = (
    *("--strong", "scripted/strong", "--target", "scripted/target"),
    *("--seeds", "seeds.jsonl", "--per-metadata", "3"),
)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "panel.py").write_text(JUDGES)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    invalidate_caches()
    return str(folder)


def judged_by(*names: str) -> tuple[str, ...]:
    return tuple(
        word for name in names for word in ("--set", f"judges.{name}.model=python/panel:{name}")
    )


def summary_of(folder: Path, *argv: str, package: str) -> dict[str, Any]:
    done = codeclm("run", *LINE, *argv, "--json", cwd=folder, PYTHONPATH=package)
    assert done.returncode in {0, 3}, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def examples(folder: Path, name: str) -> list[dict[str, Any]]:
    done = codeclm("inspect", name, "--json", "--limit", "1000", cwd=folder)
    return [json.loads(line) for line in done.stdout.splitlines()]


# -- the mean ---------------------------------------------------------------------------------


def test_the_mean_of_two_judges_decides_and_each_is_kept(package: str, tmp_path: Path) -> None:
    write_seeds(tmp_path, 4)

    summary = summary_of(tmp_path, *judged_by("mild", "length"), "--out", "two", package=package)
    rounds = [one for example in examples(tmp_path, "two") for one in example["iterations"]]
    orders = [order for one in rounds for order in one["judgements"]]

    assert rounds
    for order in orders:
        assert order["by_judge"].keys() == {"length", "mild"}
        scores = order["by_judge"].values()
        assert order["strong"] == sum(strong for strong, _ in scores) / 2
        assert order["target"] == sum(target for _, target in scores) / 2
    assert {one["gap"] for one in rounds} <= {0, 5, -5}  # of 7 and 3, which one judge alone gives
    assert summary["gaps"]["scored"]["1"] == summary["instructions"]["input"]


def test_their_order_in_the_file_makes_no_difference(package: str, tmp_path: Path) -> None:
    write_seeds(tmp_path, 4)
    exports = list[bytes]()
    for out, names in (("a", ("mild", "length")), ("b", ("length", "mild"))):
        summary_of(tmp_path, *judged_by(*names), "--out", out, package=package)
        exports.append((tmp_path / out / "alpaca.jsonl").read_bytes())
    again = summary_of(tmp_path, *judged_by("length", "mild"), "--out", "a", package=package)

    assert exports[0] == exports[1] != b""
    assert again["ending"] == "finished"


def test_another_set_of_judges_is_another_run(package: str, tmp_path: Path) -> None:
    write_seeds(tmp_path, 2)
    summary_of(tmp_path, *judged_by("mild", "length"), "--out", "run", package=package)
    more = judged_by("mild", "length", "dice")
    done = codeclm("run", *LINE, *more, "--out", "run", cwd=tmp_path, PYTHONPATH=package)

    assert done.returncode == 2
    assert "judges.dice" in done.stderr


def test_each_judge_doubles_the_calls_of_scoring_and_the_plan_says_so(
    package: str, tmp_path: Path
) -> None:
    write_seeds(tmp_path, 5)

    def scorings(*argv: str) -> tuple[int, int]:
        done = codeclm("plan", *LINE, *argv, "--json", cwd=tmp_path, PYTHONPATH=package)
        [row] = [row for row in json.loads(done.stdout)["rows"] if row["stage"] == "score"]
        return row["low"], row["high"]

    one = scorings("--judge", "python/panel:mild")
    three = scorings(*judged_by("mild", "length", "dice"))
    summary = summary_of(tmp_path, *judged_by("mild", "length"), "--out", "run", package=package)
    rounds, calls = summary["gaps"]["scored_rounds"], summary["calls"]["score"]

    assert three == (3 * one[0], 3 * one[1])
    assert calls["paid"] + calls["reused"] == 4 * rounds
    assert summary["predicted_calls"] == sum(
        stage["paid"] + stage["reused"] for stage in summary["calls"].values()
    )


points = st.floats(0, 10)
judgements = st.builds(Judgement, points, points, st.text(max_size=5))


@given(st.dictionaries(st.sampled_from("abc"), judgements, min_size=1))
def test_a_mean_lies_between_the_scores_it_is_of(by_judge: dict[str, Judgement]) -> None:
    mean = mean_of_judges(by_judge)
    scores = [one.strong for one in by_judge.values()]

    assert min(scores) - 1e-9 <= mean.strong <= max(scores) + 1e-9
    assert len(mean.by_judge) == (len(by_judge) if len(by_judge) > 1 else 0)


@given(judgements)
def test_a_single_judgement_is_its_own_mean(one: Judgement) -> None:
    assert mean_of_judges({"a": one}) is one
    assert mean_of_samples([one]) is one


points_of_three = st.lists(st.integers(0, 10), min_size=3, max_size=3)


@given(st.tuples(*[points_of_three] * 4))
def test_a_mean_gap_of_exactly_the_threshold_does_not_exceed_it(
    scores: tuple[list[int], list[int], list[int], list[int]],
) -> None:
    names = ("a", "b", "c")

    def mean(strong: list[int], target: list[int]) -> Judgement:
        pairs = zip(names, strong, target, strict=True)
        return mean_of_judges({name: Judgement(one, two, "") for name, one, two in pairs})

    one, two, three, four = scores
    exact = Fraction(sum(one) + sum(three) - sum(two) - sum(four), 6)
    gap = quality_gap((mean(one, two), mean(three, four)))

    for theta in (0, 1, 2, 3):
        expected = "strong" if exact > theta else "target" if exact < -theta else "again"
        assert verdict(gap, theta) == expected


# -- what is said of them ---------------------------------------------------------------------


def test_each_judge_is_measured_and_so_is_their_agreement(package: str, tmp_path: Path) -> None:
    write_seeds(tmp_path, 8)
    panel = summary_of(
        tmp_path, *judged_by("mild", "length", "dice"), "--out", "run", package=package
    )["gaps"]["panel"]
    text = codeclm("status", "run", cwd=tmp_path).stdout
    calibrated = codeclm("calibrate", "run", cwd=tmp_path).stdout

    agreement = {tuple(sorted(one["judges"])): one for one in panel["agreement"]}
    assert agreement["length", "mild"]["correlation"] == pytest.approx(1)
    assert agreement["length", "mild"]["same_winner"] == 1
    assert abs(agreement["dice", "length"]["correlation"]) < 0.7
    assert not panel["judges"]["length"]["is_measured"]
    assert panel["judges"]["dice"]["is_measured"]
    for said in (text, calibrated):
        assert "length: a program: not measured" in said
        assert "dice: its two orders' gaps correlate at" in said
        assert "length and mild: correlation of their gaps 1.00, same winner 100%" in said


def test_a_program_that_always_says_the_same_is_not_measured_but_taken_at_its_word(
    package: str, tmp_path: Path
) -> None:
    write_seeds(tmp_path, 5)
    summary = summary_of(
        tmp_path, "--judge", "python/panel:length", "--out", "run", package=package
    )
    text, calibrated = (
        codeclm(verb, "run", cwd=tmp_path).stdout for verb in ("status", "calibrate")
    )

    assert not summary["gaps"]["judge"]["is_measured"]
    for said in (text, calibrated):
        assert "a program: not measured" in said
        assert "correlate" not in said
        assert "position bias" not in said
    assert "the highest θ for" in calibrated


def test_a_program_that_throws_dice_is_caught(package: str, tmp_path: Path) -> None:
    write_seeds(tmp_path, 20)
    summary_of(tmp_path, "--judge", "python/panel:dice", "--out", "run", package=package)
    calibrated = codeclm("calibrate", "run", cwd=tmp_path).stdout

    assert "correlate at" in calibrated
    assert "no θ is recommended" in calibrated


scores = st.tuples(points, points)
rounds_of_two = st.lists(
    st.fixed_dictionaries(
        {"a": st.builds(RoundScores, scores, scores), "b": st.builds(RoundScores, scores, scores)}
    ),
    min_size=1,
    max_size=4,
)


@given(st.lists(rounds_of_two, min_size=1, max_size=20))
def test_agreement_is_a_share_and_a_correlation_whatever_they_say(
    instructions: list[list[dict[str, RoundScores]]],
) -> None:
    tally = PanelTally({"a": False, "b": False})
    for rounds in instructions:
        tally.add(rounds)
    [agreement] = tally.scores().agreement

    assert 0 <= agreement.same_winner <= 1
    assert agreement.correlation is None or -1 <= agreement.correlation <= 1
    assert tally.scores().judges.keys() == {"a", "b"}


def test_nothing_scored_is_no_panel() -> None:
    tally = PanelTally({"a": False, "b": True})

    assert not tally.scores().judges
    assert not tally.scores().agreement
    assert judge_lines(JudgeTally().scores(), tally.scores()) == []


# -- settings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"judge": {"temperature": 0.5}, "judges": {"a": {"model": "m"}}}, "table of its own"),
        ({"judges": {"a b": {"model": "m"}}}, "a judge's name"),
        ({"judges": {"a": {"modle": "m"}}}, "judges.a.modle: unknown setting; did you mean model"),
        ({"judges": {"a": {"temperature": 9}}}, "judges.a.temperature"),
        ({"judges": {"a": 1}}, "must be a table"),
    ],
)
def test_wrong_judges_are_named(settings: Mapping[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        build_config({"seeds": "x", **settings})

    assert "\n" not in str(caught.value)


def test_a_judge_without_a_model_is_named_before_anything_is_written(tmp_path: Path) -> None:
    write_seeds(tmp_path, 2)
    done = codeclm("run", *LINE, "--set", "judges.a.top_p=0.5", "--out", "run", cwd=tmp_path)

    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "judges.a.model: missing" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_model_at_temperature_0_cannot_be_asked_twice_but_a_program_beside_it_can(
    package: str, tmp_path: Path
) -> None:
    write_seeds(tmp_path, 2)
    mixed = (*judged_by("length"), "--set", "judges.model.model=scripted/judge")
    twice = ("--set", "filter.samples=2")
    refused = codeclm("check", *LINE, *mixed, *twice, cwd=tmp_path, PYTHONPATH=package)
    sampled = (*mixed, "--set", "judges.model.temperature=1")
    done = codeclm("check", *LINE, *sampled, *twice, cwd=tmp_path, PYTHONPATH=package)

    assert refused.returncode == 2
    assert "judges.model.temperature" in refused.stderr
    assert done.returncode == 0, done.stderr


def test_a_stranger_s_second_judge_is_not_trusted_either(package: str, tmp_path: Path) -> None:
    write_seeds(tmp_path, 2)
    gift = tmp_path / "gift"
    gift.mkdir()
    (gift / "config.toml").write_text(
        'seeds = "seeds.jsonl"\n[strong]\nmodel = "scripted/strong"\n'
        '[target]\nmodel = "scripted/target"\n[judges.a]\nmodel = "python/panel:length"\n'
    )
    done = codeclm("resume", "gift", cwd=tmp_path, PYTHONPATH=package)

    assert done.returncode == 2
    assert "--trust" in done.stderr


def test_alpagasus_keeps_what_its_judges_rate_high_on_average(tmp_path: Path) -> None:
    write_seeds(tmp_path, 4)

    def rows(*ratings: float) -> int:
        judges = [
            word
            for n, rating in enumerate(ratings)
            for word in (
                *("--set", f"judges.j{n}.model=scripted/j{n}"),
                *("--set", f'judges.j{n}.options.replies.rate="{rating}\\nFine."'),
            )
        ]
        done = codeclm(
            *("run", "--recipe", "alpagasus", "--strong", "scripted/strong", *judges),
            *("--seeds", "seeds.jsonl", "--set", "max_candidates=20", "--json"),
            *("--out", f"r{'-'.join(map(str, ratings))}", "--display", "none"),
            cwd=tmp_path,
        )
        assert done.returncode in {0, 3}, done.stderr
        count: int = json.loads(done.stdout)["rows"]
        return count

    assert rows(5, 4) > 0
    assert rows(5, 3.5) == 0


# -- over HTTP --------------------------------------------------------------------------------


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_each_judge_has_its_own_server_key_price_and_cached_answers(
    server: Server, tmp_path: Path
) -> None:
    async with serving() as second:
        server.always = partial(scoring, "9 3")
        second.always = partial(scoring, "8 2")
        first_run = await anyio.to_thread.run_sync(panel_run, tmp_path, server.url, second.url, "a")
        asked = len(server.asked), len(second.asked)
        again = await anyio.to_thread.run_sync(panel_run, tmp_path, server.url, second.url, "b")

    costs = {cost["role"]: cost for cost in first_run["costs"] if cost["stage"] == "score"}
    keys = [{one.headers["authorization"] for one in of.asked} for of in (server, second)]
    assert keys == [{"Bearer key-one"}, {"Bearer key-two"}]
    assert costs["judges.one"]["calls"] == costs["judges.two"]["calls"] > 0
    assert costs["judges.two"]["money"] == pytest.approx(10 * costs["judges.one"]["money"])
    assert (len(server.asked) - asked[0], len(second.asked) - asked[1]) == (0, 0)
    assert again["calls"]["score"]["paid"] == 0


def scoring(pair: str, asked: ReceivedRequest) -> Say:
    del asked
    return say(chat(pair))


def panel_run(folder: Path, one: str, two: str, out: str) -> dict[str, Any]:
    write_seeds(folder, 3)
    settings = [
        word
        for name, url, price in (("one", one, 1), ("two", two, 10))
        for word in (
            *("--set", f"judges.{name}.model=openai/judge"),
            *("--set", f"judges.{name}.base_url={url}/v1"),
            *("--set", f"judges.{name}.api_key=KEY_{name.upper()}"),
            *("--set", f"judges.{name}.price_input={price}"),
            *("--set", f"judges.{name}.price_output={price}"),
        )
    ]
    done = codeclm(
        *("run", *LINE, *settings, "--out", out, "--json"),
        cwd=folder,
        KEY_ONE="key-one",
        KEY_TWO="key-two",
    )
    assert done.returncode in {0, 3}, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result
