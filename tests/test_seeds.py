import csv
import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.data import seeds
from codeclm.engine.data.records import Seed, Unreadable, identity
from codeclm.engine.data.seeds import SeedError, SeedSource, arrow
from codeclm.providers.optional import install_command

from .examples import examples
from .steps import calls

DATA = Path(__file__).parents[1] / "../shared/data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the shared data files are not here")

texts = st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda text: bool(text.strip()))
any_texts = st.text(st.characters(), min_size=1).filter(lambda text: bool(text.strip()))


def read(
    *paths: Path, skip: bytes | set[int] = b"", **settings: Any
) -> tuple[list[str], list[Unreadable]]:
    """Instructions and complaints."""
    items = list(seeds.read(SeedSource(paths, **settings), skip=skip))
    good = [item.instruction for item in items if isinstance(item, Seed)]
    return good, [item for item in items if isinstance(item, Unreadable)]


def put(path: Path, content: bytes | str | Iterable[Any]) -> Path:
    """Write *content*: bytes and text as they are, records as JSON lines."""
    if isinstance(content, str):
        content = content.encode()
    if not isinstance(content, bytes):
        content = "".join(json.dumps(record) + "\n" for record in content).encode()
    path.write_bytes(content)
    return path


def put_parquet(path: Path, columns: dict[str, Any]) -> Path:
    pa: Any = pytest.importorskip("pyarrow")
    pq: Any = pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table(columns), path, row_group_size=3)
    return path


def reason(tmp_path: Path, record: bytes | str, **settings: Any) -> str:
    """Why *record* alone is no seed."""
    good, bad = read(put(tmp_path / "one.jsonl", record), **settings)

    assert (good, len(bad)) == ([], 1)
    return bad[0].reason


# Real files


@needs_data
@pytest.mark.parametrize(
    ("name", "records"),
    [
        ("alpaca_eval_instructions.jsonl", 805),
        ("alpaca_random_5k.jsonl.gz", 5000),
        ("evol_instruct_testset.jsonl", 218),
        ("koala_test_set.jsonl", 180),
        ("self_instruct_seed_tasks.jsonl", 175),
        ("self_instruct_user_oriented.jsonl", 252),
        ("vicuna_bench_question.jsonl", 80),
    ],
)
def test_public_sets_load_without_a_flag(name: str, records: int) -> None:
    """Each public set gives all its records as seeds, in order, and counts them beforehand."""
    source = SeedSource((DATA / name,))
    items = list(seeds.read(source))

    assert [seed.position for seed in items] == list(range(records))
    assert all(isinstance(seed, Seed) for seed in items)
    assert seeds.count(source) == records


@needs_data
def test_inputs_are_joined() -> None:
    """208 of Self-Instruct's 252 records have an input; it follows the instruction."""
    file = DATA / "self_instruct_user_oriented.jsonl"
    good, _ = read(file)
    plain, _ = read(file, field="instruction")
    inputs, empty = read(file, field="instances.0.input")
    beside = [text.removeprefix(short) for text, short in zip(good, plain, strict=True)]

    assert [text for text in beside if text] == [f"\n\n{text}" for text in inputs]
    assert (len(inputs), len(empty)) == (208, 44)


@needs_data
def test_a_folder_is_read_as_its_files_in_order() -> None:
    """All files of a folder, by name, with positions that run on."""
    names = sorted(path.name for path in DATA.iterdir() if ".jsonl" in path.name)
    one_by_one = [text for name in names for text in read(DATA / name)[0]]
    source = SeedSource((DATA,), format="jsonl")
    together = list(seeds.read(source))

    assert [item.instruction for item in together if isinstance(item, Seed)] == one_by_one
    assert [item.position for item in together] == list(range(seeds.count(source)))


# Which part of a record


