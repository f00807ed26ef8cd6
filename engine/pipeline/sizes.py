"""From ``target_rows`` to numbers of instructions: every rule, each once.

`Quotas` and `Prefix` apply these numbers while a run works, and the forecast counts calls with
them.
"""

from math import ceil
from random import Random

from ..config import Config

DEFAULT_PER_METADATA = 10
"""The paper's: 2,000 instructions of 200 metadata items."""


def tops_up(config: Config) -> bool:
    """Whether more instructions are requested in place of those that are filtered out."""
    return config.target_rows is not None and config.size.shortfall == "topup"


def expansion(config: Config) -> float:
    """Return the most instructions that may be requested, as a multiple of the target rows."""
    return config.size.max_expansion if tops_up(config) else 1.0


# -- seed after seed --------------------------------------------------------------------------


def per_seed(config: Config, seeds: int) -> int:
    """Return how many instructions are requested of each of *seeds* encoded seeds."""
    if config.decode.per_metadata is not None:
        return config.decode.per_metadata
    if not config.target_rows or not seeds:
        return DEFAULT_PER_METADATA
    return max(1, ceil(config.target_rows / seeds))


def seed_candidates(config: Config, seeds: int) -> int:
    """Return the most instructions requested of *seeds* encoded seeds, in all passes."""
    first_pass = seeds * per_seed(config, seeds)
    return ceil(max(config.target_rows or 0, first_pass) * expansion(config))


def encoded_passes(config: Config, seeds: int) -> int:
    """Return how often *seeds* encoded seeds may be read.

    After the first pass fewer are missing, so each request is smaller.
    """
    first_pass = seeds * per_seed(config, seeds)
    later_pass = min(first_pass, seeds * DEFAULT_PER_METADATA)
    return 1 + ceil((seed_candidates(config, seeds) - first_pass) / max(later_pass, 1))


def unchanged_passes(config: Config, seeds: int, rows_per_draft: int) -> int:
    """Return how often *seeds* seeds may be read if they are the basic instructions."""
    rows = max(seeds * rows_per_draft, 1)
    if not config.target_rows:
        return ceil((config.max_candidates or 1) / rows)
    return ceil(ceil(config.target_rows / rows) * expansion(config))


# -- a fixed set of metadata ------------------------------------------------------------------


def total_quota(config: Config, items: int) -> int:
    """Return the total quota of *items* metadata items."""
    if config.decode.per_metadata is not None:
        return config.decode.per_metadata * items
    return DEFAULT_PER_METADATA * items if config.target_rows is None else config.target_rows


def quotas(config: Config, items: int) -> list[int]:
    """Return the quota of each of *items* metadata items.

    ``metadata.share`` leaves some of them without any.
    """
    part = config.metadata.part(items)
    used = sorted(Random(f"{config.seed}/share").sample(range(items), part))
    equal = share(total_quota(config, part), part, Random(f"{config.seed}/quotas"))
    quota_of = dict(zip(used, equal, strict=True))
    return [quota_of.get(n, 0) for n in range(items)]


def share(total: int, parts: int, random: Random) -> list[int]:
    """Split *total* equally; the remainder goes to a random subset (docs/algorithm.md §3.3)."""
    base, rest = divmod(total, parts) if parts else (0, 0)
    lucky = set(random.sample(range(parts), rest))
    return [base + (n in lucky) for n in range(parts)]
