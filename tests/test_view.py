"""`codeclm view` and `codeclm report`: every row, whoever asks, whatever models wrote."""

import asyncio
import json
import shutil
import signal
import socket
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import anyio
import pytest
from msgspec import structs

from codeclm.engine.calls.reply_lookup import open_replies
from codeclm.engine.reporting.runs import open_run
from codeclm.engine.store.listing import Filters, Listing, Page
from codeclm.engine.store.totals import count_dataset
from codeclm.engine.view.activity import measure_activity
from codeclm.engine.view.guard import Guard
from codeclm.engine.view.page_file import plotting
from codeclm.engine.view.sent_prompts import PromptRenderer
from codeclm.engine.view.server import LARGEST_PAGE, LONGEST_LINE, serve
from codeclm.engine.view.waits import read_event_log

from .commands import codeclm, started
from .viewing import HOSTILE, embedded, make_hostile_run, make_run, viewing, write_config

# -- the server -------------------------------------------------------------------------------


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The loop that the command runs on."""
    return "asyncio", {"use_uvloop": False}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run in ``run`` and one of hostile metadata in ``hostile``."""
    folder = tmp_path_factory.mktemp("home")
    make_run(folder)
    make_hostile_run(folder)
    return folder


@pytest.fixture
def cache(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CODECLM_CACHE_DIR", str(home / "cache"))
    return home / "cache" / "cache.db"


class Client:
    """Asks a page's server as its page does."""

    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        parts = urlsplit(address)
        self.root = f"{parts.scheme}://{parts.netloc}"
        self.port = parts.port
        self.token = parse_qs(parts.query)["token"][0]
        self.session = session

    async def get(self, path: str, **headers: str) -> tuple[int, str, dict[str, str]]:
        headers = {"Authorization": f"Bearer {self.token}", **headers}
        headers = {name: value for name, value in headers.items() if value}
        async with self.session.get(self.root + path, headers=headers) as response:
            return response.status, await response.text(), dict(response.headers)

    async def json(self, path: str) -> Any:
        status, text, _ = await self.get(path)
        assert status == 200, text
        return json.loads(text)

    async def shown(self) -> dict[str, Any]:
        """Wait until the first run is listed and measured."""
        return await self.state(lambda state: bool(state["measured"] or state["problem"]))

    async def state(self, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Ask for the first run's state until it is what *is_so* wants."""
        while True:
            state: dict[str, Any] = (await self.json("/api/runs"))[0]
            if is_so(state):
                return state
            await asyncio.sleep(0.02)

    async def entries(self, size: int, **filters: Any) -> list[dict[str, Any]]:
        """Return all entries that pass *filters*, page by page."""
        after, entries = -1, list[dict[str, Any]]()
        query = "".join(f"&{name}={value}" for name, value in filters.items())
        while after is not None:
            page = await self.json(f"/api/runs/0/entries?size={size}&after={after}{query}")
            assert len(page["entries"]) <= size
            entries += page["entries"]
            after = page["after"]
        return entries


@asynccontextmanager
async def client_of(*runs: Path) -> AsyncGenerator[Client]:
    async with anyio.create_task_group() as tasks, aiohttp.ClientSession() as session:
        addresses = list[str]()
        ready = anyio.Event()

        def note(address: str) -> None:
            addresses.append(address)
            ready.set()

        async def run() -> None:
            await serve(runs, port=0, ready=note)

        tasks.start_soon(run)
        await ready.wait()
        yield Client(addresses[0], session)
        tasks.cancel_scope.cancel()


async def test_the_page_is_for_whoever_has_its_address(home: Path, cache: Path) -> None:
    async with client_of(home / "run") as client:
        status, page, headers = await client.get(f"/?token={client.token}", Authorization="")
        refused = [
            await client.get("/", Authorization=""),
            await client.get("/?token=", Authorization=""),
            await client.get("/?token=é", Authorization=""),
            await client.get("/api/runs", Authorization="Bearer x"),
            await client.get("/api/runs/0/entries", Authorization=f"Basic {client.token}"),
        ]

    assert (status, page[:15]) == (200, "<!doctype html>")
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    for status, text, _ in refused:
        assert status == 403
        assert "token" in text
        assert client.token not in text


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Host", "evil.example"),
        ("Host", "evil.example:{port}"),
        ("Host", "127.0.0.1"),
        ("Host", "127.0.0.1:1"),
        ("Host", "127.0.0.1.evil.example:{port}"),
        ("Origin", "https://evil.example"),
        ("Origin", "http://evil.example:{port}"),
        ("Origin", "null"),
        ("Origin", "https://127.0.0.1:{port}"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ],
)
async def test_other_sites_learn_nothing_even_with_the_token(
    home: Path, cache: Path, header: str, value: str
) -> None:
    async with client_of(home / "run") as client:
        value = value.format(port=client.port)
        status, text, _ = await client.get("/api/runs", **{header: value})

    assert status == 403
    assert "run" not in text


async def test_a_link_may_lead_to_the_page(home: Path, cache: Path) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    async with client_of(home / "run") as client:
        path = f"/?token={client.token}"
        opened, _, headers = await client.get(path, **{**link, "Sec-Fetch-Dest": "document"})
        framed, _, _ = await client.get(path, **{**link, "Sec-Fetch-Dest": "iframe"})

    assert (opened, framed) == (200, 403)
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "LocalHost"])
def test_a_server_knows_its_own_names(host: str) -> None:
    guard = Guard(8000, "t")

    assert not guard.refusal({"Host": f"{host}:8000", "Origin": f"http://{host}:8000"}, "t")
    assert guard.refusal({"Host": f"{host}:8001"}, "t")
    assert guard.refusal({}, "t")


