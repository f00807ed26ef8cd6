import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from codeclm.engine.data.errors import UserError
from codeclm.engine.data.formats import (
    EXPORTS,
    RESERVED_NAMES,
    ExportError,
    ExportFormat,
    ExportRow,
    Selection,
    selections,
)
from codeclm.engine.data.records import (
    Answer,
    Example,
    Iteration,
    Judgement,
    Metadata,
    Winner,
    identity,
)
from codeclm.engine.data.registry import Registry
from codeclm.engine.store.export import SUFFIXES, export
from codeclm.engine.store.folder import Folder
from codeclm.providers.optional import install_command

from .examples import examples

FORMATS = EXPORTS.names()


def expected_row(form: str) -> dict[str, Any]:
    assert form in ROWS, f"add {form!r} and the row expected of it to ROWS in tests/test_export.py"
    return {"id": f"{1:016x}", **ROWS[form]}


texts = st.text(st.characters(codec="utf-8"))


def example(
    number: int = 1,
    instruction: str = "Plan a trip.",
    *,
    strong: str | None = "By train.",
    target: str | None = "By foot.",
    winner: Winner | None = "strong",
    scored: bool = True,
    **changes: Any,
) -> Example:
    """A kept example whose second iteration was selected."""
    last = Iteration(
        number=2,
        instruction=instruction,
        action="Ask for more.",
        strong=None if strong is None else Answer(strong),
        target=None if target is None else Answer(target),
        judgements=(Judgement(9, 4, "first"), Judgement(8, 5, "second")) if scored else None,
        gap=4.0 if scored else None,
    )
    fields: dict[str, Any] = {
        "id": f"{number:016x}",
        "position": number,
        "number": 0,
        "metadata": Metadata(number, "m", "travel", ("maps", "budgets"), "seed", ("s1",)),
        "basic_instruction": "Plan.",
        "iterations": (Iteration(number=1, instruction="Plan."), last),
        "fate": "kept",
        "winner": winner,
    }
    return Example(**{**fields, **changes})


def write(examples: Iterable[Example], path: Path, form: str = "alpaca", **settings: Any) -> int:
    kept = selections(examples, strong_model="p/strong", target_model="p/target")
    return export(kept, path, EXPORTS[form], **settings)


def load(path: Path) -> list[dict[str, Any]]:
    """Read an export back with what others would use."""
    if path.suffix == ".parquet":
        pq: Any = pytest.importorskip("pyarrow.parquet")
        return list(pq.read_table(path).to_pylist())
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    if path.suffix == ".json":
        return list(json.loads(content))
    return [json.loads(line) for line in content.split(b"\n")[:-1]]


