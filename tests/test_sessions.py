"""A run, whole: however it is cut and resumed, the same dataset, and every count adds up."""

import asyncio
import gc
import json
import os
import signal
import threading
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import anyio
import anyio.to_thread
import pytest
from blockbuster import BlockBuster

from codeclm.engine.calls.spending import total_spending
from codeclm.engine.config import Config, build_config
from codeclm.engine.data.formats import EXPORTS, selections
from codeclm.engine.disk.atomic import WriteError
from codeclm.engine.pipeline.prepare import Plan, prepare
from codeclm.engine.pipeline.recipes import RECIPES
from codeclm.engine.pipeline.session import Session, execute
from codeclm.engine.store.export import export
from codeclm.engine.store.reader import LedgerReader
from codeclm.engine.store.totals import Totals, count_dataset

from .acting import may_read_the_cache
from .threads import kill

pytestmark = pytest.mark.slow

MODES: dict[str, dict[str, Any]] = {
    "streaming": {},
    "streaming, so many rows": {"target_rows": 12},
    "streaming, so many candidates": {"max_candidates": 30},
    "augmented, so many rows": {"target_rows": 20, "metadata": {"augment_to": 10}},
    "augmented, so many candidates": {
        "target_rows": 20,
        "max_candidates": 45,
        "metadata": {"augment_to": 10},
    },
    "augmented, checked": {
        "target_rows": 16,
        "metadata": {"augment_to": 8, "plausibility_check": True},
    },
    "streaming, sifted": {"quality": {"near_duplicates": "minhash", "near_threshold": 0.3}},
    "streaming, sifted, so many rows": {
        "target_rows": 12,
        "quality": {"near_duplicates": "rouge", "near_threshold": 0.5},
    },
    "augmented, sifted and checked": {
        "target_rows": 20,
        "metadata": {"augment_to": 10},
        "quality": {
            "near_duplicates": "rouge",
            "near_threshold": 0.6,
            "min_instruction_words": 9,
            "max_response_words": 200,
        },
        "size": {"max_expansion": 12},
    },
    "three judges": {
        "target_rows": 20,
        "judges": ("one", "two", "three"),
    },
    "metadata only": {"target_rows": 20, "metadata": {"file": "metadata.jsonl"}},
    "ablation: metadata": {
        "recipe": "codeclm-metadata",
        "target_rows": 20,
        "metadata": {"augment_to": 10},
    },
    "ablation: rubrics": {"recipe": "codeclm-rubrics", "target_rows": 20},
    "ablation: filter": {"recipe": "codeclm-filter", "target_rows": 12},
    "self-instruct": {"recipe": "self-instruct", "target_rows": 60},
    "alpagasus": {"recipe": "alpagasus", "target_rows": 30},
    "tree-instruct, in passes": {"recipe": "tree-instruct", "target_rows": 30},
    "tree-instruct, staged": {
        "recipe": "tree-instruct",
        "max_candidates": 25,
        "baseline": {"staged": True},
    },
    "wizardlm": {"recipe": "wizardlm", "target_rows": 30},
    "wizardlm in passes": {
        "recipe": "wizardlm",
        "target_rows": 60,
        "baseline": {"complicate_input": True},
    },
    "wizardlm+": {"recipe": "wizardlm+", "target_rows": 20},
    "wizardlm+ augmented": {
        "recipe": "wizardlm+",
        "target_rows": 24,
        "metadata": {"augment_to": 10},
    },
}


@pytest.fixture(autouse=True)
def reading(unblocked: BlockBuster | None) -> None:
    """Let the cache be read in the loop."""
    may_read_the_cache(unblocked)


class Cut(NamedTuple):
    """When a session is stopped: after so many paid answers; at once, or gently."""

    after: int
    hard: bool = False


