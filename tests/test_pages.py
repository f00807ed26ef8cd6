"""Every command and every piece of code in the pages runs, in the order of its page.

Blocks marked ``sh`` are run by bash, then those marked ``python`` as one program, in a folder per
page that holds seeds, with stand-ins for the vendors that are named. ``toml`` must be a valid
configuration. Other blocks (``console``, ``text``) show what a reader would see, or need a machine
that a test has not.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Generator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

import msgspec
import pytest
from anyio.from_thread import start_blocking_portal

from codeclm.engine.config import load_config
from codeclm.engine.evaluate.settings import EvaluationConfig
from codeclm.engine.loop.settings import LoopConfig

from . import vendors
from .commands import environment, write_seeds
from .servers import ReceivedRequest, Say, chat, say, serving

DOCS = Path(__file__).parents[1] / "docs"
DEVELOPERS = {"architecture", "decisions", "releasing"}
"""Pages whose code belongs into a checkout: test_extending follows the first."""
PAGES = sorted(page.stem for page in DOCS.glob("*.md") if page.stem not in DEVELOPERS)
TARGETS = ("mistral-large-4", "meta-llama/Llama-3.2-3B-Instruct")
"""Models whose answers are the worse ones."""
OTHER_SETTINGS = {"candidate": EvaluationConfig, "rounds": LoopConfig}
"""What a file with this key configures, if not a run."""

pytestmark = pytest.mark.slow


def blocks(page: str, *languages: str) -> list[tuple[str, str]]:
    """The fenced blocks of *page* in any of *languages*: language and text."""
    text = (DOCS / f"{page}.md").read_text("utf-8")
    fenced = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(language, text) for language, text in fenced if language in languages]


def play(prompt: str) -> str:
    """Return the words of a model that never runs out of ideas."""
    idea = blake2b(prompt.encode(), digest_size=4).hexdigest()
    if "instruction analyzer" in prompt:
        return f"Use case: letters about {idea}\nSkills: tact"
    if "instruction writer" in prompt:
        return "\n".join(f"{n}. Write to your aunt of {idea} and {n} cats." for n in range(1, 11))
    return vendors.play(prompt)


def reply(request: ReceivedRequest) -> Say:
    """Answer as an OpenAI-compatible server whose model plays every part."""
    if not request.path.endswith("/chat/completions"):
        return say({"error": {"message": "not here"}}, status=404)
    text = play("\n".join(m["content"] for m in request.json["messages"]))
    if request.json["model"] in TARGETS:
        text = text.replace("from the strong model", "from a small model")
    return say(chat(text))


@contextmanager
def stand_in() -> Generator[str]:
    """Serve in a thread; the value is the base URL."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serving()) as server:
        server.always = reply
        yield f"{server.url}/v1"


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "sh", "python")])
def test_the_code_of_a_page_runs(page: str, tmp_path: Path) -> None:
    with stand_in() as url:
        commands = "".join(text for _, text in blocks(page, "sh"))
        program = "".join(text for _, text in blocks(page, "python"))
        script = f"set -euo pipefail\n{commands}python - <<'CODE'\n{program}CODE\n"
        write_seeds(tmp_path)
        names = ("OPENAI", "MISTRAL", "VLLM")
        variables = {f"{name}_BASE_URL": url for name in names}
        variables |= {f"{name}_API_KEY": vendors.KEY for name in names}
        path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
        done = subprocess.run(
            ["bash", "-c", script.replace("http://localhost:8000/v1", url)],
            cwd=tmp_path,
            env=environment(tmp_path, **variables, PATH=path),
            capture_output=True,
            text=True,
            check=False,
        )

    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "toml")])
def test_the_settings_of_a_page_are_valid(page: str, tmp_path: Path) -> None:
    for number, (_, text) in enumerate(blocks(page, "toml")):
        keys = tomllib.loads(text).keys() & OTHER_SETTINGS.keys()
        if keys:
            msgspec.toml.decode(text, type=OTHER_SETTINGS[keys.pop()])
            continue
        file = tmp_path / f"{number}.toml"
        file.write_text(text, "utf-8")
        load_config(file, check=False)  # some show a part of a file
