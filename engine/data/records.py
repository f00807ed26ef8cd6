"""What travels through the line, in the paper's words. Knows no stage and no file.

Positions order everything that is written: the seed's place in its file, then the instruction's
number. Ids come from content and lineage, so that they name the same thing in every run.
"""

from hashlib import blake2b
from typing import Literal

from msgspec import Struct

Fate = Literal["kept", "filtered", "failed"]
Winner = Literal["strong", "target"]
Origin = Literal["seed", "mixed", "user", "none"]


def identity(*parts: str) -> str:
    """A short id from content: 16 hex digits, the same on every machine."""
    digest = blake2b(digest_size=8)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


class Seed(Struct, frozen=True):
    """An instruction of the user's. ``position`` counts records from 0 over all seed files."""

    position: int
    id: str
    instruction: str


class Unreadable(Struct, frozen=True):
    """A record of a seed file that is no seed. ``where`` is ``file:line`` (or ``file#record``)."""

    position: int
    where: str
    reason: str


class Metadata(Struct, frozen=True):
    """What an instruction is for (use case) and what answering it takes (skills); paper §4.1.

    ``position`` is the seed's in streaming mode, else the place in the augmented set. ``origin``
    is ``seed`` (encoded), ``mixed`` (augmented), ``user`` (written by hand) or ``none``: in recipes
    without metadata it only says from which seeds something comes.
    """

    position: int
    id: str
    use_case: str
    skills: tuple[str, ...]
    origin: Origin
    seed_ids: tuple[str, ...] = ()


class InstructionRequest(Struct, frozen=True):
    """Ask *metadata* for *count* basic instructions, to be numbered from *start*.

    ``known`` are fingerprints of the instructions it has already made. ``texts`` are the user's own
    instructions, where there is no metadata: to set out from, or to show as demonstrations.
    """

    metadata: Metadata
    count: int
    start: int = 0
    known: frozenset[int] = frozenset()
    texts: tuple[str, ...] = ()


class RequestOutcome(Struct, frozen=True):
    """What became of an order.

    ``made`` instructions; of those ``kept``, number and fingerprint; ``known`` are the fingerprints
    of all that were made, as they first were. ``asked`` is given where an earlier session asked for
    another number than the order says.
    """

    made: int
    kept: tuple[tuple[int, int], ...] = ()
    known: tuple[int, ...] = ()
    asked: int | None = None


class Call(Struct, frozen=True, array_like=True):
    """One question to a model, for `inspect`.

    ``key`` is the cache key in hex; ``asked`` how often it was asked until it could be read.
    """

    stage: str
    role: str
    key: str
    prompt_tokens: int
    completion_tokens: int
    cached: bool
    asked: int = 1


class Answer(Struct, frozen=True):
    text: str
    finish_reason: str = "stop"


class Judgement(Struct, frozen=True):
    """One order of the pairwise scoring: both scores (0 to 10) and the scorer's own words."""

    strong: float
    target: float
    text: str


class Iteration(Struct, frozen=True, kw_only=True):
    """One round of Contrastive Filtering. ``number`` starts at 1, the basic instruction.

    ``action`` made this round's instruction out of the one before; None for the basic one.
    ``judgements`` holds the order strong-first, then target-first. ``gap`` is the mean strong score
    minus the mean target score (paper §4.3), None where nothing was scored.
    """

    number: int
    instruction: str
    action: str | None = None
    strong: Answer | None = None
    target: Answer | None = None
    judgements: tuple[Judgement, Judgement] | None = None
    gap: float | None = None


class Example(Struct, frozen=True, kw_only=True):
    """A basic instruction's whole story and its fate.

    ``reason`` says why it was filtered or failed, in one of few words (``gap``, ``duplicate``, …)
    so that reasons can be counted; ``detail`` adds a sentence where there is one.
    """

    id: str
    position: int
    number: int
    metadata: Metadata
    basic_instruction: str
    iterations: tuple[Iteration, ...] = ()
    fate: Fate
    winner: Winner | None = None
    reason: str = ""
    detail: str = ""
    rubrics: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()

    @property
    def instruction(self) -> str:
        """The instruction as it is exported: the last iterate."""
        return self.iterations[-1].instruction if self.iterations else self.basic_instruction

    @property
    def gap(self) -> float | None:
        return self.iterations[-1].gap if self.iterations else None

    @property
    def author(self) -> Winner:
        """Whose answer is exported: the winner's, or the strong model's if nothing was scored."""
        return self.winner or "strong"

    @property
    def response(self) -> Answer | None:
        """The answer as it is exported."""
        return self.answer(self.author)

    def answer(self, author: Winner) -> Answer | None:
        """Return *author*'s answer to the last iterate."""
        last = self.iterations[-1] if self.iterations else None
        return None if last is None else last.strong if author == "strong" else last.target
