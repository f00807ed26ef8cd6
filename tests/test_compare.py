"""Comparing recipes: each metric, the paper's claims, and the command."""

import io
import json
import re
import signal
import sqlite3
import subprocess
from collections.abc import Mapping
from math import log2
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.compare.claims import METHODS, Claim, ScoreTable, check_claims
from codeclm.engine.compare.metrics import (
    OverlapCounts,
    Spread,
    distinct_n,
    entropy,
    lengths,
    overlap,
    self_similarity,
    spread,
)
from codeclm.engine.compare.settings import CompareConfig
from codeclm.engine.compare.split import split_seeds, write_split
from codeclm.engine.data.seeds import SeedSource
from codeclm.engine.data.seeds.selection import SeedSelection
from codeclm.engine.data.text.words import words
from codeclm.engine.pipeline.recipes import RECIPES
from codeclm.engine.reporting.tables import Table, markdown, plain, show
from codeclm.engine.store.folder import FolderError

from .commands import codeclm, started, write_lines, write_seeds

EXAMPLE = Path(__file__).parents[1] / "examples/compare.toml"

# -- metrics ----------------------------------------------------------------------------------

texts = st.lists(st.text(alphabet="ab c,Ä", max_size=30), max_size=12)


@pytest.mark.parametrize(("size", "share"), [(1, 4 / 7), (2, 4 / 5), (3, 1.0), (5, None)])
def test_distinct_counts_different_n_grams_within_texts(size: int, share: float | None) -> None:
    """Words a b c d of 7; pairs ab, ba, bc, cd of 5; triples aba, bab, bcd, none across texts."""
    assert distinct_n(["a b a b", "B, c d"], size) == (share and pytest.approx(share))


@given(texts, st.integers(1, 4))
def test_distinct_is_a_share_and_repeating_a_dataset_halves_it(rows: list[str], size: int) -> None:
    once, twice = distinct_n(rows, size), distinct_n(rows + rows, size)

    assert once is None or 0 < once <= 1
    assert twice == (once and pytest.approx(once / 2))


def test_self_similarity_is_the_mean_of_each_text_s_nearest() -> None:
    """F of "a b c d" and "a b x y" is 1/2, of either and "q" 0."""
    rows = ["a b c d", "a b x y", "q"]

    assert self_similarity(rows, Random(0)) == pytest.approx((0.5 + 0.5 + 0) / 3)
    assert self_similarity(["a b", "A, b!"], Random(0)) == pytest.approx(1)
    assert self_similarity(["standalone"], Random(0)) is None


@given(st.lists(st.text(alphabet="ab c", max_size=12), min_size=2, max_size=8), st.integers())
def test_self_similarity_is_a_share_that_no_order_changes(rows: list[str], seed: int) -> None:
    similarity = self_similarity(rows, Random(0))
    shuffled = Random(seed).sample(rows, len(rows))

    assert similarity is not None
    assert 0 <= similarity <= 1
    assert self_similarity(shuffled, Random(0)) == pytest.approx(similarity)


def test_of_many_texts_a_sample_is_compared() -> None:
    """All but one are alike: a sample of two shows it or does not, by its seed alone."""
    rows = [*("one and the same" for _ in range(30)), "something else"]

    assert self_similarity(rows, Random("x"), limit=2) == self_similarity(
        rows, Random("x"), limit=2
    )
    assert self_similarity(rows, Random("x"), limit=31) == pytest.approx(30 / 31)


def test_entropy_is_in_bits() -> None:
    assert entropy(["a", "b", "c", "d"]) == pytest.approx(2)
    assert entropy(["Trip  planning", "trip planning"]) == 0
    assert entropy(["a", "a", "b"]) == pytest.approx(log2(3) - 2 / 3)
    assert entropy([]) is None


@given(st.lists(st.sampled_from("abcde"), min_size=1))
def test_entropy_lies_between_one_name_and_all_equal(names: list[str]) -> None:
    bits = entropy(names)

    assert bits is not None
    assert -1e-9 <= bits <= log2(len(set(names))) + 1e-9


def test_lengths_are_in_words() -> None:
    rows = [" ".join("w" * n) for n in range(1, 12)]

    assert lengths(rows) == Spread(2, 6, 10)
    assert lengths(["three little words"]) == Spread(3, 3, 3)
    assert lengths([]) is None


