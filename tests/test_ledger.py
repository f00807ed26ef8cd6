import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import anyio
import anyio.to_thread
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct, structs

from codeclm.engine.data.errors import ItemError
from codeclm.engine.data.records import (
    Answer,
    Example,
    Fate,
    InstructionRequest,
    Iteration,
    Judgement,
    Metadata,
    RequestOutcome,
    Seed,
    Unreadable,
)
from codeclm.engine.data.text.fingerprint import fingerprint
from codeclm.engine.disk.sqlite import StorageError
from codeclm.engine.store.ledger import SPAN, Ledger, Sums

TEXTS = ("Name a river.", "name a RIVER", "Name a lake.", "Sing.", "Dance.", "Walk on.", "Rest.")

PASSING = ItemError("unavailable", "503", transient=True)
FINAL = ItemError("rejected", "400")


def metadata(position: int) -> Metadata:
    return Metadata(
        position=position,
        id=f"m{position}",
        use_case="letters",
        skills=("tact",),
        origin="seed",
        seed_ids=(f"s{position}",),
    )


def example(
    position: int, number: int, text: str, fate: Fate = "kept", reason: str = "selected"
) -> Example:
    return Example(
        id=f"{position:08x}{number:08x}",
        position=position,
        number=number,
        metadata=metadata(position),
        basic_instruction=f"Basic {position} {number}.",
        iterations=(Iteration(number=1, instruction=text, strong=Answer("Yes.")),),
        fate=fate,
        winner="strong" if fate == "kept" else None,
        reason=reason,
    )


@contextmanager
def writing(path: Path) -> Generator[Ledger]:
    ledger = Ledger(path).open(for_writing=True)
    try:
        yield ledger
    finally:
        ledger.close()


@contextmanager
def reading(path: Path) -> Generator[Ledger]:
    ledger = Ledger(path).open(for_writing=False)
    try:
        yield ledger
    finally:
        ledger.close()


@contextmanager
def written(history: "list[Story]") -> Generator[Ledger]:
    with TemporaryDirectory() as name:
        at = Path(name)
        with writing(at / "l.sqlite") as ledger:
            write(ledger, history)
        with reading(at / "l.sqlite") as ledger:
            yield ledger


# -- laws -------------------------------------------------------------------------------------

Ending = Literal["done", "open", "passing", "lost"]


class Made(Struct, frozen=True):
    """What became of one instruction: its last text, its fate, and whether that may pass."""

    text: str
    fate: Fate
    transient: bool = False


class Story(Struct, frozen=True):
    """What becomes of one seed (streaming: it is its own metadata item)."""

    kind: Literal["unreadable", "failed", "passing", "encoded"]
    text: str
    order: Ending = "open"
    made: tuple[Made, ...] = ()


texts = st.sampled_from(TEXTS)
mades = st.builds(Made, texts, st.sampled_from(["kept", "kept", "filtered"])) | st.builds(
    Made, texts, st.just("failed"), st.booleans()
)


def _story(kind: Any, text: str, order: Ending, made: list[Made]) -> Story:
    if kind != "encoded" or order in {"passing", "lost"}:
        made = []
    if order == "done" and not made:
        order = "lost"
    return Story(kind, f"Seed: {text}" if len(text) % 2 else text, order, tuple(made))


stories = st.lists(
    st.builds(
        _story,
        st.sampled_from(["unreadable", "failed", "passing", "encoded", "encoded", "encoded"]),
        texts,
        st.sampled_from(["done", "done", "done", "open", "passing", "lost"]),
        st.lists(mades, max_size=4),
    ),
    max_size=8,
)


def seed(position: int, story: Story) -> Seed:
    return Seed(position, f"s{position}", story.text)


def write(ledger: Ledger, history: list[Story]) -> None:
    for position, story in enumerate(history):
        if story.kind == "unreadable":
            ledger.seed_unreadable(Unreadable(position, f"f:{position}", "no JSON"))
        elif story.kind == "encoded":
            ledger.seed_encoded(seed(position, story), metadata(position), item=position)
            _write_order(ledger, position, story)
        else:
            error = PASSING if story.kind == "passing" else FINAL
            ledger.seed_failed(seed(position, story), error)


def _write_order(ledger: Ledger, position: int, story: Story) -> None:
    order = InstructionRequest(metadata(position), max(1, len(story.made)))
    for number, made in enumerate(story.made):
        reason = {"kept": "selected", "filtered": "gap", "failed": "rejected"}[made.fate]
        ledger.example(
            example(position, number, made.text, made.fate, reason), transient=made.transient
        )
    if story.order == "done":
        ledger.order_done(order, len(story.made))
    elif story.order != "open":
        ledger.order_failed(order, PASSING if story.order == "passing" else FINAL)