class Files(NamedTuple):
    """Where a run of the test is."""

    folder: Path
    mode: str

    @property
    def out(self) -> Path:
        return self.folder / "run"

    def prepare(self) -> None:
        lines = [json.dumps({"instruction": f"Explain {n % 15} in verse."}) for n in range(18)]
        lines.insert(5, "no JSON")
        lines.insert(14, json.dumps({"instruction": "  "}))
        (self.folder / "seeds.jsonl").write_text("\n".join(lines))
        pairs = [{"use_case": f"case {n}", "skills": [f"skill {n % 3}"]} for n in range(7)]
        (self.folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, pairs)))

    def begin(self, *, wide: int = 16) -> Plan:
        """Prepare a session. Blocks."""
        plan = prepare(self.config(wide=wide), where="test")
        plan.folder.make()
        return plan

    def config(self, *, wide: int) -> Config:
        mode = MODES[self.mode]
        metadata: dict[str, Any] = dict(mode.get("metadata", {}))
        if "file" in metadata:
            metadata["file"] = str(self.folder / metadata["file"])
        options = {"unreadable_rate": 0.25, "error_rate": 0.2, "latency": 0.001, "jitter": 0.001}
        role = {"max_concurrent": wide, "options": options}
        tree: dict[str, Any] = {
            "seeds": str(self.folder / "seeds.jsonl"),
            "out": str(self.out),
            "strong": {"model": "scripted/strong", **role},
            "target": {"model": "scripted/target", **role},
            "decode": {} if "target_rows" in mode and metadata else {"per_metadata": 3},
            "filter": {"threshold": 1.0},
            "retry": {"first_wait": 0.0, "longest_wait": 0.0},
            "cache": {"folder": str(self.folder / "cache")},
            **mode,
            "metadata": metadata,
            **_judges(mode, role),
        }
        return build_config(tree, where="test")


def _judges(mode: Mapping[str, Any], role: dict[str, Any]) -> dict[str, Any]:
    names: tuple[str, ...] = mode.get("judges", ())
    if not names:
        return {"judge": {"model": "scripted/judge", **role}}
    return {"judges": {name: {"model": f"scripted/{name}", **role} for name in names}}


async def session(files: Files, *, cut: Cut | None = None, wide: int = 16) -> Session:
    """Run until the end or the *cut*, which is a real signal to this process."""

    plan = await anyio.to_thread.run_sync(partial(files.begin, wide=wide))

    async def watch(running: Session) -> None:
        if cut is None:
            return
        while running.counters.total().paid < cut.after:  # noqa: ASYNC110  (every turn counts)
            await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGINT)
        if cut.hard:
            os.kill(os.getpid(), signal.SIGTERM)

    return await execute(plan, watch=watch)


class Result(NamedTuple):
    """What a run came to, without what it took."""

    exports: dict[str, bytes]
    seeds: Totals
    instructions: Totals


def result(files: Files) -> Result:
    """Read the ledger as another process would. Blocks."""
    config = files.config(wide=1)
    most = config.target_rows
    ledger = LedgerReader(files.out / "ledger.sqlite")
    exports: dict[str, bytes] = {}
    for form in (
        ("alpaca", "preference") if "target" in RECIPES[config.recipe].roles else ("alpaca",)
    ):
        path = files.folder / f"{form}.jsonl"
        kept = selections(ledger.kept(most), strong_model="strong", target_model="target")
        export(kept, path, EXPORTS[form], with_metadata=True)
        exports[form] = path.read_bytes()
    with count_dataset(ledger, most) as counts:
        found = Result(exports, counts.seeds(), counts.instructions())
    ledger.close()
    return found


@cache
def undisturbed(mode: str) -> Result:
    """What the run of *mode* comes to when nobody stops it, one call at a time."""
    with TemporaryDirectory() as name:
        files = Files(Path(name), mode)
        files.prepare()
        ended = asyncio.run(session(files, wide=1))
        found = result(files)

    assert (ended.ending, ended.left_for_later) == ("finished", 0)
    assert (found.seeds.unfinished, found.instructions.unfinished) == (0, 0) or "candidates" in mode
    return found


@pytest.fixture
def expected(mode: str) -> Result:
    """What a run of *mode* comes to; worked out in the main thread, which alone heeds signals."""
    return undisturbed(mode)


@pytest.mark.parametrize("mode", MODES)
def test_a_run_keeps_what_was_asked_for_and_says_where_the_rest_went(
    mode: str, expected: Result
) -> None:
    rows = expected.exports["alpaca"].count(b"\n")

    assert rows == expected.instructions.kept > 5
    assert rows == MODES[mode].get("target_rows", rows)


