"""A real distribution adds a provider, a recipe, an export format and a prompt; others break."""

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from .commands import codeclm, write_seeds

PYPROJECT = """
    [build-system]
    requires = ["hatchling"]
    build-backend = "hatchling.build"

    [project]
    name = "{name}"
    version = "1.2"

    [tool.hatch.build.targets.wheel]
    include = ["*.py"]
"""

MODULE = '''
    """Shorten every seed and answer it, with a model that is a function."""

    from msgspec import Struct

    from codeclm.engine import FROM_SEEDS, ExportFormat, ExportRow, Finishing, Host, Prompt
    from codeclm.engine import ProviderKind, Recipe
    from codeclm.engine.calls.model import Model
    from codeclm.engine.pipeline.recipes import TAKE_SEEDS
    from codeclm.engine.pipeline.stages.answer import Answerer
    from codeclm.engine.pipeline.stages.refinement import Refinement
    from codeclm.prompts import Priority, Respond, Typical
    from codeclm.providers.base import Reply
    from codeclm.providers.kinds import NoOptions


    class FirstWords:
        """A model that answers with the first words of the prompt."""

        kind = identity = "first-words"
        structured = "text"

        async def complete(self, request, /):
            return Reply(text=" ".join(request.messages[-1].content.split()[:3]) + "!")

        async def aclose(self): ...


    async def open_first_words(settings, options):
        return FirstWords()


    FIRST_WORDS = Host("first-words", ProviderKind("first-words", open_first_words, NoOptions))


    class Shorten(Prompt[str], frozen=True, kw_only=True):
        """Ask for a shorter instruction."""

        name = "shorten"
        priority = Priority.REWRITE
        template = "{{instruction}} Shorten this."

        instruction: str

        def read(self, reply):
            return reply.text

        def schema(self):
            return None

        @classmethod
        def typical(cls, sizes):
            return Typical(cls(instruction="x" * 4 * sizes.instruction), 20)


    class Shortener(Struct, frozen=True):
        strong: Model

        async def __call__(self, refinement: Refinement) -> bool:
            prompt = Shorten(instruction=refinement.instruction)
            reply = await self.strong.ask(prompt, item=refinement.draft.id)
            refinement.rewrite(reply.value, action="shorten", call=reply.call)
            return True


    SHORT = Recipe(
        name="short",
        summary="shorten, answer",
        source="ours",
        mode=FROM_SEEDS,
        writing=TAKE_SEEDS,
        finishing=Finishing(
            stage="shorten",
            build=lambda tools: Answerer(
                tools.strong, tools.config.filter, Shortener(tools.strong), 1
            ),
            prompts={"strong": (Shorten, Respond)},
            calls=lambda config, drafts: {Shorten: drafts, Respond: drafts},
            rewrites=True,
        ),
    )


    class PairRow(ExportRow, frozen=True):
        question: str
        answer: str


    PAIRS = ExportFormat(
        name="pairs",
        row_type=PairRow,
        make_row=lambda row: PairRow(row.id, question=row.instruction, answer=row.chosen.text),
    )
'''

ENTRY_POINTS = """
    [project.entry-points."codeclm.providers"]
    first-words = "{module}:FIRST_WORDS"
    [project.entry-points."codeclm.recipes"]
    short = "{module}:SHORT"
    [project.entry-points."codeclm.exports"]
    pairs = "{module}:PAIRS"
    [project.entry-points."codeclm.prompts"]
    shorten = "{module}:Shorten"
"""