@given(st.lists(st.integers(0, 999), min_size=1))
def test_a_spread_lies_within_its_values(values: list[int]) -> None:
    percentiles = spread(values)

    assert percentiles is not None
    assert min(values) <= percentiles.p10 <= percentiles.median <= percentiles.p90 <= max(values)


def test_thirteen_consecutive_words_overlap_and_twelve_do_not() -> None:
    prompt = " ".join(f"w{n}" for n in range(20))
    thirteen = " ".join(f"W{n}," for n in range(5, 18))
    twelve = " ".join(f"w{n}" for n in range(5, 17))

    assert overlap([f"so {thirteen} it goes", f"so {twelve} it goes"], [prompt, "?"]) == (
        OverlapCounts(rows=1, prompts=1)
    )


def test_a_short_prompt_overlaps_only_as_a_whole() -> None:
    rows = ["Tell me a joke!", "tell me a joke about tell me a joke", "Tell us a joke"]

    assert overlap(rows, ["Tell me a joke.", "tell me a JOKE"]) == OverlapCounts(rows=1, prompts=2)


@given(texts)
def test_a_dataset_overlaps_wholly_with_itself(rows: list[str]) -> None:
    with_words = [text for text in rows if words(text)]

    assert overlap(with_words, with_words) == OverlapCounts(len(with_words), len(with_words))
    assert overlap(with_words, []) == OverlapCounts(0, 0)


# -- the paper's claims -----------------------------------------------------------------------


def table(columns: str, rows: str) -> ScoreTable:
    """Read a table of the paper: a recipe and its figures on each line."""
    lines = [line.split() for line in rows.strip().splitlines()]
    return {
        column: {name: float(figures[n]) for name, *figures in lines}
        for n, column in enumerate(columns.split())
    }


TABLE_1 = table(
    "7B-evol 7B-vicuna 7B-koala 7B-self 13B-evol 13B-vicuna 13B-koala 13B-self",
    """
    self-instruct 72.02 81.25 67.78 65.87 75.69 86.25 77.22 69.05
    alpagasus     75.23 81.25 71.11 70.24 79.82 87.50 77.78 71.03
    tree-instruct 75.23 81.25 72.78 68.65 82.57 87.50 80.56 79.37
    wizardlm      74.31 76.25 65.56 71.43 82.11 86.25 78.89 76.19
    wizardlm-plus 75.69 83.75 68.33 72.22 84.40 88.75 81.11 79.76
    codeclm       79.82 88.75 74.44 78.17 86.70 90.00 82.22 83.33
    """,
)
TABLE_3 = table(
    "7B-evol",
    """
    self-instruct    72.02
    codeclm-metadata 75.23
    codeclm-rubrics  77.52
    codeclm          79.82
    """,
)
TABLE_6 = {
    judge: table(
        "7B 13B",
        f"""
        alpagasus     {alpagasus}
        tree-instruct {tree}
        wizardlm      {wizard}
        wizardlm-plus {plus}
        codeclm       {codec}
        """,
    )
    for judge, alpagasus, tree, wizard, plus, codec in (
        ("ChatGPT", "3.21 4.13", "3.21 6.88", "2.29 6.42", "3.67 8.72", "7.80 11.01"),
        ("GPT-4", "1.38 1.83", "2.29 4.59", "0.46 3.21", "2.29 5.50", "8.26 8.72"),
    )
}


def statuses(claims: tuple[Claim, ...]) -> dict[int, str]:
    return {claim.number: claim.status for claim in claims}


def test_the_papers_tables_bear_out_its_claims() -> None:
    """Table 1 with Table 3's rows in their column; Table 6 for the judges; Figure 3's 70 %."""
    both = {**TABLE_1, "7B-evol": {**TABLE_1["7B-evol"], **TABLE_3["7B-evol"]}}

    assert statuses(check_claims({"ChatGPT": both}, {1: 71, 2: 15, 3: 9, 4: 5})) == {
        1: "holds",
        2: "holds",
        3: "holds",
        4: "not tested",
        5: "holds",
    }
    assert statuses(check_claims(TABLE_6, {}))[4] == "holds"