async def test_the_policy_lets_nothing_in(home: Path, cache: Path) -> None:
    async with client_of(home / "run") as client:
        _, page, headers = await client.get("/")
        _, script, _ = await client.get("/plotly.js") if plotting() else (200, "", {})

    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; connect-src 'self'; frame-ancestors 'none'")
    assert "unsafe" not in policy
    assert "nonce" not in policy
    assert "http" not in policy
    assert not {"src", "onclick", "onload", "style"} & Elements(page).attributes
    assert not script or "plotly.js" in script[:100]


async def test_what_is_asked_wrongly_is_said_in_a_line(home: Path, cache: Path) -> None:
    async with client_of(home / "run") as client:
        await client.shown()
        answers = {
            path: await client.get(path)
            for path in (
                "/api/runs/7/entries",
                "/api/runs/-1/figures",
                "/api/runs/x/figures",
                "/api/runs/0/entries?fate=maybe",
                "/api/runs/0/entries?min_gap=much",
                "/api/runs/0/entries?after=99999999999999999999",
                "/api/runs/0/entries/1234567",
                "/api/runs/0/entries/x",
                "/../../etc/passwd",
                "/nothing",
            )
        }

    assert {status for status, _, _ in answers.values()} <= {400, 404}, answers
    for status, text, headers in answers.values():
        assert text.count("\n") <= 1, (status, text)
        assert headers["X-Content-Type-Options"] == "nosniff"


MALFORMED = (
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET /?search=" + b"x" * LONGEST_LINE + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
)


