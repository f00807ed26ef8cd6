import json
import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from blockbuster import BlockBuster
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from codeclm.engine.config import Config, MetadataConfig, build_config
from codeclm.engine.data.records import Example, Metadata, Seed, Unreadable
from codeclm.engine.pipeline.acceptance import Acceptance
from codeclm.engine.pipeline.execution import Execution, Widths
from codeclm.engine.pipeline.prepare import prepare
from codeclm.engine.pipeline.recipes import RECIPES
from codeclm.engine.pipeline.session import Session, execute
from codeclm.engine.pipeline.stages.augment import Mixer, merge
from codeclm.engine.pipeline.state import SessionState
from codeclm.engine.pipeline.steps import Tools
from codeclm.engine.store.reader import LedgerReader
from codeclm.engine.store.totals import count_dataset
from codeclm.engine.store.writer import LedgerWriter
from codeclm.providers.base import Request

from .acting import Actor, may_read_the_cache, playing
from .examples import examples


@pytest.fixture(autouse=True)
def reading(unblocked: BlockBuster | None) -> None:
    may_read_the_cache(unblocked)


def encoded(*pairs: tuple[str, tuple[str, ...]]) -> list[Metadata]:
    return [
        Metadata(
            position=n,
            id=f"m{n}",
            use_case=use_case,
            skills=skills,
            origin="seed",
            seed_ids=(f"s{n}",),
        )
        for n, (use_case, skills) in enumerate(pairs)
    ]


def fold(item: Metadata) -> tuple[str, frozenset[str]]:
    return item.use_case.casefold(), frozenset(skill.casefold() for skill in item.skills)


names = st.sampled_from(["tact", "Tact", "maps", "verse", "rhyme", "law", "SQL", "tone", "wit"])
use_cases = st.sampled_from(["letters", "Letters", "poems", "plans", "code"])
pools = st.lists(
    st.tuples(
        use_cases, st.lists(names, max_size=3, unique_by=lambda name: name.casefold()).map(tuple)
    ),
    min_size=1,
    max_size=12,
)
mixing_settings = st.builds(
    MetadataConfig,
    draw_use_case=st.sampled_from(["multiset", "distinct"]),
    skill_count=st.sampled_from(["empirical", "uniform"]),
)
run_seeds = st.integers(0, 1000)


# -- mixing -----------------------------------------------------------------------------------


@given(pool=pools, settings=mixing_settings, run_seed=run_seeds)
@examples(50)
def test_what_is_mixed_is_new_and_made_of_what_was_encoded(
    pool: list[tuple[str, tuple[str, ...]]], settings: MetadataConfig, run_seed: int
) -> None:
    items = encoded(*pool)
    drawn = Mixer(items, settings, run_seed).draw_some(60, start=len(items))
    union = {skill for item in items for skill in item.skills}

    combinations = [fold(item) for item in (*merge(items), *drawn)]
    assert len(combinations) == len(set(combinations))
    assert {skill for item in drawn for skill in item.skills} <= union
    assert {item.use_case for item in drawn} <= {item.use_case for item in items}
    assert all(1 <= len(item.skills) <= 3 for item in drawn)
    assert [item.position for item in drawn] == [len(items) + n for n in range(len(drawn))]
    assert {(item.origin, item.seed_ids) for item in drawn} <= {("mixed", ())}


@given(pool=pools, settings=mixing_settings, run_seed=run_seeds)
@examples(30)
def test_the_same_metadata_and_run_seed_are_mixed_into_the_same_set(
    pool: list[tuple[str, tuple[str, ...]]], settings: MetadataConfig, run_seed: int
) -> None:
    items = encoded(*pool)

    one, other = (Mixer(items, settings, run_seed) for _ in range(2))
    assert one.draw_some(20, start=0) == other.draw_some(20, start=0)


@given(pool=pools)
def test_items_that_are_the_same_become_one_that_keeps_all_its_seeds(
    pool: list[tuple[str, tuple[str, ...]]],
) -> None:
    items = encoded(*pool)
    merged = merge(items)

    assert [item.position for item in merged] == list(range(len(merged)))
    assert {fold(item) for item in merged} == {fold(item) for item in items}
    assert len({fold(item) for item in merged}) == len(merged)
    assert sorted(seed for item in merged for seed in item.seed_ids) == sorted(
        seed for item in items for seed in item.seed_ids
    )


def rich(count: int) -> list[Metadata]:
    return encoded(
        *((f"use {n % 9}", tuple(f"skill {n + k}" for k in range(1 + n % 3))) for n in range(count))
    )


