"""The line of a run: seeds → orders → drafts → examples → ledger, whatever the recipe makes of it.

CodecLM's is seeds → encode → (augment) → decode + rubrics → refine → ledger. Puts stages, streams
and accounts together and keeps the book: which order is open, what became of its instructions, and
what is asked next. Knows neither files, nor signals, nor the screen.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from itertools import islice
from random import Random
from typing import Any

import anyio
import anyio.to_thread
import structlog
from msgspec import Struct, structs

from ..calls.counters import Counters
from ..config import Config
from ..data.errors import ItemError, RunStopped
from ..data.records import (
    Example,
    Fate,
    InstructionRequest,
    Metadata,
    RequestOutcome,
    Seed,
    Unreadable,
)
from ..data.text.fingerprint import fingerprint
from ..quality.checks import Check, Part, first_violation
from ..quality.contamination import PromptIndex
from ..quality.near_duplicates import NearDuplicateFilter
from ..store.schema import NO_LAST_ITEM, row_index
from ..store.writer import LedgerWriter
from . import stream as flow
from .build import Stages
from .orders import DEFAULT_PER_METADATA, Prefix, Quotas, every, per_seed, share
from .recipes import RECIPES
from .stages.augment import Mixer, Mixing, merge
from .stages.draft import Draft
from .stages.given import placeholder_metadata
from .stages.plausible import Plausibility

log = structlog.get_logger()

BATCH = 256
"""Seeds read at a time in a thread: a trip to a thread costs 30 µs, a seed 2."""

BARREN = 30
"""Requests in a row that bring not one new row, after which no more are made."""

Seeds = Iterator[Seed | Unreadable]


class _Open(Struct):
    """An order under way."""

    order: InstructionRequest
    made: int
    remaining: int
    kept: list[tuple[int, int]] = []
    known: list[int] = []
    incomplete: bool = False


class Quality(Struct, frozen=True):
    """What an instruction must be besides selected.

    ``checks`` look at one text, ``overlap`` finds what is in test sets, ``sieve`` near-duplicates.
    """

    checks: tuple[Check, ...] = ()
    overlap: PromptIndex | None = None
    sieve: NearDuplicateFilter | None = None


class Work:
    """One session of a run.

    ``stop_calls`` is called when nothing more is to be sent.
    """

    def __init__(
        self,
        config: Config,
        crew: Stages,
        ledger: LedgerWriter,
        counters: Counters,
        *,
        stop_calls: Callable[[], None],
        quality: Quality = Quality(),  # noqa: B008  (it is frozen)
    ) -> None:
        self._config = config
        self._recipe = RECIPES[config.recipe]
        self._crew = crew
        self._ledger = ledger
        self._counters = counters
        self._stop_calls = stop_calls
        self._quality = quality
        self._barred = set[str]()
        """Ids of metadata that a reviewer dropped."""
        self._watch = flow.Callbacks(self._lost, self.halt, counters.stages)
        self._open: dict[int, _Open] = {}
        self._plan: Quotas | None = None
        self._prefix = Prefix(None, None)
        self._marks: dict[int, int] = {}
        """Fingerprints of seeds under way, by position."""
        self._under_way = 0
        """Seeds begun and not yet done, in streaming mode."""
        self._orders: deque[InstructionRequest] = deque()
        self._changed = anyio.Event()
        self._recorded: dict[int, RequestOutcome] = {}
        self.seeds_a_pass: int | None = None
        """Records of the seed files, where these are gone through more than once."""
        self.stopped_by: RunStopped | None = None
        self.stopping = False
        self.enough = False
        self.left_for_later = 0

    # -- stopping -----------------------------------------------------------------------------

    def stop(self) -> None:
        """Admit nothing more and send nothing more; what is in flight comes in."""
        self.stopping = True
        self._stop_calls()
        self._changed.set()

    def halt(self, error: RunStopped) -> None:
        """Stop because no item can go on."""
        if self.stopped_by is None and not self.stopping:
            self.stopped_by = error
            log.error("run.stopped", reason=str(error))
        self.stop()

    # -- streaming ----------------------------------------------------------------------------

    async def stream(self, seeds: Seeds) -> None:
        """Each seed goes straight on, encoded or as it is; for any number of seeds.

        Positions behind the last seed's are further passes over the seeds.
        """
        await self._begin_prefix(each=self._each)
        await anyio.to_thread.run_sync(self._catch_up, 0)
        widths = self._crew.widths
        encode = self._encode if self._recipe.start == "metadata" else self._set_out
        line = (
            flow.begin(flow.Stage("encode", encode, widths.encode, buffer=widths.encode))
            .then(flow.Stage("decode", self._decode, widths.decode, buffer=1))
            .then(flow.Stage("refine", self._refine, widths.refine, buffer=widths.refine))
        )
        await flow.run(self._admit(seeds), line, self._keep, self._watch)
        await self._decide_rest(self._prefix.last if self._prefix.enough else NO_LAST_ITEM)

    @property
    def _each(self) -> int:
        """Rows that a seed may give in one pass."""
        config = self._config
        if self._recipe.start == "metadata":
            return per_seed(self.seeds_a_pass or 0, config.target_rows, config.decode.per_metadata)
        return self._recipe.rows_per_draft(self._config)

    async def _begin_prefix(self, *, each: int) -> None:
        never = await anyio.to_thread.run_sync(self._read_reviews)
        self._prefix = Prefix(
            self._config.target_rows,
            self._config.max_candidates,
            each=each,
            never=never,
            admits=every if self._quality.sieve is None else self._admits,
        )

    def _catch_up(self, first: int) -> None:
        """Count what earlier sessions finished from position *first* on.

        Blocks: a million seeds take seconds.
        """
        config = self._config
        if not (config.target_rows or config.max_candidates or self._quality.sieve):
            return
        for position, made, kept, mark in self._ledger.reader.finished_items():
            if position >= first:
                self._prefix.finished(position, made, kept, mark)
        if self._prefix.enough:
            self._ledger.dataset_ends(self._prefix.last)
            return
        self._ledger.dataset_ends()  # an earlier end no longer holds: a reviewer has dropped rows
        if self._quality.sieve is not None:
            self._quality.sieve.load()

    async def _admit(self, seeds: Seeds) -> AsyncIterator[Seed]:
        while not self.stopping and not self._prefix.enough:
            batch = await anyio.to_thread.run_sync(list, islice(seeds, BATCH))
            for record in batch:
                await self._needed()
                if self._does():
                    return
                if isinstance(record, Unreadable):
                    self._unreadable(record)
                else:
                    self._under_way += 1
                    yield record
            if len(batch) < BATCH:
                return

    def _does(self) -> bool:
        """Whether no more is to be begun: also where only what failed in passing is missing.

        That leaves a gap behind which nothing counts yet; the next session fills it.
        """
        done = self.stopping or self._prefix.enough
        return done or (self.left_for_later > 0 and self._prefix.suffices)

    async def _needed(self) -> None:
        """Wait while the seeds under way will probably do."""
        while not self.stopping and self._prefix.plenty(self._under_way):
            self._changed = anyio.Event()
            await self._changed.wait()

    async def _encode(self, seed: Seed) -> list[InstructionRequest]:
        metadata, _ = await self._crew.encoder(seed)
        again = self._again(seed.position)
        if not again:
            self._ledger.seed_encoded(seed, metadata, item=seed.position)
            return self._order(seed, InstructionRequest(metadata, self._each))
        # What is missing after the first pass is less: ask for it in small portions.
        count = min(self._each, DEFAULT_PER_METADATA)
        return self._order(
            seed, InstructionRequest(metadata, count, self._each + (again - 1) * count)
        )

    def _order(self, seed: Seed, order: InstructionRequest) -> list[InstructionRequest]:
        """Let *order* go on, unless a reviewer has dropped its metadata."""
        self._marks[seed.position] = fingerprint(seed.instruction)
        if order.metadata.id not in self._barred:
            return [order]
        self._pass_over(order.metadata)
        self._advance(seed.position, 0, ())
        self._left()
        return []

    def _again(self, position: int) -> int:
        """Which pass over the seeds *position* is of, from 0."""
        return position // self.seeds_a_pass if self.seeds_a_pass else 0

    async def _set_out(self, seed: Seed) -> list[InstructionRequest]:
        """Make an order of *seed* as it is."""
        again = self._again(seed.position)
        metadata = placeholder_metadata(seed, again=again)
        if not again:
            self._ledger.seed_encoded(seed, metadata, item=seed.position)
        return self._order(
            seed, InstructionRequest(metadata, self._each, texts=(seed.instruction,))
        )

    # -- pooled -------------------------------------------------------------------------------

    async def pooled(self, seeds: Seeds) -> None:
        """Seeds are shown in requests for new instructions, until there are enough of these.

        The requests' positions follow the seeds', so that copies of any seed are known.
        """
        await self._begin_prefix(each=self._config.baseline.tasks)
        first = await self._fill_pool(seeds)
        self._prefix.most_barren = BARREN
        if not self._crew.pool.seeds:
            raise RunStopped("not one seed can be read: see `codeclm status` for the reasons")
        await anyio.to_thread.run_sync(self._catch_up, first)
        done = await anyio.to_thread.run_sync(self._ledger.reader.finished_seeds)
        widths = self._crew.widths
        line = flow.begin(flow.Stage("invent", self._decode, widths.decode, buffer=1)).then(
            flow.Stage("answer", self._refine, widths.refine, buffer=widths.refine)
        )
        await flow.run(self._requests(first, done), line, self._keep, self._watch)
        await self._decide_rest(self._prefix.last if self._prefix.enough else NO_LAST_ITEM)

    async def _fill_pool(self, seeds: Seeds) -> int:
        """Read all seeds; return the position behind the last one."""
        behind = 0
        while batch := await anyio.to_thread.run_sync(list, islice(seeds, BATCH)):
            behind = batch[-1].position + 1
            for record in batch:
                if isinstance(record, Unreadable):
                    self._unreadable(record)
                else:
                    self._pool(record)
        self._crew.pool.close()
        return behind

    def _pool(self, seed: Seed) -> None:
        self._crew.pool.add(seed)
        self._ledger.seed_pooled(seed)
        self._prefix.finished(seed.position, 0, (), fingerprint(seed.instruction))

    async def _requests(self, first: int, done: bytearray) -> AsyncIterator[InstructionRequest]:
        """Yield requests until there is enough, without those that are done."""
        positions = {seed.id: seed.position for seed in self._crew.pool.seeds}
        settings = self._config.baseline
        for order in self._crew.pool.requests(
            first, demonstrations=settings.demonstrations, tasks=settings.tasks
        ):
            position = order.metadata.position
            finished = position < len(done) and done[position]
            if not finished:
                await self._needed()
                if self._does():
                    return
            for seed_id in order.metadata.seed_ids:
                if seed_id in positions:
                    self._ledger.seed_linked(positions.pop(seed_id), position)
            if not finished:
                self._under_way += 1
                yield order

    # -- augmented ----------------------------------------------------------------------------

    async def augmented(self, seeds: Seeds) -> None:
        """Encode all seeds, mix their metadata up to the wanted number, then go on: one barrier."""
        encoded, prints = await self._encode_all(seeds)
        if self.stopping:
            return
        if not encoded:
            raise RunStopped("not one seed could be encoded: see `codeclm status` for the reasons")
        await self.ordered(await self._augment(encoded), prints)

    async def _encode_all(self, seeds: Seeds) -> tuple[list[Metadata], set[int]]:
        encoded = await anyio.to_thread.run_sync(self._ledger.reader.encoded_metadata)
        failed = await anyio.to_thread.run_sync(self._ledger.reader.failed_seeds)
        prints = set[int]()

        async def fresh() -> AsyncIterator[Seed]:
            async for seed in self._admit(seeds):
                prints.add(fingerprint(seed.instruction))
                if seed.position not in encoded and seed.position not in failed:
                    yield seed

        async def encode(seed: Seed) -> list[Metadata]:
            metadata, _ = await self._crew.encoder(seed)
            self._ledger.seed_encoded(seed, metadata, item=None)
            return [metadata]

        async def keep(metadata: Metadata) -> None:
            encoded[metadata.position] = metadata

        width = self._crew.widths.encode
        line = flow.begin(flow.Stage("encode", encode, width, buffer=width))
        await flow.run(fresh(), line, keep, self._watch)
        return [encoded[position] for position in sorted(encoded)], prints

    async def _augment(self, encoded: list[Metadata]) -> list[Metadata]:
        settings = self._config.metadata
        items = merge(encoded)
        home = {seed_id: item.position for item in items for seed_id in item.seed_ids}
        for metadata in encoded:
            self._ledger.seed_linked(metadata.position, home[metadata.seed_ids[0]])
        mixer = Mixer(
            encoded,
            Mixing(
                draw_use_case=settings.draw_use_case,
                skill_count=settings.skill_count,
                run_seed=self._config.seed,
            ),
        )
        wanted = settings.augment_to or 0
        check = Plausibility(self._crew.encoder.strong) if settings.plausibility_check else None
        while len(items) < wanted:
            drawn = mixer.draw_some(wanted - len(items), start=len(items))
            if not drawn:
                break
            if check is not None:
                drawn = await check.select(drawn)
            items += [
                structs.replace(item, position=len(items) + n) for n, item in enumerate(drawn)
            ]
        log.info(
            "metadata.augmented",
            encoded=len(encoded),
            items=len(items),
            wanted=wanted,
            plausibility_check=check is not None,
        )
        if len(items) < wanted:
            log.warning("metadata.exhausted", items=len(items), wanted=wanted)
        return items

    # -- a fixed set of metadata --------------------------------------------------------------

    async def ordered(self, items: list[Metadata], seed_prints: set[int]) -> None:
        """Ask each of *items* for its quota, and again for what the filter drops."""
        config = self._config
        self._ledger.metadata_fixed(items)
        seed_prints |= await anyio.to_thread.run_sync(self._read_reviews)
        self._recorded = await anyio.to_thread.run_sync(
            self._ledger.reader.request_outcomes, self._recipe.rows_per_draft(self._config)
        )
        wanted = self._wanted(items)
        for item in items:
            if item.id in self._barred:
                self._pass_over(item)
            elif not wanted[item.position] and row_index(item.position, 0) not in self._recorded:
                self._ledger.request_unneeded(item)
        items = [item for item in items if item.position in wanted]
        quotas = [wanted[item.position] for item in items]
        self._plan = Quotas(
            items,
            quotas,
            topup=config.target_rows is not None and config.size.shortfall == "topup",
            max_expansion=config.size.max_expansion,
            max_candidates=config.max_candidates,
        )
        if self._quality.sieve is not None:
            await anyio.to_thread.run_sync(self._quality.sieve.load)
        self._issue(self._plan.first())
        widths = self._crew.widths
        line = flow.begin(flow.Stage("decode", self._decode, widths.decode, buffer=1)).then(
            flow.Stage("refine", self._refine, widths.refine, buffer=widths.refine)
        )
        await flow.run(self._upcoming(seed_prints), line, self._keep, self._watch)
        await self._decide_rest(NO_LAST_ITEM)

    def _wanted(self, items: Sequence[Metadata]) -> dict[int, int]:
        """Quotas by position. What a reviewer dropped leaves the others' as they were, and more."""
        quotas = self._quotas(len(items))
        wanted = {
            item.position: quota
            for item, quota in zip(items, quotas, strict=True)
            if item.id not in self._barred
        }
        able = [position for position, quota in wanted.items() if quota]
        if self._config.target_rows is not None and able:
            spare = share(
                sum(quotas) - sum(wanted.values()),
                len(able),
                Random(f"{self._config.seed}/barred"),
            )
            for position, more in zip(able, spare, strict=True):
                wanted[position] += more
        return wanted

    def _quotas(self, items: int) -> list[int]:
        """Instructions wanted of each item; metadata.share leaves some without any."""
        part = self._config.metadata.part(items)
        used = sorted(Random(f"{self._config.seed}/share").sample(range(items), part))
        wanted = dict(zip(used, self._equal_quotas(len(used)), strict=True))
        return [wanted.get(n, 0) for n in range(items)]

    def _equal_quotas(self, items: int) -> list[int]:
        config = self._config
        if config.decode.per_metadata is not None:
            return [config.decode.per_metadata] * items
        if config.target_rows is None:
            return [DEFAULT_PER_METADATA] * items
        return share(config.target_rows, items, Random(f"{config.seed}/quotas")) if items else []

    async def _upcoming(self, seed_prints: set[int]) -> AsyncIterator[InstructionRequest]:
        """Yield orders as they are issued, until every account is settled.

        Orders that come back from the end of the line do not close a circle of bounded streams:
        they wait here, at most one for each metadata item.
        """
        assert self._plan is not None
        while not self.stopping:
            while self._orders and not self.stopping:
                yield self._orders.popleft()
            if self.stopping:  # while it was at the yield: nobody would wake it any more
                return
            if self._open:
                self._changed = anyio.Event()
                await self._changed.wait()
            elif not self._orders:
                if self.left_for_later:
                    return
                orders = await self._settle(self._plan, seed_prints)
                if not orders:
                    return
                self._issue(orders)  # all of them may be in the ledger: then settle again

    async def _settle(self, plan: Quotas, never: set[int]) -> list[InstructionRequest]:
        """Compare all rows; in a thread where that takes long, for nothing else is under way."""
        if self._quality.sieve is None:
            return plan.settle(never)
        orders = await anyio.to_thread.run_sync(plan.settle, never, self._admits)
        self._ledger.near_duplicates_decided(self._quality.sieve.take_decisions())
        return orders

    def _issue(self, orders: Iterable[InstructionRequest]) -> None:
        """Queue *orders*; one that an earlier session finished is taken from the ledger."""
        assert self._plan is not None
        waiting = deque(orders)
        while waiting:
            order = waiting.popleft()
            recorded = self._recorded.pop(_place(order), None)
            if recorded is None:
                self._open[_place(order)] = _Open(order, 0, 0)
                self._orders.append(order)
            else:
                waiting.extend(self._plan.finished(order, recorded))

    # -- the book -----------------------------------------------------------------------------

    async def _decode(self, order: InstructionRequest) -> list[Draft]:
        drafts = await self._crew.write(order)
        known = [fingerprint(draft.instruction) for draft in drafts]
        made = sum(draft.rows for draft in drafts)
        self._open[_place(order)] = _Open(order, made, len(drafts), known=known)
        return drafts

    async def _refine(self, draft: Draft) -> list[tuple[InstructionRequest, list[Example]]]:
        """End *draft*; one that a rule is against is not worth its answers."""
        against = (draft.refused, "") if draft.refused else self._refusal(draft.instruction)
        if against is not None:
            return [(draft.request, [self._ended(draft, "filtered", *against)])]
        return [(draft.request, [self._checked(made) for made in await self._crew.finish(draft)])]

    async def _keep(self, done: tuple[InstructionRequest, list[Example]]) -> None:
        order, examples = done
        opened = self._open[_place(order)]
        for example in examples:
            self._ledger.example_finished(example)
            self._note_overlap(example)
            if example.fate == "kept":
                self._counters.kept += 1
                opened.kept.append((example.number, fingerprint(example.instruction)))
                self._offer(example)
        self._one_less(opened)
        await self._ledger.room()

    def _one_less(self, opened: _Open) -> None:
        opened.remaining -= 1
        if not opened.remaining:
            self._complete(opened)

    def _complete(self, opened: _Open) -> None:
        if opened.incomplete:
            self._close(opened.order)
        else:
            self._ledger.request_done(opened.order, opened.made)
            self._finished(
                opened.order, RequestOutcome(opened.made, tuple(opened.kept), tuple(opened.known))
            )

    def _finished(self, order: InstructionRequest, outcome: RequestOutcome) -> None:
        if self._plan is not None:
            self._issue(self._plan.finished(order, outcome))
        else:
            kept = tuple(sorted(outcome.kept))
            self._advance(order.metadata.position, outcome.made, kept)
        self._close(order)

    def _close(self, order: InstructionRequest) -> None:
        self._counters.requests += 1
        del self._open[_place(order)]
        self._left()

    def _left(self) -> None:
        """One seed or order less under way."""
        self._under_way -= 1
        self._changed.set()

    def _advance(self, position: int, made: int, kept: tuple[tuple[int, int], ...]) -> None:
        self._prefix.finished(position, made, kept, self._marks.pop(position, None))
        if self._quality.sieve is not None:
            self._ledger.near_duplicates_decided(self._quality.sieve.take_decisions())
        if self._prefix.enough and not self.stopping:
            self._ledger.dataset_ends(self._prefix.last)
            self.enough = True
            self.stop()

    def _unreadable(self, record: Unreadable) -> None:
        if not self._again(record.position):
            log.warning("seed.unreadable", where=record.where, reason=record.reason)
            self._ledger.seed_unreadable(record)
        if self._plan is None:
            self._advance(record.position, 0, ())

    def _lost(self, stage: str, item: Any, error: ItemError) -> None:
        log.warning(
            "item.failed",
            stage=stage,
            reason=error.reason,
            detail=error.detail,
            transient=error.transient,
        )
        if error.transient:
            self.left_for_later += 1
        if isinstance(item, Seed):
            if not self._again(item.position):
                self._ledger.seed_failed(item, error)
            self._marks[item.position] = fingerprint(item.instruction)
            if not error.transient and not self._config.metadata.augment_to:
                self._advance(item.position, 0, ())
            self._left()
        elif isinstance(item, InstructionRequest):
            self._order_lost(item, error)
        elif isinstance(item, Draft):
            self._draft_lost(item, error)

    def _order_lost(self, order: InstructionRequest, error: ItemError) -> None:
        self._ledger.request_failed(order, error)
        if error.transient:
            self._open.pop(_place(order), None)
            self._left()
        else:
            self._open.setdefault(_place(order), _Open(order, 0, 0))
            self._finished(order, RequestOutcome(0))

    def _draft_lost(self, draft: Draft, error: ItemError) -> None:
        example = self._ended(draft, "failed", error.reason, error.detail)
        self._ledger.example_finished(example, transient=error.transient)
        opened = self._open[_place(draft.request)]
        opened.incomplete = opened.incomplete or error.transient
        self._one_less(opened)

    # -- quality ------------------------------------------------------------------------------

    def _refusal(self, instruction: str) -> tuple[str, str] | None:
        """Say what is against a basic instruction, where no rewrite can mend it."""
        if self._recipe.start == "seeds":  # it is the user's own, and no row
            return None
        found = first_violation(self._quality.checks, instruction, "instruction")
        mended = self._recipe.end in {"refine", "harden", "evolve"}
        return None if found is not None and found[0] == "too_short" and mended else found

    def _ended(self, draft: Draft, fate: Fate, reason: str, detail: str = "") -> Example:
        """End *draft* without a round, in the place of its first one."""
        ended = draft.ended(fate, reason, detail)
        return structs.replace(
            ended, number=draft.number * self._recipe.rows_per_draft(self._config)
        )

    def _offer(self, example: Example) -> None:
        """Let the sieve see a row; its turn comes when all before it are known."""
        if self._quality.sieve is not None:
            index = row_index(example.position, example.number)
            self._quality.sieve.offer(index, example.id, example.instruction)

    def _checked(self, example: Example) -> Example:
        """Filter a selected pair that a rule is against."""
        if example.fate != "kept":
            return example
        for text, part in _parts(example):
            found = first_violation(self._quality.checks, text, part)
            if found is not None:
                reason, detail = found
                return structs.replace(example, fate="filtered", reason=reason, detail=detail)
        return example

    def _note_overlap(self, example: Example) -> None:
        if self._quality.overlap is None or not (
            example.fate == "kept" or example.reason == "contaminated"
        ):
            return
        hits = self._quality.overlap.overlaps(*(text for text, _ in _parts(example)))
        for test in {hit.test_set for hit in hits}:
            self._ledger.overlap_found(
                example, test, (h.question for h in hits if h.test_set == test)
            )

    def _admits(self, position: int, number: int) -> bool:
        assert self._quality.sieve is not None
        return self._quality.sieve.admits(row_index(position, number))

    async def _decide_rest(self, last: int) -> None:
        """Decide for now on rows whose turn has not come when the session ends."""
        sieve = self._quality.sieve
        if sieve is not None:
            await anyio.to_thread.run_sync(sieve.decide_rest, row_index(last + 1, 0) - 1)
            self._ledger.near_duplicates_decided(sieve.take_decisions())

    def _read_reviews(self) -> set[int]:
        """Return the fingerprints that a reviewer wants no more. Blocks."""
        said = self._ledger.reader.reviews("metadata").values()
        self._barred = {review.id for review in said if review.decision == "drop"}
        return self._ledger.reader.excluded_fingerprints()

    def _pass_over(self, item: Metadata) -> None:
        """Make nothing of *item*: a reviewer dropped it."""
        self._ledger.item_excluded(item.position)
        if row_index(item.position, 0) not in self._recorded:
            self._ledger.request_unneeded(item, "reviewed")


def _parts(example: Example) -> list[tuple[str, Part]]:
    """Return what of *example* would be trained on."""
    answer = example.response
    parts: list[tuple[str, Part]] = [(example.instruction, "instruction")]
    return parts if answer is None else [*parts, (answer.text, "response")]


def _place(order: InstructionRequest) -> int:
    return row_index(order.metadata.position, order.start)