async def test_malformed_requests_are_refused_without_a_word_on_the_terminal(
    home: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with client_of(home / "run") as client:
        statuses = list[bytes]()
        for request in MALFORMED:
            stream = await anyio.connect_tcp("127.0.0.1", client.port or 0)
            async with stream:
                await stream.send(request)
                statuses.append((await stream.receive()).split()[1])

    assert statuses == [b"400", b"400", b"400", b"400", b"403"]
    assert [record.message for record in caplog.records if record.name != "asyncio"] == []


async def test_a_long_search_in_any_script_is_answered(home: Path, cache: Path) -> None:
    async with client_of(home / "run") as client:
        await client.shown()

        assert await client.entries(LARGEST_PAGE, search="\u9e21" * 2000) == []


# -- every row --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, LARGEST_PAGE])
async def test_pages_hold_every_row_once_in_order(home: Path, cache: Path, size: int) -> None:
    async with client_of(home / "run") as client:
        state = await client.shown()
        entries = await client.entries(size)
        too_many = await client.json(f"/api/runs/0/entries?size={10**6}")

    keys = [entry["key"] for entry in entries]
    assert keys == sorted(set(keys))
    assert len(keys) == state["contents"]["entries"]
    assert len(too_many["entries"]) <= LARGEST_PAGE
    assert {"kept", "filtered", "failed"} == {entry["fate"] for entry in entries}
    assert {"seed", "instruction"} <= {entry["kind"] for entry in entries}


def test_the_listing_has_the_fates_that_the_summary_counts(home: Path, cache: Path) -> None:
    for name in ("run", "hostile"):
        with open_run(home / name) as run:
            for target in (None, 5):
                flows = Listing(run.ledger, target).flows()
                with count_dataset(run.ledger, target) as counts:
                    totals = counts.instructions()
                listed = Counter[tuple[str, str]]()
                for flow in flows:
                    if flow.kind == "instruction":
                        listed[flow.fate, "" if flow.fate == "kept" else flow.reason] += (
                            flow.entries
                        )

                assert listed.pop(("kept", "")) == totals.kept
                assert listed == Counter(
                    {
                        (fate, reason): count
                        for fate in ("filtered", "failed")
                        for reason, count in getattr(totals, fate).items()
                    }
                )


FILTERS: list[dict[str, Any]] = [
    {"fate": "filtered"},
    {"fate": "failed"},
    {"reason": "gap"},
    {"reason": "unreadable", "fate": "failed"},
    {"winner": "target"},
    {"round": 2},
    {"min_gap": 3},
    {"max_gap": -0.5},
    {"min_gap": -1, "max_gap": 1},
    {"stage": "encode"},
    {"fate": "kept", "winner": "strong", "round": 1, "min_gap": 6},
    {"reason": "' OR 1=1 --"},
]


def passes(entry: dict[str, Any], filters: dict[str, Any]) -> bool:
    for name, value in filters.items():
        if name == "min_gap":
            if entry["gap"] is None or entry["gap"] < value:
                return False
        elif name == "max_gap":
            if entry["gap"] is None or entry["gap"] > value:
                return False
        elif entry[name] != value:
            return False
    return True


async def test_filters_find_what_passes_them(home: Path, cache: Path) -> None:
    async with client_of(home / "run") as client:
        await client.shown()
        everything = await client.entries(LARGEST_PAGE)
        for filters in FILTERS:
            found = await client.entries(9, **filters)

            assert found == [entry for entry in everything if passes(entry, filters)], filters
        use_case = next(entry["use_case"] for entry in everything if entry["use_case"])
        of_use_case = await client.entries(5, use_case=use_case)

    assert of_use_case == [entry for entry in everything if entry["use_case"] == use_case]


def test_a_search_reads_answers_in_any_case_and_only_so_much_at_once(
    home: Path, cache: Path
) -> None:
    with open_run(home / "run") as run:
        listing = Listing(run.ledger, None)
        target = list(listing.sample(9, instructions=True))[4]
        example = listing.example(target)
        assert example is not None
        assert example.iterations[0].target is not None
        words = example.iterations[0].target.text[:60].upper()
        pages, after = list[Page](), -1
        while True:
            pages.append(listing.page(Filters(search=words), after=after, searched=10))
            if pages[-1].after is None:
                break
            after = pages[-1].after
        whole = listing.page(Filters(search=words), size=LARGEST_PAGE)

    assert target in whole.entries
    assert whole.after is None
    assert sum((page.entries for page in pages), ()) == whole.entries
    assert all(page.read <= 10 for page in pages)
    assert sum(page.read for page in pages) == listing.count


def test_a_search_finds_quotes_and_letters_beyond_ascii(home: Path, cache: Path) -> None:
    with open_run(home / "hostile") as run:
        listing = Listing(run.ledger, None)

        for text in ('"</SCRIPT>', "window.HACKED = 2", "\u202eGNP", "PLAIN"):
            assert len(listing.page(Filters(search=text)).entries) == 4, text
        assert not listing.page(Filters(search="no such words")).entries


def test_a_sample_is_spread_evenly_and_whole_where_it_can_be(home: Path, cache: Path) -> None:
    with open_run(home / "run") as run:
        listing = Listing(run.ledger, None)
        everything = [entry.key for entry in listing.sample(10**6)]
        for count in (0, 1, 7, listing.count):
            keys = [entry.key for entry in listing.sample(count)]

            assert len(keys) == count
            assert keys == sorted(set(keys))
        gaps = [everything.index(entry.key) for entry in listing.sample(10)]

    assert len(everything) == listing.count
    steps = {late - early for early, late in pairwise(gaps)}
    assert max(steps) - min(steps) <= 1


# -- one row in full --------------------------------------------------------------------------


async def test_a_transcript_holds_everything_that_was_sent(home: Path, cache: Path) -> None:
    async with client_of(home / "run") as client:
        await client.shown()
        kept = (await client.entries(50, fate="kept", round=2))[0]
        failed = (await client.entries(50, fate="failed"))[0]
        transcript = await client.json(f"/api/runs/0/entries/{kept['key']}")
        of_seed = await client.json(f"/api/runs/0/entries/{failed['key']}")

    example = transcript["example"]
    seed_id = example["metadata"]["seed_ids"][0]
    assert transcript["seeds"][seed_id].startswith("Tell me of ")
    assert transcript["seeds"][seed_id] in transcript["encode"][-1][1]
    assert [prompt["certainty"] for prompt in transcript["prompts"]] == ["sent"] * len(
        example["calls"]
    )
    improve = next(prompt for prompt in transcript["prompts"] if prompt["stage"] == "improve")
    assert example["iterations"][1]["action"] in improve["messages"][-1][1]
    assert example["iterations"][0]["instruction"] in improve["messages"][-1][1]
    respond = [prompt for prompt in transcript["prompts"] if prompt["stage"] == "respond"]
    assert respond[0]["reply"] == example["iterations"][0]["strong"]["text"]
    assert of_seed["example"] is None
    assert of_seed["detail"].startswith("encode: ")
    assert next(iter(of_seed["seeds"].values())).startswith("Tell me of ")


RECIPES = ("codeclm", "self-instruct", "alpagasus", "tree-instruct", "wizardlm-plus")


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_prompt_is_called_sent_only_if_the_calls_key_says_so(
    tmp_path: Path, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_config(tmp_path, "run", seeds=8)
    more = ("--set", f"recipe={recipe}", "--target-rows", "6", "--set", "strong.options={}")
    ran = codeclm("run", "run.toml", *more, cwd=tmp_path)
    monkeypatch.setenv("CODECLM_CACHE_DIR", str(tmp_path / "cache"))
    assert ran.returncode in {0, 3}, ran.stderr
    with open_run(tmp_path / "run") as run, open_replies(tmp_path / "cache/cache.db") as replies:
        listing = Listing(run.ledger, run.config.target_rows)
        renderer = PromptRenderer(run.config, run.folder.read_manifest())
        examples = [listing.example(entry) for entry in listing.sample(20, instructions=True)]
        prompts = [
            prompt
            for example in examples
            if example is not None
            for prompt in renderer.of_example(example, replies)
        ]
        changed = [
            prompt
            for example in examples
            if example is not None
            for prompt in renderer.of_example(
                structs.replace(
                    example,
                    iterations=tuple(
                        structs.replace(one, instruction=f"{one.instruction}!")
                        for one in example.iterations
                    ),
                ),
                replies,
            )
        ]

    assert not renderer.problems
    assert prompts
    by_stage = Counter((prompt.stage, prompt.certainty) for prompt in prompts)
    assert not [stage for stage, certainty in by_stage if certainty == "rendered"]
    for stage in ("respond", "score", "improve", "rubrics", "decode"):
        assert (stage, "unknown") not in by_stage
    assert not [one for one in changed if one.stage == "respond" and one.certainty == "sent"]


def test_without_the_cache_a_prompt_is_only_rendered(home: Path, cache: Path) -> None:
    with open_run(home / "run") as run, open_replies(home / "nowhere") as replies:
        listing = Listing(run.ledger, None)
        renderer = PromptRenderer(run.config, run.folder.read_manifest())
        example = next(
            example
            for entry in listing.sample(20, instructions=True)
            if (example := listing.example(entry)) and len(example.iterations) == 2
        )
        prompts = renderer.of_example(example, replies)
        activity = measure_activity([example], replies, share=1.0)

    by_stage = {prompt.stage: prompt.certainty for prompt in prompts}
    assert by_stage["respond"] == by_stage["score"] == by_stage["improve"] == "rendered"
    assert by_stage["decode"] == "unknown"
    assert not any(prompt.reply for prompt in prompts)
    assert (activity.has_cache, activity.answered) == (False, 0)
    assert activity.calls == len(example.calls)


def test_templates_that_changed_are_not_the_runs_prompts(tmp_path: Path) -> None:
    make_run(tmp_path, seeds=3)
    codeclm("init", "--prompts", "own", cwd=tmp_path)
    (tmp_path / "own" / "respond.txt").write_text("Now this: {{instruction}}", "utf-8")
    config = tmp_path / "run" / "config.toml"
    config.write_text(f'prompts = "{tmp_path / "own"}"\n{config.read_text("utf-8")}', "utf-8")
    with open_run(tmp_path / "run") as run:
        renderer = PromptRenderer(run.config, run.folder.read_manifest())

    assert [text for text in renderer.problems if "respond" in text]


# -- a run that works -------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.blocking
async def test_a_run_is_shown_while_it_works_and_after_it_was_killed(tmp_path: Path) -> None:
    write_config(tmp_path, "run", seeds=2000, latency=0.02)
    process = started("run", "run.toml", "--set", "strong.max_concurrent=4", cwd=tmp_path)
    try:
        async with client_of(tmp_path / "run") as client:
            counts = set[int]()
            working = set[bool]()
            while len(counts) < 2:
                state = (await client.json("/api/runs"))[0]
                if state["contents"] and state["contents"]["entries"]:
                    counts.add(state["contents"]["entries"])
                    working.add(state["is_working"])
                await asyncio.sleep(0.05)
            process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(process.wait)
            await client.state(lambda state: not state["is_working"])
            await client.shown()
            resumed = await asyncio.to_thread(
                codeclm, "resume", "run", "--max-calls", "1", cwd=tmp_path
            )
            entries = await client.entries(LARGEST_PAGE)
    finally:
        process.kill()
        process.communicate()

    assert working == {True}
    assert resumed.returncode == 4, resumed.stderr  # out of budget: the run was not in use
    assert entries


@pytest.mark.blocking
async def test_a_ledger_that_cannot_be_read_is_said_on_the_page(tmp_path: Path) -> None:
    run = make_run(tmp_path, seeds=3)
    (run / "ledger.sqlite").write_bytes(b"no ledger" * 100)
    for log in run.glob("ledger.sqlite-*"):
        log.unlink()
    async with client_of(run) as client:
        state = await client.state(lambda state: bool(state["problem"]))
        figures = await client.json("/api/runs/0/figures")
        page = await client.json("/api/runs/0/entries")

    assert "ledger.sqlite" in state["problem"]
    assert figures is page is None


@pytest.mark.blocking
async def test_a_run_that_takes_the_place_of_a_deleted_one_is_shown(
    home: Path, cache: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(home / "run", run)
    async with client_of(run) as client:
        before = (await client.shown())["contents"]["entries"]
        shutil.rmtree(run)
        gone = await client.state(lambda state: bool(state["problem"]))
        shutil.copytree(home / "hostile", run)
        state = await client.state(lambda state: state["contents"]["entries"] != before)
        after = await client.state(lambda state: state["measured"] == state["listed"])
        entries = await client.entries(LARGEST_PAGE)

    assert str(run) in gone["problem"]
    assert gone["contents"]["entries"] == before  # what was read stays in view
    assert state["contents"]["entries"] == len(entries)
    assert after["problem"] == ""


@pytest.mark.blocking
async def test_a_ledger_that_is_overwritten_is_said_and_read_again_when_it_is_back(
    home: Path, cache: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(home / "run", run)
    ledger = run / "ledger.sqlite"
    content = ledger.read_bytes()
    async with client_of(run) as client:
        listed = (await client.shown())["listed"]
        ledger.write_bytes(b"no ledger" * (len(content) // 9))
        damaged = await client.state(lambda state: bool(state["problem"]))
        ledger.write_bytes(content)
        repaired = await client.state(lambda state: not state["problem"])

    assert "ledger.sqlite" in damaged["problem"]
    assert repaired["listed"] > listed


# -- figures ----------------------------------------------------------------------------------


@pytest.mark.blocking
async def test_figures_are_those_of_the_summary(home: Path, cache: Path) -> None:
    async with client_of(home / "run") as client:
        await client.shown()
        figures = await client.json("/api/runs/0/figures")
    status = json.loads(codeclm("status", "run", "--json", cwd=home).stdout)
    calibrated = json.loads(codeclm("calibrate", "run", "--json", cwd=home).stdout)[0]

    for name in ("rows", "seeds", "instructions", "gaps", "costs", "money_in_all"):
        assert figures["summary"][name] == status[name], name
    assert figures["summary"]["coverage"]["values"] == status["coverage"]["values"]
    yields = {row["threshold"]: row for row in figures["thresholds"]["yields"]}
    for row in calibrated["yields"]:
        shown = yields[row["threshold"]]
        for name in ("expected_yield", "exact", "cost"):
            assert shown[name] == row[name], row["threshold"]
    assert sum(one["rows"] for one in figures["values"]["use case"]) == status["rows"]
    assert {one["stage"] for one in figures["activity"]["latencies"]} >= {"respond", "score"}
    rates = figures["activity"]["rates"]
    replies = sum(one["per_minute"] * figures["activity"]["width"] / 60 for one in rates)
    assert round(replies) == figures["activity"]["answered"]
    assert len(figures["sessions"]) == len(figures["log"]["sessions"]) == 1
    assert figures["sessions"][0]["calls"] == status["calls_in_all"]


LOG = [
    {"event": "run.began", "timestamp": "2026-01-01T00:00:00Z", "level": "info"},
    {
        "event": "endpoint.paused",
        "timestamp": "2026-01-01T00:00:10Z",
        "level": "warning",
        "endpoint": "a",
        "error": "429 slow down",
    },
    {"event": "endpoint.back", "timestamp": "2026-01-01T00:00:30Z", "endpoint": "a"},
    {"event": "endpoint.out", "timestamp": "2026-01-01T00:01:00Z", "endpoint": "b"},
    {"event": "run.ended", "timestamp": "2026-01-01T00:02:00Z", "ending": "stopped"},
    {"event": "run.began", "timestamp": "2026-01-02T00:00:00Z", "level": "info"},
    {"event": "endpoint.out", "timestamp": "2026-01-02T00:00:05Z", "endpoint": "b"},
]


def test_waits_and_sessions_are_read_from_the_log(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    lines = [json.dumps(event).encode() for event in LOG]
    lines[2:2] = [b"", b"{", b"[]", b"\xff", b'{"event": 3}', b'{"event":"x","timestamp":"never"}']
    path.write_bytes(b"\n".join(lines) + b"\n{half a li")
    log = read_event_log(path)
    first = log.sessions[0].start

    assert [(one.endpoint, one.start - first) for one in log.waits][:2] == [("a", 10), ("b", 60)]
    assert [None if one.end is None else one.end - one.start for one in log.waits] == [20, 60, None]
    assert log.waits[0].cause == "429 slow down"
    assert [one.ending for one in log.sessions] == ["stopped", None]
    assert [message.event for message in log.messages] == ["endpoint.paused"]
    assert log.is_whole
    assert read_event_log(tmp_path / "none").sessions == ()


def test_of_a_long_log_the_end_is_read(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    line = json.dumps({**LOG[1], "error": "x" * 1000}).encode() + b"\n"
    path.write_bytes(line * 6000)
    log = read_event_log(path)

    assert not log.is_whole
    assert 0 < len(log.messages) <= 200


# -- the file ---------------------------------------------------------------------------------


class Elements(HTMLParser):
    """The elements and attributes that a browser would make of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags = Counter[str]()
        self.attributes = set[str]()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes |= {name for name, _ in attrs}


@pytest.fixture(scope="module")
def report(home: Path) -> str:
    done = codeclm("report", "hostile", "run", "--to", "both.html", cwd=home)
    assert (done.returncode, done.stderr) == (0, "codeclm: wrote both.html\n")
    return (home / "both.html").read_text("utf-8")


def test_a_report_holds_what_models_wrote_as_data_only(home: Path, report: str) -> None:
    clean = codeclm("report", "run", "--transcripts", "0", "--to", "empty.html", cwd=home)
    empty = Elements((home / "empty.html").read_text("utf-8"))
    elements = Elements(report)
    hostile = embedded(report)[0]

    assert clean.returncode == 0
    assert (elements.tags, elements.attributes) == (empty.tags, empty.attributes)
    assert not {"src", "onerror", "onclick", "style"} & elements.attributes
    assert HOSTILE in json.dumps(hostile, ensure_ascii=False).encode().decode("unicode_escape") or (
        json.dumps(HOSTILE)[1:-1] in json.dumps(hostile)
    )
    assert "unsafe" not in report.partition("default-src 'none'")[2].partition('"')[0]


def test_a_report_loads_nothing(report: str) -> None:
    elements = Elements(report)

    assert "connect-src" not in report.partition("default-src 'none'")[2].partition('"')[0]
    assert elements.tags["link"] == 1  # the empty icon
    assert not {"iframe", "object", "embed", "base", "form"} & elements.tags.keys()


def test_a_report_of_many_rows_is_a_sample_that_says_so(home: Path) -> None:
    codeclm("report", "run", "--transcripts", "6", "--to", "six.html", cwd=home)
    [run] = embedded((home / "six.html").read_text("utf-8"))
    state: Any = run["state"]
    transcripts: Any = run["transcripts"]

    assert len(transcripts) == 6 < state["contents"]["entries"]
    assert transcripts[-1]["entry"]["key"] > transcripts[0]["entry"]["key"]
    assert "spread evenly" in (home / "six.html").read_text("utf-8")


# -- the command ------------------------------------------------------------------------------


def test_the_command_says_where_the_page_is_and_stops_at_ctrl_c(home: Path) -> None:
    with viewing(home, "run", "hostile") as address:
        parts = urlsplit(address)

    assert (parts.scheme, parts.hostname) == ("http", "127.0.0.1")
    assert len(parse_qs(parts.query)["token"][0]) >= 32


def test_a_port_that_cannot_be_used_is_one_line(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = codeclm("view", "run", "--port", str(port), "--no-browser", cwd=home)
    beyond = codeclm("view", "run", "--port", "65536", "--no-browser", cwd=home)

    assert (done.returncode, beyond.returncode) == (2, 2)
    assert done.stderr.startswith(f"codeclm: port {port}: cannot be used (Address already in use)")
    assert beyond.stderr.startswith("codeclm: port 65536: cannot be used (it is above 65535)")
    assert done.stderr.count("\n") == beyond.stderr.count("\n") == 1


@pytest.mark.parametrize("verb", ["view", "report"])
def test_what_is_no_run_is_refused_in_a_line(home: Path, verb: str) -> None:
    done = codeclm(verb, "run", "cache", cwd=home)

    assert done.returncode == 2
    assert done.stderr == "codeclm: cache: not a run's folder (it has no config.toml)\n"


@pytest.fixture(scope="module", autouse=True)
def _nothing_is_left_open(home: Path) -> Iterator[None]:
    yield
    assert not list((home / "run").glob("*.tmp"))
