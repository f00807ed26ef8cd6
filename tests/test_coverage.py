"""No category is lost, and every summary says how evenly rows cover the seeds."""

from collections import Counter
from math import isclose
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.data.intervals import ClusteredShare, Share, total_variation
from codeclm.engine.data.records import identity
from codeclm.engine.reporting.selection import selection_lines, selection_rate
from codeclm.engine.store.reader import LedgerReader

from .commands import codeclm, write_lines

VICUNA = Path(__file__).parents[2] / "shared/data/vicuna_bench_question.jsonl"

counts = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 50), min_size=1)


@given(one=counts, other=counts)
def test_total_variation_is_a_distance_between_shares(
    one: dict[str, int], other: dict[str, int]
) -> None:
    distance = total_variation(one, other)
    tenfold = total_variation({key: 10 * count for key, count in one.items()}, other)

    assert distance is not None
    assert tenfold is not None
    assert 0 <= distance <= 1 + 1e-9
    assert isclose(distance, tenfold, abs_tol=1e-9)
    assert isclose(distance, total_variation(other, one) or 0, abs_tol=1e-9)
    assert total_variation(one, one) == 0


def test_distributions_without_anything_in_common_are_one_apart() -> None:
    assert total_variation({"a": 3}, {"b": 1}) == 1
    assert total_variation({"a": 3}, {}) is None


@given(total=st.integers(1, 10_000), data=st.data())
def test_an_interval_holds_its_share_and_narrows_with_more(total: int, data: st.DataObject) -> None:
    part = data.draw(st.integers(0, total))
    interval, tenfold = Share(part, total).wilson(), Share(10 * part, 10 * total).wilson()

    assert 0 <= interval.low <= interval.mean <= interval.high <= 1
    assert interval.low < interval.high
    assert tenfold.high - tenfold.low < interval.high - interval.low


def test_six_of_six_is_not_a_certainty() -> None:
    """Wilson's interval: 61 to 100 %."""
    interval = Share(6, 6).wilson()

    assert (interval.mean, round(interval.low, 3), interval.high) == (1.0, 0.610, 1.0)
    assert Share(0, 0).wilson().high == 1.0


def test_instructions_of_one_seed_say_less_than_those_of_different_seeds() -> None:
    """150 of 30 seeds: where all five of a seed have one fate, they are worth 30."""
    alike = ClusteredShare([Share(5, 5)] * 20 + [Share(0, 5)] * 10).interval()
    apart = ClusteredShare([Share(3, 5), Share(4, 5), Share(3, 5)] * 10).interval()
    certain = ClusteredShare([Share(5, 5)] * 30).interval()

    assert alike.mean == pytest.approx(2 / 3)
    assert alike.high - alike.low > 0.3
    assert apart.high - apart.low < 0.16
    assert (certain.high, round(certain.low, 2)) == (1.0, 0.89)


@given(
    st.lists(
        st.integers(0, 9).flatmap(lambda n: st.integers(0, n).map(lambda part: Share(part, n))),
        max_size=40,
    )
)
def test_a_clustered_interval_holds_its_share(groups: list[Share]) -> None:
    interval = ClusteredShare(groups).interval()

    assert 0 <= interval.low <= interval.mean + 1e-12
    assert interval.mean <= interval.high + 1e-12
    assert interval.high <= 1
    assert interval.low < interval.high


def test_a_rate_is_withheld_while_instructions_are_unfinished() -> None:
    """Those that the first round selects finish first: 50 of 50 is not 100 %."""
    rate = selection_rate(ClusteredShare([Share(5, 5)] * 10), unfinished=950)
    text = " ".join(selection_lines(rate))

    assert (rate.interval, rate.low, rate.high) == (None, 0.05, 1.0)
    assert "50 of 1,000 instructions; 950 are unfinished" in text
    assert "between 5% and 100%" in text
    assert selection_rate(ClusteredShare(), 0).interval is None


def test_a_rate_comes_with_its_interval_once_all_are_finished() -> None:
    [line, note] = selection_lines(
        selection_rate(ClusteredShare([Share(7, 10)] * 100), unfinished=0)
    )

    assert line == "selected: 700 of 1,000 instructions, 70.0% (95 % interval 67% to 73%),"
    assert "another draw of the judge is not in the interval" in note


# -- as a user meets it -----------------------------------------------------------------------

