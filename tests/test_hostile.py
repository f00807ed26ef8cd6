"""What a careless user or a stranger can type or send: one line, never a traceback, never a wait.

No assertion on time: what would not end fails by the time limit of `tests.preloaded`.
"""

import gzip
import json
import subprocess
from pathlib import Path

import pytest

from .commands import COMMAND, codeclm, environment, write_seeds

MODELS = ("--strong", "scripted/strong", "--target", "scripted/target")
CHECK = ("check", "--seeds", "seeds.jsonl", *MODELS)
RUN = ("run", "--seeds", "seeds.jsonl", *MODELS, "--per-metadata", "1", "--display", "none")

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode in {1, 2}, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert len(done.stderr) < 2000
    return done.stderr


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.yaml", BOMB),
        ("c.yaml", "a: &a\n  b: *a\n"),
        ("c.yaml", "[" * 5000),
        ("c.toml", f"{'a.' * 50_000}a = 1\n"),
        ("c.toml", f"x = {{ {'a.' * 50_000}a = 1 }}\n"),
        ("c.toml", f"x = {'[' * 5000}{']' * 5000}\n"),
        ("c.toml", f"x = {'{a=' * 5000}1{'}' * 5000}\n"),
        ("c.toml", f"seed = {'5' * 5000}\n"),
        ("c.toml", '"a\\nb\\u001b[2J" = 1\n'),
        ("c.toml", f"{'a' * 1_000_000} = 1\n"),
        ("c.json", "[" * 100_000),
        ("c.json", '{"a":' * 5000),
    ],
)
def test_a_hostile_configuration_is_one_line(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    message = one_line(codeclm("check", name, cwd=tmp_path))

    assert name in message
    assert "\x1b" not in message


@pytest.mark.parametrize(
    "more",
    [
        ("--set", f"seed={'[' * 5000}"),
        ("--set", f"seed={'5' * 5000}"),
        ("--set", f"{'a.' * 5000}a=1"),
        ("--set", "filter.threshold=1\nseed=5"),
        ("--set", "seed=9223372036854775808"),
        ("--set", "seed=9007199254740993"),
        ("--per-metadata", "9223372036854775808"),
        ("--per-metadata", "1000001"),
        ("-n", str(10**20)),
        ("-n", str(10**9)),
        ("--max-concurrent", "100001"),
        ("--rpm", "1e308"),
        ("--set", "size.max_expansion=1e308"),
        ("--out", "~nosuchuser/x"),
        ("--out", "x" * 300),
        ("--cache", "~nosuchuser/x"),
        ("--seed-field", f"a.{'9' * 5000}"),
    ],
)
def test_a_hostile_setting_is_one_line(tmp_path: Path, more: tuple[str, ...]) -> None:
    write_seeds(tmp_path)
    one_line(codeclm(*CHECK, *more, cwd=tmp_path))


@pytest.mark.parametrize("verb", ["resume", "status", "report", "calibrate", "inspect"])
@pytest.mark.parametrize("name", ["x" * 300, "~nosuchuser/x"])
def test_an_impossible_folder_is_one_line(tmp_path: Path, verb: str, name: str) -> None:
    one_line(codeclm(verb, name, *(["x"] if verb == "inspect" else []), cwd=tmp_path))


def test_nothing_is_older_than_the_calendar(tmp_path: Path) -> None:
    write_seeds(tmp_path, 2)
    codeclm(*RUN, cwd=tmp_path)
    done = codeclm("cache", "prune", "--older-than", "1000000", cwd=tmp_path)

    assert done.returncode == 0
    assert done.stdout.startswith("deleted 0 answers")


def test_seeds_that_break_off_within_a_run_are_one_line(tmp_path: Path) -> None:
    """They are found by a task of the run, which puts them into a group."""
    packed = gzip.compress(b"".join(b'{"instruction":"Say %d."}\n' % n for n in range(50_000)))
    (tmp_path / "s.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    done = codeclm(
        *("run", "--seeds", "s.jsonl.gz", *MODELS, "--out", "r", "--display", "none"), cwd=tmp_path
    )

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "s.jsonl.gz: damaged gzip file" in done.stderr


@pytest.mark.parametrize("columns", [100_000])
def test_a_table_of_very_many_columns_is_read(tmp_path: Path, columns: int) -> None:
    names = ",".join(f"c{n}" for n in range(columns))
    (tmp_path / "s.csv").write_text(f"instruction,{names}\nSay hello.,{',' * (columns - 1)}\n")

    done = codeclm("check", "--seeds", "s.csv", *MODELS, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_what_is_wished_for_takes_no_memory_before_it_is_there(tmp_path: Path) -> None:
    """A hundred thousand workers took a gigabyte, ten million rows took two."""
    write_seeds(tmp_path, 4)
    wishes = ("--max-concurrent", "100000", "-n", "10000000", "--max-calls", "40")
    line = ("run", "--seeds", "seeds.jsonl", *MODELS, "--display", "none", *wishes)
    done = subprocess.run(
        ["sh", "-c", 'ulimit -v 1000000; exec "$@"', "sh", *COMMAND, *line],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 4, done.stderr
    assert "budget.calls: 40 of 40 spent" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("target", "status"), [("/dev/full", 1), (None, 0)])
def test_output_that_cannot_be_written_is_no_traceback(
    tmp_path: Path, target: str | None, status: int
) -> None:
    write_seeds(tmp_path, 2)
    codeclm(*RUN, "--out", "r", cwd=tmp_path)
    redirect = f">{target}" if target else ">&-"
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirect}', "sh", *COMMAND, "status", "r"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )

    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr


def test_a_stranger_s_texts_do_not_control_the_terminal(tmp_path: Path) -> None:
    write_seeds(tmp_path, 2)
    codeclm(*RUN, "--out", "r", cwd=tmp_path)
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    summary["ending"] = summary["reason"] = "\x1b]0;pwned\x07\x1b[2J\u202e"
    (tmp_path / "r" / "summary.json").write_text(json.dumps(summary))
    manifest = json.loads((tmp_path / "r" / "manifest.json").read_text())
    manifest["settings"]["\x1b[2J"] = "\x1b[2J"
    (tmp_path / "r" / "manifest.json").write_text(json.dumps(manifest))

    for line in (("status", "r"), ("status", "r", "--json"), ("resume", "r")):
        done = codeclm(*line, cwd=tmp_path)

        assert not {"\x1b", "\u202e"} & set(done.stdout + done.stderr)
        assert "Traceback" not in done.stderr
        if "--json" in line:
            assert json.loads(done.stdout)["ending"] == summary["ending"]


@pytest.mark.parametrize(
    ("verb", "words"), [("run", "codeclm init"), ("compare", "[compare]"), ("evaluate", "check")]
)
def test_a_missing_file_of_settings_is_one_line(tmp_path: Path, verb: str, words: str) -> None:
    message = one_line(codeclm(verb, "nowhere.toml", cwd=tmp_path))

    assert "nowhere.toml: no such file; " in message
    assert words in message


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("strong.prompts=nowhere", "strong.prompts: nowhere"),
        ("prompts=nowhere", ": prompts: nowhere"),
        ('strong.options.replies.encod="x"', "options.replies: no prompt is called 'encod'"),
    ],
)
def test_a_setting_is_called_by_its_name(tmp_path: Path, setting: str, words: str) -> None:
    write_seeds(tmp_path)

    assert words in one_line(codeclm(*CHECK, "--set", setting, cwd=tmp_path))