def test_forty_four_seeds_become_two_hundred_items() -> None:
    """The paper's Evol-Instruct: 44 encoded seeds, mixed up to 200, all different."""
    items = merge(rich(44))
    drawn = Mixer(items, MetadataConfig(), 0).draw_some(200 - len(items), start=len(items))

    assert len({fold(item) for item in items + drawn}) == len(items) + len(drawn) == 200


def test_mixing_stops_short_when_there_are_no_more_combinations() -> None:
    """Two use cases and two skills make six pairs; two of them were there already."""
    items = encoded(("letters", ("tact",)), ("poems", ("verse", "tact")))
    drawn = Mixer(items, MetadataConfig(skill_count="uniform"), 0).draw_some(100, start=2)

    assert len(drawn) == 4


def test_without_any_skill_there_is_nothing_to_mix() -> None:
    assert Mixer(encoded(("letters", ())), MetadataConfig(), 0).draw_some(5, start=1) == []


def drawn_use_cases(how: Any) -> Counter[str]:
    common = [("letters", (f"skill {n}",)) for n in range(30)]
    items = encoded(*common, ("poems", ("verse",)))
    settings = MetadataConfig(draw_use_case=how, skill_count="uniform")
    drawn = Mixer(items, settings, 0).draw_some(300, start=31)
    return Counter(item.use_case for item in drawn)


def test_a_use_case_is_drawn_as_often_as_it_was_encoded() -> None:
    assert drawn_use_cases("multiset")["poems"] < 30


def test_each_use_case_is_drawn_equally_often_where_that_is_wanted() -> None:
    assert 110 < drawn_use_cases("distinct")["poems"] < 190


def test_mixed_items_have_as_many_skills_as_encoded_ones() -> None:
    """Pairs alone were encoded: pairs alone are drawn; uniform draws one to three."""
    items = encoded(*(("letters", (f"skill {n}", f"skill {n + 1}")) for n in range(0, 40, 2)))
    sizes = {
        how: {
            len(item.skills)
            for item in Mixer(items, MetadataConfig(skill_count=how), 0).draw_some(100, start=20)
        }
        for how in ("empirical", "uniform")
    }

    assert sizes == {"empirical": {2}, "uniform": {1, 2, 3}}


# -- the whole line with models that say what the test wrote ----------------------------------


def said(**changes: Any) -> Actor:
    """A line in which every instruction is another and the strong model always wins."""
    towns = iter(range(100_000))

    def decode(request: Request) -> str:
        text = request.messages[-1].content
        number = int(text.partition("to write ")[2].partition(" ")[0])
        return "\n".join(f"{n}. Describe town number {next(towns)}." for n in range(1, number + 1))

    def encode(request: Request) -> str:
        name = request.messages[-1].content.rpartition("Instruction: ")[2].strip()
        return f"Use case: use of {name}\nSkills: skill of {name}, plain words"

    def score(request: Request) -> str:
        text = request.messages[-1].content
        return "9 2" if text.index("STRONG") < text.index("TARGET") else "2 9"

    def answer(request: Request) -> str:
        return f"{request.model.upper()} answers"

    lines: dict[str, Any] = {
        "encode": encode,
        "decode": decode,
        "rubrics": "1. Rubric: Length.\n1. Action: Make it longer.",
        "respond": answer,
        "score": score,
    }
    return Actor(**{**lines, **changes})


def seeds(count: int) -> list[Seed | Unreadable]:
    return [Seed(n, f"s{n}", f"seed {n}") for n in range(count)]


def config(tree: dict[str, Any]) -> Config:
    roles = {"strong": {"model": "scripted/strong"}, "target": {"model": "scripted/target"}}
    return build_config({"seeds": "seeds.jsonl", **roles, **tree}, where="test")


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


class Outcome:
    """What a run came to: its examples, its metadata, its calls."""

    def __init__(self, ledger: LedgerReader, actor: Actor) -> None:
        self.kept = list(ledger.kept())
        self.items = [row[0] for row in rows(ledger.path, "SELECT position FROM items")]
        self.requests = rows(
            ledger.path, "SELECT item, count, instructions FROM requests ORDER BY first_row"
        )
        with count_dataset(ledger) as counts:
            self.seed_totals = counts.seeds()
        self.actor = actor


