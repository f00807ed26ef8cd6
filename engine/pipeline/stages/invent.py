"""Invent: new tasks in the style of a few seeds (Self-Instruct, docs/algorithm.md §8.1).

This is Alpaca's variant: a request shows three seeds and asks for twenty tasks.
"""

from collections.abc import Iterator, Sequence
from random import Random

import anyio.to_thread
from msgspec import Struct

from ....prompts import Invent, Task, demonstrations, unsuitable
from ...calls.model import Model
from ...data.records import InstructionRequest, Metadata, Seed, identity
from ...data.text.rouge import RougeIndex
from .draft import Draft, Rubrics

MAX_SIMILARITY = 0.7
"""ROUGE-L above which two instructions are too similar."""


class Reservoir:
    """A uniform sample of at most *size* seeds, taken as they are read.

    Which seeds those are depends on the run's seed alone.
    """

    def __init__(self, size: int, run_seed: int) -> None:
        self.seeds: list[Seed] = []
        self._size = size
        self._count = 0
        self._random = Random(f"{run_seed}/pool")

    def add(self, seed: Seed) -> None:
        """Add *seed*; once the sample is full, perhaps in another's place."""
        self._count += 1
        if len(self.seeds) < self._size:
            self.seeds.append(seed)
            return
        index = self._random.randrange(self._count)
        if index < self._size:
            self.seeds[index] = seed


class Pool:
    """The seeds that requests show, and an index of them to compare tasks with.

    Which seeds request *n* shows depends on the run's seed alone.
    """

    def __init__(self, seeds: Sequence[Seed], run_seed: int) -> None:
        self.seeds = seeds
        self.index = RougeIndex(MAX_SIMILARITY)
        self._run_seed = run_seed
        for seed in seeds:
            self.index.add(seed.instruction)

    def requests(
        self, first: int, *, demonstrations: int, tasks: int
    ) -> Iterator[InstructionRequest]:
        """Yield requests without end, at positions from *first* on."""
        number = min(demonstrations, len(self.seeds))
        position = first
        while True:
            random = Random(f"{self._run_seed}/{position - first}/demonstrations")
            sample = random.sample(self.seeds, number)
            ids = tuple(seed.id for seed in sample)
            name = identity("request", str(position - first), *ids)
            metadata = Metadata(position, name, "", (), "none", ids)
            yield InstructionRequest(
                metadata, tasks, texts=tuple(seed.instruction for seed in sample)
            )
            position += 1


class Inventor(Struct, frozen=True):
    """Asks for new tasks; unsuitable ones and near-copies are refused."""

    strong: Model
    pool: Pool

    async def __call__(self, request: InstructionRequest) -> list[Draft]:
        """Ask for ``request.count`` tasks in the style of ``request.texts``.

        Raises:
            ItemError: no reply could be read.
        """
        prompt = Invent(number=request.count, demonstrations=demonstrations(request.texts))
        reply = await self.strong.ask(prompt, item=request.metadata.id)
        # Comparing twenty tasks with a thousand seeds takes some milliseconds.
        reasons = await anyio.to_thread.run_sync(self._refusals, reply.value)
        return [
            Draft(
                identity("instruction", request.metadata.id, str(n), task.text),
                request,
                request.start + n,
                task.text,
                Rubrics(),
                (reply.call,),
                refused=reason,
            )
            for n, (task, reason) in enumerate(zip(reply.value, reasons, strict=True))
        ]

    def _refusals(self, tasks: list[Task]) -> list[str]:
        """Return a one-word reason for each of *tasks* that is refused, empty for the others."""
        accepted = RougeIndex(MAX_SIMILARITY)
        reasons = list[str]()
        for task in tasks:
            reason = unsuitable(task)
            if not reason and (
                self.pool.index.similar(task.instruction) or accepted.similar(task.instruction)
            ):
                reason = "too_similar"
            if not reason:
                accepted.add(task.instruction)
            reasons.append(reason)
        return reasons