def test_the_numbers_stand_behind_each_claim() -> None:
    first, second, third, fourth, fifth = check_claims({"ChatGPT": TABLE_3}, {1: 3, 2: 1})

    assert first.evidence == (
        "7B-evol: codeclm-metadata 75.23 > self-instruct 72.02",
        "7B-evol: codeclm-rubrics 77.52 > codeclm-metadata 75.23",
        "7B-evol: codeclm 79.82 > codeclm-rubrics 77.52",
    )
    assert (second.status, second.evidence) == ("not tested", ())
    assert third.evidence == ("7B-evol: codeclm 79.82 > self-instruct 72.02, of 2 methods",)
    assert fourth.evidence == ()
    assert fifth.evidence == ("3 of 4 rows, 75.0%",)


def test_table_6_has_one_winner_and_two_orders() -> None:
    assert check_claims(TABLE_6, {})[3].evidence == (
        "7B: codeclm by ChatGPT, codeclm by GPT-4; the full order differs",
        "13B: codeclm by ChatGPT, codeclm by GPT-4; the full order is the same",
    )


@pytest.mark.parametrize(
    ("changed", "number"),
    [
        ({"codeclm-metadata": 72.02}, 1),
        ({"codeclm": 77.0}, 1),
        ({"wizardlm": 75.70}, 2),
        ({"alpagasus": 79.82}, 3),
    ],
)
def test_one_figure_the_other_way_round_and_a_claim_does_not_hold(
    changed: Mapping[str, float], number: int
) -> None:
    column = {**TABLE_1["7B-evol"], **TABLE_3["7B-evol"], **changed}

    assert statuses(check_claims({"judge": {"evol": column}}, {}))[number] == "does not hold"


def test_judges_that_name_different_winners_do_not_agree() -> None:
    judges = {"one": {"evol": {"a": 1.0, "b": 2.0}}, "two": {"evol": {"a": 2.0, "b": 2.0}}}

    (*_, fourth, _) = check_claims(judges, {})
    assert (fourth.status, fourth.evidence) == (
        "does not hold",
        ("evol: b by one, a = b by two; the full order differs",),
    )


@pytest.mark.parametrize(
    ("rounds", "verdict"), [({1: 2, 2: 2}, "does not hold"), ({}, "not tested")]
)
def test_half_is_not_most(rounds: Mapping[int, int], verdict: str) -> None:
    assert statuses(check_claims({}, rounds))[5] == verdict


def test_a_step_that_was_not_tested_is_named() -> None:
    (first, *_) = check_claims(
        {"j": {"evol": {"codeclm-metadata": 2.0, "codeclm-rubrics": 3.0}}}, {}
    )

    assert first.status == "not tested"
    assert first.evidence[-1] == "not tested: metadata, the filter"


@given(st.dictionaries(st.sampled_from(METHODS), st.floats(0, 100)))
def test_claim_three_holds_exactly_where_codeclm_is_first(column: dict[str, float]) -> None:
    others = [value for name, value in column.items() if name != "codeclm"]
    tested = "codeclm" in column and others
    expected = (
        "not tested"
        if not tested
        else "holds"
        if column["codeclm"] > max(others)
        else "does not hold"
    )

    assert statuses(check_claims({"j": {"evol": column}}, {}))[3] == expected


# -- tables -----------------------------------------------------------------------------------

SMALL = Table("A title", ("name", "figure"), (("a|b", "1,000"), ("long\x1b[31m", "2")), "a note")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_table_is_plain_or_markdown_and_never_drives_the_terminal() -> None:
    assert plain(SMALL).splitlines() == [
        "A title",
        "name          figure",
        "a|b            1,000",
        "long\\x1b[31m       2",
        "a note",
    ]
    assert markdown(SMALL).splitlines() == [
        "### A title",
        "",
        "| name | figure |",
        "|---|---:|",
        "| a\\|b | 1,000 |",
        "| long\\x1b[31m | 2 |",
        "",
        "a note",
    ]


