"""Each way a server can fail, and what the user of a whole run sees of it."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from .processes import (
    HANGS,
    FaultServer,
    codeclm,
    command,
    environment,
    fault_server,
    write_seeds,
)
from .server import Rule, Seen

pytestmark = pytest.mark.slow

QUICK = (
    *("--per-metadata", 2, "--max-iterations", 1, "--display", "none"),
    *("--set", "filter.leftover=keep_strong"),  # every instruction is a row
    *("--set", "retry.first_wait=0.01", "--set", "retry.longest_wait=0.05"),
)


def quick_run(folder: Path, server: FaultServer) -> tuple[object, ...]:
    """Return the command line of a run in *folder*, with two seeds."""
    seeds = write_seeds(folder / "seeds.jsonl", 2)
    roles = ("--strong", "vllm/strong", "--target", "vllm/target", "--base-url", server.url)
    files = ("--seeds", seeds, "--out", "run", "--cache", "cache")
    return ("run", *roles, *files, *QUICK, "--no-preflight")


STALLING = ("stalled", "chunk_garbled", "dripping", "continues", "extends")

SOON = ("--set", "retry.outage=0.5")
"""For servers that never come back."""


class Ended(NamedTuple):
    """What a run came to, as its user sees it."""

    status: int
    said: str
    rows: bytes


@pytest.fixture(scope="module")
def faulty() -> Iterator[FaultServer]:
    with fault_server() as server:
        yield server


@pytest.fixture(scope="module")
def undisturbed(faulty: FaultServer, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    faulty.reset()
    ended = run(faulty, tmp_path_factory.mktemp("undisturbed"))
    assert (ended.status, ended.rows.count(b"\n")) == (0, 4)
    return ended


def run(server: FaultServer, folder: Path, *arguments: object, fault: str = "") -> Ended:
    """Run on two seeds, each with two instructions of one round: 22 calls.

    Only where servers stall is the time-out short enough to be waited for.
    """
    line = quick_run(folder, server)
    timeout = 1 if fault.startswith(STALLING) else 60
    patience = (f"{role}.timeout={timeout}" for role in ("strong", "target"))
    settings = [word for setting in patience for word in ("--set", setting)]
    done = codeclm(*line, *settings, *arguments, cwd=folder)
    export = folder / "run" / "alpaca.jsonl"
    rows = export.read_bytes() if export.exists() else b""
    return Ended(done.returncode, done.stderr + done.stdout, rows)


def paid(seen: list[Seen]) -> list[str]:
    """The contents that were paid for, each as often as it was."""
    return sorted(one.digest for one in seen if one.paid)


PASSING = {
    "429": "0.1",
    "429_date": "1",
    "429_ms": "50",
    "429_silent": "",
    "429_absurd": "",
    "429_headers": "50ms",
    **dict.fromkeys(("408", "409", "425", "500", "502", "503", "504", "520", "529"), ""),
    "html": "502",
    "reset": "",
    "reset_in_headers": "",
    "reset_in_body": "",
    "closed": "",
    "closed_in_body": "",
    "stalled": "",
    "stalled_headers": "",
    "stalled_body": "",
    "truncated": "",
    "not_json": "",
    "error_in_200": "server_error",
    "error_text_in_200": "",
    "untyped_error_in_200": "",
    "null": "",
    "list": "",
    "other_object": "",
    "empty_choices": "",
    "chunk_garbled": "",
    "dripping": "",
    "dripping_head": "head",
    "continues": "",
    "extends": "",
}


@pytest.mark.parametrize("fault", PASSING)
def test_a_failure_that_passes_costs_nothing_but_time(
    fault: str, faulty: FaultServer, undisturbed: Ended, tmp_path: Path
) -> None:
    """Half of all requests fail once: the dataset is the same, and no answer is paid for twice."""
    name = fault.removesuffix("_head") if fault.startswith("dripping") else fault
    faulty.reset(rules=(Rule(fault=name, value=PASSING[fault], share=0.5, times=1),))

    ended = run(faulty, tmp_path, fault=fault)

    seen = faulty.seen()
    assert ended._replace(said="") == undisturbed._replace(said="")
    assert len(set(paid(seen))) == len(paid(seen)) == 22
    assert sum(one.outcome == name for one in seen) >= 5


@pytest.mark.parametrize(
    "oddity",
    [
        "closed_after",
        "trickled",
        "wrong_type",
        "gzip",
        "chunked",
        "blank_lines",
        "no_usage",
        "duplicate_keys",
    ],
)
def test_an_odd_but_whole_answer_is_as_good_as_any(
    oddity: str, faulty: FaultServer, undisturbed: Ended, tmp_path: Path
) -> None:
    faulty.reset(rules=(Rule(fault=oddity, value="0.01" if oddity == "trickled" else ""),))

    ended = run(faulty, tmp_path)

    assert ended._replace(said="") == undisturbed._replace(said="")
    assert len(faulty.seen()) == 22


STREAMED = ("--set", "strong.stream=true", "--set", "target.stream=true")


@pytest.mark.parametrize("transport", ["aiohttp", "lean"])
@pytest.mark.parametrize(
    "fault",
    [
        *("", "stream_ends", "stream_garbled", "stream_error", "stream_overloaded"),
        *("stream_refused", "stream_reset", "stream_closed", "stream_stalls", "stream_left_open"),
        *("429", "null", "chunked"),
    ],
)
def test_a_streamed_run_has_the_same_dataset_whatever_happens_to_streams(
    fault: str, transport: str, faulty: FaultServer, undisturbed: Ended, tmp_path: Path
) -> None:
    """``null`` and ``chunked`` come as JSON: the server does not stream those."""
    rule = Rule(fault=fault, value=PASSING.get(fault, ""), share=0.5, times=1)
    faulty.reset(rules=(rule,) if fault else ())
    soon = "stalled" if fault == "stream_stalls" else ""

    ended = run(faulty, tmp_path, *STREAMED, "--transport", transport, fault=soon)

    seen = faulty.seen()
    assert ended._replace(said="") == undisturbed._replace(said="")
    assert len(set(paid(seen))) == len(paid(seen)) == 22
    assert not fault or any(one.outcome == fault for one in seen)


def test_an_interrupted_run_goes_on_with_streams(
    faulty: FaultServer, undisturbed: Ended, tmp_path: Path
) -> None:
    """Streaming changes no reply, so it is no other run, and nothing is paid for again."""
    faulty.reset(rules=(Rule(fault="closed", purpose="respond"),))
    assert run(faulty, tmp_path, *SOON).status == 1
    faulty.set()

    ended = run(faulty, tmp_path, *STREAMED)

    assert ended._replace(said="") == undisturbed._replace(said="")
    assert len(paid(faulty.seen())) == 22


NASTY = (
    *("429", "502", "html", "reset", "reset_in_headers", "reset_in_body", "closed_in_body"),
    *("stalled", "stalled_headers", "stalled_body", "truncated"),
    *("untyped_error_in_200", "null", "chunk_garbled", "dripping", "continues", "extends"),
)


@pytest.mark.parametrize("fault", ["", *NASTY])
def test_the_lean_transport_bears_as_much(
    fault: str, faulty: FaultServer, undisturbed: Ended, tmp_path: Path
) -> None:
    """The dataset is byte for byte the one that came over aiohttp."""
    rule = Rule(fault=fault, value=PASSING.get(fault, ""), share=0.5, times=1)
    faulty.reset(rules=(rule,) if fault else (), keep_alive=0 if fault else 2)

    ended = run(faulty, tmp_path, "--transport", "lean", fault=fault)

    seen = faulty.seen()
    assert ended._replace(said="") == undisturbed._replace(said="")
    assert len(set(paid(seen))) == len(paid(seen)) == 22


@pytest.mark.parametrize(
    "oddity", ["closed_after", "trickled", "gzip", "chunked", "blank_lines", "duplicate_keys"]
)
def test_the_lean_transport_reads_odd_answers(
    oddity: str, faulty: FaultServer, undisturbed: Ended, tmp_path: Path
) -> None:
    faulty.reset(rules=(Rule(fault=oddity, value="0.01" if oddity == "trickled" else ""),))

    ended = run(faulty, tmp_path, "--transport", "lean")

    assert ended._replace(said="") == undisturbed._replace(said="")
    assert len(faulty.seen()) == 22


LASTING = {
    "401": ("", "401 made up (401); fix that, then run the same command again"),
    "402": ("", "402 made up (402); fix that, then run the same command again"),
    "403": ("", "403 made up (403); fix that, then run the same command again"),
    "404": ("", "404 made up (404); fix that, then run the same command again"),
    "429_quota": ("", "429 You exceeded your quota; fix that, then run the same command again"),
    "429": ("3000", "the server asks to come back in 3000 s"),
    "500": ("", "last error: POST"),
    "untyped_error_in_200": ("", "an error inside a 200: internal; start the server"),
    "html": ("200", "a web page instead of JSON; is the base URL right?"),
    "closed": ("", "the server closed the connection without a response"),
    "empty_choices": ("", "the response has no choices"),
}


@pytest.mark.parametrize("fault", LASTING)
def test_a_failure_that_lasts_ends_the_run_with_its_cause_and_the_way_on(
    fault: str, faulty: FaultServer, undisturbed: Ended, tmp_path: Path
) -> None:
    """Exit 1, the cause in a line, no traceback; once it is mended, the same command goes on."""
    value, cause = LASTING[fault]
    faulty.reset(rules=(Rule(fault=fault, value=value, purpose="respond"),))

    ended = run(faulty, tmp_path, *SOON)
    before = paid(faulty.seen())
    faulty.set()
    mended = run(faulty, tmp_path)

    assert ended.status == 1
    assert cause in ended.said
    assert "codeclm resume" in ended.said
    assert "Traceback" not in ended.said
    assert mended._replace(said="") == undisturbed._replace(said="")
    assert set(before) <= set(paid(faulty.seen()))
    assert len(paid(faulty.seen())) == 22


ONE_LOST = {
    "400": "rejected",
    "413": "rejected",
    "422": "rejected",
    "redirect": "rejected",
    "content_filter": "content filter",
    "refusal": "refusal",
}


@pytest.mark.parametrize("fault", ONE_LOST)
def test_an_answer_that_is_refused_loses_its_item_and_no_other(
    fault: str, faulty: FaultServer, tmp_path: Path
) -> None:
    faulty.reset(rules=(Rule(fault=fault, purpose="respond", model="target", most=1),))

    ended = run(faulty, tmp_path)

    assert (ended.status, ended.rows.count(b"\n")) == (0, 3)
    assert f"1 failed ({ONE_LOST[fault]})" in ended.said


def test_an_answer_that_was_cut_off_is_judged_as_what_it_is(
    faulty: FaultServer, tmp_path: Path
) -> None:
    """It is an answer: paid once, scored, and never asked again."""
    faulty.reset(rules=(Rule(fault="length", purpose="respond", model="target"),))

    ended = run(faulty, tmp_path)

    assert ended.status == 0
    assert len(paid(faulty.seen())) == len(set(paid(faulty.seen())))


def test_an_empty_answer_is_asked_again(faulty: FaultServer, tmp_path: Path) -> None:
    """Content of null is no answer: three attempts, then the item is lost."""
    faulty.reset(rules=(Rule(fault="null_content", purpose="respond", model="target", most=1),))

    ended = run(faulty, tmp_path)

    assert (ended.status, ended.rows.count(b"\n")) == (0, 4)
    assert len(faulty.seen()) == 23


@pytest.mark.parametrize("purpose", ["encode", "decode", "rubrics", "respond", "improve"])
def test_a_null_changes_no_dataset_whichever_stage_meets_it(
    purpose: str, faulty: FaultServer, tmp_path: Path
) -> None:
    """All of a stage's contents are null at the first attempt."""
    more = ("--max-iterations", 3, "--threshold", 8)
    (tmp_path / "undisturbed").mkdir()
    faulty.reset()
    undisturbed = run(faulty, tmp_path / "undisturbed", *more)
    faulty.reset(rules=(Rule(fault="null_content", purpose=purpose, times=1),))

    ended = run(faulty, tmp_path, *more)

    assert any(one.outcome == "null_content" for one in faulty.seen())
    assert (ended.status, ended.rows) == (undisturbed.status, undisturbed.rows)


