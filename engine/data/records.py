"""The records that pass through the pipeline, in the paper's words.

Positions order everything that is written: the seed's position in its file, then the instruction's
number. Ids are derived from content and lineage, so they name the same thing in every run.
"""

from hashlib import blake2b
from typing import Literal

from msgspec import Struct

Fate = Literal["kept", "filtered", "failed"]
Winner = Literal["strong", "target"]
Origin = Literal["seed", "mixed", "user", "none"]


def identity(*parts: str) -> str:
    """Return an id derived from *parts*: 16 hex digits, the same on every machine."""
    digest = blake2b(digest_size=8)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


class Seed(Struct, frozen=True):
    """An instruction from a seed file.

    Attributes:
        position: Counts the records that are used, from 0, in the order of the files.
        stratum: The value of the field to stratify by, as text; empty without one.
    """

    position: int
    id: str
    instruction: str
    stratum: str = ""


class Unreadable(Struct, frozen=True):
    """A record of a seed file that is not a seed. ``where`` is ``file:line`` or ``file#record``."""

    position: int
    where: str
    reason: str


class Metadata(Struct, frozen=True):
    """What an instruction is for (use case) and what answering it takes (skills); paper §4.1.

    Attributes:
        position: The seed's in streaming mode, else the item's in the augmented set.
        origin: ``seed`` (encoded from one), ``mixed`` (augmented), ``user`` (written by hand), or
            ``none``: recipes without metadata only record the seeds of an item.
        language: of the seed's instruction; empty if not known.
        given_text: whether the seed works on a text, code or data given with it; None if not known.
    """

    position: int
    id: str
    use_case: str
    skills: tuple[str, ...]
    origin: Origin
    seed_ids: tuple[str, ...] = ()
    language: str = ""
    given_text: bool | None = None


class InstructionRequest(Struct, frozen=True):
    """A request for *count* basic instructions of *metadata*, numbered from *start*.

    Attributes:
        fingerprints: of the instructions that the metadata has already given.
        texts: the user's instructions, where there is no metadata: the basic instruction itself,
            or demonstrations.
    """

    metadata: Metadata
    count: int
    start: int = 0
    fingerprints: frozenset[int] = frozenset()
    texts: tuple[str, ...] = ()


class RequestOutcome(Struct, frozen=True):
    """The outcome of a request for instructions.

    Attributes:
        instructions: how many were written.
        kept: number and fingerprint of those that became rows.
        fingerprints: of all that were written, before any rewrite.
        requested: how many an earlier session asked for, where that differs from the request.
    """

    instructions: int
    kept: tuple[tuple[int, int], ...] = ()
    fingerprints: tuple[int, ...] = ()
    requested: int | None = None


class Call(Struct, frozen=True, array_like=True):
    """One call of a model, for `codeclm inspect`.

    ``key`` is the cache key in hex, ``attempts`` how often it was asked until a reply was parsed.
    """

    stage: str
    role: str
    key: str
    prompt_tokens: int
    completion_tokens: int
    cached: bool
    attempts: int = 1


class Answer(Struct, frozen=True):
    """A model's answer to an instruction.

    Attributes:
        text: The answer, without reasoning.
        finish_reason: Why the model stopped; ``length`` if it was cut off.
        reasoning: What the model thought before, where that is known. Never exported.
        refuses: Whether it reads like a refusal in words.
    """

    text: str
    finish_reason: str = "stop"
    reasoning: str = ""
    refuses: bool = False


class Judgement(Struct, frozen=True, omit_defaults=True):
    """One order of the pairwise scoring.

    Attributes:
        strong: The strong model's score, 0 to 10; the mean of several judges or samples.
        target: The target model's.
        text: What the judges wrote.
        by_judge: Each judge's own scores, strong and target, where there are several.
    """

    strong: float
    target: float
    text: str
    by_judge: dict[str, tuple[float, float]] = {}


class Iteration(Struct, frozen=True, kw_only=True):
    """One round of Contrastive Filtering.

    Attributes:
        number: From 1, the round of the basic instruction.
        action: What rewrote the instruction of the round before; None for the basic one.
        judgements: The strong model's answer first, then the target's.
        gap: Mean score of the strong model minus that of the target (paper §4.3); None if nothing
            was scored.
        confirmation: Of a second scoring, where the gap was large enough and ``filter.confirm`` is
            set.
    """

    number: int
    instruction: str
    action: str | None = None
    strong: Answer | None = None
    target: Answer | None = None
    judgements: tuple[Judgement, Judgement] | None = None
    gap: float | None = None
    confirmation: tuple[Judgement, Judgement] | None = None


class Example(Struct, frozen=True, kw_only=True):
    """The history of a basic instruction, and its fate.

    Attributes:
        reason: Why it was filtered or failed: one of a few words (``gap``, ``duplicate``, …), so
            that reasons can be counted.
        detail: A sentence that explains it, or empty.
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
        """The instruction that is exported: the last iterate."""
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
        """The answer that is exported."""
        return self.answer(self.author)

    def answer(self, author: Winner) -> Answer | None:
        """Return *author*'s answer to the last iterate."""
        last = self.iterations[-1] if self.iterations else None
        return None if last is None else last.strong if author == "strong" else last.target
