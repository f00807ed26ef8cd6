"""One entry in full: its seeds, its rounds, and the prompts that were sent."""

from msgspec import Struct

from ...prompts import Messages
from ..calls.reply_lookup import ReplyLookup
from ..data.records import Example
from ..reporting.runs import RunReader
from ..store.listing import Entry, Listing
from .sent_prompts import PromptRenderer, SentPrompt


class Transcript(Struct, frozen=True):
    """An entry in full.

    Attributes:
        detail: the sentence that explains its fate.
        example: the instruction's history; None for what failed before there was one.
        seeds: texts by id, of those seeds that the seed files still have.
        encode: the prompt that asked for the metadata; empty if it cannot be rendered.
        prompts: the calls with what was sent.
        notes: what could not be read or rendered, and why.
    """

    entry: Entry
    detail: str
    example: Example | None
    seeds: dict[str, str]
    encode: Messages
    prompts: tuple[SentPrompt, ...]
    notes: tuple[str, ...]


class TranscriptReader:
    """Reads transcripts of one run."""

    def __init__(self, run: RunReader, listing: Listing, replies: ReplyLookup) -> None:
        """Load the run's templates. Blocks."""
        self._run = run
        self._listing = listing
        self._replies = replies
        self._renderer = PromptRenderer(run.config, run.folder.read_manifest())

    def transcripts(self, entries: list[Entry]) -> list[Transcript]:
        """Return the transcripts of *entries*; the seed files are read once. Blocks.

        Raises:
            StorageError: the ledger or the cache cannot be read.
        """
        examples = [self._listing.example(entry) for entry in entries]
        notes = list[str]()
        ids = {entry.id for entry in entries if entry.kind == "seed"}
        ids |= {one for example in examples if example for one in example.metadata.seed_ids}
        seeds = self._run.texts_of_seeds(ids, notes.append)
        return [
            self._transcript(entry, example, seeds, notes)
            for entry, example in zip(entries, examples, strict=True)
        ]

    def _transcript(
        self, entry: Entry, example: Example | None, seeds: dict[str, str], notes: list[str]
    ) -> Transcript:
        ids = example.metadata.seed_ids if example else (entry.id,)
        own = {one: seeds[one] for one in ids if one in seeds}
        is_encoded = entry.kind == "seed" or (example and example.metadata.origin == "seed")
        encode = self._renderer.of_encode(next(iter(own.values()))) if is_encoded and own else ()
        return Transcript(
            entry,
            example.detail if example else self._listing.detail(entry.key),
            example,
            own,
            encode,
            tuple(self._renderer.of_example(example, self._replies)) if example else (),
            (*notes, *self._renderer.problems),
        )
