"""What progress says, at any width, on terminals that are resized, and in logs."""

import io
import os
import sys

import pyte
import pytest
from msgspec import structs

from codeclm.engine.calls.counters import StageCounts
from codeclm.engine.reporting.bars import BarRenderer
from codeclm.engine.reporting.pace import rate_pace, work_pace
from codeclm.engine.reporting.progress import (
    Activity,
    EndpointProgress,
    OutputProgress,
    RunProgress,
    SpendingProgress,
    State,
)
from codeclm.engine.reporting.progress_text import (
    amounts,
    endpoint_text,
    log_line,
    state_text,
    stop_message,
)
from codeclm.engine.reporting.screen import Screen, printing_above
from codeclm.engine.reporting.views import Display, opened_view

BUSY = EndpointProgress(
    name="openai/gpt-4.1-mini https://api.openai.com/v1 OPENAI_API_KEY",
    roles=("strong", "judge"),
    calls_per_second=41.4,
    in_flight=214,
    concurrency=512,
    queued=1200,
    paused=0,
    waiting_for_retry=0,
    next_retry=0,
    rate_limited=0,
    requests_per_minute=None,
    outage=0,
    longest_outage=1800,
    last_error="",
)
PAUSED = structs.replace(BUSY, roles=("target",), in_flight=3, paused=12.3, requests_per_minute=60)
OUT = structs.replace(
    BUSY,
    in_flight=0,
    waiting_for_retry=214,
    next_retry=30,
    outage=94,
    last_error="POST http://h/v1: 502\nBad",
)


def progress(
    state: State = "working",
    *endpoints: EndpointProgress,
    elapsed: float = 252,
    share: float | None = 0.62,
) -> RunProgress:
    return RunProgress(
        run="tour",
        state=state,
        elapsed=elapsed,
        share=share,
        remaining=663,
        output=OutputProgress(
            rows=1_240_000,
            target_rows=2_000_000,
            seeds=310_000,
            total_seeds=400_000,
            instructions=1_730_512,
            likely_instructions=2_600_000,
        ),
        spending=SpendingProgress(
            calls=8_120_444,
            reused=120,
            likely_calls=13_000_000,
            tokens=1,
            money=1240.5,
            most_money=5000,
            seconds=3600,
            most_seconds=36_000,
        ),
        activity=Activity(
            in_flight=214,
            money_in_flight=0.43,
            calls_per_second=41.4,
            tokens_per_second=18_000,
            stages={"encode": StageCounts(20, 8, 1)},
            scored={1: 100, 2: 38},
            selected={1: 62},
        ),
        endpoints=endpoints or (BUSY, PAUSED),
    )


# -- bars ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize(
    "moment",
    [progress(), progress("stopping"), progress("working", OUT, PAUSED), progress("starting")],
    ids=["working", "stopping", "outage", "starting"],
)
def test_nothing_that_matters_is_cut_at_any_width(width: int, moment: RunProgress) -> None:
    lines = BarRenderer(io.StringIO()).lines(moment, width - 1)
    text = "\n".join(lines)

    assert max(map(len, lines)) < width
    assert lines[0].startswith(state_text(moment))
    for name, amount, share in amounts(moment):
        [line] = [line for line in lines if line.startswith(f"{name} ")]
        assert f" {amount}" in line
        assert (f" {int(100 * share)}%" in line) if share is not None else "%" not in line
    for endpoint in moment.endpoints:
        what, *_ = endpoint_text(endpoint).split(" · ")
        assert what in text


