"""docs/architecture.md, "Where to add what", followed to the letter, and with a step forgotten."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import indent
from typing import NamedTuple

import pytest

import codeclm.engine

from .commands import environment, write_seeds

pytestmark = pytest.mark.slow  # every test starts the command of a clone

PAGE = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text("utf-8")
PACKAGE = Path(codeclm.engine.__file__ or "").parents[1]


def blocks(heading: str) -> list[str]:
    """Return the fenced blocks of the section under *heading*."""
    section = PAGE.partition(f"### {heading}\n")[2].partition("\n### ")[0]
    fenced = re.findall(r"^( *)```\w+\n(.*?)^ *```$", section, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in fenced]


class Clone(NamedTuple):
    """A copy of the sources, which can be edited and run."""

    folder: Path

    def copy(self, folder: Path) -> "Clone":
        """Copy this copy, compiled modules included."""
        shutil.copytree(self.folder, folder)
        return Clone(folder)

    def add(self, path: str, text: str) -> None:
        (self.folder / "codeclm" / path).write_text(text, "utf-8")

    def read(self, path: str) -> str:
        return (self.folder / "codeclm" / path).read_text("utf-8")

    def replace(self, path: str, old: str, new: str) -> None:
        text = self.read(path)
        assert text.count(old) == 1, f"{path}: {old!r}"
        self.add(path, text.replace(old, new))

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "codeclm.engine", *argv],
            cwd=self.folder,
            env=environment(self.folder, PYTHONPATH=str(self.folder)),
            capture_output=True,
            text=True,
            check=False,
        )


def add_prompt_and_stage(clone: Clone) -> None:
    template, prompt, stage = blocks("A prompt and a stage")
    clone.add("prompts/default/simplify.txt", template)
    clone.add("prompts/simplify.py", prompt)
    imported = "from .simplify import Simplify\n"
    clone.replace("prompts/__init__.py", "from .templates", f"{imported}from .templates")
    clone.replace("prompts/__init__.py", "    Equal,\n)", "    Equal,\n    Simplify,\n)")
    clone.replace("prompts/__init__.py", '    "Score",\n', '    "Score",\n    "Simplify",\n')
    clone.add("engine/pipeline/stages/simplify.py", stage)


FORMATS = "engine/data/formats.py"
FINISHING = "engine/pipeline/finishing.py"
RECIPES = "engine/pipeline/recipes.py"


def add_recipe(clone: Clone) -> None:
    step, row = blocks("A recipe")
    clone.replace(FINISHING, "    Score,\n", "    Score,\n    Simplify,\n")
    imported = "from .stages.simplify import Simplifier\n"
    clone.replace(FINISHING, "from .steps import", f"{imported}from .steps import")
    clone.add(FINISHING, f"{clone.read(FINISHING)}\n\n{step}")
    clone.replace(RECIPES, "RATE, REFINE\n", "RATE, REFINE, SIMPLIFY\n")
    clone.replace(
        RECIPES,
        "_BUILT_IN: Final = (\n",
        f"_BUILT_IN: Final = (\n{indent(row, '    ').rstrip()},\n",
    )


def add_export_format(clone: Clone) -> None:
    (block,) = blocks("An export format")
    clone.replace(FORMATS, "\nEXPORTS: ", f"\n\n{block}\n\nEXPORTS: ")
    clone.replace(FORMATS, "MESSAGES, PREFERENCE)", "MESSAGES, PREFERENCE, PAIR)")


def add_setting(clone: Clone) -> None:
    field, line = blocks("A setting")
    schema = "engine/config/schema.py"
    clone.replace(schema, "\n\nclass SizeConfig", f"{indent(field, '    ')}\n\nclass SizeConfig")
    clone.replace("engine/config/template.toml", "# pool = ", f"{line}# pool = ")
    clone.replace(FINISHING, "most=30)", "most=tools.config.baseline.simplify_to)")


def add_command(clone: Clone) -> None:
    (module,) = blocks("A command")
    clone.add("engine/commands/count.py", module)
    clone.replace(
        "engine/commands/__init__.py", '    "report":', '    "count": "count rows",\n    "report":'
    )


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy with everything that the page adds."""
    clone = Clone(tmp_path_factory.mktemp("clone"))
    for name in ("engine", "providers", "prompts"):
        shutil.copytree(PACKAGE / name, clone.folder / "codeclm" / name)
    shutil.copy(PACKAGE / "__init__.py", clone.folder / "codeclm")
    for add in (add_prompt_and_stage, add_recipe, add_export_format, add_setting, add_command):
        add(clone)
    write_seeds(clone.folder, 2)
    return clone


