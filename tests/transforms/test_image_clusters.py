"""Clusters of images: near hashes join, chains do not, and nothing depends on the order of rows."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.duplicate_rows import DistinctImage
from schemas.tables import to_batch
from transforms.image_clusters import ImageClusters, cluster_images
from transforms.phash_index import has_structure

LOOK = 0x0F0F_3C3C_5A5A_6996
"""A hash of the usual kind: half of its bits are set."""


def key(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()[:32]


def signed(phash: int) -> int:
    return phash - 2**64 if phash >= 2**63 else phash


def image(name: object, phash: int | None, pixels: int = 100) -> DistinctImage:
    return DistinctImage(key(name), None if phash is None else signed(phash), pixels)


def cluster(images: list[DistinctImage], distance: int = 4) -> ImageClusters:
    """Clusters, with the pairs of a plain search."""
    hashes = np.array([i.phash % 2**64 for i in images if i.phash is not None], np.uint64)
    near = np.bitwise_count(hashes[:, None] ^ hashes[None, :]) <= distance
    a, b = np.nonzero(np.triu(near, 1) & (hashes[:, None] != hashes[None, :]))
    table = pa.Table.from_batches([to_batch(images, DistinctImage)])
    return cluster_images(table, hashes[a], hashes[b], distance)


def groups(found: ImageClusters) -> list[list[str]]:
    """The members of each cluster, best first."""
    rows = found.rows.to_pylist()
    clusters: dict[str, list[str]] = {}
    for row in rows:
        members = clusters.setdefault(row["cluster_id"], [])
        assert row["rank"] == len(members)
        members.append(row["image_key"])
    assert all(name == members[0] for name, members in clusters.items())
    return sorted(clusters.values())


def test_most_pixels_rank_first_then_the_smallest_key() -> None:
    images = [image("a", LOOK, 50), image("b", LOOK ^ 3, 900), image("c", LOOK ^ 1, 50)]
    found = cluster([*images, image("other", ~LOOK % 2**64), image("none", None)])
    assert groups(found) == [[key("b"), *sorted([key("a"), key("c")])]]
    similar = {row["image_key"]: row["similarity"] for row in found.rows.to_pylist()}
    assert similar == {key("b"): 1.0, key("a"): 62 / 64, key("c"): 63 / 64}


def test_equal_hashes_are_one_node() -> None:
    found = cluster([image(n, LOOK, n) for n in range(5)], distance=0)
    assert groups(found) == [[key(n) for n in (4, 3, 2, 1, 0)]]


def test_no_chain_swallows_pictures() -> None:
    chain = [LOOK]
    for bit in range(60):
        chain.append(chain[-1] ^ (1 << bit))
    found = cluster([image(n, phash, 1000 - n) for n, phash in enumerate(chain)])
    for members in groups(found):
        assert len(members) <= 9
    assert found.cut_components == 1
    assert found.cut_images >= 50


def test_nothing_to_join() -> None:
    for images in ([], [image("a", LOOK)], [image("a", None), image("b", None)]):
        found = cluster(images)
        assert (len(found.rows), found.cut_components, found.cut_images) == (0, 0, 0)


def test_a_pair_of_no_image_is_a_bug() -> None:
    table = pa.Table.from_batches([to_batch([image("a", LOOK)], DistinctImage)])
    with pytest.raises(ValueError, match="no image has"):
        cluster_images(table, np.array([LOOK], np.uint64), np.array([5], np.uint64), 4)


@settings(deadline=None, max_examples=80)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([LOOK, ~LOOK % 2**64]),
            st.lists(st.integers(0, 12), max_size=6),
            st.integers(1, 3),
        ),
        max_size=16,
    ),
    st.integers(0, 6),
    st.randoms(use_true_random=False),
)
def test_clusters_are_stars_and_do_not_depend_on_order(drawn, distance, random) -> None:
    images = []
    for number, (phash, bits, pixels) in enumerate(drawn):
        for bit in bits:
            phash ^= 1 << bit
        images.append(image(number, phash, pixels))
    found = cluster(images, distance)
    shuffled = images[:]
    random.shuffle(shuffled)
    assert cluster(shuffled, distance).rows == found.rows
    by_key = {i.image_key: i for i in images}
    joined = set()
    for members in groups(found):
        best = by_key[members[0]]
        assert len(members) > 1
        for member in map(by_key.__getitem__, members):
            assert ((member.phash ^ best.phash) % 2**64).bit_count() <= distance
            assert (-best.pixels, best.image_key) <= (-member.pixels, member.image_key)
        assert not joined & set(members)
        joined |= set(members)
    for one in images:
        # Whoever is alone looks like no image of equal hash.
        twins = [i for i in images if i.phash == one.phash]
        assert (one.image_key in joined) or len(twins) == 1


@pytest.mark.parametrize(
    ("phash", "says"),
    [(0, False), (2**64 - 1, False), (0x7F, False), (0xFF, True), (LOOK, True),
     (2**64 - 1 - 0xFF, True), (2**64 - 1 - 0x7F, False)],
)  # fmt: skip
def test_a_hash_of_few_bits_says_nothing(phash: int, says: bool) -> None:
    assert has_structure(np.array([phash], np.uint64)).tolist() == [says]