def dataset(history: list[Story]) -> list[tuple[int, int]]:
    """What should be kept, in plain Python: in order, none twice, none a copy of a seed."""
    seen = {fingerprint(s.text) for s in history if s.kind != "unreadable"}
    found: list[tuple[int, int]] = []
    for position, story in enumerate(history):
        for number, made in enumerate(story.made):
            mark = fingerprint(made.text)
            if made.fate == "kept" and mark not in seen:
                seen.add(mark)
                found.append((position, number))
    return found


limits = st.none() | st.integers(1, 6)


@given(history=stories, most=limits)
@settings(max_examples=40, deadline=None)
def test_the_dataset_is_in_seed_order_without_duplicates_or_copies_of_seeds(
    history: list[Story], most: int | None
) -> None:
    with written(history) as ledger:
        kept = [(e.position, e.number) for e in ledger.kept(most)]

    assert kept == dataset(history)[:most]


@given(history=stories, most=limits)
@settings(max_examples=40, deadline=None)
def test_fates_add_up_to_what_came_in(history: list[Story], most: int | None) -> None:
    with written(history) as ledger:
        seeds, examples = ledger.seed_sums(most), ledger.example_sums(most)
        rows = len(list(ledger.kept(most)))
        by = [
            sum(ledger.kept_by(column, most).values())
            for column in ("winner", "iteration", "reason")
        ]

    assert (seeds.came_in, seeds.add_up) == (len(history), True)
    assert (examples.came_in, examples.add_up) == (sum(len(s.made) for s in history), True)
    assert examples.kept == rows
    assert by == [rows] * 3


@given(history=stories, most=limits)
@settings(max_examples=100, deadline=None)
def test_a_seed_is_kept_where_the_dataset_holds_an_instruction_from_it(
    history: list[Story], most: int | None
) -> None:
    """And behind the last of the wanted rows nothing is unfinished: no one will take it up."""
    chosen = dataset(history)[:most]
    rich = {position for position, _ in chosen}
    last = chosen[-1][0] if len(chosen) == most else len(history)
    failed = filtered = unfinished = 0
    for position, story in enumerate(history):
        if position in rich:
            continue
        if story.kind in {"unreadable", "failed"} or (
            story.kind == "encoded" and story.order == "lost"
        ):
            failed += 1
        elif position <= last and (story.kind == "passing" or story.order in {"open", "passing"}):
            unfinished += 1
        else:
            filtered += 1
    with written(history) as ledger:
        sums = ledger.seed_sums(most)

    assert (sums.kept, sum(sums.filtered.values()), sum(sums.failed.values()), sums.unfinished) == (
        len(rich),
        filtered,
        failed,
        unfinished,
    )


def finished(story: Story) -> bool:
    over = story.kind in {"unreadable", "failed"}
    return over or (story.kind == "encoded" and story.order in {"done", "lost"})


@given(history=stories)
@settings(max_examples=40, deadline=None)
def test_a_resumed_run_skips_the_seeds_that_are_finished_and_no_others(
    history: list[Story],
) -> None:
    with written(history) as ledger:
        marks = ledger.finished_seeds()

    wanted = bytes(finished(story) for story in history)
    assert marks == wanted.rstrip(b"\0")


@given(history=stories)
@settings(max_examples=40, deadline=None)
def test_finished_seeds_come_back_with_what_they_made_and_kept(history: list[Story]) -> None:
    with written(history) as ledger:
        prefix = list(ledger.prefix())

    assert prefix == [
        (
            position,
            len(story.made),
            tuple((n, fingerprint(m.text)) for n, m in enumerate(story.made) if m.fate == "kept"),
            None if story.kind == "unreadable" else fingerprint(story.text),
        )
        for position, story in enumerate(history)
        if finished(story)
    ]


@given(history=stories)
@settings(max_examples=40, deadline=None)
def test_finished_orders_come_back_as_they_ended(history: list[Story]) -> None:
    with written(history) as ledger:
        outcomes = ledger.outcomes()

    assert outcomes == {
        position * SPAN: RequestOutcome(
            len(story.made),
            tuple((n, fingerprint(m.text)) for n, m in enumerate(story.made) if m.fate == "kept"),
            tuple(fingerprint(f"Basic {position} {n}.") for n in range(len(story.made))),
            max(1, len(story.made)),
        )
        for position, story in enumerate(history)
        if story.kind == "encoded" and story.order in {"done", "lost"}
    }


