import sqlite3
import subprocess
import sys
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import anyio
import anyio.to_thread
import pytest
from hypothesis import given
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
from codeclm.engine.store.connection import LedgerError
from codeclm.engine.store.ledger_counts import count_ledger
from codeclm.engine.store.reader import LedgerReader
from codeclm.engine.store.schema import VERSION, row_index
from codeclm.engine.store.totals import Totals, count_dataset, failed_items
from codeclm.engine.store.writer import LedgerWriter

from .examples import examples

TEXTS = ("Name a river.", "name a RIVER", "Name a lake.", "Sing.", "Dance.", "Walk on.", "Rest.")

TRANSIENT = ItemError("unavailable", "503", transient=True)
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
def written(history: "list[SeedHistory]") -> Generator[LedgerReader]:
    with TemporaryDirectory() as name:
        path = Path(name) / "l.sqlite"
        with LedgerWriter(path) as writer:
            write(writer, history)
        with LedgerReader(path) as reader:
            yield reader


def seed_totals(reader: LedgerReader, target_rows: int | None = None) -> Totals:
    with count_dataset(reader, target_rows) as counts:
        return counts.seeds()


# -- laws -------------------------------------------------------------------------------------

Ending = Literal["done", "open", "transient", "lost"]


class Instruction(Struct, frozen=True):
    """What became of one instruction: its last text, its fate, and whether that may pass."""

    text: str
    fate: Fate
    transient: bool = False


class SeedHistory(Struct, frozen=True):
    """What becomes of one seed (streaming: it is its own metadata item)."""

    kind: Literal["unreadable", "failed", "transient", "encoded"]
    text: str
    request: Ending = "open"
    instructions: tuple[Instruction, ...] = ()


texts = st.sampled_from(TEXTS)
instructions = st.builds(
    Instruction, texts, st.sampled_from(["kept", "kept", "filtered"])
) | st.builds(Instruction, texts, st.just("failed"), st.booleans())


def _seed_history(
    kind: Any, text: str, request: Ending, instructions: list[Instruction]
) -> SeedHistory:
    """Build a history that can happen."""
    if kind != "encoded" or request in {"transient", "lost"}:
        instructions = []
    if request == "done" and not instructions:
        request = "lost"
    text = f"Seed: {text}" if len(text) % 2 else text
    return SeedHistory(kind, text, request, tuple(instructions))


histories = st.lists(
    st.builds(
        _seed_history,
        st.sampled_from(["unreadable", "failed", "transient", "encoded", "encoded", "encoded"]),
        texts,
        st.sampled_from(["done", "done", "done", "open", "transient", "lost"]),
        st.lists(instructions, max_size=4),
    ),
    max_size=8,
)


def seed(position: int, one: SeedHistory) -> Seed:
    return Seed(position, f"s{position}", one.text)


def write(ledger: LedgerWriter, history: list[SeedHistory]) -> None:
    for position, one in enumerate(history):
        if one.kind == "unreadable":
            ledger.seed_unreadable(Unreadable(position, f"f:{position}", "no JSON"))
        elif one.kind == "encoded":
            ledger.seed_encoded(seed(position, one), metadata(position), item=position)
            _write_request(ledger, position, one)
        else:
            error = TRANSIENT if one.kind == "transient" else FINAL
            ledger.seed_failed(seed(position, one), error)


def _write_request(ledger: LedgerWriter, position: int, one: SeedHistory) -> None:
    request = InstructionRequest(metadata(position), max(1, len(one.instructions)))
    for number, instruction in enumerate(one.instructions):
        reason = {"kept": "selected", "filtered": "gap", "failed": "rejected"}[instruction.fate]
        ledger.example_finished(
            example(position, number, instruction.text, instruction.fate, reason),
            transient=instruction.transient,
        )
    if one.request == "done":
        ledger.request_done(request, len(one.instructions))
    elif one.request != "open":
        ledger.request_failed(request, TRANSIENT if one.request == "transient" else FINAL)


