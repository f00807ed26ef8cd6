"""What a round does: its kind of run, the server's faults, and the interventions. All drawn."""

from random import Random

from msgspec import Struct

from ..server import Rule, Settings


class Scenario(Struct, frozen=True):
    """A kind of run. ``exact`` says that all it does is determined, not its dataset alone."""

    name: str
    seeds: int
    arguments: tuple[str, ...]
    exact: bool = True


def scenarios(size: int) -> tuple[Scenario, ...]:
    """Return a run of each mode; *size* 1 makes some hundred calls, 5 some thousand."""
    augmented = ("--augment-to", 14 * size, "-n", 40 * size, "--max-candidates", 200 * size)
    return (
        Scenario("stream", 12 * size, ("--per-metadata", "6")),
        Scenario("target", 14 * size, ("--per-metadata", "5", "-n", str(30 * size)), exact=False),
        Scenario(
            "augment",
            10 * size,
            (*map(str, augmented), "--threshold", "4", "--max-iterations", "2"),
        ),
    )


WIDTHS = (16, 128, 512)
TRANSPORTS = ("aiohttp", "lean")

FAULTS = {
    **dict.fromkeys(("408", "500", "502", "503", "529", "429_silent", "429_absurd"), ""),
    "429": "0.1",
    "429_ms": "50",
    "429_headers": "50ms",
    "html": "502",
    **dict.fromkeys(("reset", "reset_in_headers", "reset_in_body", "closed", "closed_in_body"), ""),
    **dict.fromkeys(("stalled", "stalled_headers", "stalled_body", "truncated", "not_json"), ""),
    **dict.fromkeys(("untyped_error_in_200", "error_text_in_200", "null", "list"), ""),
    **dict.fromkeys(("other_object", "empty_choices", "null_content", "chunk_garbled"), ""),
    **dict.fromkeys(("dripping", "continues", "extends", "closed_after", "gzip", "chunked"), ""),
    **dict.fromkeys(("blank_lines", "wrong_type", "no_usage", "duplicate_keys"), ""),
    **dict.fromkeys(("stream_ends", "stream_garbled", "stream_error", "stream_overloaded"), ""),
    **dict.fromkeys(("stream_refused", "stream_reset", "stream_closed", "stream_stalls"), ""),
    "error_in_200": "server_error",
    "trickled": "0.01",
    "slow": "0.5",
}
"""Every misbehaviour after which the dataset is the same, with its value."""

FAULTY = 0.1
"""The share of contents that meet one of them."""


class Intervention(Struct, frozen=True):
    """What is done to a process, and when.

    ``answered`` waits until so many requests were answered (of ``purpose``, if given) in this
    round, then ``delay`` seconds more.
    """

    kind: str
    delay: float
    answered: int = 0
    purpose: str = ""

    def __str__(self) -> str:
        return f"{self.kind}@{self.purpose}{self.answered}+{self.delay * 1000:.0f}ms"


KINDS = ("kill", "kill", "kill", "kill_twice", "stop_kill", "int", "int_int", "term", "pause")


class RoundPlan(Struct, frozen=True):
    """A round, as its number and the command's seed determine it."""

    scenario: Scenario
    width: int
    transport: str
    server: Settings
    interventions: tuple[Intervention, ...]
    budget: int | None
    """``--max-calls`` until the run stops for it."""
    streams: bool
    """Whether all sessions ask for streams; faults that are none come whole."""


def draw(dice: Random, scenario: Scenario, *, calls: int) -> RoundPlan:
    """Draw a round of *scenario*, which takes *calls* if nothing disturbs it."""
    latency = dice.choice((0.01, 0.03, 0.1))
    is_faulty = dice.random() < 0.8
    server = Settings(
        latency=latency,
        jitter=latency,
        rules=_rules(dice.randint(1, 2)) if is_faulty else (),
        seed=dice.randrange(1 << 30),
    )
    return RoundPlan(
        scenario,
        dice.choice(WIDTHS),
        dice.choice(TRANSPORTS),
        server,
        _interventions(dice, scenario, calls),
        dice.randint(calls // 4, 3 * calls // 4) if dice.random() < 0.3 else None,
        streams=dice.random() < 0.5,
    )


def _rules(times: int) -> tuple[Rule, ...]:
    share = FAULTY / len(FAULTS)
    return tuple(
        Rule(
            fault=fault,
            value=value,
            share=share,
            # At temperature 0 a second null is answered with another question.
            times=1 if fault == "null_content" else times,
        )
        for fault, value in FAULTS.items()
    )


def _interventions(dice: Random, scenario: Scenario, calls: int) -> tuple[Intervention, ...]:
    """Draw when and how processes are disturbed."""
    drawn = list[Intervention]()
    for _ in range(dice.randint(1, 6)):
        kind = dice.choice(KINDS)
        match dice.randrange(6):
            case 0:
                drawn.append(Intervention(kind, dice.uniform(0, 0.5)))
            case 1:  # while exporting, or a moment before or after
                drawn.append(Intervention(kind, dice.uniform(0, 0.08), calls))
            case 2:  # the last seed was encoded: while augmenting
                drawn.append(Intervention(kind, dice.uniform(0, 0.02), scenario.seeds, "encode"))
            case _:
                drawn.append(Intervention(kind, dice.uniform(0, 0.01), dice.randint(0, calls)))
    return tuple(sorted(drawn, key=lambda one: (one.answered, not one.purpose)))