async def play(
    folder: Path,
    actor: Actor,
    settings: Config,
    *,
    metadata: Iterable[Metadata] | None = None,
    count: int = 6,
) -> Outcome:
    ledger = await anyio.to_thread.run_sync(LedgerWriter, folder / "ledger.sqlite")
    async with playing(actor, folder) as troupe:
        recipe = RECIPES[settings.recipe]
        execution = Execution(
            config=settings,
            writing=recipe.writing,
            finishing=recipe.finishing,
            tools=Tools(settings, troupe, troupe.counters),
            ledger=ledger,
            state=SessionState(lambda: None),
            acceptance=Acceptance(ledger),
            widths=Widths(4, 4, 8),
            read_seeds=lambda _done: iter(seeds(count)),
            metadata=tuple(metadata or ()),
        )
        await recipe.mode.run(execution)

    def close_ledger() -> Outcome:
        ledger.close()
        with LedgerReader(folder / "ledger.sqlite") as reader:
            return Outcome(reader, actor)

    return await anyio.to_thread.run_sync(close_ledger)


async def test_the_wanted_rows_are_shared_equally_by_all_items(tmp_path: Path) -> None:
    """Six seeds, twelve items, thirty rows: two or three from each, all of them asked for once."""
    settings = config({"target_rows": 30, "metadata": {"augment_to": 12}})
    outcome = await play(tmp_path, said(), settings)

    assert len(outcome.kept) == 30
    assert outcome.items == list(range(12))
    assert sorted(count for _, count, _ in outcome.requests) == [2] * 6 + [3] * 6
    assert outcome.actor.counts() == {
        "decode": 12,
        "encode": 6,
        "respond": 60,
        "rubrics": 12,
        "score": 60,
    }


async def test_what_the_filter_drops_is_asked_for_again(tmp_path: Path) -> None:
    """Every second question gets no gap in any round: the quota is reached all the same."""

    def fussy(request: Request) -> str:
        text = request.messages[-1].content
        number = int(text.partition("town number ")[2].partition(".")[0])
        first = text.index("STRONG") < text.index("TARGET")
        return "5 5" if number % 2 else "9 2" if first else "2 9"

    settings = config(
        {"target_rows": 20, "metadata": {"augment_to": 8}, "filter": {"max_iterations": 1}}
    )
    outcome = await play(tmp_path, said(score=fussy), settings)

    kept = Counter(example.position for example in outcome.kept)
    assert sorted(kept.values()) == [2] * 4 + [3] * 4
    assert sum(count for _, count, _ in outcome.requests) > 20


async def test_fewer_combinations_than_wanted_still_give_the_wanted_rows(tmp_path: Path) -> None:
    settings = config({"target_rows": 20, "metadata": {"augment_to": 500}})
    actor = said(encode="Use case: letters\nSkills: tact")
    outcome = await play(tmp_path, actor, settings, count=4)

    assert (outcome.items, len(outcome.kept)) == ([0], 20)
    assert outcome.kept[0].metadata.seed_ids == ("s0", "s1", "s2", "s3")
    assert outcome.seed_totals.kept == 4


async def test_pairs_found_implausible_are_replaced_by_others(tmp_path: Path) -> None:
    settings = config(
        {"target_rows": 12, "metadata": {"augment_to": 12, "plausibility_check": True}}
    )

    def plausible(request: Request) -> str:
        return "no" if "skill of seed 1" in request.messages[-1].content else "yes"

    outcome = await play(tmp_path, said(plausible=plausible), settings)

    mixed = [e.metadata for e in outcome.kept if e.metadata.origin == "mixed"]
    assert len(mixed) == 6
    assert not any("skill of seed 1" in item.skills for item in mixed)
    assert [e.metadata.position for e in outcome.kept] == list(range(12))


async def test_metadata_of_the_users_own_needs_no_encoder(tmp_path: Path) -> None:
    settings = config({"target_rows": 9, "metadata": {"file": "m.jsonl"}})
    own = [structs.replace(item, origin="user", seed_ids=()) for item in rich(3)]
    outcome = await play(tmp_path, said(), settings, metadata=own)

    assert len(outcome.kept) == 9
    assert "encode" not in outcome.actor.counts()
    assert {example.metadata.origin for example in outcome.kept} == {"user"}


