"""Every seed gets its share, whatever order its file has and whichever seed finishes first."""

from array import array
from collections import Counter
from itertools import pairwise
from math import ceil
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeclm.engine.config import build_config
from codeclm.engine.data.records import Seed
from codeclm.engine.data.seeds import SeedError, SeedSource
from codeclm.engine.data.seeds.order import spread_order, spread_over_groups
from codeclm.engine.data.seeds.selection import SeedSelection
from codeclm.engine.pipeline.shares import SharePolicy, Shares
from codeclm.engine.pipeline.sizes import encoded_policy, share_spans, unchanged_policy

from .commands import write_lines

# -- the order --------------------------------------------------------------------------------


@given(count=st.integers(0, 300), key=st.text(max_size=5))
def test_an_order_holds_every_position_once_and_comes_from_its_key(count: int, key: str) -> None:
    order = spread_order(count, key)

    assert sorted(order) == list(range(count))
    assert order == spread_order(count, key)


@given(count=st.integers(1, 2000), key=st.integers(), data=st.data())
def test_the_beginning_of_an_order_takes_its_part_of_every_stretch_of_the_file(
    count: int, key: int, data: st.DataObject
) -> None:
    number = data.draw(st.integers(0, count))
    first = data.draw(st.integers(0, count))
    last = data.draw(st.integers(first, count))

    inside = sum(first <= position < last for position in spread_order(count, str(key))[:number])

    fair = number * (last - first) / count
    assert abs(inside - fair) <= 2 + 2 * count.bit_length() / 3


