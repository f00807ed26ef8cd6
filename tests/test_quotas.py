"""Who is asked for how many instructions, whatever becomes of them."""

from collections.abc import Callable
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.data.records import InstructionRequest, Metadata, RequestOutcome
from codeclm.engine.pipeline.quotas import Quotas
from codeclm.engine.pipeline.sizes import share

from .examples import examples

World = Callable[[InstructionRequest], RequestOutcome]
Book = dict[tuple[int, int], tuple[int, RequestOutcome]]


def items(count: int) -> list[Metadata]:
    return [
        Metadata(position=n, id=f"m{n}", use_case=f"use {n}", skills=(), origin="user")
        for n in range(count)
    ]


def quotas(
    wanted: list[int],
    *,
    topup: bool = True,
    max_expansion: float = 5.0,
    max_candidates: int | None = None,
) -> Quotas:
    return Quotas(
        items(len(wanted)),
        wanted,
        topup=topup,
        max_expansion=max_expansion,
        max_candidates=max_candidates,
    )


def drive(plan: Quotas, world: World, *, arrival: int, seeds: frozenset[int] = frozenset()) -> Book:
    """Carry out every request, letting outcomes arrive in an order drawn from *arrival*."""
    random = Random(arrival)
    book: Book = {}
    waiting = plan.first()
    while waiting:
        while waiting:
            request = waiting.pop(random.randrange(len(waiting)))
            outcome = world(request)
            place = (request.metadata.position, request.start)
            assert place not in book, "asked twice"
            book[place] = request.count, outcome
            waiting += plan.finished(request, outcome)
        waiting = plan.settle(seeds)
    return book


def chance(seed: int, *, rate: float, fewest: float = 0.0, prints: int = 2**60) -> World:
    """A selector that keeps a share of *rate*, of answers that may hold too few.

    With few *prints* what is kept repeats itself, within an item and across items.
    """

    def world(request: InstructionRequest) -> RequestOutcome:
        random = Random(f"{seed}/{request.metadata.position}/{request.start}/{request.count}")
        made = random.randint(int(fewest * request.count), request.count)
        marks = [random.randrange(prints) for _ in range(made)]
        kept = [(request.start + n, m) for n, m in enumerate(marks) if random.random() < rate]
        return RequestOutcome(made, tuple(kept), tuple(marks))

    return world


def distinct(book: Book) -> int:
    return len({mark for _, outcome in book.values() for _, mark in outcome.kept})


def asked(book: Book) -> dict[int, int]:
    totals: dict[int, int] = {}
    for (position, _), (count, _) in book.items():
        totals[position] = totals.get(position, 0) + count
    return totals


seeds = st.integers(0, 2**32)
rates = st.floats(0, 1)
wants = st.lists(st.integers(1, 12), min_size=1, max_size=8)
expansions = st.sampled_from([1.0, 1.5, 2.0, 5.0])


@given(total=st.integers(0, 5000), parts=st.integers(1, 300), seed=seeds)
def test_shares_are_equal_but_for_a_seeded_remainder(total: int, parts: int, seed: int) -> None:
    shares = share(total, parts, Random(seed))

    assert sum(shares) == total
    assert max(shares) - min(shares) <= 1
    assert shares == share(total, parts, Random(seed))


def test_two_thousand_rows_from_two_hundred_items_are_ten_each() -> None:
    assert share(2000, 200, Random(0)) == [10] * 200


def test_another_run_seed_gives_the_remainder_to_others() -> None:
    lucky = {tuple(share(103, 100, Random(seed))) for seed in range(20)}

    assert len(lucky) > 10


@given(wanted=wants, seed=seeds, rate=rates, most=st.integers(1, 200), expansion=expansions)
def test_never_more_than_max_candidates_are_asked_for(
    wanted: list[int], seed: int, rate: float, most: int, expansion: float
) -> None:
    plan = quotas(wanted, max_expansion=expansion, max_candidates=most)
    book = drive(plan, chance(seed, rate=rate, prints=40), arrival=seed)

    assert sum(asked(book).values()) <= most


@given(wanted=wants, seed=seeds, rate=rates, expansion=expansions)
def test_no_item_is_asked_for_more_than_its_quota_times_the_expansion(
    wanted: list[int], seed: int, rate: float, expansion: float
) -> None:
    plan = quotas(wanted, max_expansion=expansion)
    totals = asked(drive(plan, chance(seed, rate=rate, prints=40), arrival=seed))

    assert all(totals[n] <= int(expansion * quota) for n, quota in enumerate(wanted))


@given(wanted=wants, seed=seeds)
def test_where_everything_is_selected_each_item_is_asked_for_its_quota_once(
    wanted: list[int], seed: int
) -> None:
    book = drive(quotas(wanted), chance(seed, rate=1, fewest=1), arrival=seed)

    assert {place: count for place, (count, _) in book.items()} == {
        (n, 0): quota for n, quota in enumerate(wanted)
    }