def test_a_gentle_stop_ends_a_call_that_hangs_within_its_deadline(
    faulty: FaultServer, tmp_path: Path
) -> None:
    faulty.reset(rules=(Rule(fault="chunk_garbled", purpose="respond"),))
    line = quick_run(tmp_path, faulty)
    patience = ("--set", "strong.timeout=2", "--set", "target.timeout=2")
    with subprocess.Popen(
        command(*line, *patience), cwd=tmp_path, env=environment(), stderr=subprocess.PIPE
    ) as process:
        while not any(one.outcome == "chunk_garbled" for one in faulty.seen()):
            faulty.wait(1000)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=HANGS)

    assert process.returncode == 5
    assert b"codeclm resume" in said


def test_a_server_that_is_not_there_is_named(faulty: FaultServer, tmp_path: Path) -> None:
    faulty.reset()
    faulty.refuse(30.0)

    ended = run(faulty, tmp_path, *SOON)
    faulty.refuse(0)

    assert ended.status == 1
    assert "cannot connect to 127.0.0.1: Connection refused" in ended.said
    assert "start the server or check the network, then run the same command again" in ended.said


def test_a_server_that_restarts_is_waited_for(
    faulty: FaultServer, undisturbed: Ended, tmp_path: Path
) -> None:
    """Connections are refused for a second, in the midst of everything."""
    faulty.reset()
    faulty.refuse(1.0)

    ended = run(
        faulty, tmp_path, "--set", "retry.first_wait=0.5", "--set", "retry.longest_wait=0.5"
    )

    assert ended._replace(said="") == undisturbed._replace(said="")


