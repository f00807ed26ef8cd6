"""Files that are not what they seem, and files that codeclm did not write."""

import csv
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from codeclm.engine.store.folder import Folder, FolderError

from .commands import codeclm, write_seeds

MODELS = ("--strong", "scripted/strong", "--target", "scripted/target")
RUN = ("run", "--seeds", "seeds.jsonl", *MODELS, "--per-metadata", "1", "--display", "none")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("finished")
    write_seeds(home, 6)
    done = codeclm(*RUN, "--out", "run", cwd=home)
    assert done.returncode in {0, 3}, done.stderr
    return home


@pytest.fixture
def home(finished: Path, tmp_path: Path) -> Path:
    """A folder with a finished run, ``run``."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode in {1, 2}, done.stderr
    assert "Traceback" not in done.stderr
    assert all(word in done.stderr for word in words), done.stderr


# -- links, pipes and devices -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["run.lock", "events.jsonl", "ledger.sqlite"])
def test_a_link_in_a_run_s_folder_is_not_followed(home: Path, name: str) -> None:
    precious = home / "precious"
    precious.write_text("my keys\n")
    (home / "run" / name).unlink()
    (home / "run" / name).symlink_to(precious)

    refused(codeclm("resume", "run", cwd=home), name)
    refused(codeclm(*RUN, "--out", "run", cwd=home), name)
    assert precious.read_text() == "my keys\n"


@pytest.mark.parametrize("name", ["openers", "cache.db"])
def test_a_link_in_a_cache_is_not_followed(home: Path, name: str) -> None:
    precious = home / "precious"
    precious.write_text("my keys\n")
    (home / "cache" / name).unlink()
    (home / "cache" / name).symlink_to(precious)

    refused(codeclm(*RUN, "--out", "other", cwd=home), name)
    assert precious.read_text() == "my keys\n"


@pytest.mark.parametrize("name", ["config.toml", "manifest.json", "run.lock", "events.jsonl"])
def test_a_pipe_in_a_run_s_folder_is_not_waited_for(home: Path, name: str) -> None:
    (home / "run" / name).unlink()
    os.mkfifo(home / "run" / name)

    refused(codeclm("resume", "run", cwd=home), name, "not a regular file")


def test_a_summary_that_is_a_pipe_counts_as_none(home: Path) -> None:
    (home / "run" / "summary.json").unlink()
    os.mkfifo(home / "run" / "summary.json")

    assert codeclm("status", "run", cwd=home).returncode == 0


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [_pipe, _device])
def test_what_is_read_whole_must_be_a_regular_file(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    write_seeds(tmp_path)
    (tmp_path / "prompts").mkdir()
    for name in ("c.toml", "m.jsonl", "prompts/encode.txt", ".env"):
        make(tmp_path / name)
    seeds = ("--seeds", "seeds.jsonl")

    (tmp_path / ".env").rename(tmp_path / "dotenv")
    refused(codeclm("check", "c.toml", cwd=tmp_path), "c.toml: ", "not a regular file")
    refused(codeclm("check", "--metadata", "m.jsonl", *MODELS, cwd=tmp_path), "m.jsonl: not a reg")
    refused(codeclm("check", *seeds, *MODELS, "--prompts", "prompts", cwd=tmp_path), "encode.txt")
    (tmp_path / "dotenv").rename(tmp_path / ".env")
    refused(codeclm("check", *seeds, *MODELS, cwd=tmp_path), ".env: not a regular file")


@pytest.mark.parametrize("make", [_pipe, _device])
def test_what_comes_back_from_people_and_programs_must_be_a_regular_file(
    home: Path, make: Callable[[Path], None]
) -> None:
    """Reviews, answers, rows to train on, results to compare with: none is waited for."""
    for name in ("x.jsonl", "against/comparisons.jsonl"):
        (home / name).parent.mkdir(exist_ok=True)
        make(home / name)
    models = ("--reference", "scripted/r", "--judge", "scripted/j", "--out", "e")
    evaluate = ("evaluate", "--test", "seeds.jsonl", *models)

    for line in (
        ("review", "import", "run", "x.jsonl"),
        ("tune", "x.jsonl", "--model", "nowhere", "--out", "m"),
        (*evaluate, "--candidate-answers", "x.jsonl"),
        (*evaluate, "--candidate", "scripted/c", "--against", "against"),
    ):
        refused(codeclm(*line, cwd=home), "jsonl", "not a regular file")
    assert not (home / "e").exists()


def test_an_endless_configuration_is_refused_by_its_size(tmp_path: Path) -> None:
    with (tmp_path / "c.toml").open("wb") as file:
        file.truncate(1 << 32)

    refused(codeclm("check", "c.toml", cwd=tmp_path), "c.toml: ", "larger than")


# -- what codeclm did not write ---------------------------------------------------------------


def test_a_folder_that_is_not_a_run_s_keeps_its_files(home: Path) -> None:
    shutil.rmtree(home / "run")
    text = (
        '# mine\nseeds = "seeds.jsonl"\nstrong.model = "scripted/a"\ntarget.model = "scripted/b"\n'
    )
    (home / "config.toml").write_text(text)

    for verb in ("check", "run"):
        refused(codeclm(verb, "config.toml", "--out", ".", cwd=home), "config.toml", "--out")
    assert (home / "config.toml").read_text() == text
    assert not (home / "run.lock").exists()


@pytest.mark.parametrize("name", ["summary.json", "alpaca.jsonl", "events.jsonl", "ledger.sqlite"])
def test_a_file_of_another_program_is_not_replaced(tmp_path: Path, name: str) -> None:
    folder = Folder(tmp_path)
    (tmp_path / name).write_text("theirs")
    with pytest.raises(FolderError, match=name):
        folder.make()
    folder.make(force=True)


def test_reports_and_exports_replace_nothing_unasked(home: Path) -> None:
    seeds = (home / "seeds.jsonl").read_bytes()

    refused(codeclm("report", "run", "--to", "run/ledger.sqlite", cwd=home), ".html")
    refused(codeclm("export", "run", "--to", "seeds.jsonl", cwd=home), "--force")
    assert (home / "seeds.jsonl").read_bytes() == seeds
    (home / "mine.html").write_text("mine")
    refused(codeclm("report", "run", "--to", "mine.html", cwd=home), "--force")
    (home / "t").mkdir()
    (home / "t" / "README.md").write_text("mine")
    line = ("export", "run", "--trainer", "trl", "--model", "m/m", "--to", "t")
    refused(codeclm(*line, cwd=home), "README.md", "--force")
    assert [path.name for path in (home / "t").iterdir()] == ["README.md"]

    for done in (
        codeclm("report", "run", cwd=home),
        codeclm("report", "run", cwd=home),
        codeclm("report", "run", "--to", "mine.html", "--force", cwd=home),
        codeclm("export", "run", "--to", "seeds.jsonl", "--force", cwd=home),
        codeclm(*line, "--force", cwd=home),
    ):
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["report.md", "comparison.json", "validation.jsonl"])
def test_a_comparison_replaces_nothing_unasked(tmp_path: Path, name: str) -> None:
    write_seeds(tmp_path, 8)
    roles = 'strong.model = "scripted/a"\ntarget.model = "scripted/b"\n'
    table = '[compare]\nrecipes = ["codeclm", "self-instruct"]\nrows = 2\nvalidation = 0.5\n'
    (tmp_path / "c.toml").write_text(f'seeds = "seeds.jsonl"\n{roles}{table}')
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("theirs")
    line = ("compare", "c.toml", "--out", "out", "--plan")

    refused(codeclm(*line, cwd=tmp_path), name, "--force")
    assert (tmp_path / "out" / name).read_text() == "theirs"
    assert codeclm(*line, "--force", cwd=tmp_path).returncode == 0
    assert codeclm(*line, cwd=tmp_path).returncode == 0


def test_a_comparison_is_refused_before_its_folder_is_made(tmp_path: Path) -> None:
    write_seeds(tmp_path, 8)
    strong = 'strong.model = "openai/a"\nstrong.base_url = "https://a..b"\n'
    table = '[compare]\nrecipes = ["codeclm", "self-instruct"]\nrows = 2\n'
    text = f'seeds = "seeds.jsonl"\n{strong}target.model = "scripted/b"\n{table}'
    (tmp_path / "c.toml").write_text(text)

    refused(codeclm("compare", "c.toml", "--out", "out", cwd=tmp_path), "strong: openai/a")
    assert not (tmp_path / "out").exists()


def test_a_tuned_model_replaces_no_other_model(home: Path) -> None:
    (home / "model").mkdir()
    (home / "model" / "model.safetensors").write_text("theirs")

    done = codeclm("tune", "run", "--model", "nowhere", "--out", "model", cwd=home)

    refused(done, "model.safetensors", "--force")
    assert (home / "model" / "model.safetensors").read_text() == "theirs"


@pytest.mark.parametrize("name", ["rev.csv", "rev.jsonl"])
def test_a_second_review_export_keeps_what_was_typed(home: Path, name: str) -> None:
    codeclm("review", "export", "run", "--to", "first.csv", cwd=home)
    with (home / "first.csv").open(encoding="utf-8-sig", newline="") as file:
        ids = [row["id"] for row in csv.DictReader(file)]
    if name.endswith(".csv"):
        typed = f"id,decision,comment\n{ids[0]},drop,too short\n{ids[1]},perhaps,ask Eve\n"
    else:
        typed = f'{{"id":"{ids[0]}","decision":"drop","comment":"too short"}}\n'
        typed += f'{{"id":"{ids[1]}","decision":"perhaps","comment":"ask Eve"}}\n'
    (home / name).write_text(typed)

    done = codeclm("review", "export", "run", "--to", name, cwd=home)
    text = (home / name).read_text("utf-8-sig")

    assert done.returncode == 0, done.stderr
    assert all(word in text for word in ("drop", "too short", "perhaps", "ask Eve"))
    assert all(one in text for one in ids)

    (home / name).write_text("not a review\n")
    refused(codeclm("review", "export", "run", "--to", name, cwd=home), name)
    assert (home / name).read_text() == "not a review\n"
    assert codeclm("review", "export", "run", "--to", name, "--force", cwd=home).returncode == 0


# -- the lock ---------------------------------------------------------------------------------


def test_a_lock_survives_its_file(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with folder.locked():
        (tmp_path / "run.lock").unlink()

        assert Folder(tmp_path).is_locked
        with pytest.raises(FolderError, match="is working on this run"), Folder(tmp_path).locked():
            pass
    assert not folder.is_locked
    with folder.locked():
        pass


def test_a_cache_is_not_in_the_way_of_its_own_run(tmp_path: Path) -> None:
    """Both lock their folder: the run would wait for itself."""
    write_seeds(tmp_path)

    for verb in ("check", "run"):
        done = codeclm(verb, *RUN[1:-2], "--out", "r", "--cache", "r", cwd=tmp_path)
        refused(done, "cache.folder")
