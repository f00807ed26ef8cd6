"""Who is asked for how many basic instructions: quotas, top-up, and when there is enough.

Pure bookkeeping: results go in, orders come out; nothing here waits or asks. All choices depend on
results in seed order and on the run's seed, never on which result came first.
"""

from collections.abc import Callable, Iterable, Sequence
from math import ceil
from random import Random

from msgspec import Struct

from ..data.records import InstructionRequest, Metadata, RequestOutcome

Admits = Callable[[int, int], bool]
"""Whether the instruction of a metadata position and number is new among those before it; asked
once all of those are known."""


def every(_position: int, _number: int) -> bool:
    """Admit all: nothing but exact repetition counts."""
    return True


class Account(Struct):
    """One metadata item's quota and what it has reached."""

    metadata: Metadata
    quota: int
    most: int
    """Basic instructions it may ask for altogether."""
    known: set[int]
    kept: list[tuple[int, int]]
    asked: int = 0
    unique: int = 0
    """Of those kept, how many count: what repeats another item's is only known once all are in."""
    exhausted: bool = False

    @property
    def missing(self) -> int:
        return max(0, self.quota - self.unique)

    def order(self, count: int) -> InstructionRequest | None:
        """Ask for *count* more, as far as this item may; None when it may not."""
        count = min(count, self.most - self.asked)
        if count <= 0 or self.exhausted:
            return None
        order = InstructionRequest(self.metadata, count, self.asked, frozenset(self.known))
        self.asked += count
        return order


DEFAULT_PER_METADATA = 10
"""The paper's: 2,000 instructions of 200 metadata items."""


def per_seed(seeds: int, wanted: int | None, given: int | None) -> int:
    """How many instructions each of *seeds* is asked for: its share of *wanted* unless *given*."""
    if given is not None:
        return given
    return max(1, ceil(wanted / seeds)) if wanted and seeds else DEFAULT_PER_METADATA


def share(total: int, parts: int, random: Random) -> list[int]:
    """Split *total* equally; the remainder goes to a seeded random subset (spec §3.3)."""
    base, rest = divmod(total, parts)
    lucky = set(random.sample(range(parts), rest))
    return [base + (n in lucky) for n in range(parts)]


class Quotas:
    """A fixed set of metadata, each with the same quota; what is filtered out is asked for again.

    Args:
        items: the metadata, in order.
        quotas: pairs wanted from each.
        topup: whether to ask again for what the filter dropped.
        max_expansion: most basic instructions an item may make, as a multiple of its quota.
        max_candidates: most basic instructions altogether. When it is given, what exhausted items
            could not deliver is asked of the others for as long as it lasts.
    """

    def __init__(
        self,
        items: Sequence[Metadata],
        quotas: Sequence[int],
        *,
        topup: bool,
        max_expansion: float,
        max_candidates: int | None,
    ) -> None:
        self._topup = topup
        self._budget = max_candidates
        caps = [int(max_expansion * quota) if topup else quota for quota in quotas]
        if max_candidates is not None:
            shares = _capped(quotas, max_candidates)
            caps = [min(cap, part) for cap, part in zip(caps, shares, strict=True)]
        self.accounts = {
            item.position: Account(item, quota, cap, set(), [])
            for item, quota, cap in zip(items, quotas, caps, strict=True)
        }
        self._wanted = sum(quotas)

    def first(self) -> list[InstructionRequest]:
        """Return the first order of every item."""
        return _orders(account.order(account.quota) for account in self.accounts.values())

    def finished(
        self, order: InstructionRequest, outcome: RequestOutcome
    ) -> list[InstructionRequest]:
        """Note an outcome; return what its item is to be asked next."""
        account = self.accounts[order.metadata.position]
        account.known.update(outcome.known)
        account.kept.extend(outcome.kept)
        account.unique += len(outcome.kept)
        if outcome.asked is not None:
            account.asked += outcome.asked - order.count
        if not outcome.made:
            account.exhausted = True
        if not self._topup or not account.missing:
            return []
        return _orders([account.order(account.missing)])

    def settle(self, never: Iterable[int] = (), admits: Admits = every) -> list[InstructionRequest]:
        """Return what is still to be asked once nothing is under way.

        Only now can items be compared with each other. Fingerprints in *never* (the seeds') are no
        row.
        """
        seen = set(never)
        for account in self.accounts.values():
            account.unique = 0
            for number, mark in sorted(account.kept):
                if mark not in seen and admits(account.metadata.position, number):
                    seen.add(mark)
                    account.unique += 1
        if not self._topup:
            return []
        accounts = list(self.accounts.values())
        orders = _orders(a.order(a.missing) for a in accounts if a.missing)
        if orders or self._budget is None:
            return orders
        return self._redistribute(accounts)

    def _redistribute(self, accounts: Sequence[Account]) -> list[InstructionRequest]:
        """Ask those that still deliver for what the others could not, while the budget lasts."""
        left = (self._budget or 0) - sum(account.asked for account in accounts)
        missing = min(self._wanted - sum(account.unique for account in accounts), left)
        able = [account for account in accounts if not account.exhausted and account.unique]
        if missing <= 0 or not able:
            return []
        base, rest = divmod(missing, len(able))
        orders = list[InstructionRequest | None]()
        for n, account in enumerate(able):
            count = base + (n < rest)
            account.quota = account.unique + count
            account.most = account.asked + count
            orders.append(account.order(count))
        return _orders(orders)


