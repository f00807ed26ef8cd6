"""Seeds by their address: downloaded once, checked, and not needed again."""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Literal

import anyio.to_thread
import pytest

from codeclm.engine.data.seeds import SeedError, remote
from codeclm.engine.data.seeds.hub import choose

from .commands import codeclm, write_seeds
from .hub import Hub, hub
from .servers import Say, Server, answer

SEEDS = b"".join(b'{"instruction": "Tell me of %d."}\n' % n for n in range(3))
MODELS = ("--strong", "scripted/a", "--target", "scripted/b", "--display", "none")


@pytest.fixture
def hugging() -> Iterator[Hub]:
    pytest.importorskip("huggingface_hub", reason='needs the extra: pip install ".[hub]"')
    with hub() as running:
        yield running


def environ(hugging: Hub, **more: str) -> dict[str, str]:
    return {
        "HF_ENDPOINT": hugging.url,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": "/nonexistent",
        **more,
    }


def run(cwd: Path, seeds: str, out: str = "run", **more: str) -> tuple[int, str]:
    done = codeclm("run", "--seeds", seeds, "--out", out, *MODELS, cwd=cwd, **more)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("part", "files"),
    [
        ("", ["data/train-00000-of-00002.jsonl", "data/train-00001-of-00002.jsonl"]),
        ("/train", ["data/train-00000-of-00002.jsonl", "data/train-00001-of-00002.jsonl"]),
        ("/test", ["test.csv"]),
        ("/test.csv", ["test.csv"]),
        ("/more", ["more/all.jsonl"]),
    ],
)
def test_a_part_is_a_file_a_folder_or_a_split(part: str, files: list[str]) -> None:
    there = [
        *("data/train-00001-of-00002.jsonl", "data/train-00000-of-00002.jsonl", "test.csv"),
        *("more/all.jsonl", "README.md", ".hidden/train.jsonl", "../train.jsonl"),
        *("dataset_infos.json", "model.bin", "/train.jsonl"),
    ]

    assert choose("hf://datasets/o/n", there, part.removeprefix("/")) == files


def test_seeds_from_the_hub_are_downloaded_once(hugging: Hub, tmp_path: Path) -> None:
    hugging.add("o/n", {"train.jsonl": SEEDS, "test.jsonl": SEEDS[:10], "README.md": b"#"})
    address = "hf://datasets/o/n"

    assert run(tmp_path, address, **environ(hugging))[0] == 0
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["files"]["seeds"] == address
    assert [file["size"] for file in manifest["seed_files"]] == [len(SEEDS)]
    [facts] = (tmp_path / "cache" / "seeds").glob("*/source.json")
    assert json.loads(facts.read_text())["commit"] == hugging.repositories["o/n"].sha

    hugging.requests.clear()
    hugging.repositories.clear()
    again = codeclm("resume", "run", "--display", "none", cwd=tmp_path, **environ(hugging))
    assert (again.returncode, hugging.requests) == (0, [])


def test_a_private_dataset_needs_a_token_and_the_token_is_in_no_file(
    hugging: Hub, tmp_path: Path
) -> None:
    hugging.add("o/n", {"a.jsonl": SEEDS}, private=True)

    status, told = run(tmp_path, "hf://datasets/o/n/a.jsonl", **environ(hugging))
    assert (status, (tmp_path / "run").exists()) == (2, False)
    assert "set HF_TOKEN" in told

    line = environ(hugging, HF_TOKEN=hugging.token)
    assert run(tmp_path, "hf://datasets/o/n/a.jsonl", **line)[0] == 0
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if hugging.token.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("hf://datasets/o/n/validation", "its data files: train.jsonl"),
        ("hf://datasets/o/other", "set HF_TOKEN"),
        ("hf://datasets/o/n@nowhere", "set HF_TOKEN"),
        ("hf://o/n", "write hf://datasets/OWNER/NAME"),
        ("hf://datasets/o", "write hf://datasets/OWNER/NAME"),
    ],
)
def test_what_is_not_there_is_one_line_before_anything_is_written(
    address: str, problem: str, hugging: Hub, tmp_path: Path
) -> None:
    hugging.add("o/n", {"train.jsonl": SEEDS})

    status, told = run(tmp_path, address, **environ(hugging))

    assert (status, (tmp_path / "run").exists()) == (2, False)
    assert problem in told.splitlines()[-1]
    assert "Traceback" not in told
    assert not list((tmp_path / "cache").rglob("*.jsonl"))