def test_kept_connections_may_be_closed_without_a_word(
    faulty: FaultServer, undisturbed: Ended, tmp_path: Path
) -> None:
    """A server that drops each connection after two answers costs no answer."""
    faulty.reset(keep_alive=2)

    ended = run(faulty, tmp_path)

    assert ended._replace(said="") == undisturbed._replace(said="")
    assert len(paid(faulty.seen())) == 22


@pytest.mark.parametrize("transport", ["aiohttp", "lean"])
def test_an_answer_beyond_all_bounds_is_not_read(
    transport: str, faulty: FaultServer, tmp_path: Path
) -> None:
    faulty.reset(rules=(Rule(fault="huge", purpose="respond", model="target", most=1),))

    ended = run(faulty, tmp_path, "--transport", transport)

    assert (ended.status, ended.rows.count(b"\n")) == (0, 3)
    assert "1 failed (rejected)" in ended.said


def test_a_server_that_refuses_everything_for_good_ends_the_run(
    faulty: FaultServer, tmp_path: Path
) -> None:
    """It is a setting: nothing is gained by asking for every seed."""
    faulty.reset(rules=(Rule(fault="400"),))
    seeds = write_seeds(tmp_path / "many.jsonl", 200)

    ended = run(faulty, tmp_path, "--seeds", seeds, "--max-concurrent", 4)

    assert ended.status == 1
    assert "made up (400)" in ended.said
    assert len(faulty.seen()) <= 24


