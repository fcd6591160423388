import pickle
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import RecipeError
from trainer.data.order import Order, deal, source_table
from trainer.data.permutation import derive, hash_numbers, mix, mix_one, permute


@dataclass(frozen=True)
class FakePlan:
    image_counts: npt.NDArray[np.int32]
    fingerprint: str = "plan"

    @property
    def packs(self) -> int:
        return len(self.image_counts)


def order_of(
    packs: list[int], weights: list[int], seed: int = 0, batch: int = 8, spread: int = 17
) -> Order:
    plans = tuple(FakePlan(hash_numbers(7, np.arange(n)).astype(np.int32) % spread) for n in packs)
    return Order(plans, tuple(weights), seed, batch)


WEIGHTS = st.lists(st.integers(1, 60), min_size=1, max_size=4)


def test_mix_is_splitmix64() -> None:
    # The first outputs of splitmix64 from seed 0 (Vigna, prng.di.unimi.it/splitmix64.c).
    gamma = 0x9E3779B97F4A7C15
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert [mix_one(gamma * (n + 1)) for n in range(3)] == expected
    words = np.array([gamma * (n + 1) % 2**64 for n in range(3)], np.uint64)
    assert mix(words).tolist() == expected


@settings(deadline=None, max_examples=80)
@given(size=st.integers(1, 700), seed=st.integers(0, 2**40), epoch=st.integers(0, 5))
def test_permutation_hits_each_number_once(size: int, seed: int, epoch: int) -> None:
    key = derive(seed, epoch)
    image = permute(key, size, np.arange(size))
    assert sorted(image.tolist()) == list(range(size))
    some = np.array([size - 1, 0])
    assert permute(key, size, some).tolist() == image[some].tolist()


def test_permutations_of_keys_look_unlike() -> None:
    first, second = (permute(derive(0, n), 10_000, np.arange(10_000)) for n in range(2))
    assert np.count_nonzero(first == second) < 10
    assert np.count_nonzero(first == np.arange(10_000)) < 10
    assert abs(np.corrcoef(first, np.arange(10_000))[0, 1]) < 0.05


def test_permutation_of_a_large_corpus_needs_no_table() -> None:
    size = 10**12
    numbers = np.array([0, 1, size - 1])
    image = permute(derive(1), size, numbers)
    assert len(set(image.tolist())) == 3
    assert ((image >= 0) & (image < size)).all()


def test_permutation_is_pinned() -> None:
    """Another permutation is another order for those who go on with a checkpoint."""
    assert permute(derive(0, 1), 20, np.arange(20)).tolist() == PINNED


PINNED = [17, 3, 10, 18, 2, 16, 7, 13, 1, 9, 0, 6, 14, 8, 11, 15, 12, 5, 4, 19]


def test_mm1_mix_is_exact() -> None:
    table = source_table((45, 45, 10))
    assert np.bincount(table).tolist() == [9, 9, 2]


@settings(deadline=None, max_examples=60)
@given(weights=WEIGHTS)
def test_each_period_holds_the_weights_and_spreads_them(weights: list[int]) -> None:
    table = source_table(tuple(weights))
    total = sum(weights)
    for source, weight in enumerate(weights):
        taken = np.cumsum(table == source)
        assert taken[-1] * total == weight * len(table)
        even = np.arange(1, len(table) + 1) * weight / total
        assert np.abs(taken - even).max() <= len(weights) / 2


def test_weights_of_an_endless_period_are_refused() -> None:
    with pytest.raises(RecipeError, match="repeat only after 2000001 packs"):
        source_table((1_000_001, 1_000_000))


@settings(deadline=None, max_examples=40)
@given(weights=WEIGHTS, seed=st.integers(0, 1000), data=st.data())
def test_every_pack_comes_once_an_epoch(weights: list[int], seed: int, data: st.DataObject) -> None:
    packs = [data.draw(st.integers(1, 30)) for _ in weights]
    order = order_of(packs, weights, seed)
    sources, numbers = order.sources_and_packs(np.arange(6 * order.period))
    for source, size in enumerate(packs):
        mine = numbers[sources == source]
        for first in range(0, len(mine) - size + 1, size):
            assert sorted(mine[first : first + size].tolist()) == list(range(size))