@given(count=st.integers(1, 500), first=st.integers(1, 500), key=st.integers())
def test_so_many_positions_as_asked_for_come_one_from_each_of_as_many_blocks(
    count: int, first: int, key: int
) -> None:
    order = spread_order(count, str(key), first)

    assert sorted(order) == list(range(count))
    if first < count:
        edges = [count * n // first for n in range(first + 1)]
        for low, high in pairwise(edges):
            assert sum(low <= position < high for position in order[:first]) == 1


@pytest.mark.parametrize("key", range(200))
def test_half_of_the_order_holds_one_of_every_two_neighbours(key: int) -> None:
    """Vicuna's smallest category has three of its 80 questions: no half may miss it."""
    half = sorted(spread_order(80, str(key))[:40])

    assert [position // 2 for position in half] == list(range(40))


@given(
    groups=st.lists(st.integers(0, 8), min_size=1, max_size=200),
    key=st.integers(),
    data=st.data(),
)
def test_an_order_over_groups_begins_with_one_of_each_and_then_with_their_parts(
    groups: list[int], key: int, data: st.DataObject
) -> None:
    order = spread_over_groups(groups, str(key))
    sizes = Counter(groups)
    number = data.draw(st.integers(len(sizes), len(groups)))
    beginning = Counter(groups[position] for position in order[:number])

    assert sorted(order) == list(range(len(groups)))
    assert beginning.keys() == sizes.keys()
    extra = number - len(sizes)
    for group, size in sizes.items():
        assert beginning[group] <= 2 + number * size / len(groups)
        assert beginning[group] >= min(1 + extra * size / len(groups), size) - 2


# -- which seeds are used ---------------------------------------------------------------------


def seeds_file(folder: Path, count: int = 60) -> Path:
    return write_lines(
        folder / "seeds.jsonl",
        ({"instruction": f"Say {n}.", "kind": {"name": f"k{n % 7}"}} for n in range(count)),
    )


def test_a_limit_draws_a_sample_from_everywhere_and_head_takes_the_first(tmp_path: Path) -> None:
    source = SeedSource((seeds_file(tmp_path),))
    sample = list(SeedSelection(source, limit=6, key="0").read())
    head = list(SeedSelection(source, limit=6, head=True).read())

    numbers = [int(one.instruction[4:-1]) for one in sample if isinstance(one, Seed)]
    assert [one.position for one in sample] == [one.position for one in head] == list(range(6))
    assert [number // 10 for number in numbers] == sorted(set(range(6)))
    assert [one.instruction for one in head if isinstance(one, Seed)] == [
        f"Say {n}." for n in range(6)
    ]


def test_what_is_skipped_counts_within_the_sample(tmp_path: Path) -> None:
    selection = SeedSelection(SeedSource((seeds_file(tmp_path),)), limit=5, key="0")
    every = list(selection.read())

    assert list(selection.read(bytearray(b"\1\0\1"))) == [every[1], *every[3:]]
    assert list(selection.read({0, 4})) == every[1:4]


def test_seeds_are_stratified_by_a_field_that_some_record_must_have(tmp_path: Path) -> None:
    path = seeds_file(tmp_path)
    selection = SeedSelection(SeedSource((path,), stratify="kind.name"), limit=14, key="0")

    assert selection.strata() == {f"k{n}": 2 for n in range(7)}
    with pytest.raises(SeedError, match="no record has a field 'colour' to stratify by"):
        SeedSelection(SeedSource((path,), stratify="colour"))


# -- the shares -------------------------------------------------------------------------------

Settings = dict[str, float]


def _policy(rows: int, seeds: int, settings: Settings, unit: int) -> tuple[SharePolicy, int]:
    config = build_config(_tree(rows, settings), where="test")
    return encoded_policy(config, seeds, unit), seeds


_settings: st.SearchStrategy[Settings] = st.fixed_dictionaries(
    {},
    optional={
        "per_metadata": st.integers(1, 12),
        "max_expansion": st.sampled_from([1, 1.5, 3, 5]),
        "spare": st.integers(0, 100),
    },
)
policies = st.builds(
    _policy, st.integers(1, 60), st.integers(1, 40), _settings, st.sampled_from([1, 4])
)


def _tree(rows: int, settings: Settings) -> dict[str, object]:
    tree: dict[str, object] = {"seeds": "x.jsonl", "target_rows": rows}
    tree["decode"] = {key: settings[key] for key in ("per_metadata",) if key in settings}
    tree["size"] = {key: settings[key] for key in ("max_expansion",) if key in settings}
    if "spare" in settings:
        tree["max_candidates"] = rows + int(settings["spare"])
    return tree


def carried_out(
    policy: SharePolicy, seeds: int, random: Random, yields: list[float]
) -> tuple[dict[int, int], list[tuple[int, int, int]]]:
    """Ask for everything, in an order that *random* chooses; return rows and requests by seed."""
    shares = Shares(spread_order(seeds, "0"), policy)
    rows = Counter[int]()
    requests = list[tuple[int, int, int]]()
    while True:
        waiting = [position for position in range(seeds) if shares.next_count(position)]
        if not waiting:
            grants = shares.missing(rows)
            if not grants:
                return dict(rows), sorted(requests)
            shares.grant(grants)
            continue
        position = random.choice(waiting)
        count, start = shares.next_count(position), shares.requested(position)
        fate = Random(f"{position}/{start}")
        kept = sum(fate.random() < yields[position % len(yields)] for _ in range(count))
        requests.append((position, start, count))
        rows[position] += kept
        shares.finished(position, requested=count, kept=kept, empty=fate.random() < 0.05)


@given(
    policies=policies,
    yields=st.lists(st.sampled_from([0.0, 0.3, 0.7, 1.0]), min_size=1, max_size=5),
    order=st.integers(),
)
def test_what_is_asked_does_not_depend_on_which_seed_finishes_first(
    policies: tuple[SharePolicy, int], yields: list[float], order: int
) -> None:
    policy, seeds = policies

    in_turn = carried_out(policy, seeds, Random(0), yields)

    assert carried_out(policy, seeds, Random(order), yields) == in_turn


@given(policies=policies, yields=st.lists(st.sampled_from([0.3, 0.7, 1.0]), min_size=1, max_size=5))
def test_no_more_is_asked_than_allowed_nor_much_more_than_is_wanted(
    policies: tuple[SharePolicy, int], yields: list[float]
) -> None:
    policy, seeds = policies
    rows, requests = carried_out(policy, seeds, Random(1), yields)
    first = sum(
        ceil(max(share, bound) / policy.unit) * policy.unit * count
        for share, bound, count in share_spans(policy, seeds)
    )
    units = sum(ceil(count / policy.unit) * policy.unit for *_, count in requests)

    assert policy.most is not None
    assert units <= max(first, policy.most)
    if policy.total is not None and not policy.portion:  # a seed is asked for full units
        assert sum(rows.values()) <= policy.total * 2 + seeds * policy.unit


@given(
    total=st.none() | st.integers(1, 500),
    portion=st.none() | st.integers(1, 20),
    seeds=st.integers(1, 100),
)
def test_as_many_seeds_are_dealt_out_as_have_a_share(
    total: int | None, portion: int | None, seeds: int
) -> None:
    policy = SharePolicy(total, 3, portion if total else None)

    assert policy.dealt(seeds) == sum(policy.share(rank, seeds) > 0 for rank in range(seeds))


@given(rows=st.integers(1, 500), seeds=st.integers(1, 100), unit=st.sampled_from([1, 4]))
def test_where_everything_is_kept_each_seed_gives_the_same_number_but_one(
    rows: int, seeds: int, unit: int
) -> None:
    config = build_config({"seeds": "x.jsonl", "target_rows": rows}, where="test")
    for policy in (encoded_policy(config, seeds, unit), unchanged_policy(config, seeds, unit)):
        given_rows, _ = carried_out(policy, seeds, Random(2), [2.0])
        counts = [given_rows.get(position, 0) for position in range(seeds)]

        assert sum(counts) == rows
        assert max(counts) - min(counts) <= 1


def test_rows_that_repeat_another_seeds_are_asked_of_the_same_seed_again() -> None:
    policy = SharePolicy(6, 10, expansion=3.0, most=18, topup=True)
    shares = Shares(array("I", [2, 0, 1]), policy)
    for position in range(3):
        shares.finished(position, requested=2, kept=2)

    assert shares.missing({0: 2, 1: 2, 2: 2}) == []
    assert shares.missing({0: 2, 1: 1, 2: 2}) == [(1, 2, 1)]
    shares.exhaust(1)
    assert shares.missing({0: 2, 1: 1, 2: 2}) == [(2, 2, 1)]


def test_a_larger_target_asks_portions_that_a_smaller_one_asked_too() -> None:
    order = spread_order(30, "0")
    small, large = (
        Shares(order, encoded_policy(build_config(tree, where="test"), 30))
        for tree in (
            {"seeds": "x", "target_rows": rows, "decode": {"per_metadata": 5}} for rows in (12, 40)
        )
    )

    few, many = ({n for n in range(30) if one.next_count(n) == 5} for one in (small, large))
    assert few < many
    assert (len(few), len(many)) == (3, 8)