ROWS: dict[str, dict[str, Any]] = {
    "alpaca": {"instruction": "Plan a trip.", "input": "", "output": "By train."},
    "sharegpt": {
        "conversations": [
            {"from": "human", "value": "Plan a trip."},
            {"from": "gpt", "value": "By train."},
        ]
    },
    "messages": {
        "messages": [
            {"role": "user", "content": "Plan a trip."},
            {"role": "assistant", "content": "By train."},
        ]
    },
    "preference": {
        "prompt": [{"role": "user", "content": "Plan a trip."}],
        "chosen": [{"role": "assistant", "content": "By train."}],
        "rejected": [{"role": "assistant", "content": "By foot."}],
        "chosen_rating": 8.5,
        "rejected_rating": 4.5,
        "chosen_model": "p/strong",
        "rejected_model": "p/target",
        "prompt_id": identity("prompt", "Plan a trip."),
    },
}
LINEAGE = {
    "use_case": "travel",
    "skills": ["maps", "budgets"],
    "seed_ids": ["s1"],
    "iteration": 2,
    "gap": 4.0,
    "winner": "strong",
    "origin": "seed",
    "language": "",
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("form", FORMATS)
def test_each_format_reads_back_from_each_kind_of_file(
    tmp_path: Path, form: str, suffix: str
) -> None:
    """The row has its id, what its format asks for, and nothing more."""
    path = tmp_path / f"x{suffix}"

    assert write([example()], path, form) == 1
    assert load(path) == [expected_row(form)]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("form", FORMATS)
def test_metadata_is_written_where_asked_for(tmp_path: Path, form: str, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    write([example()], path, form, with_metadata=True)

    assert load(path) == [{**expected_row(form), "metadata": LINEAGE}]
    assert list(load(path)[0]) == [*expected_row(form), "metadata"]


def test_the_target_can_win() -> None:
    """Its answer is the one to learn, and its scores are the ratings of what is chosen."""
    (selection,) = selections([example(winner="target")], strong_model="S", target_model="T")
    row = msgspec.to_builtins(EXPORTS["preference"].make_row(selection))

    assert row["chosen"][0]["content"] == "By foot."
    assert row["rejected"][0]["content"] == "By train."
    assert (row["chosen_rating"], row["rejected_rating"]) == (4.5, 8.5)
    assert (row["chosen_model"], row["rejected_model"]) == ("T", "S")


def test_only_kept_examples_are_written_in_their_order(tmp_path: Path) -> None:
    examples = [example(3), example(1, fate="filtered"), example(2), example(4, fate="failed")]

    assert write(examples, tmp_path / "x.jsonl", "alpaca") == 2
    assert [row["id"][-1] for row in load(tmp_path / "x.jsonl")] == ["3", "2"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_unscored_examples_have_no_ratings(tmp_path: Path, suffix: str) -> None:
    """A recipe without a filter keeps what nobody has scored: the strong answer."""
    path = tmp_path / f"x{suffix}"
    write([example(scored=False, winner=None)], path, "preference", with_metadata=True)
    (row,) = load(path)

    assert row["chosen"][0]["content"] == "By train."
    assert (row["chosen_rating"], row["rejected_rating"]) == (None, None)
    assert (row["metadata"]["gap"], row["metadata"]["winner"]) == (None, None)


def test_a_missing_answer_is_an_error_that_names_the_example(tmp_path: Path) -> None:
    """A preference needs both answers; the other formats need the winner's."""
    path = tmp_path / "x.jsonl"
    with pytest.raises(ExportError, match=r"example 0+1: no answer of the target model; .* alpaca"):
        write([example(target=None)], path, "preference")
    with pytest.raises(ExportError, match=r"example 0+1: no answer of the strong model$"):
        write([example(strong=None, target=None)], path, "alpaca")

    assert write([example(target=None)], path, "alpaca") == 1


# Files


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("form", FORMATS)
def test_the_same_examples_give_the_same_bytes(tmp_path: Path, form: str, suffix: str) -> None:
    """Whatever the file is called, at any time, over several groups of rows."""
    examples = [example(number, f"Task {number}") for number in range(5000)]
    one, other = tmp_path / f"one{suffix}", tmp_path / f"two{suffix}"
    counts = [write(examples, path, form, with_metadata=True) for path in (one, other)]

    assert counts == [5000, 5000]
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_rows_are_a_valid_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"

    assert write([], path, "preference") == 0
    assert load(path) == []


def test_parquet_is_written_in_groups_with_zstd(tmp_path: Path) -> None:
    """So that neither writer nor reader holds the whole."""
    pq: Any = pytest.importorskip("pyarrow.parquet")
    write([example(number) for number in range(5000)], tmp_path / "x.parquet", "messages")
    metadata = pq.ParquetFile(tmp_path / "x.parquet").metadata

    assert [metadata.row_group(number).num_rows for number in range(2)] == [4096, 904]
    assert metadata.row_group(0).column(0).compression == "ZSTD"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_half_an_emoji_survives_in_json_and_is_counted_in_parquet(
    tmp_path: Path, suffix: str
) -> None:
    """JSON has an escape for it; Parquet has not, and the rows that lost it are named."""
    path = tmp_path / f"x{suffix}"
    examples = [example(1), example(2, strong="cut \ud83d"), example(3, "\ud83d\ude00 😀")]
    replaced: list[str] = []
    write(examples, path, "preference", on_replacement=replaced.append, with_metadata=True)
    rows = load(path)
    answers = [row["chosen"][0]["content"] for row in rows]

    if suffix == ".parquet":
        assert answers == ["By train.", "cut \ufffd", "By train."]
        assert rows[2]["prompt"][0]["content"] == "😀 😀"
        assert replaced == [examples[1].id, examples[2].id]
    else:
        assert answers == ["By train.", "cut \ud83d", "By train."]
        assert b"cut \\ud83d" in (gzip.decompress if suffix.endswith("gz") else bytes)(
            path.read_bytes()
        )
        assert replaced == []


@examples(50)
@given(st.lists(st.tuples(texts, texts, texts), max_size=4), st.sampled_from(SUFFIXES))
def test_every_text_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], suffix: str
) -> None:
    path = tmp_path_factory.mktemp("law") / f"x{suffix}"
    kept = [example(1, one, strong=two, target=three) for one, two, three in rows]
    write(kept, path, "preference")
    messages = [
        [row[name][0]["content"] for name in ("prompt", "chosen", "rejected")] for row in load(path)
    ]

    assert messages == [list(row) for row in rows]


def test_a_line_is_a_row_whatever_the_text_holds(tmp_path: Path) -> None:
    """Line separators within a text do not end the line."""
    write([example(1, "a\u2028b\nc\r\x85")], tmp_path / "x.jsonl", "alpaca")
    lines = (tmp_path / "x.jsonl").read_bytes().split(b"\n")

    assert len(lines) == 2
    assert json.loads(lines[0])["instruction"] == "a\u2028b\nc\r\x85"


# Formats


class NestedRow(ExportRow, frozen=True):
    """One field of every type that a column may have."""

    rating: float | None
    rounds: int
    cut_off: bool
    skills: list[str]


NESTED = ExportFormat(
    name="nested",
    row_type=NestedRow,
    make_row=lambda selection: NestedRow(
        selection.id,
        selection.chosen.rating,
        len(selection.example.iterations),
        cut_off=False,
        skills=list(selection.example.metadata.skills),
    ),
)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_format_added_to_the_registry_is_written_to_each_kind_of_file(
    tmp_path: Path, suffix: str
) -> None:
    """Its struct and its function are all that is needed."""
    formats = Registry("codeclm.exports", "export format", ExportFormat, [*EXPORTS, NESTED])
    kept = selections([example(), example(2, scored=False)], strong_model="S", target_model="T")
    path = tmp_path / f"x{suffix}"
    rest = {"rounds": 2, "cut_off": False, "skills": ["maps", "budgets"]}
    lineages = [{"metadata": LINEAGE}, {"metadata": {**LINEAGE, "gap": None}}]

    assert export(kept, path, formats["nested"], with_metadata=True) == 2
    assert load(path) == [
        {"id": f"{1:016x}", "rating": 8.5, **rest, **lineages[0]},
        {"id": f"{2:016x}", "rating": None, **rest, **lineages[1]},
    ]


def test_a_format_that_cannot_be_written_is_refused_where_it_is_made() -> None:
    class Opaque(ExportRow, frozen=True):
        fields: dict[str, str]

    class Mixed(ExportRow, frozen=True):
        value: int | str

    def never(selection: Selection) -> Any:
        raise AssertionError(selection)

    with pytest.raises(TypeError, match=r"Opaque\.fields: a column cannot hold Dict"):
        ExportFormat(name="opaque", row_type=Opaque, make_row=never)
    with pytest.raises(TypeError, match=r"Mixed\.value: all values .* the same type"):
        ExportFormat(name="mixed", row_type=Mixed, make_row=never)
    with pytest.raises(TypeError, match=r"'\.\./x': write a lower-case word"):
        ExportFormat(name="../x", row_type=NestedRow, make_row=never)


# What goes wrong


def test_wrong_requests_are_answered_with_a_remedy(tmp_path: Path) -> None:
    requests = {
        ("x.jsonl", "alpacca"): "'alpacca': did you mean 'alpaca'.*available: alpaca, sharegpt",
        ("x.txt", "alpaca"): r"x\.txt: unknown file type; use one of \.jsonl",
        ("a file/x.jsonl", "alpaca"): "a file.*",
        ("folder.json", "alpaca"): "is a folder",
    }
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "a file").touch()
    for (name, form), complaint in requests.items():
        with pytest.raises(UserError, match=complaint):
            write([example()], tmp_path / name, form)

    assert {path.name for path in tmp_path.iterdir()} == {"folder.json", "a file"}


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    """Here the ledger fails half-way."""
    path = tmp_path / "x.jsonl"
    path.write_text("old")

    def broken() -> Iterator[Example]:
        yield example()
        raise KeyError("the ledger")

    for suffix in SUFFIXES:
        path = tmp_path / f"x{suffix}"
        path.write_text("old")
        with pytest.raises(KeyError):
            write(broken(), path)

    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        f"x{suffix}": "old" for suffix in SUFFIXES
    }


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """A process that may write no more than 64 KiB stands for the disk."""
    path = tmp_path / "x.jsonl"
    path.write_text("old")
    program = (
        "import resource, signal, sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path; from tests.test_export import UserError, example, write\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
        "examples = (example(number) for number in range(10_000))\n"
        "path = Path(sys.argv[1])\n"
        "try: write(examples, path)\n"
        "except UserError as error: print(error)"
    )
    run = [sys.executable, "-c", program, str(path), str(Path(__file__).parents[1])]
    output = subprocess.run(run, capture_output=True, text=True, check=True).stdout

    assert output == f"{path}: cannot be written (File too large)\n"
    assert [file.name for file in tmp_path.iterdir()] == ["x.jsonl"]
    assert path.read_text() == "old"