def install(site: Path, sources: Path, *, name: str, module: str, entry_points: str) -> None:
    """Build the distribution *name* as a wheel, and install it into the folder *site*."""
    file = f"{name.replace('-', '_')}.py"
    sources.mkdir()
    project = PYPROJECT.format(name=name) + entry_points.format(module=file.removesuffix(".py"))
    (sources / "pyproject.toml").write_text(dedent(project))
    (sources / file).write_text(dedent(module))
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-index", "--no-deps"]
    build = ["wheel", *offline, "--no-build-isolation", "--wheel-dir", "dist", "."]
    subprocess.run([*pip, *build], cwd=sources, check=True, timeout=60)
    (wheel,) = (sources / "dist").glob("*.whl")
    subprocess.run([*pip, "install", *offline, "--target", site, wheel], check=True, timeout=60)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages that holds the plugin; to be put on ``PYTHONPATH``."""
    folder = tmp_path_factory.mktemp("plugin")
    install(
        folder / "site",
        folder / "sources",
        name="codeclm-short",
        module=MODULE,
        entry_points=ENTRY_POINTS,
    )
    return folder / "site"


def test_plugins_are_listed_with_their_kind_and_origin(site: Path, tmp_path: Path) -> None:
    done = codeclm("plugins", "--json", cwd=tmp_path, PYTHONPATH=str(site))
    text = codeclm("plugins", cwd=tmp_path, PYTHONPATH=str(site)).stdout
    rows = {(row["kind"], row["name"]): row["origin"] for row in json.loads(done.stdout)}

    assert (done.returncode, done.stderr) == (0, "")
    assert {row: origin for row, origin in rows.items() if origin != "codeclm"} == {
        ("provider", "first-words"): "codeclm-short 1.2",
        ("recipe", "short"): "codeclm-short 1.2",
        ("export format", "pairs"): "codeclm-short 1.2",
        ("prompt", "shorten"): "codeclm-short 1.2",
    }
    assert rows["recipe", "wizardlm"] == "codeclm"
    assert text.count("codeclm-short 1.2") == 4


RUN = ("--seeds", "seeds.jsonl", "--strong", "first-words/any", "--recipe", "short")


def test_a_run_uses_the_provider_the_recipe_the_prompt_and_the_format(
    site: Path, tmp_path: Path
) -> None:
    write_seeds(tmp_path, 2)
    line = (*RUN, "--export", "pairs", "--out", "run")
    plan = codeclm("plan", *line, cwd=tmp_path, PYTHONPATH=str(site))
    done = codeclm("run", *line, "--json", cwd=tmp_path, PYTHONPATH=str(site))
    rows = [
        json.loads(text) for text in (tmp_path / "run" / "pairs.jsonl").read_text().splitlines()
    ]

    assert plan.returncode == 0, plan.stderr
    assert [text.split()[:3] for text in plan.stdout.splitlines()[2:4]] == [
        ["shorten", "2", "2"],
        ["respond", "2", "2"],
    ]
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["calls"]["shorten"]["paid"] == 2
    assert [row["question"] for row in rows] == ["Tell me of!"]
    assert [row["answer"] for row in rows] == ["Tell me of!!"]


def test_without_the_plugin_its_names_are_unknown_and_those_that_exist_are_named(
    tmp_path: Path,
) -> None:
    write_seeds(tmp_path, 2)
    done = codeclm("run", *RUN, "--out", "run", cwd=tmp_path)
    other = codeclm(
        *("run", "--seeds", "seeds.jsonl", "--strong", "first-words/any"),
        *("--recipe", "wizardlm", "--out", "run"),
        cwd=tmp_path,
    )

    assert [done.returncode, other.returncode] == [2, 2]
    assert "recipe: unknown recipe 'short'" in done.stderr
    assert "available: codeclm, codeclm-metadata" in done.stderr
    assert "unknown provider 'first-words'" in other.stderr
    assert not (tmp_path / "run").exists()


def test_a_broken_plugin_is_one_line_that_names_its_distribution(tmp_path: Path) -> None:
    """And only whoever uses it meets it."""
    install(
        tmp_path / "site",
        tmp_path / "sources",
        name="codeclm-broken",
        module="raise RuntimeError('no GPU')\n",
        entry_points='[project.entry-points."codeclm.recipes"]\nshort = "{module}:SHORT"\n',
    )
    write_seeds(tmp_path, 2)
    paths = {"PYTHONPATH": str(tmp_path / "site")}
    listed = codeclm("plugins", cwd=tmp_path, **paths)
    used = codeclm("run", *RUN, "--out", "run", cwd=tmp_path, **paths)
    unused = codeclm(
        *("check", "--seeds", "seeds.jsonl", "--strong", "scripted/strong"),
        *("--recipe", "wizardlm", "--out", "run"),
        cwd=tmp_path,
        **paths,
    )
    error = (
        "codeclm-broken 1.2: entry point codeclm.recipes: short = codeclm_broken:SHORT:"
        " cannot be imported: RuntimeError('no GPU')"
    )

    assert (listed.returncode, used.returncode, unused.returncode) == (2, 2, 0)
    assert listed.stderr == f"codeclm: {error}\n"
    assert "codeclm-broken 1.2  (cannot be used)" in listed.stdout
    assert used.stderr == f"codeclm: command line: recipe: {error}\n"


def test_two_distributions_with_one_name_are_refused(site: Path, tmp_path: Path) -> None:
    """Which one would win depends on the order of the path."""
    install(
        tmp_path / "site",
        tmp_path / "sources",
        name="codeclm-tall",
        module=MODULE,
        entry_points=ENTRY_POINTS.replace("first-words", "openai"),
    )
    write_seeds(tmp_path, 2)
    path = os.pathsep.join([str(site), str(tmp_path / "site")])
    listed = codeclm("plugins", cwd=tmp_path, PYTHONPATH=path)
    used = codeclm("run", *RUN, "--out", "run", cwd=tmp_path, PYTHONPATH=path)

    assert (listed.returncode, used.returncode) == (2, 2)
    assert "both add the recipe 'short': uninstall one of them" in used.stderr
    assert "codeclm-short 1.2" in used.stderr
    assert "codeclm-tall 1.2" in used.stderr
    assert "rename the one in codeclm-tall 1.2" in listed.stderr
