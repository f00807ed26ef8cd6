"""Augmented: all seeds are encoded, and their metadata mixed into a larger set (paper A.3).

The one barrier of any recipe: nothing is decoded before the set is complete.
"""

from collections.abc import AsyncIterator

import anyio.to_thread
from msgspec import structs

from ..data.errors import ItemError, RunStopped
from ..data.records import Metadata, Seed, Unreadable
from ..data.text.fingerprint import fingerprint
from ..disk.event_log import event_logger
from .admission import read_in_batches, record_unreadable
from .execution import Execution
from .line import Stage, begin
from .metadata_set import run_metadata_set
from .stages.augment import Mixer, merge
from .stages.plausible import Plausibility

log = event_logger()


async def run_augmented(execution: Execution) -> None:
    """Encode all seeds, mix their metadata up to ``metadata.augment_to``, and request instructions.

    Raises:
        RunStopped: no seed could be encoded.
    """
    encoding = _Encoding(execution)
    encoded = await encoding.run()
    if execution.state.stopping:
        return
    if not encoded:
        raise RunStopped("no seed could be encoded: `codeclm status` lists the reasons")
    items = await _augment(execution, encoded)
    await run_metadata_set(execution, items, encoding.fingerprints)


class _Encoding:
    """Encodes all seeds that no earlier session has encoded."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._encoder = execution.tools.encoder()
        self._encoded: dict[int, Metadata] = {}
        self.fingerprints = set[int]()
        """Of all seeds."""

    async def run(self) -> list[Metadata]:
        """Return the metadata of all seeds that could be encoded, in seed order."""
        ledger, width = self._execution.ledger, self._execution.widths.encode
        ledger.seeds_dealt(self._execution.total_seeds)
        self._encoded |= await anyio.to_thread.run_sync(ledger.reader.encoded_metadata)
        failed = await anyio.to_thread.run_sync(ledger.reader.failed_seeds)
        line = begin(Stage("encode", self._encode, self._lost, width, buffer=width))
        await self._execution.run(self._seeds({*self._encoded, *failed}), line, self._keep)
        return [self._encoded[position] for position in sorted(self._encoded)]

    async def _seeds(self, done: set[int]) -> AsyncIterator[Seed]:
        async for record in read_in_batches(self._execution.read_seeds(bytearray())):
            if self._execution.state.stopping:
                return
            if isinstance(record, Unreadable):
                record_unreadable(self._execution.ledger, record)
                continue
            self.fingerprints.add(fingerprint(record.instruction))
            if record.position not in done:
                yield record

    async def _encode(self, seed: Seed) -> list[Metadata]:
        metadata, _ = await self._encoder(seed)
        self._execution.ledger.seed_encoded(seed, metadata, item=None)
        return [metadata]

    async def _keep(self, metadata: Metadata) -> None:
        self._encoded[metadata.position] = metadata

    def _lost(self, seed: Seed, error: ItemError) -> None:
        self._execution.state.item_lost("encode", error)
        self._execution.ledger.seed_failed(seed, error)


async def _augment(execution: Execution, encoded: list[Metadata]) -> list[Metadata]:
    """Merge identical metadata, then mix up to the target number; record each seed's item."""
    settings = execution.config.metadata
    items = merge(encoded)
    item_of = {seed_id: item.position for item in items for seed_id in item.seed_ids}
    for metadata in encoded:
        execution.ledger.seed_linked(metadata.position, item_of[metadata.seed_ids[0]])
    mixer = Mixer(encoded, settings, execution.config.seed)
    target = settings.augment_to or 0
    items += await _mix(execution, mixer, range(len(items), target))
    log.info(
        "metadata.augmented",
        encoded=len(encoded),
        items=len(items),
        target=target,
        plausibility_check=settings.plausibility_check,
    )
    if len(items) < target:
        log.warning("metadata.exhausted", items=len(items), target=target)
    return items


async def _mix(execution: Execution, mixer: Mixer, positions: range) -> list[Metadata]:
    """Mix an item for each of *positions*, or as many as there are combinations."""
    plausibility = Plausibility(execution.tools.strong)
    mixed = list[Metadata]()
    while len(mixed) < len(positions):
        upcoming = positions[len(mixed) :]
        batch = mixer.draw_some(len(upcoming), start=upcoming.start)
        if not batch:
            break
        if execution.config.metadata.plausibility_check:
            batch = await plausibility.select(batch)
        mixed += [
            structs.replace(item, position=position)
            for item, position in zip(batch, upcoming, strict=False)
        ]
    return mixed
