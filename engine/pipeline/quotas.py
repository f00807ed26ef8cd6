"""Quotas of a fixed set of metadata: how many instructions to request of each item, and when.

Pure bookkeeping: outcomes in, requests out; nothing here waits or calls a model. All choices depend
on outcomes by position and on the run's seed, never on which outcome came first.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from ..data.records import InstructionRequest, Metadata, RequestOutcome
from .prefix import Admits, admit_all


class Account(Struct):
    """One metadata item's quota and what it has reached."""

    metadata: Metadata
    quota: int
    most: int
    """Most basic instructions that may be requested of it."""
    fingerprints: set[int]
    """Of its instructions so far."""
    kept: list[tuple[int, int]]
    """Number and fingerprint."""
    requested: int = 0
    """Basic instructions requested of it so far."""
    unique: int = 0
    """How many of those kept are rows: repetitions across items are known only at the end."""
    exhausted: bool = False

    @property
    def missing(self) -> int:
        return max(0, self.quota - self.unique)

    def request(self, count: int) -> InstructionRequest | None:
        """Request *count* more, or as many as are still allowed; None if none are."""
        count = min(count, self.most - self.requested)
        if count <= 0 or self.exhausted:
            return None
        request = InstructionRequest(
            self.metadata, count, self.requested, frozenset(self.fingerprints)
        )
        self.requested += count
        return request


class Quotas:
    """Each metadata item's quota, and what to request next.

    Args:
        items: the metadata, in order.
        quotas: target rows of each.
        topup: whether to ask for more in place of what was filtered out.
        max_expansion: the most basic instructions of one item, as a multiple of its quota.
        max_candidates: the most basic instructions altogether. If set, what exhausted items could
            not deliver is requested of the others up to this number.
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
        self._target = sum(quotas)

    def first(self) -> list[InstructionRequest]:
        """Return the first request for every item."""
        return _present(account.request(account.quota) for account in self.accounts.values())

    def finished(
        self, request: InstructionRequest, outcome: RequestOutcome
    ) -> list[InstructionRequest]:
        """Note an outcome; return the next request for its item."""
        account = self.accounts[request.metadata.position]
        account.fingerprints.update(outcome.fingerprints)
        account.kept.extend(outcome.kept)
        account.unique += len(outcome.kept)
        if outcome.requested is not None:
            account.requested += outcome.requested - request.count
        if not outcome.instructions:
            account.exhausted = True
        if not self._topup or not account.missing:
            return []
        return _present([account.request(account.missing)])

    def settle(
        self, excluded: Iterable[int] = (), admits: Admits = admit_all
    ) -> list[InstructionRequest]:
        """Return the remaining requests once nothing is in progress.

        Only now can rows be compared across items. Fingerprints in *excluded* (the seeds', for
        instance) are not rows.
        """
        counted = set(excluded)
        for account in self.accounts.values():
            account.unique = 0
            for number, fingerprint in sorted(account.kept):
                if fingerprint not in counted and admits(account.metadata.position, number):
                    counted.add(fingerprint)
                    account.unique += 1
        if not self._topup:
            return []
        accounts = list(self.accounts.values())
        requests = _present(a.request(a.missing) for a in accounts if a.missing)
        if requests or self._budget is None:
            return requests
        return self._redistribute(accounts)

    def _redistribute(self, accounts: Sequence[Account]) -> list[InstructionRequest]:
        """Request what others could not deliver of the items that still can, within the budget."""
        spare = (self._budget or 0) - sum(account.requested for account in accounts)
        missing = min(self._target - sum(account.unique for account in accounts), spare)
        able = [account for account in accounts if not account.exhausted and account.unique]
        if missing <= 0 or not able:
            return []
        base, rest = divmod(missing, len(able))
        requests = list[InstructionRequest | None]()
        for n, account in enumerate(able):
            count = base + (n < rest)
            account.quota = account.unique + count
            account.most = account.requested + count
            requests.append(account.request(count))
        return _present(requests)


def _capped(quotas: Sequence[int], most: int) -> list[int]:
    """Share *most* candidates in proportion to the quotas; the remainder goes to the first."""
    total = sum(quotas) or 1
    shares = [most * quota // total for quota in quotas]
    if not shares:
        return shares
    for n in range(most - sum(shares)):
        shares[n % len(shares)] += 1
    return shares


def _present(requests: Iterable[InstructionRequest | None]) -> list[InstructionRequest]:
    return [request for request in requests if request is not None]