def dataset(history: list[SeedHistory]) -> list[tuple[int, int]]:
    """What should be kept, in plain Python: in order, none twice, none a copy of a seed."""
    fingerprints = {fingerprint(s.text) for s in history if s.kind != "unreadable"}
    rows: list[tuple[int, int]] = []
    for position, one in enumerate(history):
        for number, instruction in enumerate(one.instructions):
            digest = fingerprint(instruction.text)
            if instruction.fate == "kept" and digest not in fingerprints:
                fingerprints.add(digest)
                rows.append((position, number))
    return rows


limits = st.none() | st.integers(1, 6)


@given(history=histories, target_rows=limits)
@examples(40)
def test_the_dataset_is_in_seed_order_without_duplicates_or_copies_of_seeds(
    history: list[SeedHistory], target_rows: int | None
) -> None:
    with written(history) as reader:
        kept = [(e.position, e.number) for e in reader.kept(target_rows)]

    assert kept == dataset(history)[:target_rows]


@given(history=histories)
@examples(40)
def test_the_quick_count_agrees_with_the_dataset_and_the_totals(
    history: list[SeedHistory],
) -> None:
    with written(history) as reader:
        rows = len(list(reader.kept()))
        with count_dataset(reader, None) as totals:
            instructions = totals.instructions()
            under_way = totals.under_way()
        counts = count_ledger(reader.path)

    assert counts.rows == rows
    assert counts.instructions == instructions.input - instructions.unfinished
    assert counts.instructions <= instructions.input - under_way
    assert counts.failed_seeds + counts.items >= sum(map(finished, history))


@given(history=histories, target_rows=limits)
@examples(40)
def test_fates_add_up_to_what_came_in(history: list[SeedHistory], target_rows: int | None) -> None:
    with written(history) as reader:
        rows = len(list(reader.kept(target_rows)))
        with count_dataset(reader, target_rows) as counts:
            seeds, examples = counts.seeds(), counts.instructions()
            by_column = [counts.rows_by(column) for column in ("winner", "iteration", "reason")]

    assert seeds.input == len(history)
    assert examples.input == sum(len(s.instructions) for s in history)
    assert examples.kept == rows
    assert [sum(by.values()) for by in by_column] == [rows] * 3


@given(history=histories, target_rows=limits)
@examples(100)
def test_a_seed_is_kept_where_the_dataset_holds_an_instruction_from_it(
    history: list[SeedHistory], target_rows: int | None
) -> None:
    """And behind the last of the wanted rows nothing is unfinished: no one will take it up."""
    chosen = dataset(history)[:target_rows]
    rich = {position for position, _ in chosen}
    last = chosen[-1][0] if len(chosen) == target_rows else len(history)
    failed = filtered = unfinished = 0
    for position, one in enumerate(history):
        if position in rich:
            continue
        if one.kind in {"unreadable", "failed"} or (
            one.kind == "encoded" and one.request == "lost"
        ):
            failed += 1
        elif position <= last and (one.kind == "transient" or one.request in {"open", "transient"}):
            unfinished += 1
        else:
            filtered += 1
    with written(history) as reader:
        sums = seed_totals(reader, target_rows)

    assert (sums.kept, sum(sums.filtered.values()), sum(sums.failed.values()), sums.unfinished) == (
        len(rich),
        filtered,
        failed,
        unfinished,
    )


def finished(one: SeedHistory) -> bool:
    over = one.kind in {"unreadable", "failed"}
    return over or (one.kind == "encoded" and one.request in {"done", "lost"})


@given(history=histories)
@examples(40)
def test_a_resumed_run_skips_the_seeds_that_are_finished_and_no_others(
    history: list[SeedHistory],
) -> None:
    with written(history) as reader:
        finished_bytes = reader.finished_seeds()

    wanted = bytes(finished(one) for one in history)
    assert finished_bytes == wanted.rstrip(b"\0")


