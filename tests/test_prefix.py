"""When there are rows enough, decided in seed order."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.pipeline.prefix import Prefix

seeds = st.integers(0, 2**32)
Finished = tuple[int, tuple[int, ...]]
histories = st.lists(
    st.tuples(st.integers(0, 10), st.lists(st.integers(0, 20), max_size=5).map(tuple)), max_size=30
)


def walk(
    history: list[Finished], arrival: int, rows: int | None, most: int | None
) -> tuple[int, int, bool]:
    prefix = Prefix(rows, most)
    places = list(range(len(history)))
    Random(arrival).shuffle(places)
    for position in places:
        made, marks = history[position]
        prefix.finished(position, made, tuple(enumerate(marks)))
    return prefix.rows, prefix.candidates, prefix.enough


@given(
    history=histories,
    arrival=seeds,
    rows=st.none() | st.integers(1, 40),
    most=st.none() | st.integers(1, 60),
)
def test_the_prefix_does_not_depend_on_which_seed_finishes_first(
    history: list[Finished], arrival: int, rows: int | None, most: int | None
) -> None:
    assert walk(history, arrival, rows, most) == walk(history, arrival + 1, rows, most)


@given(history=histories, arrival=seeds, rows=st.integers(1, 40))
def test_there_is_enough_once_the_first_finished_seeds_hold_the_wanted_rows(
    history: list[Finished], arrival: int, rows: int
) -> None:
    """What seeds gave twice counts once."""
    held = len({mark for _, kept in history for mark in kept})

    assert walk(history, arrival, rows, None)[2] == (held >= rows)


@given(history=histories, most=st.integers(1, 60))
def test_no_more_seeds_are_admitted_once_max_candidates_are_made(
    history: list[Finished], most: int
) -> None:
    made = sum(count for count, _ in history)

    assert walk(history, 0, None, most)[2] == (made >= most)


@given(
    history=st.lists(
        st.tuples(st.lists(st.integers(0, 6), max_size=4).map(tuple), st.integers(0, 6)),
        max_size=20,
    ),
    arrival=seeds,
    rows=st.integers(1, 6),
)
def test_copies_of_seeds_that_were_read_are_no_rows(
    history: list[tuple[tuple[int, ...], int]], arrival: int, rows: int
) -> None:
    """The finished seeds are taken one by one until those so far hold enough; none is read on."""
    kept, originals, read = set[int](), set[int](), 0
    while read < len(history) and len(kept - originals) < rows:
        kept |= set(history[read][0])
        originals.add(history[read][1])
        read += 1

    prefix = Prefix(rows, None)
    places = list(range(len(history)))
    Random(arrival).shuffle(places)
    for position in places:
        marks, seed = history[position]
        prefix.finished(position, len(marks), tuple(enumerate(marks)), seed)

    assert (prefix.rows, prefix.last) == (len(kept - originals), read - 1)


def test_a_seed_that_is_not_finished_holds_back_those_after_it() -> None:
    prefix = Prefix(2, None)
    prefix.finished(1, 2, ((0, 1), (1, 2)))
    before = prefix.enough
    prefix.finished(0, 1, ())

    assert (before, prefix.enough, prefix.rows) == (False, True, 2)


def test_without_a_wanted_number_there_is_never_enough_and_nothing_is_remembered() -> None:
    prefix = Prefix(None, None)
    for position in range(100):
        prefix.finished(position, 1, ((0, position),))

    assert (prefix.enough, prefix.rows) == (False, 0)


@given(
    history=st.lists(
        st.tuples(st.lists(st.integers(0, 9), max_size=4).map(tuple), st.integers(0, 9)),
        max_size=20,
    ),
    arrival=seeds,
)
def test_rows_are_compared_in_the_order_of_the_seeds_whichever_finishes_first(
    history: list[tuple[tuple[int, ...], int]], arrival: int
) -> None:
    """A rule that compares rows is asked once for each, with all before it decided."""
    asked: list[tuple[int, int]] = []

    def admits(position: int, number: int) -> bool:
        asked.append((position, number))
        return (position + number) % 2 == 0

    def rows(order: list[int]) -> int:
        asked.clear()
        prefix = Prefix(None, None, admits=admits)
        for position in order:
            marks, seed = history[position]
            prefix.finished(position, len(marks), tuple(enumerate(marks)), seed)
        return prefix.rows

    places = list(range(len(history)))
    expected, in_order = rows(places), list(asked)
    Random(arrival).shuffle(places)

    assert (rows(places), asked) == (expected, in_order)
    assert in_order == sorted(set(in_order))


def test_positions_that_bring_nothing_new_end_it_but_those_of_seeds_do_not_count() -> None:
    prefix = Prefix(9, None, most_stalled=2, first=3)
    for position in range(3):
        prefix.finished(position, 0, (), position)
    prefix.finished(3, 1, ((0, 7),))
    prefix.finished(4, 1, ((0, 7),))
    before = prefix.enough
    prefix.finished(5, 1, ((0, 1),))

    assert (before, prefix.enough, prefix.rows) == (False, True, 1)