def test_reasons_tell_duplicates_copies_and_what_is_beyond_the_target(tmp_path: Path) -> None:
    history = [
        Story("encoded", "Sing.", "done", tuple(Made(text, "kept") for text in TEXTS)),
        Story("encoded", "Hum.", "done", (Made("Fly.", "filtered"), Made("Go.", "failed", True))),
        Story("unreadable", ""),
    ]
    with written(history) as ledger:
        examples, seeds = ledger.example_sums(2), ledger.seed_sums(2)

    assert examples == Sums(
        came_in=9,
        kept=2,
        filtered={"gap": 1, "copy_of_a_seed": 1, "duplicate": 1, "beyond_target": 4},
        failed={},
    )
    assert seeds == Sums(3, 1, {"beyond_target": 1}, {"unreadable_record": 1})


def test_a_failed_seed_that_succeeds_later_is_counted_once(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    one = Seed(0, "s0", "Hum.")
    with writing(path) as ledger:
        ledger.seed_failed(one, PASSING)
    with writing(path) as ledger:
        ledger.seed_encoded(one, metadata(0), item=0)
        ledger.example(example(0, 0, "Sing."))
        ledger.order_done(InstructionRequest(metadata(0), 1), 1)
    with reading(path) as ledger:
        assert ledger.seed_sums() == Sums(1, 1, {}, {})


def test_seeds_that_share_a_metadata_item_share_its_fate(tmp_path: Path) -> None:
    """Augmented mode: the links come after the seeds, once it is known where each went."""
    path = tmp_path / "l.sqlite"
    with writing(path) as ledger:
        for n in range(3):
            ledger.seed_encoded(Seed(n, f"s{n}", f"Hum {n}."), metadata(n), item=None)
            ledger.link(n, 0 if n < 2 else 1)
        ledger.items([metadata(0), metadata(1)])
        ledger.example(example(0, 0, "Sing."))
        ledger.example(example(1, 0, "Dance.", "filtered", "gap"))
        for n in (0, 1):
            ledger.order_done(InstructionRequest(metadata(n), 1), 1)
    with reading(path) as ledger:
        assert ledger.seed_sums() == Sums(3, 2, {"no_instruction_kept": 1}, {})
        assert ledger.encoded() == {n: metadata(n) for n in range(3)}


def test_forgetting_drops_every_item_and_keeps_the_file_usable(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    with writing(path) as ledger:
        write(ledger, [Story("encoded", "Hum.", "done", (Made("Sing.", "kept"),))])
    with writing(path) as ledger:
        ledger.forget()
        ledger.example(example(0, 0, "Dance."))
    with reading(path) as ledger:
        assert [e.instruction for e in ledger.kept()] == ["Dance."]
        assert ledger.seed_sums() == Sums(0, 0, {}, {})


# -- looking up -------------------------------------------------------------------------------


def test_examples_are_found_by_the_beginning_of_their_id(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    with writing(path) as ledger:
        for n in range(3):
            ledger.example(example(1, n, TEXTS[n]))
        ledger.example(structs.replace(example(2, 0, "Sing."), id="%_ab"))
    with reading(path) as ledger:
        found = {name: len(ledger.find(name)) for name in ("00000001", "0000000100000002", "%", "")}

    assert found == {"00000001": 3, "0000000100000002": 1, "%": 1, "": 4}


def test_failures_are_told_with_their_reason_seeds_first(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    with writing(path) as ledger:
        ledger.seed_unreadable(Unreadable(0, "s.jsonl:1", "no JSON"))
        ledger.order_failed(InstructionRequest(metadata(1), 1), FINAL)
        ledger.example(example(2, 0, "Sing.", "failed", "unreadable"))
    with reading(path) as ledger:
        assert ledger.failed() == [
            ("seed 0", "unreadable_record", "s.jsonl:1: no JSON"),
            ("metadata 1", "rejected", "400"),
            ("instruction 0000000200000000", "unreadable", ""),
        ]


LONE = "a \ud800 b \udfff c \x00 d"


def test_lone_surrogates_and_zero_bytes_travel_through_every_text(tmp_path: Path) -> None:
    """Models write them, JSON carries them; neither UTF-8 nor SQLite's text does."""
    path = tmp_path / "l.sqlite"
    odd = Metadata(
        position=0, id="m0", use_case=LONE, skills=(LONE,), origin="seed", seed_ids=("s0",)
    )
    story = structs.replace(
        example(0, 0, LONE),
        metadata=odd,
        basic_instruction=LONE,
        detail=LONE,
        rubrics=(LONE,),
        actions=(LONE,),
        iterations=(
            Iteration(
                number=1,
                instruction=LONE,
                action=LONE,
                strong=Answer(LONE),
                target=Answer(LONE),
                judgements=(Judgement(9, 2, LONE), Judgement(9, 2, LONE)),
                gap=7.0,
            ),
        ),
    )
    with writing(path) as ledger:
        ledger.seed_encoded(Seed(0, "s0", f"Say {LONE}"), odd, item=0)
        ledger.seed_failed(Seed(1, "s1", LONE + "!?x"), ItemError("unreadable", LONE))
        ledger.seed_unreadable(Unreadable(2, LONE, LONE))
        ledger.order_failed(InstructionRequest(odd, 1), ItemError("rejected", LONE))
        ledger.items([odd])
        ledger.example(story)
    with reading(path) as ledger:
        assert list(ledger.kept()) == [story]
        assert ledger.encoded() == {0: odd}
        assert len(ledger.failed()) == 3


# -- what befalls files -----------------------------------------------------------------------


def filled(path: Path, rows: int = 400) -> None:
    with writing(path) as ledger:
        for n in range(rows):
            ledger.example(example(n, 0, f"Name river number {n}."))


def test_a_missing_ledger_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is no such ledger: is this a run's folder"):
        Ledger(tmp_path / "l.sqlite").open(for_writing=False)


@pytest.mark.parametrize("for_writing", [True, False])
def test_a_file_that_is_no_ledger_is_named_with_the_remedy(
    for_writing: bool, tmp_path: Path
) -> None:
    path = tmp_path / "l.sqlite"
    path.write_bytes(b"noise, and no database at all" * 100)
    with pytest.raises(StorageError) as caught:
        Ledger(path).open(for_writing=for_writing)

    assert str(caught.value).startswith(f"{path}: ")
    assert "not made by codeclm: move it away" in str(caught.value)


@pytest.mark.parametrize("for_writing", [True, False])
def test_a_database_of_somebody_else_is_told_apart(for_writing: bool, tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE seeds (name TEXT)")
    connection.commit()
    connection.close()

    def look() -> None:
        ledger = Ledger(path).open(for_writing=for_writing)
        try:
            ledger.seed_sums()
        finally:
            ledger.close()

    with pytest.raises(StorageError) as caught:
        look()

    assert str(caught.value).startswith(f"{path}: ")


def test_a_truncated_ledger_is_named_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    filled(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 3])
    with pytest.raises(StorageError) as caught, reading(path) as ledger:
        list(ledger.kept())

    assert str(caught.value).startswith(f"{path}: ")
    assert "damaged: move it away" in str(caught.value)


def test_noise_within_a_ledger_is_a_complaint_and_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    filled(path)
    data = bytearray(path.read_bytes())
    for at in range(16384, len(data), 16384):
        data[at : at + 200] = b"\xa5" * 200
    path.write_bytes(data)
    with pytest.raises(StorageError, match="damaged"), reading(path) as ledger:
        list(ledger.kept())


def test_a_row_that_is_no_example_is_a_complaint_and_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    filled(path, 1)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE stories SET story = x'7b7d'")
    connection.commit()
    connection.close()
    with pytest.raises(StorageError, match="damaged"), reading(path) as ledger:
        list(ledger.kept())


async def test_a_row_that_cannot_be_written_is_told_to_the_loop(tmp_path: Path) -> None:
    """The file was taken away under a running ledger: the run hears of it, and stops."""
    path = tmp_path / "l.sqlite"
    ledger = await anyio.to_thread.run_sync(lambda: Ledger(path).open(for_writing=True))
    told: asyncio.Future[StorageError] = asyncio.get_running_loop().create_future()
    ledger.use(asyncio.get_running_loop(), told.set_result)
    await anyio.to_thread.run_sync(_lock_up, path)
    ledger.example(example(0, 0, "Sing."))
    with anyio.fail_after(10):
        error = await told
    await anyio.to_thread.run_sync(ledger.close)

    assert str(path) in str(error)


def _lock_up(path: Path) -> None:
    """Break the table that is written to."""
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE examples")
    connection.commit()
    connection.close()


_WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.test_ledger import example, writing
with writing(Path(sys.argv[1])) as ledger:
    print("open", flush=True)
    for n in range(3000):
        ledger.example(example(n, 0, f"Name river number {n}."))
    sys.stdin.readline()
"""


def test_readers_read_while_another_process_writes(tmp_path: Path) -> None:
    """Whatever is there at that moment: a prefix of no particular length, and whole rows."""
    path = tmp_path / "l.sqlite"
    root = Path(__file__).resolve().parents[1]
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path), str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdin is not None
        assert writer.stdout.readline() == "open\n"
        seen = list[int]()
        for _ in range(20):
            with reading(path) as ledger:
                seen.append(len(list(ledger.kept())))
        writer.stdin.write("\n")
        writer.stdin.close()
        status = writer.wait(30)
    with reading(path) as ledger:
        last = len(list(ledger.kept()))

    assert seen == sorted(seen)
    assert (status, last) == (0, 3000)