@pytest.mark.parametrize("mode", MODES)
async def test_the_width_of_a_run_does_not_change_its_dataset(
    tmp_path: Path, mode: str, expected: Result
) -> None:
    files = Files(tmp_path, mode)
    await anyio.to_thread.run_sync(files.prepare)

    ended = await session(files, wide=64)

    found = await anyio.to_thread.run_sync(result, files)
    assert ended.ending == "finished"
    assert found.exports == expected.exports


async def test_a_session_stopped_at_once_records_what_it_paid_for(tmp_path: Path) -> None:
    files = Files(tmp_path, "streaming")
    await anyio.to_thread.run_sync(files.prepare)

    ended = await session(files, cut=Cut(10, hard=True))

    assert ended.ending == "stopped"
    assert ended.reason.startswith("stopped at once on request")
    assert await anyio.to_thread.run_sync(_recorded_calls, files) == ended.counters.total().paid


def _recorded_calls(files: Files) -> int:
    with LedgerReader(files.out / "ledger.sqlite") as ledger:
        cache = files.config(wide=1).cache.database()
        return total_spending(ledger.spending(cache).values()).calls


async def test_a_session_leaves_the_process_as_it_was(tmp_path: Path) -> None:
    """The settings of the garbage collector are the caller's."""
    files = Files(tmp_path, "streaming")
    await anyio.to_thread.run_sync(files.prepare)
    before = (gc.get_threshold(), gc.get_freeze_count())

    await session(files, cut=Cut(1))

    assert (gc.get_threshold(), gc.get_freeze_count()) == before


async def test_a_folder_that_cannot_be_written_leaves_no_ledger_open(tmp_path: Path) -> None:
    files = Files(tmp_path, "streaming")
    await anyio.to_thread.run_sync(files.prepare)
    await anyio.to_thread.run_sync(lambda: (files.out / "config.toml").mkdir(parents=True))
    await anyio.to_thread.run_sync((files.out / "run.lock").touch)

    with pytest.raises(WriteError):
        await session(files)

    assert "codeclm-ledger" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("series", range(2))
@pytest.mark.parametrize("mode", MODES)
async def test_a_run_stopped_at_any_moments_and_resumed_ends_as_if_it_had_not_been(
    tmp_path: Path, mode: str, series: int, expected: Result
) -> None:
    """And at every stop the ledger's totals add up: if not, `result` raises."""
    files = Files(tmp_path, mode)
    await anyio.to_thread.run_sync(files.prepare)
    random = Random(f"{mode}/{series}")
    endings: list[str] = []
    exports: dict[str, bytes] = {}
    while len(endings) < 60 and endings[-1:] != ["finished"]:
        cut = Cut(random.randint(1, 80), hard=random.random() < 0.3)
        ended = await session(files, cut=cut, wide=random.choice((1, 3, 16, 50)))
        found = await anyio.to_thread.run_sync(result, files)
        endings.append(ended.ending)
        exports = found.exports

    assert endings[-1] == "finished"
    assert set(endings[:-1]) <= {"stopped"}
    assert exports == expected.exports


@pytest.mark.parametrize("mode", ["streaming"])
@pytest.mark.parametrize("thread", ["codeclm-cache", "codeclm-ledger"])
async def test_a_writer_thread_that_dies_ends_the_run_with_its_cause_and_nothing_is_lost(
    tmp_path: Path, thread: str, expected: Result, mode: str
) -> None:
    files = Files(tmp_path, mode)
    await anyio.to_thread.run_sync(files.prepare)
    plan = await anyio.to_thread.run_sync(files.begin)

    async def watch(running: Session) -> None:
        while running.counters.total().paid < 40:  # noqa: ASYNC110  (every turn counts)
            await asyncio.sleep(0)
        kill(thread)

    ended = await execute(plan, watch=watch)
    resumed = await session(files)

    found = await anyio.to_thread.run_sync(result, files)
    assert ended.ending == "failed"
    assert ended.reason.startswith(f"{thread}: the thread that writes has died (SystemExit")
    assert "codeclm resume" in ended.reason
    assert resumed.ending == "finished"
    assert found.exports == expected.exports