@pytest.mark.parametrize(
    ("record", "instruction"),
    [
        ("Say hi.", "Say hi."),
        ({"instruction": "Add.", "input": "", "output": "3"}, "Add."),
        ({"instruction": "Add.", "input": " \n"}, "Add."),
        ({"instruction": "Add.", "input": None}, "Add."),
        ({"instruction": "Add.", "input": "1 2"}, "Add.\n\n1 2"),
        ({"instruction": "Add.", "instances": [{"input": "1 2", "output": "3"}]}, "Add.\n\n1 2"),
        ({"instruction": "Add.", "instances": [{"input": "", "output": "3"}]}, "Add."),
        ({"instruction": "Add.", "instances": []}, "Add."),
        ({"instruction": None, "prompt": "Add."}, "Add."),
        ({"prompt": "P", "instruction": "I"}, "I"),
        ({"Instruction": "Add.", "Skill": "Math"}, "Add."),
        ({"question": "Why?"}, "Why?"),
        ({"text": "Why?"}, "Why?"),
        ({"turns": ["one", "two"]}, "one"),
        ({"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]}, "U"),
        ({"conversations": [{"from": "human", "value": "U"}, {"from": "gpt", "value": "A"}]}, "U"),
        ({"prompt": [{"role": "user", "content": "U"}], "chosen": "C"}, "U"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]},
            "a",
        ),
        ({"instruction": "nul \0 kept"}, "nul \0 kept"),
        ({"instruction": "half \ud83d kept", "input": "\udc00"}, "half \ud83d kept\n\n\udc00"),
        ({"instruction": "Add.", "other": "half \ud83d"}, "Add."),
    ],
)
def test_the_instruction_is_found_in_each_common_shape(
    tmp_path: Path, record: Any, instruction: str
) -> None:
    """No flag is needed for the shapes that common datasets have."""
    assert read(put(tmp_path / "x.jsonl", [record])) == ([instruction], [])
    assert read(put(tmp_path / "x.json", json.dumps([record]))) == ([instruction], [])


def test_shapes_may_differ_from_record_to_record(tmp_path: Path) -> None:
    """Each record is judged by itself."""
    file = put(tmp_path / "x.jsonl", [{"prompt": "a"}, "b", {"instruction": "c"}, {"no": 1}])
    good, bad = read(file)

    assert good == ["a", "b", "c"]
    assert bad == [Unreadable(3, f"{file}:4", "none of the usual fields; it has 'no'")]


def test_a_field_is_a_path(tmp_path: Path) -> None:
    """Dots go into objects and lists; a name that holds dots is found as it is."""
    record = {"a": [{"b": "deep"}], "a.b": "flat", "m": [{"role": "user", "content": "U"}]}
    file = put(tmp_path / "x.jsonl", [record])

    assert [read(file, field=name)[0] for name in ("a.0.b", "a.b", "m", "m.0.content")] == [
        ["deep"],
        ["flat"],
        ["U"],
        ["U"],
    ]


@pytest.mark.parametrize("missing", [{}, {"input": ""}, {"input": None}, {"input": "  "}])
@pytest.mark.parametrize("template", ["{instruction}\n{input}", "{instruction}\n\n{input}\n"])
def test_an_empty_optional_field_leaves_no_trace(
    tmp_path: Path, template: str, missing: dict[str, Any]
) -> None:
    """Without an input the result is the instruction, its own line ends included."""
    file = put(tmp_path / "x.jsonl", [{"instruction": "Add.\n", **missing}])

    assert read(file, template=template) == (["Add.\n"], [])


def test_a_template_is_filled_in_one_pass(tmp_path: Path) -> None:
    """Braces in values stay; doubled braces in the template are braces; numbers are text."""
    file = put(tmp_path / "x.jsonl", [{"a": "{b} {{", "b": 7, "c": ["x"]}])
    good, _ = read(file, template="{{{a}}} of {b} and {c.0}\n{d}\nend {{}}")

    assert good == ["{{b} {{} of 7 and x\n\nend {}"]


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ({"b": "x"}, "no field 'a'; it has 'b'"),
        ({"a": "x"}, "no field 'b'; it has 'a'"),
        ({"a": "x", "b": " "}, "field 'b' is empty"),
        ({"a": "x", "b": {}}, "field 'b' is an object, not text"),
        ({"a": "x", "b": True}, "field 'b' is a truth value, not text"),
        ("x", "the record is a text, not an object"),
    ],
)
def test_a_template_needs_its_fields(tmp_path: Path, record: Any, why: str) -> None:
    """A field within a line must be there; the record says what is missing."""
    assert reason(tmp_path, json.dumps(record), template="{a}\nB: {b}\n{c}") == why


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("{a", "a single { at character 0"),
        ("a } b {c}", "a single } at character 2"),
        ("{} {a}", "no field name"),
        ("plain {{a}}", "no field: write one"),
    ],
)
def test_a_wrong_template_is_refused(tmp_path: Path, template: str, complaint: str) -> None:
    """The complaint comes before anything is read."""
    file = put(tmp_path / "x.jsonl", ["a"])

    with pytest.raises(SeedError, match=complaint):
        seeds.read(SeedSource((file,), template=template))