RUN = ("--seeds", "seeds.jsonl", "--strong", "scripted/strong", "--recipe", "simplify")
REPLY = ("--set", "strong.options.replies.simplify=Say hello.")


def test_what_the_page_adds_works(clone: Clone) -> None:
    """A prompt, a stage, a recipe, an export format, a setting and a command."""
    line = (*RUN, *REPLY, "--out", "run", "--export", "pair")
    plan = clone.run("plan", *line)
    done = clone.run("run", *line, "--json")
    shorter = clone.run("run", *line[:-3], "other", "--set", "baseline.simplify_to=5", "--json")
    count = clone.run("count", "run")
    row = json.loads((clone.folder / "run" / "pair.jsonl").read_text().splitlines()[0])

    assert plan.returncode == 0, plan.stderr
    assert [text.split()[:3] for text in plan.stdout.splitlines()[2:4]] == [
        ["simplify", "2", "2"],
        ["respond", "2", "2"],
    ]
    assert done.returncode == 0, done.stderr
    assert row["question"] == "Say hello."
    assert json.loads(shorter.stdout)["calls"]["simplify"]["paid"] == 2, shorter.stderr
    assert (count.returncode, count.stdout) == (0, "1 rows\n")


SIMPLIFY = "prompts/simplify.py"
TEMPLATE = "prompts/default/simplify.txt"
REMAINS = {
    "    Equal,\n    Simplify,\n": "    Equal,\n",
    '"strong": (Simplify, Respond)': '"strong": (Respond,)',
    ", PAIR)": ")",
    "selection.chosen.text)\n\n\nPAIR": "selection.rejected.text)\n\n\nPAIR",
}
"""What is left where a step is a part of a line."""


@pytest.mark.parametrize(
    ("path", "step", "verb", "status", "message"),
    [
        (SIMPLIFY, "    priority = Priority.REWRITE\n", "check", 1, "Simplify: define priority"),
        (TEMPLATE, "{{most}}", "check", 2, "default/simplify.txt: {{most}} is missing"),
        (
            "prompts/__init__.py",
            "    Equal,\n    Simplify,\n",
            "check",
            2,
            "add Simplify to BUILT_IN",
        ),
        (RECIPES, "        finishing=SIMPLIFY,\n", "check", 1, "Missing required argument"),
        (FINISHING, '"strong": (Simplify, Respond)', "check", 2, "add Simplify to the prompts"),
        (FORMATS, ", PAIR)", "check", 2, "unknown export format 'pair'"),
        (
            FORMATS,
            "selection.chosen.text)\n\n\nPAIR",
            "check",
            1,
            "its rows hold both models' answers: add needs_both=True",
        ),
        (
            "engine/commands/__init__.py",
            '    "count": "count rows",\n',
            "count",
            2,
            "there is no command",
        ),
    ],
)
def test_a_step_forgotten_is_an_error_that_names_it(
    clone: Clone, tmp_path: Path, path: str, step: str, verb: str, status: int, message: str
) -> None:
    forgetful = clone.copy(tmp_path / "clone")
    forgetful.replace(path, step, REMAINS.get(step, ""))
    done = forgetful.run(
        *((verb,) if verb == "count" else (verb, *RUN, *REPLY, "--export", "pair"))
    )

    assert (done.returncode, message in done.stderr) == (status, True), done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_template_forgotten_is_an_error_that_names_it(clone: Clone, tmp_path: Path) -> None:
    forgetful = clone.copy(tmp_path / "clone")
    (forgetful.folder / "codeclm" / TEMPLATE).unlink()
    done = forgetful.run("check", *RUN, *REPLY)

    assert done.returncode == 2
    assert "'simplify' of codeclm.prompts.simplify has no template: add default/simplify.txt" in (
        done.stderr
    )


def test_a_scripted_reply_forgotten_is_an_error_that_names_it(clone: Clone, tmp_path: Path) -> None:
    done = clone.run("run", *RUN, "--out", str(tmp_path / "run"))

    assert done.returncode == 1
    assert "no reply to the prompt 'simplify': set options.replies.simplify" in done.stderr