@pytest.mark.parametrize("share", [0.2, 1.0])
async def test_a_fifth_of_the_metadata_gives_as_many_rows(share: float, tmp_path: Path) -> None:
    """Figure 4 of the paper: fewer items, more instructions from each, the same N."""
    items = rich(30)[: int(share * 30)]
    settings = config({"target_rows": 60, "metadata": {"file": "m.jsonl"}})
    outcome = await play(tmp_path, said(), settings, metadata=items)

    assert len(outcome.kept) == 60
    assert set(Counter(e.position for e in outcome.kept).values()) == {60 // len(items)}


async def test_seeds_that_cannot_be_encoded_are_counted_and_the_others_go_on(
    tmp_path: Path,
) -> None:
    def half(request: Request) -> str:
        text = request.messages[-1].content
        return "No." if text.endswith(("seed 1", "seed 3")) else "Use case: letters\nSkills: tact"

    settings = config({"target_rows": 4, "metadata": {"augment_to": 1}})
    outcome = await play(tmp_path, said(encode=half), settings, count=4)

    assert (outcome.seed_totals.input, outcome.seed_totals.failed) == (4, {"unreadable": 2})
    assert len(outcome.kept) == 4


# -- whole sessions ---------------------------------------------------------------------------


async def session_of(folder: Path, tree: dict[str, Any]) -> Session:
    settings = config(
        {
            "seeds": str(folder / "seeds.jsonl"),
            "out": str(folder / "run"),
            "cache": {"folder": str(folder / "cache")},
            **tree,
        }
    )

    def ready() -> Any:
        lines = [json.dumps({"instruction": f"Tell me about thing {n}."}) for n in range(12)]
        (folder / "seeds.jsonl").write_text("\n".join(lines))
        plan = prepare(settings, where="test")
        plan.folder.make()
        return plan

    async def watch(_: Session) -> None:
        return

    return await execute(await anyio.to_thread.run_sync(ready), watch=watch)


def calls_and_prediction(folder: Path, session: Session) -> tuple[int, int]:
    total, rubrics = session.counters.total(), session.counters.calls["rubrics"]
    with LedgerReader(folder / "run" / "ledger.sqlite") as ledger, count_dataset(ledger) as counts:
        return total.paid + total.reused - rubrics.reused, counts.predicted_calls(10)


@pytest.mark.parametrize(
    "tree",
    [
        {"decode": {"per_metadata": 3}},
        {"target_rows": 40, "metadata": {"augment_to": 20}},
        {"decode": {"per_metadata": 25}, "filter": {"threshold": 10.0}, "limit": 2},
    ],
    ids=["streaming", "augmented", "nothing-selected"],
)
@pytest.mark.blocking
async def test_a_run_makes_as_many_calls_as_the_spec_predicts(
    tree: dict[str, Any], tmp_path: Path
) -> None:
    """n + 2|M| + sum of alive * (4 + [t > 1]), a decode call for each chunk and top-up (§3.7).

    A top-up finds its rubrics in the cache.
    """
    session = await session_of(tmp_path, tree)
    made, predicted = calls_and_prediction(tmp_path, session)

    assert session.ending == "finished"
    assert made == predicted


@pytest.mark.blocking
async def test_nothing_selected_costs_the_spec_s_figure(tmp_path: Path) -> None:
    """2 seeds, 25 instructions each: 2 + 2 * (3 decode + 1) + 50 * (4 + 5 + 5 + 5)."""
    tree = {"decode": {"per_metadata": 25}, "filter": {"threshold": 10.0}, "limit": 2}
    session = await session_of(tmp_path, tree)
    stages = session.counters.calls

    assert stages["encode"].paid == 2
    assert stages["improve"].paid == 150
    assert {stage: calls.paid + calls.reused for stage, calls in sorted(stages.items())} == {
        "decode": 6,
        "encode": 2,
        "improve": 150,
        "respond": 400,
        "rubrics": 2,
        "score": 400,
    }


def kept(folder: Path) -> list[Example]:
    ledger = LedgerReader(folder / "run" / "ledger.sqlite")
    try:
        return list(ledger.kept())
    finally:
        ledger.close()


@pytest.mark.blocking
async def test_every_paid_answer_of_a_session_is_in_the_cache(tmp_path: Path) -> None:
    session = await session_of(tmp_path, {"decode": {"per_metadata": 2}})

    (count,) = rows(tmp_path / "cache" / "cache.db", "SELECT count(*) FROM Cache")
    assert count == (session.counters.total().paid,)
    assert len(kept(tmp_path)) > 0


@pytest.mark.blocking
async def test_a_share_of_the_metadata_makes_as_many_rows(tmp_path: Path) -> None:
    """Figure 4: 40 % of 20 items give the 40 rows that all of them gave."""
    tree = {"target_rows": 40, "metadata": {"augment_to": 20, "share": 0.4}}
    await session_of(tmp_path, tree)
    positions = [example.position for example in kept(tmp_path)]

    assert len(positions) == 40
    assert len(set(positions)) == 8
    assert {positions.count(position) for position in set(positions)} == {5}