def test_a_terminal_gets_rules_and_the_same_figures() -> None:
    drawn, written = Terminal(), io.StringIO()
    show([SMALL], drawn)
    show([SMALL], written)

    assert "─" in drawn.getvalue()
    assert "1,000" in drawn.getvalue()
    assert "\x1b[31m" not in drawn.getvalue()
    assert written.getvalue() == plain(SMALL) + "\n"


# -- the split --------------------------------------------------------------------------------


def selection(
    folder: Path, size: int, *, limit: int | None = None, key: str = "0"
) -> SeedSelection:
    return SeedSelection(SeedSource((write_seeds(folder, size),)), limit=limit, key=key)


@pytest.mark.parametrize(("size", "chosen"), [(218, 44), (80, 16), (252, 50), (180, 36), (1, 1)])
def test_a_fifth_is_rounded_half_up_as_the_papers_sizes(
    size: int, chosen: int, tmp_path: Path
) -> None:
    split, seeds = split_seeds(selection(tmp_path, size), 0.2, random_seed=0)

    assert (len(seeds), len(split.validation), split.total) == (chosen, chosen, size)
    assert [seed.position for seed in seeds] == sorted(seed.position for seed in seeds)
    assert {place.position for place in split.validation + split.evaluation} == set(range(size))


def test_a_split_comes_from_the_seed_alone(tmp_path: Path) -> None:
    one, other = selection(tmp_path, 50, key="1"), selection(tmp_path, 50, key="2")

    assert split_seeds(one, 0.2, random_seed=1) == split_seeds(one, 0.2, random_seed=1)
    assert split_seeds(one, 0.2, random_seed=1)[1] != split_seeds(other, 0.2, random_seed=1)[1]
    assert split_seeds(one, 1.0, random_seed=1)[0].evaluation == ()
    assert split_seeds(selection(tmp_path, 50, limit=7), 1.0, random_seed=1)[0].total == 7