# Records that are no seeds


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"hello", "not JSON: invalid character (byte 0)"),
        (b'{"instruction": "a"', "not JSON: Input data was truncated"),
        (b'{"instruction": "a"} {}', "not JSON: trailing characters (byte 22)"),
        (b'{"instruction": "a", "x": NaN}', "not JSON: invalid character (byte 26)"),
        (b'{"instruction": "a", "x": 1, "y": "\\ud83d", "z": NaN}', "not JSON: "),
        (b'{"x": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "not JSON: nested too deeply"),
        (b'{"instruction": "\xff\xfe"}', "invalid UTF-8: byte 0xff at 17"),
        (b'{"instruction": "a", "other": "\xc3"}', "invalid UTF-8: byte 0xc3 at 31"),
        (b"[1]", "the record is a list, not an object"),
        (b"null", "the record is null, not an object"),
        (b"17", "the record is a number, not an object"),
        (b"true", "the record is a truth value, not an object"),
        (b"\0", "not JSON: invalid character (byte 0)"),
        (b"{}", "none of the usual fields; it has no fields"),
        (b'{"instruction": 3}', "field 'instruction' is a number, not text"),
        (b'{"instruction": {"a": 1}}', "field 'instruction' is an object, not text"),
        (b'{"instruction": "a", "input": 5}', "field 'input' is a number, not text"),
        (b'{"instruction": "", "input": "x"}', "the instruction is empty"),
        (b'{"prompt": " \\n"}', "the instruction is empty"),
        (b'""', "the instruction is empty"),
        (b'{"turns": []}', "field 'turns' is a list without a user's turn"),
        (
            b'{"messages": [{"role": "assistant", "content": "A"}]}',
            "field 'messages' is a list without a user's turn",
        ),
        (
            b'{"messages": [{"role": "user", "content": [{"type": "image"}]}]}',
            "field 'messages': the first user's turn is not text only",
        ),
    ],
)
def test_a_bad_record_is_told_and_the_next_is_read(tmp_path: Path, line: bytes, why: str) -> None:
    """One bad record costs itself only, and says where it is and why."""
    file = put(tmp_path / "x.jsonl", b'"first"\n\n' + line + b'\n"last"\n')
    good, bad = read(file)

    assert good == ["first", "last"]
    assert [(fault.position, fault.where) for fault in bad] == [(1, f"{file}:3")]
    assert bad[0].reason.startswith(why)


def test_a_bad_record_in_an_array_costs_itself_only(tmp_path: Path) -> None:
    """Also where a JSON array holds what JSON does not allow."""
    file = put(tmp_path / "x.json", b'[ "a" , NaN, "\xff", "\\ud83d", 3,\n{"text": "z"} ]\n')
    good, bad = read(file)

    assert good == ["a", "\ud83d", "z"]
    assert bad == [
        Unreadable(1, f"{file}#1", "not JSON: invalid character (byte 0)"),
        Unreadable(2, f"{file}#2", "invalid UTF-8: byte 0xff at 1"),
        Unreadable(4, f"{file}#4", "the record is a number, not an object"),
    ]


def test_a_missing_field_names_those_there_are(tmp_path: Path) -> None:
    """At most a dozen are named, and none at length."""
    wide = json.dumps({f"{number:02}" + "x" * 99: 1 for number in range(15)})
    why = reason(tmp_path, wide, field="y")

    assert why.startswith(f"no field 'y'; it has '00{'x' * 38}…', '01")
    assert why.endswith("…' and 3 more")


def test_a_long_instruction_is_refused_by_its_bytes(tmp_path: Path) -> None:
    """The bound is in bytes of UTF-8 and is itself allowed."""
    file = put(tmp_path / "x.jsonl", ["ééé", "éééx"])

    assert read(file, max_seed_bytes=6) == (
        ["ééé"],
        [Unreadable(1, f"{file}:2", "the instruction is too long: 7 bytes, at most 6")],
    )
    assert "1,048,577 bytes" in reason(tmp_path, json.dumps("x" * (1 << 20) + "y"))