def _capped(quotas: Sequence[int], most: int) -> list[int]:
    """Share *most* candidates in proportion to the quotas, the rest in order."""
    total = sum(quotas) or 1
    shares = [most * quota // total for quota in quotas]
    if not shares:
        return shares
    for n in range(most - sum(shares)):
        shares[n % len(shares)] += 1
    return shares


def _orders(orders: Iterable[InstructionRequest | None]) -> list[InstructionRequest]:
    return [order for order in orders if order is not None]


class Prefix:
    """Streaming with a wanted number of rows: no more seeds once the finished ones hold enough.

    Seeds finish in any order; what counts is the prefix in which every seed is finished, so that
    the first N rows in seed order are the same however the run went.
    """

    def __init__(
        self,
        target_rows: int | None,
        max_candidates: int | None,
        *,
        each: int = 1,
        never: Iterable[int] = (),
        admits: Admits = every,
    ) -> None:
        """*each* is the number of instructions that a seed is asked for.

        Fingerprints in *never* are no row.
        """
        self._admits = admits
        self._target = target_rows
        self._most = max_candidates
        self._each = each
        self._barren = 0
        self._made = 0
        self._rows = 0
        self._next = 0
        self._ahead: dict[int, tuple[int, tuple[tuple[int, int], ...], int | None]] = {}
        self._kept: set[int] = set()
        self._seeds: set[int] = set(never)
        self.most_barren: int | None = None
        """Positions in a row that bring no new row, counted from when this is set, before the end;
        None: any number."""
        self.rows = 0
        self.candidates = 0

    @property
    def enough(self) -> bool:
        """Whether no more seeds are needed."""
        return (
            (self._target is not None and self.rows >= self._target)
            or (self._most is not None and self.candidates >= self._most)
            or self.barren
        )

    @property
    def barren(self) -> bool:
        """Whether so many positions in a row brought nothing new that no more should be begun."""
        return self.most_barren is not None and self._barren >= self.most_barren

    @property
    def suffices(self) -> bool:
        """Whether there would be enough, but for a gap that a passing failure has left."""
        return (
            (self._target is not None and self._rows >= self._target)
            or (self._most is not None and self._made >= self._most)
            or (self.most_barren is not None and len(self._ahead) >= self.most_barren)
        )

    def plenty(self, under_way: int) -> bool:
        """Whether the *under_way* seeds will probably do, so that no other should be begun yet.

        Judged by the share of instructions kept so far, wherever they stand; all of them until
        twenty are known. It spares calls whose rows would be beyond the target, and never decides
        what the dataset is.
        """
        if not under_way:
            return False
        coming = under_way * self._each
        if self._most is not None and self._made + coming >= self._most:
            return True
        share = self._rows / self._made if self._made >= 20 else 1.0
        return self._target is not None and self._rows + coming * share >= self._target

    @property
    def last(self) -> int:
        """Position of the last seed that counts, once there is enough."""
        return self._next - 1

    def finished(
        self,
        position: int,
        made: int,
        kept: tuple[tuple[int, int], ...],
        seed: int | None = None,
    ) -> None:
        """Note that the seed at *position* is done; *seed* is its own fingerprint.

        *kept* holds number and fingerprint. What repeats an earlier instruction, or any seed so
        far, is no row.
        """
        if self._target is None and self._most is None and self._admits is every:
            return
        self._made += made
        self._rows += len(kept)
        self._ahead[position] = made, kept, seed
        while self._next in self._ahead and not self.enough:
            made, kept, seed = self._ahead.pop(self._next)
            self._next += 1
            self.candidates += made
            before = self.rows
            self._count(self._next - 1, kept, seed)
            if self.most_barren is not None:
                self._barren = 0 if self.rows > before else self._barren + 1

    def _count(self, position: int, kept: tuple[tuple[int, int], ...], seed: int | None) -> None:
        for number, mark in kept:
            if mark in self._kept or (
                mark not in self._seeds and not self._admits(position, number)
            ):
                continue
            self._kept.add(mark)
            self.rows += mark not in self._seeds
        if seed is not None and seed not in self._seeds:
            self._seeds.add(seed)
            self.rows -= seed in self._kept
