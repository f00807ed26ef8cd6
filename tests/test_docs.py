"""The pages, and the citations of them, point at what exists."""

import builtins
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from codeclm.engine.calls.prompts import PROMPTS
from codeclm.engine.commands import TASKS
from codeclm.engine.data.formats import EXPORTS
from codeclm.engine.data.providers import PROVIDERS
from codeclm.engine.pipeline.recipes import RECIPES

from .commands import codeclm

ROOT = Path(__file__).parents[1]
SOURCES = ("engine", "providers", "prompts")
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for page in (
        *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY", "CHANGELOG")),
        *(ROOT / "docs").glob("*.md"),
        ROOT / "benchmarks" / "LOG.md",
    )
    if page.exists()
)
CURRENT = [page for page in PAGES if page not in {"CHANGELOG.md", "benchmarks/LOG.md"}]
"""Pages that describe the tree as it is; the others may name what has gone."""

pytestmark = pytest.mark.skipif(
    not all((ROOT / name).is_dir() for name in SOURCES), reason="the sources are out of reach"
)


def prose(page: str) -> str:
    """Return the text of *page* without its fenced blocks."""
    return re.sub(
        r"^```.*?^```$", "", (ROOT / page).read_text("utf-8"), flags=re.MULTILINE | re.DOTALL
    )


def code_spans(page: str) -> Iterator[str]:
    yield from re.findall(r"`([^`\n]+)`", prose(page))


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings in *page*, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page.relative_to(ROOT).as_posix()), re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def is_broken(page: str, target: str) -> bool:
    path, _, anchor = target.partition("#")
    file = (ROOT / page).parent / path if path else ROOT / page
    return not file.exists() or bool(anchor and anchor not in anchors(file.resolve()))


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    relative = [target for target in targets if not re.match(r"[a-z]+:", target)]

    assert [target for target in relative if is_broken(page, target)] == []


FOLDERS = (
    *SOURCES,
    *("tests", "docs", "benchmarks", "examples", "scripts", "src", ".ci"),
)


def exists(path: str) -> bool:
    """Whether the repository has *path*, in which a word in capitals stands for any name."""
    return any(ROOT.glob(re.sub(r"\b[A-Z]{2,}\b", "*", path).rstrip("/")))


EXAMPLES = re.compile(r"\b(simplify|shout|count)\.(py|txt)$")
"""Files that the reader of docs/architecture.md adds."""


@pytest.mark.parametrize("page", CURRENT)
def test_every_file_that_is_named_exists(page: str) -> None:
    paths = {span for span in code_spans(page) if span.startswith(tuple(f"{f}/" for f in FOLDERS))}
    named = (path.split()[0] for path in paths if not EXAMPLES.search(path))

    assert sorted(path for path in named if not exists(path)) == []


SOURCE = "\n".join(
    file.read_text("utf-8") for folder in SOURCES for file in sorted((ROOT / folder).rglob("*.py"))
)


def is_defined(name: str, page: str) -> bool:
    """Whether a class, a function or an attribute of this name is defined, or *page* defines it."""
    definition = rf"\b(class|def) {name}\b|^ *(self\.)?{name}\b[^\n=(]*[=:]"
    text = SOURCE + (ROOT / page).read_text("utf-8")
    return hasattr(builtins, name) or bool(re.search(definition, text, re.MULTILINE))


@pytest.mark.parametrize("page", CURRENT)
def test_every_class_and_function_that_is_named_is_defined(page: str) -> None:
    """`CamelCase`, `CamelCase.name` and `function()`; other names may be settings or columns."""
    names = set[str]()
    for span in code_spans(page):
        if re.fullmatch(r"[A-Z]+[a-z]\w*(\.\w+)*(\(\))?|[a-z_]\w*(\.\w+)*\(\)", span):
            names.update(span.removesuffix("()").split("."))

    assert sorted(name for name in names if not is_defined(name, page)) == []


def test_every_section_of_the_algorithm_that_is_cited_exists() -> None:
    page = (ROOT / "docs" / "algorithm.md").read_text("utf-8")
    sections = set(re.findall(r"^(?:#+|\|) ([\d.]*\d)\b", page, re.MULTILINE))
    files = [ROOT / page for page in PAGES]
    for folder in (*SOURCES, "tests", "benchmarks"):
        files += (ROOT / folder).rglob("*.py")
    cited = {
        section
        for file in files
        for section in re.findall(r"algorithm\.md,? §([\d.]*\d)", file.read_text("utf-8"))
    }

    assert sorted(cited - sections) == []


# -- lists of rows that are written by hand ---------------------------------------------------


def template() -> str:
    return (ROOT / "engine" / "config" / "template.toml").read_text("utf-8")


def test_the_page_and_the_template_name_every_recipe() -> None:
    table = re.findall(r"^\| `([^`]+)`", prose("docs/recipes.md"), re.MULTILINE)
    comment = re.search(r"^# recipe = .*\n(?: +#.*\n)*", template(), re.MULTILINE)

    assert table == RECIPES.names(), "complete the table of docs/recipes.md"
    assert comment is not None
    missing = set(RECIPES.names()) - set(re.findall(r"[a-z][a-z0-9-]+", comment[0]))
    assert not missing, "complete `# recipe =` in engine/config/template.toml"


def test_the_tutorial_the_template_and_the_help_name_every_export_format(tmp_path: Path) -> None:
    (comment,) = re.findall(r"^# export = .*", template(), re.MULTILINE)
    (line,) = re.findall(r"^Formats: .*", prose("docs/tutorial.md"), re.MULTILINE)
    shown = codeclm("export", "--help", cwd=tmp_path).stdout
    for text, where in (
        (comment, "# export = in engine/config/template.toml"),
        (line, "Formats: in docs/tutorial.md"),
        (shown, "codeclm export --help"),
    ):
        missing = set(EXPORTS.names()) - set(re.findall(r"[a-z][a-z0-9_-]+", text))
        assert not missing, f"complete {where}"


def test_the_page_about_models_names_every_provider() -> None:
    written = set(re.findall(r"`([a-z_-]+)/", prose("docs/models.md")))

    assert not set(PROVIDERS.names()) - written, "complete the table of providers in docs/models.md"


def test_the_readme_lists_every_command_and_stays_short() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| (\w+) \| (`.*`) \|$", readme, re.MULTILINE)
    listed = {task: re.findall(r"`(\w+)`", verbs) for task, verbs in rows}

    assert listed == {task: list(verbs) for task, verbs in TASKS.items()}
    assert len(readme.split()) <= 1200


def test_the_page_about_prompts_names_every_template_and_placeholder() -> None:
    page = (ROOT / "docs" / "own-prompts.md").read_text("utf-8")
    rows = dict(re.findall(r"^\|.*?`(\w+)\.txt` \|(.*)$", page, re.MULTILINE))

    assert rows.keys() == set(PROMPTS.names())
    for prompt in PROMPTS:
        assert set(re.findall(r"`(\w+)`", rows[prompt.name])) >= prompt.required(), prompt.name