@given(wanted=wants, seed=seeds, rate=rates)
def test_without_topup_each_item_is_asked_once_whatever_is_dropped(
    wanted: list[int], seed: int, rate: float
) -> None:
    book = drive(quotas(wanted, topup=False), chance(seed, rate=rate), arrival=seed)

    assert asked(book) == dict(enumerate(wanted))
    assert len(book) == len(wanted)


@given(wanted=wants, seed=seeds, rate=st.floats(0.05, 1), expansion=expansions)
def test_every_quota_is_reached_or_its_item_is_exhausted(
    wanted: list[int], seed: int, rate: float, expansion: float
) -> None:
    plan = quotas(wanted, max_expansion=expansion)
    book = drive(plan, chance(seed, rate=rate), arrival=seed)

    for n, quota in enumerate(wanted):
        mine = [entry for (position, _), entry in book.items() if position == n]
        kept = sum(len(outcome.kept) for _, outcome in mine)
        spent = sum(count for count, _ in mine) == int(expansion * quota)
        assert kept >= quota or spent or any(not outcome.instructions for _, outcome in mine)


@given(wanted=wants, seed=seeds, rate=st.floats(0.3, 1))
@examples(50)
def test_with_a_budget_that_suffices_the_wanted_rows_are_reached(
    wanted: list[int], seed: int, rate: float
) -> None:
    """Items that fall short are made up for by the others, beyond their own expansion."""
    plan = quotas(wanted, max_expansion=1, max_candidates=100 * sum(wanted))
    world = chance(seed, rate=rate, fewest=1)

    def one_is_exhausted(request: InstructionRequest) -> RequestOutcome:
        exhausted = request.metadata.position == 0 and len(wanted) > 1
        return RequestOutcome(0) if exhausted else world(request)

    book = drive(plan, one_is_exhausted, arrival=seed)

    nothing = not any(outcome.kept for _, outcome in book.values())
    assert distinct(book) >= sum(wanted) or nothing


@given(wanted=wants, seed=seeds, rate=rates, most=st.none() | st.integers(1, 200), one=seeds)
def test_what_is_asked_does_not_depend_on_which_outcome_arrives_first(
    wanted: list[int], seed: int, rate: float, most: int | None, one: int
) -> None:
    world = chance(seed, rate=rate, prints=30)
    books = [
        drive(quotas(wanted, max_candidates=most), world, arrival=arrival)
        for arrival in (one, one + 1)
    ]

    assert books[0] == books[1]


@given(wanted=wants, seed=seeds, rate=rates)
def test_instructions_of_an_item_are_numbered_without_a_gap(
    wanted: list[int], seed: int, rate: float
) -> None:
    """So that places in the ledger never collide, and a resumed run finds its requests again."""
    book = drive(quotas(wanted), chance(seed, rate=rate, prints=40), arrival=seed)
    following = dict.fromkeys(range(len(wanted)), 0)
    for (position, start), (count, _) in sorted(book.items()):
        assert start == following[position]
        following[position] += count


def test_copies_of_seeds_and_of_other_items_are_asked_for_again() -> None:
    """Two items and a seed gave the same instruction: one of the two is asked again, and the other
    too, since it is the seed's.
    """
    plan = quotas([1, 1])
    said = {(0, 0): 7, (1, 0): 7, (0, 1): 8, (1, 1): 9}

    def world(request: InstructionRequest) -> RequestOutcome:
        mark = said[request.metadata.position, request.start]
        return RequestOutcome(1, ((request.start, mark),), (mark,))

    book = drive(plan, world, arrival=0, seeds=frozenset({7}))

    assert set(book) == set(said)


def test_an_item_that_makes_nothing_is_not_asked_again() -> None:
    book = drive(quotas([3, 3]), lambda _: RequestOutcome(0), arrival=0)

    assert asked(book) == {0: 3, 1: 3}


def test_a_topup_request_knows_what_its_item_made_before() -> None:
    plan = quotas([2])
    (first,) = plan.first()
    (again,) = plan.finished(first, RequestOutcome(2, ((0, 5),), (5, 6)))

    assert again == InstructionRequest(first.metadata, 1, 2, frozenset({5, 6}))


def test_what_a_rule_drops_is_asked_for_again_from_the_same_item() -> None:
    plan = quotas([2, 1])
    first, second = plan.first()
    plan.finished(first, RequestOutcome(2, ((0, 5), (1, 6)), (5, 6)))
    plan.finished(second, RequestOutcome(1, ((0, 7),), (7,)))

    again = plan.settle((), lambda position, number: (position, number) != (0, 1))

    assert again == [InstructionRequest(first.metadata, 1, 2, frozenset({5, 6}))]


def test_a_request_of_another_number_in_an_earlier_session_is_followed_by_the_right_one() -> None:
    plan = quotas([4])
    (first,) = plan.first()
    (again,) = plan.finished(first, RequestOutcome(3, ((0, 5),), (5, 6, 7), requested=3))

    assert again == InstructionRequest(first.metadata, 3, 3, frozenset({5, 6, 7}))