def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    """What is over the bound is skipped to the next line."""
    file = tmp_path / "x.jsonl"
    with file.open("wb") as hole:
        hole.truncate(300 << 20)
        hole.seek(0, os.SEEK_END)
        hole.write(b'\n"next"\n')
    program = (
        "import resource, sys; from pathlib import Path; from codeclm.engine.data import seeds\n"
        "resource.setrlimit(resource.RLIMIT_AS, (700 << 20, 700 << 20))\n"
        "for item in seeds.read(seeds.SeedSource((Path(sys.argv[1]),))): print(item)"
    )
    run = [sys.executable, "-c", program, str(file)]
    lines = subprocess.run(run, capture_output=True, text=True, check=True).stdout.splitlines()

    assert len(lines) == 2
    assert "the line is longer than 67,108,864 bytes" in lines[0]
    assert "instruction='next'" in lines[1]


# The edges of a file


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_marks_and_line_ends_do_not_matter(tmp_path: Path, end: str, mark: str, pack: Any) -> None:
    """A byte order mark, CRLF, blank lines, a last line without end, gzip with or without .gz."""
    lines = end.join(['"a"', "", "  ", ' {"text": "b"} ', '"c"'])
    file = put(tmp_path / "x.jsonl", pack((mark + lines).encode()))

    assert read(file) == (["a", "b", "c"], [])
    assert [item.position for item in seeds.read(SeedSource((file,)))] == [0, 1, 2]
    assert seeds.count(SeedSource((file,))) == 3


def test_json_lines_may_be_named_json(tmp_path: Path) -> None:
    """As contents datasets have it; other JSON is refused with the reason."""
    assert read(put(tmp_path / "x.json", '\n{"text": "a"}\n{"text": "b"}')) == (["a", "b"], [])
    for content in ('{\n "data": []}', '["a",', '["a" "b"]', "[" * 10_000):
        with pytest.raises(SeedError, match=r"x\.json: (not|neither)"):
            read(put(tmp_path / "x.json", content))


def test_unusable_files_are_refused_with_a_remedy(tmp_path: Path) -> None:
    """Before anything is read, in one line that names the file."""
    pipe, empty, loop = tmp_path / "p.jsonl", put(tmp_path / "e.jsonl", ""), tmp_path / "l.jsonl"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    complaints = {
        pipe: "not a regular file: .* save them to a file first",
        Path("/dev/null"): "not a regular file",
        empty: "the file is empty",
        loop: "symbolic link",
        tmp_path / "missing.jsonl": "no such file",
        put(tmp_path / "x.txt", "a"): "unknown file type: use one of .jsonl",
        Path("tatsu-lab/alpaca"): "a dataset on the Hub is hf://datasets/tatsu-lab/alpaca",
        Path("squad"): "a dataset on the Hub is hf://datasets/OWNER/NAME",
        Path("https://example.org/a.jsonl"): "seeds are read from files, https:// and hf://",
        Path("a\0b.jsonl"): "null byte",
    }
    for path, complaint in complaints.items():
        with pytest.raises(SeedError, match=complaint) as caught:
            seeds.read(SeedSource((path,)))
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    file = put(tmp_path / "x.jsonl", ["a"])
    file.chmod(0)

    with pytest.raises(SeedError, match=r"x\.jsonl: Permission denied"):
        read(file)


def test_files_without_records_are_refused(tmp_path: Path) -> None:
    """A run over nothing is a mistake."""
    for name, content in {"x.jsonl": "\n \n", "x.json": "[]", "x.csv": "instruction\n"}.items():
        with pytest.raises(SeedError, match="no records: name a file"):
            read(put(tmp_path / name, content))
    with pytest.raises(SeedError, match="no seed file is given"):
        read()