@pytest.mark.parametrize("share", [0.0, 0.25, 0.62, 1.0])
def test_a_bar_is_as_long_as_the_share(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without colours, the characters of a bar are what is done."""
    monkeypatch.setenv("NO_COLOR", "1")
    output = OutputProgress(rows=int(600 * share), target_rows=600)
    lines = BarRenderer(io.StringIO()).lines(structs.replace(progress(), output=output), 79)
    [bar] = [line.count("━") for line in lines if line.startswith("rows ")]

    assert bar == pytest.approx(share * 36, abs=1)


def test_what_is_not_known_yet_is_a_dash_and_no_figure() -> None:
    early = structs.replace(
        progress(share=None),
        remaining=None,
        output=OutputProgress(target_rows=600),
        state="working",
    )

    assert "— to go" in state_text(early)
    assert ("rows", "—", None) in list(amounts(early))
    assert "%" not in log_line(
        structs.replace(early, spending=SpendingProgress(calls=0, reused=0, tokens=0, seconds=1))
    )


def test_rows_beyond_the_target_are_not_shown_as_more_than_all() -> None:
    over = structs.replace(progress(), output=OutputProgress(rows=7560, target_rows=2000))

    assert ("rows", "2,000 of 2,000", 1.0) in list(amounts(over))


# -- endpoints ----------------------------------------------------------------------------------


def test_an_endpoint_says_first_what_it_waits_for() -> None:
    assert endpoint_text(BUSY).startswith("214 of 512 in flight · 41/s · 1,200 queued")
    assert endpoint_text(PAUSED).startswith("waits 0:12 for its rate limit · 3 of 512 in flight")
    assert "limit 60/min" in endpoint_text(PAUSED)
    assert endpoint_text(OUT) == (
        "no answer for 1:34, next try in 0:30 · 502 Bad · gives up after 30:00"
    )


def test_text_from_servers_cannot_control_the_terminal() -> None:
    hostile = structs.replace(
        OUT, last_error="\x1b[2J\x07 [red]x[/red] \u202e", name="\x1b]0;x\x07"
    )
    moment = structs.replace(progress("ending", hostile), run="\x1b[31mrun", reason="\x9b2J")
    text = "\n".join(BarRenderer(io.StringIO()).lines(moment, 300)) + log_line(moment)

    assert not set("\x1b\x07\x9b\u202e") & set(text)
    assert "[red]x[/red]" in text


# -- stopping -----------------------------------------------------------------------------------


def test_a_stop_says_what_is_in_flight_and_what_another_costs() -> None:
    assert stop_message(progress("stopping")) == (
        "stopping: 214 in flight; Ctrl-C again to stop now"
    )
    assert stop_message(progress("stopping at once")) == (
        "stopped at once: 214 calls in flight given up; they may be billed (about 0.4300),"
        " and are sent again"
    )


# -- logs ---------------------------------------------------------------------------------------


def shown_in(display: Display, *moments: RunProgress) -> str:
    stream = io.StringIO()
    with opened_view(display, stream) as view:
        for moment in moments:
            view.update(moment)
        view.close(moments[-1])
    return stream.getvalue()


def test_a_log_gets_a_line_at_each_tenth_and_each_half_minute_without_control_codes() -> None:
    seconds = [progress(elapsed=second, share=0.001 * second) for second in range(121)]
    lines = shown_in("auto", *seconds).splitlines()

    assert [line.split()[2] for line in lines] == ["0:00", "0:30", "1:00", "1:30", "1:40"]
    assert all(line.startswith("tour: ") and line.isprintable() for line in lines)


def test_a_log_says_at_once_that_an_endpoint_is_out_or_the_run_stops() -> None:
    lines = shown_in(
        "plain",
        progress(elapsed=1),
        progress("working", OUT, elapsed=2),
        progress("working", OUT, elapsed=3),
        progress("stopping", elapsed=4),
    ).splitlines()

    assert len(lines) == 3
    assert "strong+judge no answer for 1:34" in lines[1]
    assert "stopping: 214 in flight" in lines[2]


def test_a_silent_display_still_answers_ctrl_c_once() -> None:
    stopping = [progress("stopping", elapsed=n) for n in range(3)]

    assert shown_in("none", progress(), *stopping) == (
        "codeclm: stopping: 214 in flight; Ctrl-C again to stop now\n"
    )


@pytest.mark.parametrize(
    ("term", "codes"), [("xterm", True), ("dumb", False), ("", False), ("unknown", False)]
)
def test_only_a_terminal_that_moves_its_cursor_gets_control_codes(
    term: str, codes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    stream = Terminal()
    with opened_view("auto", stream) as view:
        view.update(progress())

    assert ("\x1b" in stream.getvalue()) is codes


class Terminal(io.StringIO):
    """Says that it is one."""

    def isatty(self) -> bool:
        return True


# -- the screen ---------------------------------------------------------------------------------


class Emulator(io.StringIO):
    """A terminal of pyte's, whose screen can be read."""

    def __init__(self, columns: int, lines: int) -> None:
        super().__init__()
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.Stream(self.screen)

    def write(self, text: str, /) -> int:
        self._stream.feed(text.replace("\n", "\r\n"))
        return len(text)

    def isatty(self) -> bool:
        return True

    def size(self) -> os.terminal_size:
        return os.terminal_size((self.screen.columns, self.screen.lines))

    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display if line.strip()]


def test_lines_are_redrawn_in_place_and_leave_nothing_behind() -> None:
    terminal = Emulator(80, 24)
    screen = Screen(terminal, terminal.size)
    terminal.write("$ codeclm run\n")
    screen.draw(["one", "two", "three"])
    terminal.write("^C")  # as the terminal echoes it
    screen.draw(["four"])
    lines = terminal.lines()
    screen.erase()

    assert lines == ["$ codeclm run", "four"]
    assert terminal.lines() == ["$ codeclm run"]


@pytest.mark.parametrize("size", [(24, 60), (24, 120), (5, 80), (40, 20), (3, 10)])
def test_a_resized_terminal_shows_every_line_once(size: tuple[int, int]) -> None:
    terminal = Emulator(80, 24)
    screen = Screen(terminal, terminal.size)
    terminal.write("$ codeclm run\n" * 20)
    renderer = BarRenderer(io.StringIO())
    for dimensions in ((24, 80), size, (24, 80)):
        terminal.screen.resize(*dimensions)
        for _ in range(2):
            screen.draw(renderer.lines(progress(), screen.columns))
        moment = [line for line in terminal.lines() if not line.startswith("$")]

        assert moment == [
            line[: dimensions[1]]
            for line in renderer.lines(progress(), dimensions[1] - 1)[: dimensions[0] - 1]
        ]


def test_what_others_print_goes_above_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Emulator(80, 24)
    monkeypatch.setattr(sys, "stderr", terminal)
    screen = Screen(terminal, terminal.size)
    screen.draw(["rows 1"])
    with printing_above(screen):
        print("a warning", file=sys.stderr)
        print("cut", end="", file=sys.stderr)
        screen.draw(["rows 2"])
        print(" in two\x1b[2J", file=sys.stderr)
        print("no newline", end="", file=sys.stderr)

    assert sys.stderr is terminal
    assert terminal.lines() == ["a warning", "cut in two\\x1b[2J", "no newline", "rows 2"]


# -- pace ---------------------------------------------------------------------------------------


def test_a_rate_is_that_of_late() -> None:
    pace = rate_pace()
    for second in range(601):
        pace.add(second, 10.0 * min(second, 300) + 2.0 * max(0, second - 300))

    assert pace.per_second == pytest.approx(2.0)


def test_work_is_forecast_from_the_last_half_of_the_time() -> None:
    pace = work_pace()
    assert pace.per_second == 0
    for tick in range(4 * 3601):
        pace.add(tick / 4, max(0.0, tick / 4 - 1800))

    assert pace.per_second == pytest.approx(1.0, rel=0.02)