@given(history=histories)
@examples(40)
def test_finished_seeds_come_back_with_what_they_made_and_kept(history: list[SeedHistory]) -> None:
    with written(history) as reader:
        prefix = list(reader.finished_items())

    assert prefix == [
        (
            position,
            len(one.instructions),
            tuple(
                (n, fingerprint(m.text)) for n, m in enumerate(one.instructions) if m.fate == "kept"
            ),
            None if one.kind == "unreadable" else fingerprint(one.text),
        )
        for position, one in enumerate(history)
        if finished(one)
    ]


@given(history=histories)
@examples(40)
def test_finished_requests_come_back_as_they_ended(history: list[SeedHistory]) -> None:
    with written(history) as reader:
        outcomes = reader.request_outcomes()

    assert outcomes == {
        row_index(position, 0): RequestOutcome(
            len(one.instructions),
            tuple(
                (n, fingerprint(m.text)) for n, m in enumerate(one.instructions) if m.fate == "kept"
            ),
            tuple(fingerprint(f"Basic {position} {n}.") for n in range(len(one.instructions))),
            max(1, len(one.instructions)),
        )
        for position, one in enumerate(history)
        if one.kind == "encoded" and one.request in {"done", "lost"}
    }


def test_reasons_tell_duplicates_copies_and_what_is_beyond_the_target(tmp_path: Path) -> None:
    history = [
        SeedHistory("encoded", "Sing.", "done", tuple(Instruction(text, "kept") for text in TEXTS)),
        SeedHistory(
            "encoded",
            "Hum.",
            "done",
            (Instruction("Fly.", "filtered"), Instruction("Go.", "failed", True)),
        ),
        SeedHistory("unreadable", ""),
    ]
    with written(history) as reader, count_dataset(reader, 2) as counts:
        examples, seeds = counts.instructions(), counts.seeds()

    assert examples == Totals(
        input=9,
        kept=2,
        filtered={"gap": 1, "copy_of_a_seed": 1, "duplicate": 1, "beyond_target": 4},
        failed={},
    )
    assert seeds == Totals(3, 1, {"beyond_target": 1}, {"unreadable_record": 1})