def test_both_parts_of_a_split_hold_every_category_of_a_sorted_file(tmp_path: Path) -> None:
    split, _ = split_seeds(selection(tmp_path, 100), 0.2, random_seed=3)

    assert {seed.position // 10 for seed in split.validation} == set(range(10))
    assert {seed.position // 10 for seed in split.evaluation} == set(range(10))


def test_a_folder_keeps_its_split(tmp_path: Path) -> None:
    seeds = selection(tmp_path, 10)
    write_split(tmp_path, *split_seeds(seeds, 0.2, random_seed=0), allow_change=False)
    write_split(tmp_path, *split_seeds(seeds, 0.2, random_seed=0), allow_change=False)

    with pytest.raises(FolderError, match="a different split of the seeds"):
        write_split(tmp_path, *split_seeds(seeds, 0.5, random_seed=0), allow_change=False)
    path = write_split(tmp_path, *split_seeds(seeds, 0.5, random_seed=0), allow_change=True)
    assert len(path.read_text().splitlines()) == 5


# -- the command ------------------------------------------------------------------------------

SETTINGS = """
seeds = "seeds.jsonl"
{more}
[strong]
model = "scripted/strong"
price_input = 1.0
price_output = 2.0
{options}
[target]
model = "scripted/target"
{options}
[decode]
per_metadata = 10
[compare]
recipes = ["codeclm", "lower"]
rows = 12
tests = ["questions.jsonl"]
[compare.overrides.lower]
recipe = "codeclm"
filter = {{ threshold = 1.0 }}
"""
JUDGED = """
[compare.answers.codeclm]
"questions.jsonl" = "long.jsonl"
[compare.answers.lower]
"questions.jsonl" = "short.jsonl"
[compare.judges.first]
model = "scripted/judge"
[compare.judges.second]
model = "scripted/another"
options = {{ model_seed = "2" }}
"""


def begin(folder: Path, text: str = SETTINGS, more: str = "", options: str = "") -> None:
    write_seeds(folder, 30)
    prompts = [{"id": n, "prompt": f"Tell me of {n}."} for n in range(20)]
    write_lines(folder / "questions.jsonl", prompts)
    for name, points in (("long", 9), ("short", 2)):
        answers = [{"id": n, "text": "So:" + "\n- point" * points} for n in range(20)]
        write_lines(folder / f"{name}.jsonl", answers)
    (folder / "two.toml").write_text(text.format(more=more, options=options), "utf-8")


def compared(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def answers_paid(folder: Path) -> int:
    with sqlite3.connect(folder / "cache" / "cache.db") as cache:
        row: tuple[int] = cache.execute("SELECT count(*) FROM Cache").fetchone()
    return row[0]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished comparison of two recipes, judged by two, in ``runs/two``."""
    folder = tmp_path_factory.mktemp("home")
    begin(folder, SETTINGS + JUDGED)
    sweep = ("--sweep", "rows=4,8")
    compared(codeclm("compare", "two.toml", *sweep, "--json", cwd=folder))
    return folder


def result(home: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((home / "runs/two/comparison.json").read_text())
    return read


def test_every_recipe_is_an_ordinary_run_with_the_same_rows_and_seeds(home: Path) -> None:
    comparison = result(home)
    names = ["codeclm", "lower", *(f"{r}@rows={n}" for n in (4, 8) for r in ("codeclm", "lower"))]

    assert [dataset["name"] for dataset in comparison["datasets"]] == names
    assert [dataset["rows"] for dataset in comparison["datasets"]] == [12, 12, 4, 4, 8, 8]
    assert (comparison["seeds"], comparison["validation"]) == (30, 6)
    assert {dataset["seeds"] for dataset in comparison["datasets"]} == {6}
    for dataset in comparison["datasets"]:
        rows = (home / dataset["folder"] / "alpaca.jsonl").read_text().splitlines()
        assert len(rows) == dataset["rows"]
    assert codeclm("status", "runs/two/runs/lower", cwd=home).returncode == 0


def test_what_recipes_share_is_paid_once(home: Path) -> None:
    """The lower θ asks less of the same: its whole run was in the cache."""
    one, other, *swept = result(home)["datasets"]

    assert one["paid"]["calls"] > 0
    assert (other["paid"]["calls"], other["reused"] > 0) == (0, True)
    assert one["standalone"]["money"] > other["standalone"]["money"] > 0
    assert {dataset["paid"]["calls"] for dataset in swept} == {0}


def test_the_same_command_again_makes_no_call_and_the_same_files(home: Path) -> None:
    names = ("comparison.json", "report.md", "split.json")
    files = [home / "runs/two" / name for name in names]
    before, paid = [path.read_bytes() for path in files], answers_paid(home)
    done = codeclm("compare", "two.toml", "--sweep", "rows=4,8", "--json", cwd=home)

    assert (done.returncode, answers_paid(home)) == (0, paid)
    assert [path.read_bytes() for path in files] == before


def test_answers_are_judged_and_the_claims_checked(home: Path) -> None:
    comparison = result(home)
    cells = {(cell["judge"], cell["recipe"]): cell for cell in comparison["cells"]}

    assert set(cells) == {(j, r) for j in ("first", "second") for r in ("codeclm", "lower")}
    assert cells["first", "codeclm"]["crr"] > cells["first", "lower"]["crr"]
    assert cells["first", "lower"]["difference"]["points"]["mean"] == pytest.approx(
        cells["first", "lower"]["crr"] - cells["first", "codeclm"]["crr"]
    )
    assert cells["first", "codeclm"]["counts"]["wins"] <= 20
    assert [claim["status"] for claim in comparison["claims"][:4]] == [
        *(["not tested"] * 3),
        "holds",
    ]


def test_prompts_that_were_seeds_are_counted_apart(home: Path) -> None:
    chosen = [place["position"] for place in json.loads(
        (home / "runs/two/split.json").read_text())["validation"]]  # fmt: skip
    unseen = 20 - sum(position < 20 for position in chosen)
    cell = result(home)["cells"][0]

    assert sum(cell["unseen"].values()) == unseen < 20


def test_answers_judged_against_different_references_are_not_paired(
    home: Path, tmp_path: Path
) -> None:
    """Each evaluation alone is sound; only their difference is not."""
    begin(tmp_path)
    line = ("evaluate", "--test", "questions.jsonl", "--judge", "scripted/judge")
    for name, reference in (("long", "short"), ("short", "long")):
        answers = (
            *("--candidate-answers", f"{name}.jsonl"),
            *("--reference-answers", f"{reference}.jsonl"),
        )
        codeclm(*line, *answers, "--out", name, cwd=tmp_path)
    existing = [
        word
        for recipe, name in (("codeclm", "long"), ("lower", "short"))
        for word in ("--set", f'compare.evaluations.j.{recipe}={{"questions.jsonl" = "{name}"}}')
    ]
    done = codeclm("compare", "two.toml", *existing, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert re.search(r"CRR minus codeclm's.*\n.*\n.*\nlower +not paired", done.stdout), done.stdout


def test_the_table_and_the_report_hold_the_same_figures(home: Path) -> None:
    printed = codeclm("compare", "two.toml", "--sweep", "rows=4,8", cwd=home).stdout
    report = (home / "runs/two/report.md").read_text()
    similarity = f"{result(home)['datasets'][0]['diversity']['self_similarity']:.3f}"

    for text in ("wins / ties / losses", "Sweep of rows", "4  holds", similarity):
        assert text.casefold() in printed.casefold()
    assert similarity in report
    assert "| method | questions |" in report


def test_plots_are_drawn_if_matplotlib_is_installed(home: Path) -> None:
    pytest.importorskip("matplotlib")
    comparison = result(home)

    for name in ("rounds", "sweep-rows"):
        assert (home / comparison["files"][name]).read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_killed_anywhere_it_continues_and_ends_the_same(home: Path, tmp_path: Path) -> None:
    """What is paid once more is what was in flight; figures of the data are those of an
    undisturbed comparison."""
    begin(tmp_path, SETTINGS + JUDGED, options="options = { latency = 0.4 }")
    statuses = list[int]()
    for number in (signal.SIGKILL, signal.SIGINT):
        with started("compare", "two.toml", "--json", cwd=tmp_path) as process:
            assert process.stderr is not None
            assert any(line.startswith("{") for line in process.stderr)  # a second has gone by
            process.send_signal(number)
            stderr = process.stderr.read()
            statuses.append(process.wait())
    assert statuses == [-9, 5]
    assert "to continue: codeclm compare two.toml" in stderr
    comparison = compared(codeclm("compare", "two.toml", "--json", cwd=tmp_path))
    reference = result(home)

    same = ("name", "rows", "rounds", "winners", "diversity", "instruction_words", "overlap")
    assert [[dataset[key] for key in same] for dataset in comparison["datasets"]] == [
        [dataset[key] for key in same] for dataset in reference["datasets"][:2]
    ]
    assert comparison["cells"] == reference["cells"]


@pytest.mark.slow
def test_all_recipes_make_as_many_rows_and_cost_nothing_again(tmp_path: Path) -> None:
    begin(tmp_path)
    every = (
        "--set",
        f"compare.recipes={json.dumps(RECIPES.names())}",
        "--set",
        "compare.overrides={}",
    )
    comparison = compared(codeclm("compare", "two.toml", *every, "--json", cwd=tmp_path))
    paid = answers_paid(tmp_path)
    datasets = {dataset["name"]: dataset for dataset in comparison["datasets"]}

    assert {name: dataset["rows"] for name, dataset in datasets.items()} == dict.fromkeys(
        RECIPES.names(), 12
    )
    assert datasets["codeclm-metadata"]["paid"]["calls"] == 0  # codeclm had asked all of it
    assert sum(dataset["paid"]["calls"] for dataset in datasets.values()) == paid
    assert compared(codeclm("compare", "two.toml", *every, "--json", cwd=tmp_path)) == comparison
    assert answers_paid(tmp_path) == paid


def test_existing_evaluations_are_used(home: Path, tmp_path: Path) -> None:
    folder = home / "runs/two/evaluations/first/questions"
    judged = """
[compare.evaluations.gpt.codeclm]
"questions.jsonl" = "{at}/codeclm"
[compare.evaluations.gpt.target]
"questions.jsonl" = "{at}/lower"
""".replace("{at}", str(folder))
    begin(tmp_path, SETTINGS + judged)
    comparison = compared(codeclm("compare", "two.toml", "--json", cwd=tmp_path))
    before = {cell["recipe"]: cell["crr"] for cell in result(home)["cells"][:2]}

    assert {cell["recipe"]: cell["crr"] for cell in comparison["cells"]} == {
        "codeclm": before["codeclm"],
        "target": before["lower"],
    }
    assert not (tmp_path / "runs/two/evaluations").exists()


@pytest.mark.parametrize(
    ("text", "argv", "message"),
    [
        ("[compare]", (), "two.toml: compare.recipes: missing"),
        ('[compare]\nrecipes = ["codeclm"]', (), "two.toml: codeclm: seeds: missing"),
        ("", ("--set", 'compare.recipes=["codeclm", "codeclm"]'), "names one recipe twice"),
        ("", ("--set", 'compare.recipes=["../up"]'), "a name consists of letters"),
        ("", ("--set", "compare.rowz=3"), "rowz: unknown setting; did you mean rows?"),
        ("", ("--set", "compare.validation=0"), "compare: validation: must be"),
        ("", ("--set", "compare.overrides.lower.strong.model=scripted/x"), "the same strong model"),
        ("", ("--set", "compare.overrides.lower.target_rows=3"), "the same number of rows"),
        ("", ("--set", "compare.overrides.other.seed=3"), "'other' is not one of the recipes"),
        ("", ("--set", 'compare.tests=["nowhere"]'), "nowhere: no such file"),
        (
            "",
            ("--set", "compare.judges.j.temperature=0"),
            "judges.j.model: missing: write provider/model",
        ),
        ("", ("--set", "compare.judges.j.model=nobody/x"), "nobody"),
        ("", ("--set", 'compare.answers.x.vicuna="f"', "--set", 'compare.testsets="x"'), "vicuna"),
        ("", ("--sweep", "rows"), "write key=value,value"),
        ("", ("--sweep", "filter.thresold=1,2"), "did you mean threshold?"),
        ("", ("--sweep", "filter.threshold=1,99"), "filter.threshold: must be"),
    ],
)
def test_mistakes_are_reported_before_any_call(
    text: str, argv: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    begin(tmp_path, text.replace("{", "{{") or SETTINGS)
    done = codeclm("compare", "two.toml", *argv, cwd=tmp_path)

    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "cache").exists()


def test_the_users_own_seeds_are_never_overwritten(tmp_path: Path) -> None:
    begin(tmp_path)
    seeds = write_seeds(tmp_path, 5, "validation.jsonl")
    before = seeds.read_bytes()
    line = ("compare", "two.toml", "--set", f"seeds={seeds.name}", "-o", ".")

    for more, message in (((), "would be replaced"), (("--force",), "would be overwritten")):
        done = codeclm(*line, *more, cwd=tmp_path)

        assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert seeds.read_bytes() == before


def test_a_run_says_what_the_table_is_for(tmp_path: Path) -> None:
    begin(tmp_path)

    assert (
        "unknown setting; this file is for codeclm compare"
        in codeclm("run", "two.toml", cwd=tmp_path).stderr
    )


def test_a_plan_makes_no_call(tmp_path: Path) -> None:
    begin(tmp_path, SETTINGS + JUDGED)
    done = codeclm("compare", "two.toml", "--plan", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[2:4]] == ["codeclm", "lower"]
    assert "judging takes up to 240 more calls" in done.stdout
    assert not (tmp_path / "cache").exists()


def test_missing_rows_are_reported(tmp_path: Path) -> None:
    begin(tmp_path)
    few = ("--set", "compare.rows=500", "--set", "max_candidates=500")
    done = codeclm("compare", "two.toml", *few, cwd=tmp_path)

    assert done.returncode == 3
    assert "rows are missing: codeclm" in done.stderr
    assert " of 500" in done.stdout


@pytest.mark.slow
def test_the_example_names_every_setting_and_works(tmp_path: Path) -> None:
    text = EXAMPLE.read_text("utf-8")
    (tmp_path / "examples").mkdir()
    for name in ("compare.toml", "seeds.jsonl"):
        (tmp_path / "examples" / name).write_bytes((EXAMPLE.parent / name).read_bytes())
    done = codeclm("compare", "examples/compare.toml", "--json", cwd=tmp_path)

    assert {dataset["rows"] for dataset in compared(done)["datasets"]} == {20}
    for setting in CompareConfig.__struct_fields__:
        assert re.search(rf"^(# )?(\[compare\.)?{setting}\b", text, re.MULTILINE), setting
