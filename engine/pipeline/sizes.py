"""From ``target_rows`` to numbers of instructions: every rule, each once.

`Shares`, `Quotas` and `Prefix` apply these numbers while a run works, and the forecast counts calls
with them.
"""

from collections.abc import Iterator
from itertools import pairwise
from math import ceil
from random import Random

from msgspec import structs

from ..config import Config
from .shares import SharePolicy

DEFAULT_PER_METADATA = 10
"""The paper's: 2,000 instructions of 200 metadata items."""


def tops_up(config: Config) -> bool:
    """Whether more instructions are requested in place of those that are filtered out."""
    return config.target_rows is not None and config.size.shortfall == "topup"


def expansion(config: Config) -> float:
    """Return the most instructions that may be requested, as a multiple of the target rows."""
    return config.size.max_expansion if tops_up(config) else 1.0


# -- seed after seed --------------------------------------------------------------------------


def encoded_policy(config: Config, seeds: int, rows_per_draft: int = 1) -> SharePolicy:
    """Return how the rows are shared by *seeds* encoded seeds."""
    portion = config.decode.per_metadata
    per_seed = portion or DEFAULT_PER_METADATA
    if config.target_rows is None:
        most = config.max_candidates
        total = None if most is None else min(most, seeds * per_seed)
        return SharePolicy(total, per_seed, portion if total else None, unit=rows_per_draft)
    candidates = config.target_rows if portion is None else seeds * portion
    policy = SharePolicy(config.target_rows, per_seed, portion, unit=rows_per_draft)
    return _topped_up(policy, config, seeds, max(config.target_rows, candidates))


def unchanged_policy(config: Config, seeds: int, rows_per_draft: int) -> SharePolicy:
    """Return how rows are shared by *seeds* seeds that are the basic instructions themselves."""
    total = config.target_rows or config.max_candidates
    policy = SharePolicy(total, rows_per_draft, most=config.max_candidates, unit=rows_per_draft)
    return policy if config.target_rows is None else _topped_up(policy, config, seeds, total or 0)


def _topped_up(policy: SharePolicy, config: Config, seeds: int, candidates: int) -> SharePolicy:
    """Return *policy* with bounds for *candidates* rows that may be replaced."""
    most = config.max_candidates
    if most is None:
        shares = sum(policy.units(share) * count for share, _, count in share_spans(policy, seeds))
        most = int(max(candidates, shares) * expansion(config))
    return structs.replace(policy, expansion=expansion(config), most=most, topup=tops_up(config))


def share_spans(policy: SharePolicy, seeds: int) -> Iterator[tuple[int, int, int]]:
    """Yield the share and the bound of seeds, and how many seeds have these."""
    steps = {0, seeds}
    for total in filter(None, (policy.total, policy.most)):
        steps.add(total % seeds)
        if policy.portion is not None:
            steps |= {total // policy.portion, ceil(total / policy.portion)}
    for first, last in pairwise(sorted(step for step in steps if step <= seeds)):
        yield policy.share(first, seeds), policy.bound(first, seeds), last - first


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