# -- from the web -------------------------------------------------------------------------------


async def fetch(address: str, cache: Path) -> None:
    await anyio.to_thread.run_sync(remote.fetch, address, cache)


@pytest.mark.blocking
async def test_a_file_from_the_web_is_downloaded_once(server: Server, tmp_path: Path) -> None:
    server.will(answer(SEEDS), answer(SEEDS))
    address = f"{server.url}/folder/seeds%20of%20mine.jsonl?download=true"

    await fetch(address, tmp_path)
    await fetch(address, tmp_path)
    await fetch(f"{address}#sha256={sha256(SEEDS).hexdigest()}", tmp_path)

    target = remote.local_path(address, tmp_path)
    assert (target.name, target.read_bytes()) == ("seeds-of-mine.jsonl", SEEDS)
    assert [seen.path for seen in server.asked] == [address.removeprefix(server.url)] * 2


def cut(then: Literal["close", "reset"]) -> Say:
    whole = answer(SEEDS)
    return Say(whole.data[:-20], then)


BROKEN = {
    "cut off": (cut(then="close"), "try again"),
    "reset": (cut(then="reset"), "try again"),
    "missing": (answer(b"no", status=404), "HTTP 404"),
    "moved to a file": (answer(status=302, headers={"Location": "file:///etc/passwd"}), "HTTP 302"),
    "moved to plain http": (
        answer(status=302, headers={"Location": "http://example.org/seeds.jsonl"}),
        "https only",
    ),
    "another file": (answer(b"{}"), "another file than expected"),
}


@pytest.mark.blocking
@pytest.mark.parametrize(("reply", "problem"), BROKEN.values(), ids=BROKEN)
async def test_what_does_not_come_whole_leaves_nothing(
    reply: Say, problem: str, server: Server, tmp_path: Path
) -> None:
    server.will(reply)
    address = f"{server.url}/seeds.jsonl#sha256={sha256(SEEDS).hexdigest()}"

    with pytest.raises(SeedError, match=problem):
        await fetch(address, tmp_path)

    assert not [path for path in (tmp_path / "seeds").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "address",
    [
        "https://me:hunter2@example.org/seeds.jsonl",
        "https://example.org/seeds.jsonl?X-Amz-Signature=hunter2",
        "https://example.org/seeds.jsonl?token=hunter2",
    ],
)
def test_an_address_with_a_secret_is_refused_and_not_repeated(address: str, tmp_path: Path) -> None:
    status, told = run(tmp_path, address)

    assert (status, (tmp_path / "run").exists()) == (2, False)
    assert "holds a secret" in told
    assert "hunter2" not in told


def test_plain_http_is_for_this_machine_alone(tmp_path: Path) -> None:
    with pytest.raises(SeedError, match="https only"):
        remote.fetch("http://example.org/seeds.jsonl", tmp_path)


def test_a_stranger_s_run_downloads_nothing_before_it_is_trusted(tmp_path: Path) -> None:
    write_seeds(tmp_path, 2)
    run(tmp_path, "seeds.jsonl")
    config = tmp_path / "run" / "config.toml"
    address = "http://127.0.0.1:9/seeds.jsonl"
    config.write_text(config.read_text().replace("seeds.jsonl", address))

    done = codeclm("resume", "run", cwd=tmp_path)

    assert done.returncode == 2
    assert f"seeds: a download of {address}" in done.stderr
    assert "--trust" in done.stderr
