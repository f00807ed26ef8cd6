"""Packs: what is in them, what is not, and those of strangers."""

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeclm.engine.data.errors import RunStopped, UserError
from codeclm.engine.store.folder import Folder
from codeclm.engine.store.pack import FORMAT
from codeclm.engine.store.unpack import unpack

from .commands import codeclm, write_lines, write_seeds

SECRET = "sk-this-key-must-be-in-no-file"


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished ``run`` and its pack, ``run.tar.gz``."""
    folder = tmp_path_factory.mktemp("packed")
    write_seeds(folder, 3)
    write_lines(
        folder / "seeds.jsonl", [{"instruction": f"Tell me of {n}."} for n in range(3)] + [7]
    )
    (folder / "own").mkdir()
    (folder / "own" / "respond.txt").write_text("Answer in full: {{instruction}}\n")
    run = codeclm(
        *("run", "--seeds", "seeds.jsonl", "--strong", "scripted/a", "--target", "scripted/b"),
        *("--prompts", "own", "--out", "run", "--display", "none"),
        cwd=folder,
        OPENAI_API_KEY=SECRET,
    )
    assert run.returncode == 0, run.stderr
    done = codeclm("pack", "run", "--to", "run.tar.gz", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        files = ((member.name, tar.extractfile(member)) for member in tar)
        return {name: file.read() for name, file in files if file is not None}


def test_a_pack_holds_what_it_takes_and_no_path_or_key_of_this_machine(packed: Path) -> None:
    files = members(packed / "run.tar.gz")

    assert {"pack.json", "run/config.toml", "run/ledger.sqlite", "answers/000000.jsonl"} <= set(
        files
    )
    assert files["seeds/000000-seeds.jsonl"] == (packed / "seeds.jsonl").read_bytes()
    assert files["prompts/all/respond.txt"] == (packed / "own" / "respond.txt").read_bytes()
    for name, content in files.items():
        assert str(packed).encode() not in content, name
        assert SECRET.encode() not in content, name
    assert (packed / "run.tar.gz").stat().st_mode & 0o077 == 0


def test_the_same_run_packs_to_the_same_bytes(packed: Path) -> None:
    codeclm("pack", "run", "--to", "again.tar.gz", cwd=packed)

    assert (packed / "again.tar.gz").read_bytes() == (packed / "run.tar.gz").read_bytes()


def test_an_unpacked_run_is_whole(packed: Path, tmp_path: Path) -> None:
    done = codeclm("unpack", str(packed / "run.tar.gz"), cwd=tmp_path)
    resumed = codeclm("resume", "runs/run", "--display", "none", "--json", cwd=tmp_path)
    again = codeclm("pack", "runs/run", "--to", "again.tar.gz", cwd=tmp_path)

    assert (done.returncode, resumed.returncode, again.returncode) == (0, 0, 0), resumed.stderr
    folder = tmp_path / "runs" / "run"
    assert (folder / "alpaca.jsonl").read_bytes() == (packed / "run" / "alpaca.jsonl").read_bytes()
    assert sum(stage.get("paid", 0) for stage in json.loads(resumed.stdout)["calls"].values()) == 0
    assert not list(tmp_path.glob("runs/.*"))
    answers = {n: c for n, c in members(packed / "run.tar.gz").items() if n.startswith("answers")}
    moved = members(tmp_path / "again.tar.gz")
    assert {name: moved[name] for name in answers} == answers


TESTS = Path(__file__).parents[2] / "shared" / "data"

VARIETY = {
    "streaming": (),
    "augmented": ("--augment-to", "4", "--per-metadata", "2"),
    "pooled": ("--recipe", "self-instruct", "-n", "3"),
    "the user's metadata": ("--metadata", "metadata.jsonl"),
    "a folder of seeds of several formats": ("--seeds", "many"),
    "a file of its own kind": ("--seeds", "seeds.txt", "--set", "input.format=jsonl"),
    "prompts for a role": ("--set", 'strong.prompts="own"'),
    "a sample": ("--limit", "2"),
}


@pytest.mark.parametrize("flags", VARIETY.values(), ids=VARIETY)
def test_an_unpacked_run_of_any_kind_can_be_made_anew_from_its_pack(
    flags: tuple[str, ...], tmp_path: Path
) -> None:
    """Without its ledger, so that every answer is asked for again, and is there."""
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "many").mkdir(parents=True)
    (here / "own").mkdir()
    there.mkdir()
    write_seeds(here, 3)
    write_seeds(here, 3, "seeds.txt")
    write_seeds(here / "many", 2, "b.jsonl")
    (here / "many" / "a.csv").write_text("instruction\nTell me of csv.\n")
    (here / "own" / "respond.txt").write_text("Answer in full: {{instruction}}\n")
    write_lines(here / "metadata.jsonl", [{"use_case": "poems", "skills": ["rhyme"]}])
    own = {"--seeds", "--metadata"} & set(flags)
    run = codeclm(
        *("run", *(() if own else ("--seeds", "seeds.jsonl")), *flags, "--out", "run"),
        *("--strong", "scripted/a", "--target", "scripted/b", "--display", "none"),
        cwd=here,
    )
    assert run.returncode == 0, run.stderr
    packed = codeclm("pack", "run", "--to", str(there / "p.tar.gz"), cwd=here)
    assert packed.returncode == 0, packed.stderr

    codeclm("unpack", "p.tar.gz", "--to", "run", cwd=there)
    for name in ("ledger.sqlite", "summary.json"):
        (there / "run" / name).unlink()
    again = codeclm("resume", "run", "--display", "none", "--json", cwd=there)

    assert again.returncode == 0, again.stderr
    rows = [(where / "run" / "alpaca.jsonl").read_bytes() for where in (here, there)]
    assert rows[0] == rows[1] != b""
    calls = json.loads(again.stdout)["calls"].values()
    assert sum(stage.get("paid", 0) for stage in calls) == 0


@pytest.mark.skipif(not TESTS.is_dir(), reason="the paper's test sets are not beside the checkout")
def test_the_papers_test_sets_come_along(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    write_seeds(here, 2)
    tests = ("--set", 'quality.decontaminate=["vicuna"]', "--set", f"quality.tests='{TESTS}'")
    models = ("--strong", "scripted/a", "--target", "scripted/b", "--display", "none")
    codeclm("run", "--seeds", "seeds.jsonl", *tests, *models, "--out", "run", cwd=here)
    codeclm("pack", "run", "--to", str(there / "p.tar.gz"), cwd=here)
    codeclm("unpack", "p.tar.gz", "--to", "run", cwd=there)

    resumed = codeclm("resume", "run", "--display", "none", cwd=there)

    assert resumed.returncode == 0, resumed.stderr
    assert (there / "run" / "tests" / "vicuna_bench_question.jsonl").exists()


def test_the_answers_can_go_into_a_cache_of_the_user_s(packed: Path, tmp_path: Path) -> None:
    pack = str(packed / "run.tar.gz")
    for name in ("first", "second"):  # the second finds them there
        done = codeclm("unpack", pack, "--to", name, "--cache", "mine", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert not (tmp_path / name / "cache").exists()
    status = [
        json.loads(codeclm("status", folder, "--json", cwd=where).stdout)["calls_in_all"]
        for folder, where in (("second", tmp_path), ("run", packed))
    ]

    assert status[0] == status[1] > 0


def test_an_existing_folder_is_not_touched(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()

    done = codeclm("unpack", str(packed / "run.tar.gz"), "--to", "there", cwd=tmp_path)

    assert done.returncode == 2
    assert "already exists: choose another folder with --to" in done.stderr
    assert names(tmp_path / "there") == ["file"]


def test_a_run_at_work_is_not_packed(packed: Path) -> None:
    with Folder(packed / "run").locked():
        done = codeclm("pack", "run", "--to", "working.tar.gz", cwd=packed)

    assert done.returncode == 2
    assert "is working on this run: wait for it, or stop it" in done.stderr
    assert not (packed / "working.tar.gz").exists()


def test_changed_seeds_are_not_packed(tmp_path: Path) -> None:
    write_seeds(tmp_path, 2)
    codeclm(
        *("run", "--seeds", "seeds.jsonl", "--strong", "scripted/a", "--target", "scripted/b"),
        *("--out", "run", "--display", "none"),
        cwd=tmp_path,
    )
    write_seeds(tmp_path, 3)

    done = codeclm("pack", "run", cwd=tmp_path)

    assert done.returncode == 2
    assert "the seed files have changed" in done.stderr
    assert not list(tmp_path.glob("*.tar.gz"))


@pytest.mark.parametrize(
    ("file", "what"),
    [("own/respond.txt", "strong's prompts have"), ("metadata.jsonl", "metadata have")],
)
def test_changed_prompts_and_metadata_are_not_packed(file: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "respond.txt").write_text("Answer in full: {{instruction}}\n")
    write_lines(tmp_path / "metadata.jsonl", [{"use_case": "poems", "skills": ["rhyme"]}])
    codeclm(
        *("run", "--metadata", "metadata.jsonl", "--prompts", "own", "--out", "run"),
        *("--strong", "scripted/a", "--target", "scripted/b", "--display", "none"),
        cwd=tmp_path,
    )
    whole = codeclm("pack", "run", "--to", "whole.tar.gz", cwd=tmp_path)
    with (tmp_path / file).open("a") as added:
        added.write('{"use_case": "prose"}\n')

    done = codeclm("pack", "run", "--to", "changed.tar.gz", cwd=tmp_path)

    assert (whole.returncode, done.returncode) == (0, 2), whole.stderr
    assert f"the {what} changed since the run was started: restore them" in done.stderr
    assert not (tmp_path / "changed.tar.gz").exists()


# -- strangers' ---------------------------------------------------------------------------------


def repack(
    path: Path, to: Path, change: Callable[[tarfile.TarInfo, bytes], tuple[tarfile.TarInfo, bytes]]
) -> str:
    """Write the pack *path* to *to*, each file as *change* returns it."""
    with tarfile.open(to, "w:gz", format=tarfile.GNU_FORMAT) as tar:
        for name, content in members(path).items():
            info, changed = change(tarfile.TarInfo(name), content)
            info.size = len(changed) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(changed))
    return str(to)


Change = Callable[[tarfile.TarInfo, bytes], tuple[tarfile.TarInfo, bytes]]


def renamed(name: str) -> Change:
    def change(info: tarfile.TarInfo, content: bytes) -> tuple[tarfile.TarInfo, bytes]:
        if info.name.startswith("seeds/"):
            info.name = name
        return info, content

    return change


def linked(kind: bytes) -> Change:
    def change(info: tarfile.TarInfo, content: bytes) -> tuple[tarfile.TarInfo, bytes]:
        if info.name.startswith("seeds/"):
            info.type, info.linkname = kind, "/etc/passwd"
        return info, content

    return change


def replaced(start: str, content: bytes) -> Change:
    def change(info: tarfile.TarInfo, old: bytes) -> tuple[tarfile.TarInfo, bytes]:
        return info, content if info.name.startswith(start) else old

    return change


STRANGE = {
    "a name outside": renamed("../../evil.jsonl"),
    "an absolute name": renamed("/tmp/evil.jsonl"),
    "a dot file": renamed("seeds/.hidden"),
    "a file of another kind": renamed("run/run.lock"),
    "a very long name": renamed("seeds/" + "x" * 300),
    "a file twice": renamed("run/config.toml"),
    "a symbolic link": linked(tarfile.SYMTYPE),
    "a hard link": linked(tarfile.LNKTYPE),
    "a device": linked(tarfile.CHRTYPE),
    "a pipe": linked(tarfile.FIFOTYPE),
    "other seeds": replaced("seeds/", b'{"instruction": "Other."}\n'),
    "no ledger in it": replaced("run/ledger", b"SELECT 1;" * 100),
    "no manifest in it": replaced("run/manifest", b"{}"),
    "a configuration of another program": replaced("run/config", b"[evil]\nx = 1\n"),
    "an answer without a key": replaced("answers/0", b"hello\n"),
    "an answer that is none": replaced("answers/0", b"0" * 32 + b' {"text": 1}\n'),
    "half a key": replaced("answers/keys", b"hello"),
    "another header": replaced(
        "pack.json", b'{"format": 99, "codeclm": "9", "name": "x", "sessions": {}, "whole": true}'
    ),
    "a huge configuration": replaced("run/config", b"#" * (5 << 20)),
}


@pytest.mark.parametrize("change", STRANGE.values(), ids=STRANGE)
def test_a_stranger_s_pack_is_refused_in_one_line_and_leaves_nothing(
    change: Change, packed: Path, tmp_path: Path
) -> None:
    pack = repack(packed / "run.tar.gz", tmp_path / "strange.tar.gz", change)

    done = codeclm("unpack", pack, "--to", "new", cwd=tmp_path)

    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert names(tmp_path) == ["strange.tar.gz"]


@pytest.mark.parametrize("name", ["ledger.sqlite", "manifest.json", "config.toml"])
def test_a_damaged_pack_is_to_be_fetched_again(name: str, packed: Path, tmp_path: Path) -> None:
    """And nobody is sent to a file that is gone."""
    change = replaced(f"run/{name}", b"[[[ not what it was " * 100)
    pack = repack(packed / "run.tar.gz", tmp_path / "p.tar.gz", change)

    done = codeclm("unpack", pack, "--to", "new", cwd=tmp_path)

    assert done.returncode == 2
    assert f"{pack}: damaged: its run/{name} cannot be read: fetch the file again" in done.stderr
    assert "partial" not in done.stderr


def bomb(path: Path) -> None:
    """Write a pack of some kilobytes whose seeds are a gigabyte of zeros."""
    info = tarfile.TarInfo("seeds/000000-a.jsonl")
    info.size = 1 << 30
    header = json.dumps(
        {"format": FORMAT, "codeclm": "1", "name": "x", "sessions": {}, "whole": True}
    ).encode()
    first = tarfile.TarInfo("pack.json")
    first.size = len(header)
    with gzip.open(path, "wb", 1) as file:
        file.write(first.tobuf() + header.ljust(512, b"\0") + info.tobuf() + bytes(1 << 20))


def test_a_bomb_is_refused_by_its_size(tmp_path: Path) -> None:
    bomb(tmp_path / "bomb.tar.gz")

    done = codeclm("unpack", "bomb.tar.gz", "--to", "new", "--max-size", "1", cwd=tmp_path)

    assert done.returncode == 2
    assert "unpacks to more than the limit: raise it with --max-size" in done.stderr
    assert names(tmp_path) == ["bomb.tar.gz"]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_pack_that_is_cut_off_is_refused(share: float, packed: Path, tmp_path: Path) -> None:
    whole = (packed / "run.tar.gz").read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(whole[: int(len(whole) * share)])

    done = codeclm("unpack", "cut.tar.gz", "--to", "new", cwd=tmp_path)

    assert done.returncode == 2, done.stderr
    assert names(tmp_path) == ["cut.tar.gz"]


def test_a_stranger_s_run_sends_nothing_before_it_is_trusted(packed: Path, tmp_path: Path) -> None:
    roles = ("[strong]", 'model = "vllm/x"', 'base_url = "http://127.0.0.1:9/v1"')
    config = "\n".join(('seeds = ["seeds"]', *roles, "[target]", 'model = "vllm/y"')).encode()
    pack = repack(packed / "run.tar.gz", tmp_path / "p.tar.gz", replaced("run/config", config))
    codeclm("unpack", pack, "--to", "new", cwd=tmp_path)

    done = codeclm("resume", "new", cwd=tmp_path)

    assert done.returncode == 2
    assert "this run was not begun by you on this machine" in done.stderr


@pytest.mark.parametrize("setting", ["metadata", "prompts", "seeds"])
def test_a_stranger_s_run_packs_no_file_of_the_user_s(
    setting: str, packed: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for name in ("respond.txt", "seeds.jsonl"):
        (home / name).write_text("secret\n")
    lines = {
        "metadata": f"seeds = []\n[metadata]\nfile = '{home}/respond.txt'\n",
        "prompts": f"seeds = ['new/seeds']\nprompts = '{home}'\n",
        "seeds": f"seeds = ['{home}/seeds.jsonl']\n",
    }
    codeclm("unpack", str(packed / "run.tar.gz"), "--to", "new", cwd=tmp_path)
    (tmp_path / "new" / "config.toml").write_text(lines[setting])

    done = codeclm("pack", "new", "--to", "p.tar.gz", cwd=tmp_path)

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert f"names {home}/" in done.stderr
    assert not (tmp_path / "p.tar.gz").exists()


@pytest.fixture(scope="module")
def plain(packed: Path) -> bytes:
    """The pack without its compression."""
    return gzip.decompress((packed / "run.tar.gz").read_bytes())


@given(
    st.lists(
        st.tuples(st.integers(0, 10**6), st.integers(0, 160), st.integers(0, 255)),
        min_size=1,
        max_size=8,
    )
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_pack_with_any_bytes_changed_is_unpacked_whole_or_leaves_nothing(
    plain: bytes, tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("changed")
    changed = bytearray(plain)
    for block, offset, byte in changes:
        changed[block % (len(plain) // 512) * 512 + offset] = byte  # headers are blocks of 512
    (folder / "pack.tar.gz").write_bytes(gzip.compress(bytes(changed), 1))

    try:
        unpack(folder / "pack.tar.gz", to=folder / "new", most_bytes=10**8)
    except (UserError, RunStopped):
        assert names(folder) == ["pack.tar.gz"]
    else:
        assert sorted(names(folder)) == ["new", "pack.tar.gz"]