def test_epochs_have_different_orders() -> None:
    order = order_of([50], [1])
    _, packs = order.sources_and_packs(np.arange(100))
    assert packs[:50].tolist() != packs[50:].tolist()
    assert [order.epoch_of(position) for position in (0, 49, 50, 100)] == [
        (0, 0), (0, 0), (0, 1), (0, 2),
    ]  # fmt: skip


@settings(deadline=None, max_examples=30)
@given(positions=st.lists(st.integers(0, 10**15), min_size=1, max_size=20))
def test_position_alone_decides(positions: list[int]) -> None:
    order = order_of([31, 7, 100], [45, 45, 10])
    sources, packs = order.sources_and_packs(np.array(positions))
    alone = [order.sources_and_packs(np.array([position])) for position in positions]
    assert np.array_equal(np.concatenate([found[0] for found in alone]), sources)
    assert np.array_equal(np.concatenate([found[1] for found in alone]), packs)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 100), step=st.integers(0, 1000), spread=st.sampled_from([1, 2, 17]))
def test_step_is_the_same_packs_for_any_ranks(seed: int, step: int, spread: int) -> None:
    order = order_of([40, 9, 5], [45, 45, 10], seed, batch=24, spread=spread)
    for ranks, micro_batch in ((1, 1), (2, 1), (2, 3), (4, 2), (24, 1), (3, 8)):
        dealt = order.step(step, ranks, micro_batch)
        assert len(dealt) == 24 // (ranks * micro_batch)
        assert all(len(row) == ranks for row in dealt)
        assert all(len(hand) == micro_batch for row in dealt for hand in row)
        flat = [position for row in dealt for hand in row for position in hand]
        assert sorted(flat) == list(range(24 * step, 24 * step + 24))


def test_rows_hold_packs_of_alike_image_counts() -> None:
    order = order_of([400], [1], batch=32)
    _, packs = order.sources_and_packs(np.arange(32))
    images = order.plans[0].image_counts[packs]
    rows = [[images[position] for hand in row for position in hand] for row in order.step(0, 4, 1)]
    for one, following in pairwise(rows):
        assert min(one) >= max(following)


@settings(deadline=None, max_examples=60)
@given(
    images=st.lists(st.integers(0, 16), min_size=12, max_size=12),
    ranks=st.sampled_from([1, 2, 3, 4, 6]),
)
def test_dealt_row_is_even(images: list[int], ranks: int) -> None:
    images.sort(reverse=True)
    before = [0] * ranks
    hands = deal(images, ranks, before)
    sums = [sum(images[number] for number in hand) for hand in hands]
    assert before == sums
    assert sorted(number for hand in hands for number in hand) == list(range(12))
    # Greedy with equal hands leaves at most the largest item between two ranks.
    assert max(sums) - min(sums) <= max(images)


def test_rank_that_had_more_images_gets_fewer_next() -> None:
    before = [0, 0]
    assert deal([5, 4], 2, before) == [[0], [1]]
    assert deal([3, 1], 2, before) == [[1], [0]]
    assert before == [6, 7]


def test_batch_that_cannot_be_dealt_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"data.global_batch: 8 .* multiple of 12"):
        order_of([10], [1]).step(0, 4, 3)


def test_resumed_order_is_the_straight_one() -> None:
    straight = [order_of([40, 9], [3, 1]).step(step, 2, 2) for step in range(12)]
    for begun in range(12):
        order = pickle.loads(pickle.dumps(order_of([40, 9], [3, 1])))
        assert [order.step(step, 2, 2) for step in range(begun, 12)] == straight[begun:]


def test_fingerprint_is_of_all_that_decides() -> None:
    orders = [
        order_of([10], [1]),
        order_of([10], [2]),
        order_of([10], [1], seed=1),
        order_of([10], [1], batch=16),
        Order((FakePlan(np.zeros(10, np.int32), "other"),), (1,), 0, 8),
    ]
    assert len({order.fingerprint for order in orders}) == len(orders)
