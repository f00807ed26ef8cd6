"""Publishing a dataset, by the Hub's own client and a stand-in for the Hub."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .commands import codeclm, write_seeds
from .hub import Hub, hub


@pytest.fixture
def hugging() -> Iterator[Hub]:
    pytest.importorskip("huggingface_hub", reason='needs the extra: pip install ".[hub]"')
    with hub() as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished ``run``."""
    path = tmp_path_factory.mktemp("pushing")
    write_seeds(path, 3)
    done = codeclm(
        *("run", "--seeds", "seeds.jsonl", "--strong", "scripted/a", "--target", "scripted/b"),
        *("--out", "run", "--display", "none"),
        cwd=path,
    )
    assert done.returncode == 0, done.stderr
    return path


def push(
    hugging: Hub, folder: Path, *more: str, **environ: str
) -> subprocess.CompletedProcess[str]:
    ours = {"HF_ENDPOINT": hugging.url, "HF_HUB_DISABLE_XET": "1", "HF_HOME": "/nonexistent"}
    given = {**ours, "HF_TOKEN": hugging.token, **environ}
    return codeclm("push", "run", "me/data", *more, cwd=folder, **given)


def test_a_dataset_is_pushed_with_its_card_and_private(hugging: Hub, folder: Path) -> None:
    done = push(hugging, folder, "--license", "cc-by-4.0", "--message", "First.")

    assert done.returncode == 0, done.stderr
    repository = hugging.repositories["me/data"]
    assert repository.private
    assert repository.commits == ["First."]
    assert repository.files["train.jsonl"] == (folder / "run" / "alpaca.jsonl").read_bytes()
    card = repository.files["README.md"].decode()
    assert card.startswith("---\nlicense: cc-by-4.0\n")
    assert "data_files: train.jsonl" in card
    assert f"/datasets/me/data/commit/{repository.sha} (private)" in done.stderr


def test_pushing_again_changes_nothing(hugging: Hub, folder: Path) -> None:
    push(hugging, folder)
    commits = list(hugging.repositories["me/data"].commits)

    again = push(hugging, folder)

    assert again.returncode == 0, again.stderr
    assert hugging.repositories["me/data"].commits == commits


def test_nothing_is_made_public_unasked(hugging: Hub, folder: Path) -> None:
    repository = hugging.add("me/data", {})

    refused = push(hugging, folder)
    assert (refused.returncode, repository.files) == (2, {})
    assert "me/data: this repository is public: say --public" in refused.stderr

    done = push(hugging, folder, "--public")
    assert (done.returncode, "(public)" in done.stderr) == (0, True)
    assert set(repository.files) == {"train.jsonl", "README.md"}


def test_an_interrupted_push_continues_without_uploading_twice(hugging: Hub, folder: Path) -> None:
    hugging.large = 1000  # so that the rows are uploaded apart from the commit
    hugging.failures += ["POST /api/datasets/me/data/commit"] * 20

    failed = push(hugging, folder)
    hugging.failures.clear()
    uploads = [request for request in hugging.requests if request[0] == "PUT"]
    done = push(hugging, folder)

    assert failed.returncode == 1, failed.stderr
    assert "the same command continues" in failed.stderr
    assert done.returncode == 0, done.stderr
    assert uploads
    assert [request for request in hugging.requests if request[0] == "PUT"] == uploads
    rows = (folder / "run" / "alpaca.jsonl").read_bytes()
    assert hugging.repositories["me/data"].files["train.jsonl"] == rows


def test_without_a_token_nothing_is_asked(hugging: Hub, folder: Path) -> None:
    done = push(hugging, folder, HF_TOKEN="")

    assert (done.returncode, hugging.requests) == (2, [])
    assert "HF_TOKEN is not set" in done.stderr


def test_a_token_is_named_and_in_no_file(hugging: Hub, folder: Path) -> None:
    wrong = push(hugging, folder, HF_TOKEN="hf_" + "b" * 30)
    named = push(hugging, folder, "--token-variable", "MINE", HF_TOKEN="", MINE=hugging.token)

    assert (wrong.returncode, named.returncode) == (1, 0), wrong.stderr + named.stderr
    assert "hf_b" not in wrong.stderr
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in files if hugging.token.encode() in path.read_bytes()]


@pytest.mark.parametrize("name", ["data", "a/b/c", "../data", "me/data space"])
def test_a_name_that_is_none_is_refused(name: str, folder: Path) -> None:
    done = codeclm("push", "run", name, cwd=folder, HF_TOKEN="hf_" + "a" * 30)

    assert done.returncode == 2
    assert "write OWNER/NAME" in done.stderr


def test_what_was_pushed_can_be_seeds(hugging: Hub, folder: Path, tmp_path: Path) -> None:
    push(hugging, folder)
    environ = {"HF_ENDPOINT": hugging.url, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": hugging.token}

    done = codeclm(
        *("check", "--seeds", "hf://datasets/me/data", "--out", "run"),
        *("--strong", "scripted/a", "--target", "scripted/b"),
        cwd=tmp_path,
        **environ,
    )

    assert done.returncode == 0, done.stderr
    rows = len((folder / "run" / "alpaca.jsonl").read_bytes().splitlines())
    assert f"seeds    {rows}" in done.stdout


def test_what_was_pushed_is_a_dataset(hugging: Hub, folder: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason='needs the extra: pip install ".[train]"')
    push(hugging, folder)
    for name, content in hugging.repositories["me/data"].files.items():
        (tmp_path / name).write_bytes(content)

    loaded = datasets.load_dataset(str(tmp_path), split="train", cache_dir=str(tmp_path / "cache"))

    lines = (folder / "run" / "alpaca.jsonl").read_text("utf-8").splitlines()
    assert [dict(row) for row in loaded] == [json.loads(line) for line in lines]
