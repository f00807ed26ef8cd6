"""Where a recipe's requests for instructions come from: metadata, seeds, or a pool of seeds.

A mode makes the requests, decides when there are enough, and forecasts how many there will be.

Commands such as `status` and `export` look up a recipe without running it. They would take twice as
long to start if the modules that run a mode were not imported by `Mode.run` itself.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from math import ceil
from typing import TYPE_CHECKING

from msgspec import Struct

from ...prompts import AnyPrompt, Encode, Plausible
from ..config import Config
from . import sizes
from .steps import Bounds, Calls, Material, Volume

if TYPE_CHECKING:
    from .execution import Execution


class Input(Struct, frozen=True):
    """What a run starts from, for a forecast.

    Attributes:
        seeds: how many seeds are used.
        metadata: how many items the user wrote instead of seeds, else 0.
        rows_per_draft: the most rows that one basic instruction becomes.
        assumed_yield: the share of instructions that are kept, where nothing bounds the calls.
    """

    seeds: int
    metadata: int = 0
    rows_per_draft: int = 1
    assumed_yield: float = 1.0


class Mode(ABC):
    """Where a recipe's requests for instructions come from.

    Attributes:
        material: What its requests hold.
        endless: Whether it makes requests until the target of rows or instructions is reached.
        uncounted: The prompts whose calls it does not forecast.
    """

    material: Material
    endless: bool = False
    uncounted: tuple[AnyPrompt, ...] = ()

    def prompts(self, config: Config) -> tuple[AnyPrompt, ...]:
        """Return the prompts that it asks the strong model: none, unless overridden."""
        del config
        return ()

    def settings(self, config: Config) -> Iterator[tuple[str, str]]:
        """Yield the settings that shape its rows as (name, value), for display."""
        del config
        return iter(())

    @abstractmethod
    def volume(self, config: Config, start: Input) -> Volume:
        """Forecast how much is made."""

    def calls(self, volume: Volume) -> Calls:
        """Forecast the mode's own calls by prompt: all of `prompts` but the `uncounted`."""
        del volume
        return {}

    @abstractmethod
    async def run(self, execution: "Execution") -> None:
        """Carry out a session.

        Raises:
            RunStopped: no item can continue.
        """


class FromMetadata(Mode):
    """Seeds are encoded; instructions are decoded from their metadata (paper §4).

    The metadata may be mixed into a larger set first, or be written by the user.
    """

    material: Material = "metadata"
    uncounted = (Plausible,)

    def prompts(self, config: Config) -> tuple[AnyPrompt, ...]:
        return (Encode, Plausible) if config.metadata.plausibility_check else (Encode,)

    def settings(self, config: Config) -> Iterator[tuple[str, str]]:
        yield "metadata mixed up to", str(config.metadata.augment_to or "not mixed")

    def volume(self, config: Config, start: Input) -> Volume:
        if start.metadata or config.metadata.augment_to:
            return _metadata_set_volume(config, start)
        return _streamed_volume(config, start.seeds, start.rows_per_draft)

    def calls(self, volume: Volume) -> Calls:
        return {Encode: volume.encoded}

    async def run(self, execution: "Execution") -> None:
        from .augmented import run_augmented  # noqa: PLC0415  (see the module's docstring)
        from .metadata_set import run_metadata_set  # noqa: PLC0415
        from .streaming import stream_encoded  # noqa: PLC0415

        if execution.metadata:
            await run_metadata_set(execution, execution.metadata)
        elif execution.config.metadata.augment_to:
            await run_augmented(execution)
        else:
            await stream_encoded(execution)


class FromSeeds(Mode):
    """Seeds are the basic instructions themselves."""

    material: Material = "instruction"

    def volume(self, config: Config, start: Input) -> Volume:
        rows, seeds = start.rows_per_draft, max(start.seeds, 1)
        policy = sizes.unchanged_policy(config, seeds, rows)
        spans = list(sizes.share_spans(policy, seeds))
        low = sum(ceil(share / rows) * count for share, _, count in spans)
        high = sum(ceil(bound / rows) * count for _, bound, count in spans)
        return Volume(Bounds(low, max(low, high, (policy.most or 0) // rows)))

    async def run(self, execution: "Execution") -> None:
        from .streaming import stream_unchanged  # noqa: PLC0415  (see the module's docstring)

        await stream_unchanged(execution)


class FromPool(Mode):
    """Seeds are demonstrations in requests for new instructions (docs/algorithm.md §8.1)."""

    material: Material = "demonstrations"
    endless = True

    def volume(self, config: Config, start: Input) -> Volume:
        tasks = config.baseline.tasks
        rows = config.target_rows or config.max_candidates or 0
        most = config.max_candidates or ceil(rows / start.assumed_yield)
        low = min(rows, most)
        requests = Bounds(ceil(low / tasks), ceil(most / tasks))
        return Volume(Bounds(low, most), requests, tasks)

    async def run(self, execution: "Execution") -> None:
        from .pooled import run_pooled  # noqa: PLC0415  (see the module's docstring)

        await run_pooled(execution)


FROM_METADATA = FromMetadata()
FROM_SEEDS = FromSeeds()
FROM_POOL = FromPool()


def _metadata_set_volume(config: Config, start: Input) -> Volume:
    """A fixed set: each item has its quota; more is requested in place of what is filtered out."""
    items = config.metadata.part(
        start.metadata or max(start.seeds, config.metadata.augment_to or 0)
    )
    low = high = sizes.total_quota(config, items)
    if sizes.tops_up(config):
        high = config.max_candidates or ceil(low * sizes.expansion(config))
    per_item = ceil(low / items) if items else 0
    calls = items * ceil(per_item / config.decode.chunk)
    return Volume(
        instructions=Bounds(low, high),
        requests=Bounds(calls, calls * ceil(high / max(low, 1))),
        per_call=min(per_item, config.decode.chunk),
        encoded=Bounds(start.seeds, start.seeds),
        items=Bounds(items, items),
    )


def _streamed_volume(config: Config, seeds: int, rows_per_draft: int) -> Volume:
    """Each seed has its share; it is asked again, and then the others, for what is filtered out."""
    if not seeds:
        return Volume(Bounds(0, 0))
    policy, chunk = sizes.encoded_policy(config, seeds, rows_per_draft), config.decode.chunk
    shares = [span for span in sizes.share_spans(policy, seeds) if span[0]]
    low = sum(share * count for share, _, count in shares)
    high = max(policy.most or 0, low) if policy.topup else low
    requests = sum(ceil(share / chunk) * count for share, _, count in shares)
    used = sum(count for *_, count in shares)
    encoded = Bounds(used, seeds if policy.topup else used)
    return Volume(
        instructions=Bounds(low, high),
        requests=Bounds(requests, requests + high - low),
        per_call=min(max((share for share, *_ in shares), default=1), chunk),
        encoded=encoded,
        items=encoded,
    )