def test_a_damaged_gzip_file_ends_with_a_clear_error(tmp_path: Path) -> None:
    """What came before the damage has been read."""
    packed = gzip.compress(b"".join(b'"%d"\n' % number for number in range(100_000)))
    for damaged in (packed[:-20], packed[: len(packed) // 2] + bytes(50) + packed[-90:]):
        with pytest.raises(SeedError, match=r"x\.jsonl\.gz: damaged gzip file"):
            read(put(tmp_path / "x.jsonl.gz", damaged))


def test_a_format_can_be_given(tmp_path: Path) -> None:
    """It overrides the name."""
    file = put(tmp_path / "x.txt", '"a"\n')

    assert read(file, format="jsonl") == (["a"], [])
    with pytest.raises(SeedError, match="choose one"):
        read(file, format="jsonl", field="a", template="{a}")


# Folders


def test_a_dataset_folder_is_read_shard_by_shard(tmp_path: Path) -> None:
    """Files that describe the dataset, hidden ones and unknown ones are no seeds."""
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / ".cache").mkdir()
    put(tmp_path / ".cache/x.jsonl", ["hidden"])
    put(tmp_path / "dataset_info.json", "{}")
    put(tmp_path / "README.md", "read me")
    (tmp_path / "dangling.txt").symlink_to("nowhere")
    put_parquet(data / "train-00001-of-00002.parquet", {"text": ["c"]})
    put_parquet(data / "train-00000-of-00002.parquet", {"text": ["a", "b"]})
    real = put(tmp_path / "zz", ["d"])
    (data / "train.jsonl").symlink_to(real)

    assert read(tmp_path) == (["a", "b", "c", "d"], [])
    assert read(tmp_path, format="parquet") == (["a", "b", "c"], [])
    with pytest.raises(SeedError, match="no seed file in this folder"):
        read(tmp_path, format="csv")


def test_a_folder_that_holds_itself_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", ["a"])
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "again").symlink_to(tmp_path)

    with pytest.raises(SeedError, match="inner/again: the folder contains itself"):
        read(tmp_path)


def test_a_folder_seen_twice_is_read_twice_if_it_is_no_loop(tmp_path: Path) -> None:
    shared = tmp_path / "a"
    shared.mkdir()
    put(shared / "x.jsonl", ["x"])
    (tmp_path / "b").symlink_to(shared)

    assert read(tmp_path)[0] == ["x", "x"]


# Tables


def test_csv_rows_are_told_by_their_lines(tmp_path: Path) -> None:
    """Ragged, broken and wrongly encoded rows are told; quoted line ends are kept."""
    rows = (
        b"\xef\xbb\xbfinstruction,input\r\n"
        b'"two\r\nlines",\r\n'
        b"\r\n"
        b"one\r\n"
        b"a,b,c\r\n"
        b"caf\xe9,\r\n"
        b'"a"b,\r\n'
        b"Add.,1 2\r\n"
        b",\r\n"
        b'"open,\r\n'
    )
    file = put(tmp_path / "x.csv", rows)
    good, bad = read(file)

    assert good == ["two\r\nlines", "Add.\n\n1 2"]
    assert [(fault.position, fault.where, fault.reason) for fault in bad] == [
        (1, f"{file}:5", "the row has 1 fields, the header 2"),
        (2, f"{file}:6", "the row has 3 fields, the header 2"),
        (3, f"{file}:7", "invalid UTF-8: byte 0xe9"),
        (4, f"{file}:8", "not CSV: ',' expected after '\"'"),
        (6, f"{file}:10", "the instruction is empty"),
        (7, f"{file}:11", "not CSV: unexpected end of data"),
    ]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_csv_header_tells_what_parts_its_columns(mark: str, tmp_path: Path) -> None:
    head = mark.join(['"a,b;c\td"', "instruction"])
    file = put(tmp_path / "x.csv", f"\n{head}\n" + mark.join(["1", '"One, or; two\t?"']) + "\n")

    assert read(file) == (["One, or; two\t?"], [])


def test_a_csv_field_may_be_large_but_not_endless(tmp_path: Path) -> None:
    """A megabyte is a field; a quote that swallows the file is not."""
    large = "x" * 1_000_000
    endless = "y" * (17 << 20)
    file = put(tmp_path / "x.csv", f"text\n{large}\n{endless}\nz\n")
    good, bad = read(file)

    assert good == [large, "z"]
    assert [fault.where for fault in bad] == [f"{file}:3"]


def test_tables_without_the_column_are_refused(tmp_path: Path) -> None:
    """One complaint for the file, not one for each row."""
    file = put(tmp_path / "x.csv", "a,b\n1,2\n")
    choices: list[dict[str, Any]] = [{}, {"field": "c"}, {"template": "{a} {c}"}]
    for choice in choices:
        with pytest.raises(SeedError, match=r"no column .*; it has 'a', 'b'"):
            read(file, **choice)
    with pytest.raises(SeedError, match="two columns are called 'a'"):
        read(put(file, "a,a\n1,2\n"))
    with pytest.raises(SeedError, match="no column 'c'"):
        read(put_parquet(tmp_path / "x.parquet", {"a": ["1"]}), field="c")

    assert read(put(tmp_path / "x.tsv", "a\tb\n1,5\t2\n"), template="{a}{b}") == (["1,52"], [])