def test_a_failed_seed_that_succeeds_later_is_counted_once(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    one = Seed(0, "s0", "Hum.")
    with LedgerWriter(path) as ledger:
        ledger.seed_failed(one, TRANSIENT)
    with LedgerWriter(path) as ledger:
        ledger.seed_encoded(one, metadata(0), item=0)
        ledger.example_finished(example(0, 0, "Sing."))
        ledger.request_done(InstructionRequest(metadata(0), 1), 1)
    with LedgerReader(path) as reader:
        assert seed_totals(reader) == Totals(1, 1, {}, {})


def test_seeds_that_share_a_metadata_item_share_its_fate(tmp_path: Path) -> None:
    """Augmented mode: the links come after the seeds, once it is known where each went."""
    path = tmp_path / "l.sqlite"
    with LedgerWriter(path) as ledger:
        for n in range(3):
            ledger.seed_encoded(Seed(n, f"s{n}", f"Hum {n}."), metadata(n), item=None)
            ledger.seed_linked(n, 0 if n < 2 else 1)
        ledger.metadata_fixed([metadata(0), metadata(1)])
        ledger.example_finished(example(0, 0, "Sing."))
        ledger.example_finished(example(1, 0, "Dance.", "filtered", "gap"))
        for n in (0, 1):
            ledger.request_done(InstructionRequest(metadata(n), 1), 1)
    with LedgerReader(path) as reader:
        assert seed_totals(reader) == Totals(3, 2, {"no_instruction_kept": 1}, {})
        assert reader.encoded_metadata() == {n: metadata(n) for n in range(3)}


def test_forgetting_drops_every_item_and_keeps_the_file_usable(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    with LedgerWriter(path) as ledger:
        write(ledger, [SeedHistory("encoded", "Hum.", "done", (Instruction("Sing.", "kept"),))])
    with LedgerWriter(path) as ledger:
        ledger.clear()
        ledger.example_finished(example(0, 0, "Dance."))
    with LedgerReader(path) as reader:
        assert [e.instruction for e in reader.kept()] == ["Dance."]
        assert seed_totals(reader) == Totals(0, 0, {}, {})


@pytest.mark.parametrize(
    ("kept", "filtered", "failed"), [(3, {"gap": 1}, {}), (0, {}, {"rejected": 2})]
)
def test_totals_that_do_not_add_up_are_an_error(
    kept: int, filtered: dict[str, int], failed: dict[str, int]
) -> None:
    assert Totals(4, kept, filtered, failed, 4 - kept - len(filtered) - 2 * len(failed))
    with pytest.raises(ValueError, match="do not add up: 5 items in, 4 counted"):
        Totals(5, kept, filtered, failed, 4 - kept - len(filtered) - 2 * len(failed))


# -- looking up -------------------------------------------------------------------------------


def test_examples_are_found_by_the_beginning_of_their_id(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    with LedgerWriter(path) as ledger:
        for n in range(3):
            ledger.example_finished(example(1, n, TEXTS[n]))
        ledger.example_finished(structs.replace(example(2, 0, "Sing."), id="%_ab"))
    with LedgerReader(path) as reader:
        rows = {name: len(reader.find(name)) for name in ("00000001", "0000000100000002", "%", "")}

    assert rows == {"00000001": 3, "0000000100000002": 1, "%": 1, "": 4}


def test_failures_are_told_with_their_reason_seeds_first(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    with LedgerWriter(path) as ledger:
        ledger.seed_unreadable(Unreadable(0, "s.jsonl:1", "no JSON"))
        ledger.request_failed(InstructionRequest(metadata(1), 1), FINAL)
        ledger.example_finished(example(2, 0, "Sing.", "failed", "unreadable"))
    with LedgerReader(path) as reader:
        assert failed_items(reader) == [
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
    full = structs.replace(
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
    with LedgerWriter(path) as ledger:
        ledger.seed_encoded(Seed(0, "s0", f"Say {LONE}"), odd, item=0)
        ledger.seed_failed(Seed(1, "s1", LONE + "!?x"), ItemError("unreadable", LONE))
        ledger.seed_unreadable(Unreadable(2, LONE, LONE))
        ledger.request_failed(InstructionRequest(odd, 1), ItemError("rejected", LONE))
        ledger.metadata_fixed([odd])
        ledger.example_finished(full)
    with LedgerReader(path) as reader:
        assert list(reader.kept()) == [full]
        assert reader.encoded_metadata() == {0: odd}
        assert len(failed_items(reader)) == 3


# -- damaged files -----------------------------------------------------------------------


def filled(path: Path, rows: int = 400) -> None:
    with LedgerWriter(path) as ledger:
        for n in range(rows):
            ledger.example_finished(example(n, 0, f"Name river number {n}."))


def test_a_missing_ledger_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"not found; is .* a run's folder"):
        LedgerReader(tmp_path / "l.sqlite")


@pytest.mark.parametrize("ledger", [LedgerReader, LedgerWriter])
def test_a_file_that_is_no_ledger_is_named_with_the_remedy(
    ledger: type[LedgerReader | LedgerWriter], tmp_path: Path
) -> None:
    path = tmp_path / "l.sqlite"
    path.write_bytes(b"noise, and no database at all" * 100)
    with pytest.raises(StorageError) as caught:
        ledger(path)

    assert str(caught.value).startswith(f"{path}: ")
    assert "not made by codeclm: move it away" in str(caught.value)


@pytest.mark.parametrize("ledger", [LedgerReader, LedgerWriter])
def test_a_database_of_somebody_else_is_told_apart_and_left_as_it_is(
    ledger: type[LedgerReader | LedgerWriter], tmp_path: Path
) -> None:
    path = tmp_path / "l.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE seeds (name TEXT)")
        connection.commit()

    with pytest.raises(LedgerError) as caught:
        ledger(path)

    assert str(caught.value) == f"{path}: not a codeclm ledger: move it away"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("seeds",)]


@pytest.mark.parametrize("ledger", [LedgerReader, LedgerWriter])
def test_a_ledger_of_another_version_is_refused_in_one_line_that_says_what_to_do(
    ledger: type[LedgerReader | LedgerWriter], tmp_path: Path
) -> None:
    path = tmp_path / "l.sqlite"
    filled(path, 1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 2")

    with pytest.raises(LedgerError) as caught:
        ledger(path)

    assert str(caught.value) == (
        f"{path}: written by another version of codeclm (ledger format 2, this one reads"
        f" {VERSION}): move the run's folder away and run again; answers already paid for come"
        " from the cache"
    )


def test_a_truncated_ledger_is_named_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    filled(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 3])
    with pytest.raises(StorageError) as caught, LedgerReader(path) as reader:
        list(reader.kept())

    assert str(caught.value).startswith(f"{path}: ")
    assert "damaged: move it away" in str(caught.value)


def test_noise_within_a_ledger_is_a_complaint_and_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    filled(path)
    data = bytearray(path.read_bytes())
    for at in range(16384, len(data), 16384):
        data[at : at + 200] = b"\xa5" * 200
    path.write_bytes(data)
    with pytest.raises(StorageError, match="damaged"), LedgerReader(path) as reader:
        list(reader.kept())


def test_a_row_that_is_no_example_is_a_complaint_and_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    filled(path, 1)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE transcripts SET example = x'7b7d'")
    connection.commit()
    connection.close()
    with pytest.raises(StorageError, match="damaged"), LedgerReader(path) as reader:
        list(reader.kept())


async def test_whoever_waits_for_a_failure_is_told_when_rows_cannot_be_written(
    tmp_path: Path,
) -> None:
    """A table is taken away under the writer: the run is told, and stops."""
    path = tmp_path / "l.sqlite"
    ledger = await anyio.to_thread.run_sync(LedgerWriter, path)
    await anyio.to_thread.run_sync(_lock_up, path)
    ledger.example_finished(example(0, 0, "Sing."))
    error = await ledger.failure()
    await anyio.to_thread.run_sync(ledger.close)

    assert str(path) in str(error)


async def test_a_failure_that_nobody_was_told_is_raised_on_closing(tmp_path: Path) -> None:
    """Also where somebody has waited for one, and has gone."""
    path = tmp_path / "l.sqlite"
    ledger = await anyio.to_thread.run_sync(LedgerWriter, path)
    with anyio.move_on_after(0):
        await ledger.failure()
    await anyio.to_thread.run_sync(_lock_up, path)
    ledger.example_finished(example(0, 0, "Sing."))

    with pytest.raises(StorageError, match="no such table"):
        await anyio.to_thread.run_sync(ledger.close)


async def test_nothing_is_written_after_a_failed_group(tmp_path: Path) -> None:
    """A request marked as done without its examples would never be asked again."""
    path = tmp_path / "l.sqlite"
    ledger = await anyio.to_thread.run_sync(LedgerWriter, path)
    await anyio.to_thread.run_sync(_lock_up, path)
    ledger.example_finished(example(0, 0, "Sing."))
    await ledger.failure()
    ledger.request_done(InstructionRequest(metadata(0), 1), 1)
    await anyio.to_thread.run_sync(ledger.close)

    assert await anyio.to_thread.run_sync(_count_requests, path) == 0


def _count_requests(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        count: int = connection.execute("SELECT count(*) FROM requests").fetchone()[0]
    return count


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
from tests.test_ledger import LedgerWriter, example
with LedgerWriter(Path(sys.argv[1])) as ledger:
    print("open", flush=True)
    for n in range(3000):
        ledger.example_finished(example(n, 0, f"Name river number {n}."))
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
        fingerprints = list[int]()
        for _ in range(20):
            with LedgerReader(path) as reader:
                fingerprints.append(len(list(reader.kept())))
        writer.stdin.write("\n")
        writer.stdin.close()
        status = writer.wait(30)
    with LedgerReader(path) as reader:
        last = len(list(reader.kept()))

    assert fingerprints == sorted(fingerprints)
    assert (status, last) == (0, 3000)