def test_429_to_every_call_ends_the_run_once_a_call_has_spent_its_time(
    faulty: FaultServer, undisturbed: Ended, tmp_path: Path
) -> None:
    faulty.reset(rules=(Rule(fault="429_silent", purpose="respond"),))

    ended = run(faulty, tmp_path, "--set", "retry.budget=1")
    faulty.set()
    mended = run(faulty, tmp_path)

    assert ended.status == 1
    assert "codeclm resume" in ended.said
    assert mended._replace(said="") == undisturbed._replace(said="")


@pytest.mark.parametrize("transport", ["aiohttp", "lean"])
def test_a_pause_is_no_more_than_a_pause(
    transport: str, faulty: FaultServer, undisturbed: Ended, tmp_path: Path
) -> None:
    """SIGSTOP for longer than the time-out: what came in meanwhile counts."""
    faulty.reset(latency=0.3)
    line = quick_run(tmp_path, faulty)
    patience = ("--set", "strong.timeout=1", "--set", "target.timeout=1")
    with subprocess.Popen(
        command(*line, *patience, "--transport", transport),
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.DEVNULL,
    ) as process:
        while not faulty.wait(1).answered:
            pass
        process.send_signal(signal.SIGSTOP)
        faulty.wait(1000, timeout=2)
        process.send_signal(signal.SIGCONT)
        assert process.wait(HANGS) == 0

    assert (tmp_path / "run" / "alpaca.jsonl").read_bytes() == undisturbed.rows
    assert len(paid(faulty.seen())) == 22