def test_a_kill_while_exporting_leaves_the_old_file(tmp_path: Path) -> None:
    """What is half written lies beside it, hidden."""
    path = tmp_path / "x.jsonl"
    path.write_text("old")
    program = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from itertools import count; from pathlib import Path\n"
        "from tests.test_export import example, write\n"
        "def examples():\n"
        "    for number in count():\n"
        "        if number == 5000: print('half-way', flush=True)\n"
        "        yield example(number)\n"
        "write(examples(), Path(sys.argv[1]))"
    )
    run = [sys.executable, "-c", program, str(path), str(Path(__file__).parents[1])]
    with subprocess.Popen(run, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half-way\n"
        process.send_signal(signal.SIGKILL)

    assert path.read_text() == "old"
    assert all(file.name.startswith(".x.jsonl.") for file in tmp_path.iterdir() if file != path)


def test_a_new_file_has_the_usual_permissions_and_a_link_stays_one(tmp_path: Path) -> None:
    real, link = tmp_path / "real.jsonl", tmp_path / "link.jsonl"
    link.symlink_to(real)
    write([example()], link, "alpaca")
    mask = os.umask(0)
    os.umask(mask)

    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o666 & ~mask


def test_without_pyarrow_the_remedy_is_named(tmp_path: Path) -> None:
    """In a process that cannot import it; JSON still works."""
    program = (
        "import sys; sys.modules['pyarrow'] = None; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path; from tests.test_export import ExportError, write\n"
        "for name in ('x.jsonl', 'x.parquet'):\n"
        "    path = Path(sys.argv[1]) / name\n"
        "    try: write([], path)\n"
        "    except ExportError as error: print(error)"
    )
    run = [sys.executable, "-c", program, str(tmp_path), str(Path(__file__).parents[1])]
    output = subprocess.run(run, capture_output=True, text=True, check=True).stdout

    assert output == f"Parquet needs pyarrow: {install_command('parquet')}, or write .jsonl\n"
    assert [path.name for path in tmp_path.iterdir()] == ["x.jsonl"]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """25,000 rows of 8 KB, 200 MB in all, add far less to the process."""
    program = (
        "import resource, sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path; from tests.test_export import example, write\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "examples = (example(n, strong=f'{n}' * 1600) for n in range(25_000))\n"
        "write(examples, Path(sys.argv[1]))\n"
        "print(peak() - before)"
    )
    run = [sys.executable, "-c", program, str(tmp_path / "x.json"), str(Path(__file__).parents[1])]
    output = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    kilobytes = int(output) if sys.platform == "linux" else int(output) // 1024

    assert (tmp_path / "x.json").stat().st_size > 150_000_000
    assert kilobytes < 60_000


@pytest.mark.parametrize("name", sorted(RESERVED_NAMES))
def test_a_format_named_like_a_file_of_the_run_is_refused_when_it_is_made(name: str) -> None:
    with pytest.raises(TypeError, match="a run has a file of that name"):
        structs.replace(EXPORTS["alpaca"], name=name)


def test_every_file_of_a_run_has_a_reserved_name() -> None:
    files = (value for value in vars(Folder(Path("run"))).values() if value != Path("run"))
    assert {path.stem for path in files} <= RESERVED_NAMES


def test_a_format_that_reads_both_answers_says_so_when_it_is_made() -> None:
    with pytest.raises(TypeError, match=r"'pairs'.*add needs_both=True"):
        structs.replace(EXPORTS["preference"], name="pairs", needs_both=False)


def test_the_formats_that_need_only_one_answer_are_named_without_the_one_that_failed(
    tmp_path: Path,
) -> None:
    others = ", ".join(name for name in FORMATS if name != "preference")
    with pytest.raises(ExportError, match=f"target model; formats that need only one: {others}$"):
        write([example(target=None)], tmp_path / "x.jsonl", "preference")