def test_what_is_typed_does_not_control_the_terminal(tmp_path: Path) -> None:
    done = codeclm("check", "\x1b[2J", "\u202ex", "\x9b", cwd=tmp_path)

    assert done.returncode == 2
    assert not set("\x1b\u202e\x9b") & set(done.stderr)


@pytest.mark.parametrize("setting", ["out", "cache.folder", "prompts", "metadata.file"])
def test_a_path_with_nul_is_one_line(tmp_path: Path, setting: str) -> None:
    write_seeds(tmp_path)
    one_line(codeclm(*CHECK, "--set", f'{setting}="a\\u0000b"', cwd=tmp_path))


@pytest.mark.parametrize(
    ("name", "head", "tail"),
    [
        ("s.json.gz", b'[{"instruction": "a"}, "', b'"]'),
        ("s.jsonl.gz", b'{"instruction": "', b'"}'),
    ],
)
def test_what_unpacks_to_too_much_is_refused(
    tmp_path: Path, name: str, head: bytes, tail: bytes
) -> None:
    block = b"a" * (16 << 20)
    with gzip.open(tmp_path / name, "wb", 1) as file:
        file.write(head)
        for _ in range(34):
            file.write(block)
        file.write(tail)

    assert name in one_line(codeclm("check", "--seeds", name, *MODELS, cwd=tmp_path))


def test_a_card_s_front_matter_is_ours(tmp_path: Path) -> None:
    line = ("export", "r", "--trainer", "trl", "--to", "t", "--language", "en\nlicense: mit\n---")
    done = codeclm(*line, cwd=tmp_path)

    assert done.returncode == 2
    assert "must be a language code" in done.stderr


def test_a_cache_that_everybody_can_write_is_named(tmp_path: Path) -> None:
    write_seeds(tmp_path, 2)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)

    assert "chmod 700" in codeclm(*RUN, "--out", "r", cwd=tmp_path).stderr