def test_parquet_rows_have_the_shapes_of_records(tmp_path: Path) -> None:
    """Nested columns, nulls and bytes that are no UTF-8."""
    turns = [[{"role": "user", "content": "U"}], [], None]
    file = put_parquet(tmp_path / "x.parquet", {"messages": turns, "other": [1, 2, 3]})
    good, bad = read(file)

    assert good == ["U"]
    assert [(fault.where, fault.reason) for fault in bad] == [
        (f"{file}#1", "field 'messages' is a list without a user's turn"),
        (f"{file}#2", "none of the usual fields; it has 'messages'"),
    ]


def test_a_text_in_parquet_that_is_no_utf8_costs_itself_only(tmp_path: Path) -> None:
    pa: Any = pytest.importorskip("pyarrow")
    raw = pa.array([b"a", b"\xff", b"c"], pa.binary())
    broken = pa.Array.from_buffers(pa.string(), 3, raw.buffers())
    file = put_parquet(tmp_path / "x.parquet", {"text": broken})

    assert read(file) == (
        ["a", "c"],
        [Unreadable(1, f"{file}#1", "invalid UTF-8: byte 0xff at 0")],
    )


def test_a_large_row_group_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be read whole; the limit is lowered, so that a gigabyte need not be written."""
    file = put_parquet(tmp_path / "x.parquet", {"text": [f"{n}" * 50 for n in range(99)]})
    assert len(read(file)[0]) == 99
    monkeypatch.setattr(arrow, "_MAX_ROW_GROUP", 100)

    with pytest.raises(SeedError, match=r"x\.parquet: a row group of .* at most 100: write"):
        read(file)


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    intact = put_parquet(tmp_path / "x.parquet", {"text": ["a"] * 99}).read_bytes()
    for damaged in (b"PAR1", intact[:-9], intact[:4] + bytes(40) + intact[44:]):
        with pytest.raises(SeedError, match=r"x\.parquet: cannot be read"):
            read(put(tmp_path / "x.parquet", damaged))


@pytest.mark.parametrize("form", ["stream", "file"])
def test_arrow_shards_are_read(tmp_path: Path, form: str) -> None:
    pa: Any = pytest.importorskip("pyarrow")
    table = pa.table({"text": ["a", "b"], "id": [1, 2]})
    with getattr(pa.ipc, f"new_{form}")(tmp_path / "x.arrow", table.schema) as sink:
        sink.write_table(table)

    assert read(tmp_path / "x.arrow") == (["a", "b"], [])
    assert seeds.count(SeedSource((tmp_path,))) == 2


def test_without_pyarrow_the_remedy_is_named(tmp_path: Path) -> None:
    """In a process that cannot import it."""
    file = put(tmp_path / "x.parquet", b"PAR1")
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from pathlib import Path; from codeclm.engine.data import seeds\n"
        "try: list(seeds.read(seeds.SeedSource((Path(sys.argv[1]),))))\n"
        "except seeds.SeedError as error: print(error)"
    )
    run = [sys.executable, "-c", program, str(file)]
    output = subprocess.run(run, capture_output=True, text=True, check=True).stdout

    assert output == f"{file}: reading it needs pyarrow: {install_command('parquet')}\n"


# Positions, ids, skipping


def test_positions_run_on_over_files_and_count_what_is_unreadable(tmp_path: Path) -> None:
    one = put(tmp_path / "a.jsonl", b'"a"\n\nbad\n')
    two = put(tmp_path / "b.json", '["b"]')
    source = SeedSource((one, two))

    assert list(seeds.read(source)) == [
        Seed(0, identity("seed", "a"), "a"),
        Unreadable(1, f"{one}:3", "not JSON: invalid character (byte 0)"),
        Seed(2, identity("seed", "b"), "b"),
    ]
    assert seeds.count(source) == 3


@given(
    st.lists(st.sampled_from(['"a"', "bad", "", '{"text": "b"}']), min_size=1),
    st.binary(max_size=9),
)
def test_skipping_changes_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], flags: bytes
) -> None:
    """What is not skipped keeps its position, id and place."""
    file = put(tmp_path_factory.mktemp("skip") / "x.jsonl", "\n".join([*lines, '"end"']))
    source = SeedSource((file,))
    finished = {position for position, flag in enumerate(flags) if flag}
    everything = list(seeds.read(source))
    rest = [item for item in everything if item.position not in finished]

    assert list(seeds.read(source, skip=bytearray(flags))) == rest
    assert list(seeds.read(source, skip=finished)) == rest


def test_finished_lines_are_skipped_without_a_look_at_them(tmp_path: Path) -> None:
    """Most of them are not even JSON. At three calls a line a million takes half a second."""
    number = 10_000
    file = put(tmp_path / "x.jsonl", b"{not json at all, as long as a short seed is\n" * number)
    with file.open("ab") as more:
        more.write(b'"last"\n')
    items: list[Seed | Unreadable] = []

    counts = calls(
        lambda: items.extend(seeds.read(SeedSource((file,)), skip=bytearray(b"\1") * number))
    )

    assert items == [Seed(number, identity("seed", "last"), "last")]
    assert counts.total() < 4 * number


def test_the_digest_names_the_bytes_and_nothing_else(tmp_path: Path) -> None:
    """Where the files lie does not matter; where one ends and the next begins does."""
    names = ("a.jsonl", "b.jsonl", "c.jsonl", "d.jsonl")
    a, b, c, d = (
        put(tmp_path / name, content)
        for name, content in zip(names, ['"a"\n', '"b"\n', '"a"\n"b"\n', '"a"\n'], strict=True)
    )
    digests = [seeds.digest(SeedSource(paths)) for paths in [(a,), (d,), (a, b), (b, a), (c,)]]

    assert digests[0] == digests[1]
    assert len(set(digests)) == 4
    assert all(len(digest) == 32 for digest in digests)


# Laws


def in_jsonl(path: Path, contents: list[str]) -> Path:
    return put(path.with_suffix(".jsonl"), [{"instruction": text} for text in contents])


def in_json(path: Path, contents: list[str]) -> Path:
    return put(path.with_suffix(".json"), json.dumps(contents, indent=1))


def in_csv(path: Path, contents: list[str]) -> Path:
    sink = io.StringIO(newline="")
    csv.writer(sink, quoting=csv.QUOTE_ALL).writerows([["n", "text"], *enumerate(contents)])
    return put(path.with_suffix(".csv"), sink.getvalue())


def in_parquet(path: Path, contents: list[str]) -> Path:
    return put_parquet(path.with_suffix(".parquet"), {"prompt": contents})


@pytest.mark.parametrize("write", [in_jsonl, in_json])
@examples(60)
@given(contents=st.lists(any_texts, min_size=1, max_size=5))
def test_json_gives_back_every_text(
    tmp_path_factory: pytest.TempPathFactory, write: Any, contents: list[str]
) -> None:
    """Every text there is, lone surrogates too."""
    assert read(write(tmp_path_factory.mktemp("law") / "x", contents)) == (contents, [])


@pytest.mark.parametrize("write", [in_csv, in_parquet])
@examples(60)
@given(contents=st.lists(texts, min_size=1, max_size=5))
def test_tables_give_back_every_text(
    tmp_path_factory: pytest.TempPathFactory, write: Any, contents: list[str]
) -> None:
    """Every text that can be encoded, quotes, line ends and NULs included."""
    assert read(write(tmp_path_factory.mktemp("law") / "x", contents)) == (contents, [])


@examples(100)
@given(st.binary(min_size=1), st.sampled_from(["x.jsonl", "x.json", "x.csv", "x.parquet"]))
def test_any_bytes_end_in_seeds_complaints_or_a_seed_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    """Nothing else comes out of a file, whatever is in it."""
    source = SeedSource((put(tmp_path_factory.mktemp("any") / name, content),))
    try:
        items = list(seeds.read(source))
    except SeedError:
        return

    assert [item.position for item in items] == list(range(seeds.count(source)))


@given(texts, texts)
def test_the_usual_join_is_a_template(
    tmp_path_factory: pytest.TempPathFactory, instruction: str, beside: str
) -> None:
    """What is done without a flag can be said as one."""
    records = [{"instruction": instruction, "input": text} for text in (beside, "")]
    file = put(tmp_path_factory.mktemp("join") / "x.jsonl", records)

    assert read(file) == read(file, template="{instruction}\n\n{input}")