MODELS = ("--strong", "scripted/strong", "--target", "scripted/target", "--display", "none")


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["codeclm", "codeclm-metadata", "wizardlm", "tree-instruct"])
def test_fewer_rows_than_seeds_cover_every_category_of_a_sorted_file(
    tmp_path: Path, recipe: str
) -> None:
    records = [{"instruction": f"Explain {n}.", "kind": f"k{n // 5}"} for n in range(40)]
    write_lines(tmp_path / "seeds.jsonl", records)
    rows = ("--target-rows", "16", "--recipe", recipe, "--stratify", "kind", "--out", "run")
    done = codeclm("run", "--seeds", "seeds.jsonl", *MODELS, *rows, "--json", cwd=tmp_path)

    summary = orjson.loads(done.stdout)
    coverage = summary["coverage"]
    assert (summary["rows"], coverage["seeds"], coverage["with_row"]) == (16, 40, 16)
    assert coverage["values"]["kind"] == [8, 8]
    assert coverage["distance"]["kind"] <= 0.05
    assert coverage["distance"]["seed"] == pytest.approx(0.6)
    status = codeclm("status", "run", cwd=tmp_path)
    report = codeclm("report", "run", cwd=tmp_path)
    assert "seeds with a row: 16 of 40" in status.stdout
    assert report.returncode == 0
    assert '"coverage":{"seeds":40,"with_row":16' in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.skipif(not VICUNA.exists(), reason="the test sets are not beside the repository")
@pytest.mark.parametrize("run_seed", range(3))
def test_forty_rows_of_vicuna_cover_its_nine_categories_without_being_told_of_them(
    tmp_path: Path, run_seed: int
) -> None:
    rows = ("--target-rows", "40", "--seed", str(run_seed), "--out", "run")
    done = codeclm("run", "--seeds", str(VICUNA), *MODELS, *rows, cwd=tmp_path)
    questions = [orjson.loads(line) for line in VICUNA.read_text().splitlines()]
    category_of = {identity("seed", one["turns"][0]): one["category"] for one in questions}

    assert done.returncode == 0, done.stderr
    with LedgerReader(tmp_path / "run" / "ledger.sqlite") as ledger:
        covered = Counter(category_of[row.metadata.seed_ids[0]] for row in ledger.kept(40))
    assert covered.keys() == set(category_of.values())
    assert total_variation(Counter(category_of.values()), covered) == pytest.approx(0, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "dealt"),
    [(("--per-metadata", "2"), 90), (("--per-metadata", "2", "--target-rows", "30"), 15)],
)
def test_a_run_that_is_stopped_early_counts_the_seeds_that_it_has_not_begun(
    tmp_path: Path, size: tuple[str, ...], dealt: int
) -> None:
    write_lines(tmp_path / "seeds.jsonl", ({"instruction": f"Explain {n}."} for n in range(90)))
    line = ("run", "--seeds", "seeds.jsonl", *MODELS, *size, "--out", "run", "--json")
    stopped = codeclm(*line, "--max-calls", "20", cwd=tmp_path)
    resumed = codeclm("resume", "run", "--set", "budget.calls=100000", "--json", cwd=tmp_path)

    early, late = (orjson.loads(done.stdout)["seeds"] for done in (stopped, resumed))
    assert (early["input"], early["kept"] + early["unfinished"]) == (dealt, dealt)
    assert early["unfinished"] > 0
    assert (late["unfinished"], late["input"] >= dealt) == (0, True)


@pytest.mark.slow
def test_a_run_that_is_stopped_counts_what_is_under_way_and_withholds_rates(tmp_path: Path) -> None:
    records = [{"instruction": f"Explain {n}."} for n in range(40)]
    write_lines(tmp_path / "seeds.jsonl", records)
    line = ("run", "--seeds", "seeds.jsonl", *MODELS, "--out", "run", "--json")
    stopped = codeclm(*line, "--per-metadata", "5", "--max-calls", "500", cwd=tmp_path)
    resumed = codeclm("resume", "run", "--set", "budget.calls=100000", "--json", cwd=tmp_path)

    early, late = orjson.loads(stopped.stdout), orjson.loads(resumed.stdout)
    rate = early["gaps"]["selection"]
    assert early["ending"] != "finished"
    assert early["instructions"]["unfinished"] == rate["unfinished"] > 10
    assert rate["interval"] is None
    final = late["gaps"]["selection"]["interval"]
    assert rate["low"] <= final["mean"] <= rate["high"]
    assert (late["instructions"]["unfinished"], late["instructions"]["input"]) == (0, 200)
    assert final["low"] < final["mean"] <= final["high"]
