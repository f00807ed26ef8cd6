"""``codeclm completion`` in real shells; zsh and fish where they are installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from .commands import codeclm


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the scripts, a run, a folder that is none, and a file."""
    folder = tmp_path_factory.mktemp("home")
    for shell in ("bash", "zsh", "fish"):
        done = codeclm("completion", shell, cwd=folder)
        assert (done.returncode, done.stderr) == (0, "")
        (folder / f"script.{shell}").write_text(done.stdout, "utf-8")
    run = folder / "runs" / "big one"
    run.mkdir(parents=True)
    (run / "config.toml").touch()
    (run / "ledger.sqlite").touch()
    (folder / "runs" / "other").mkdir()
    (folder / "seeds.jsonl").touch()
    return folder


def _ends(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done


_BASH = """
source script.bash
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
$(complete -p codeclm | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
printf '%s\\n' "${COMPREPLY[@]}"
"""


def bash(folder: Path, *words: str) -> set[str]:
    """What bash offers for the last of *words*."""
    line = ("bash", "--norc", "--noprofile", "-c", _BASH, "bash", "codeclm", *words)
    return set(_ends(folder, *line).stdout.splitlines())


@pytest.mark.parametrize(
    ("words", "offers"),
    [
        (("st",), {"status"}),
        (("cache", "p"), {"prune", "pack"}),
        (("run", "--strong-b"), {"--strong-base-url"}),
        (("cache", "prune", "--old"), {"--older-than"}),
        (("export", "runs/x", "--trainer", "tr"), {"trl"}),
        (("run", "--recipe", "tree"), {"tree-instruct"}),
        (("run", "--export", "share"), {"sharegpt"}),
        (("run", "--transport", "le"), {"lean"}),
        (("run", "--strong", "scr"), set[str]()),
        (("run", "-c", "see"), {"seeds.jsonl"}),
        (("run", "see"), {"seeds.jsonl"}),
        (("status", "r"), {"runs/big one"}),
        (("status", "runs/o"), {"runs/other"}),
        (("status", "runs/big one", "--js"), {"--json"}),
        (("init", "--prompts", "run"), {"runs"}),
    ],
)
def test_bash_completes(words: tuple[str, ...], offers: set[str], home: Path) -> None:
    assert bash(home, *words) - {""} == offers


def test_bash_offers_models_of_the_table(home: Path) -> None:
    offers = bash(home, "evaluate", "--judge", "anthropic/")

    assert offers
    assert all(name.startswith("anthropic/claude") for name in offers)


_ZSH = """
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'fpath=($PWD $fpath); autoload -U compinit; compinit -u -D; print "re""ady"'
zpty -r shell screen '*ready*'
zpty -w -n shell "codeclm $1"$'\\t'
zpty -r shell screen "*$2*" && print offered
"""


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
@pytest.mark.parametrize(
    ("words", "offer"), [("run --recipe tree", "tree-instruct"), ("cache pru", "prune")]
)
def test_zsh_completes(words: str, offer: str, home: Path) -> None:
    shutil.copy(home / "script.zsh", home / "_codeclm")

    assert _ends(home, "zsh", "-f", "-c", _ZSH, "zsh", words, offer).stdout == "offered\n"


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
@pytest.mark.parametrize(
    ("line", "offer"), [("codeclm st", "status"), ("codeclm run --js", "--json")]
)
def test_fish_completes(line: str, offer: str, home: Path) -> None:
    script = f"source script.fish; complete -C '{line}'"

    assert offer in _ends(home, "fish", "--no-config", "-c", script).stdout
