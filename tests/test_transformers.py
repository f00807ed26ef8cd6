"""Models that run in this process with torch: the provider `transformers`."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from codeclm.providers.base import Denied, Message, Rejected, Reply, Request
from codeclm.providers.transformers.location import digest_model, find_model
from codeclm.providers.transformers.options import TransformersOptions
from codeclm.providers.transformers.provider import Transformers, open_transformers

from . import tiny_model
from .commands import codeclm, write_seeds


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.make(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
async def opened(tiny: Path) -> AsyncIterator[Transformers]:
    provider = await open_transformers(str(tiny), TransformersOptions())
    yield provider
    await provider.aclose()


def asks(text: str, **settings: Any) -> Request:
    settings = {"max_tokens": 6, "temperature": 0.0, **settings}
    return Request(model="m", messages=(Message("user", text),), **settings)


async def replies(provider: Transformers, requests: list[Request]) -> list[Reply]:
    results: dict[int, Reply] = {}

    async def ask(number: int) -> None:
        results[number] = await provider.complete(requests[number])

    async with anyio.create_task_group() as group:
        for number in range(len(requests)):
            group.start_soon(ask, number)
    return [results[number] for number in range(len(requests))]


async def test_the_same_request_has_the_same_reply_whatever_else_waits(
    opened: Transformers,
) -> None:
    requests = [asks(f"tell {n}", temperature=n % 2, sample=str(n)) for n in range(6)]
    alone = [await opened.complete(request) for request in requests]

    assert await replies(opened, requests) == alone
    assert alone[0].completion_tokens <= 6
    assert alone[0].prompt_tokens > len("tell 0")
    assert {reply.finish_reason for reply in alone} <= {"stop", "length"}


async def test_samples_differ(opened: Transformers) -> None:
    requests = [asks("tell", temperature=2, sample=str(n)) for n in range(4)]

    assert len({reply.text for reply in await replies(opened, requests)}) > 1


async def test_a_batch_answers_each_request_with_its_own_reply(tiny: Path) -> None:
    provider = await open_transformers(str(tiny), TransformersOptions(batch=3))
    lengths = [2, 2, 5, 2, 5, 2]
    requests = [asks(f"tell {n}", max_tokens=most) for n, most in enumerate(lengths)]
    together = await replies(provider, requests)

    assert all(
        reply.completion_tokens <= most for reply, most in zip(together, lengths, strict=True)
    )
    assert len(together) == len(requests)


async def test_a_prompt_that_is_too_long_fails_alone(tiny: Path) -> None:
    provider = await open_transformers(str(tiny), TransformersOptions(batch=2))
    async with anyio.create_task_group() as group:

        async def too_long() -> None:
            with pytest.raises(Rejected, match="the model reads 512"):
                await provider.complete(asks("tell " * 2000))

        group.start_soon(too_long)
        most = await provider.complete(asks("tell", max_tokens=4000))
        assert most.prompt_tokens + most.completion_tokens <= 512
        assert (await provider.complete(asks("tell"))).completion_tokens > 0


async def test_a_call_that_is_given_up_holds_up_no_other(opened: Transformers) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(opened.complete, asks("one"))
        await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()

    assert (await opened.complete(asks("two"))).completion_tokens > 0


def test_other_weights_are_another_model_and_another_place_is_not(
    tiny: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(tiny, tmp_path / "copy"))
    (copy / "tuning.json").write_text("{}")
    same = digest_model(tiny) == digest_model(copy)
    with (copy / "model.safetensors").open("ab") as file:
        file.write(b"\0")

    assert same
    assert digest_model(tiny) != digest_model(copy)


@pytest.fixture
def damaged(tiny: Path, tmp_path: Path) -> Path:
    copy = Path(shutil.copytree(tiny, tmp_path / "copy"))
    (copy / "model.safetensors").write_bytes(b"{")
    return copy


async def test_a_folder_that_cannot_be_loaded_stops_the_run(damaged: Path) -> None:
    provider = await open_transformers(str(damaged), TransformersOptions())

    with pytest.raises(Denied, match="cannot be loaded"):
        await provider.complete(asks("tell"))


@pytest.mark.parametrize("name", ["absent", "no/such/model", "absent.gguf"])
def test_a_model_that_is_not_there_is_named(tiny: Path, name: str) -> None:
    assert tiny
    with pytest.raises(FileNotFoundError, match="not found"):
        find_model(name)


@pytest.mark.slow
def test_a_run_asks_a_folder_and_a_wrong_one_is_one_line(tiny: Path, tmp_path: Path) -> None:
    write_seeds(tmp_path, 2)
    line = ("run", "--seeds", "seeds.jsonl", "--strong", "scripted/strong", "--per-metadata", "1")
    target = ("--target", f"transformers/{tiny}", "--set", "target.max_tokens=8", "--json")
    done = codeclm(*line, *target, "--out", "a", cwd=tmp_path)
    wrong = codeclm(*line, "--target", "transformers/absent", "--out", "b", cwd=tmp_path)

    assert done.returncode in {0, 3}, done.stderr
    assert '"paid"' in done.stdout
    assert (wrong.returncode, len(wrong.stderr.splitlines())) == (2, 1), wrong.stderr
    assert not (tmp_path / "b").exists()
