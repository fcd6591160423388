import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import InputError, RecipeError
from trainer.data.best_fit import WINDOW, pack_pieces
from trainer.data.cut import IMAGE_ELEMENT, Lengths, cut_document, cut_documents
from trainer.data.pack_plan import PackPlan, PlanConfig, make_plan, open_plan
from trainer.data.permutation import derive, hash_numbers

IMAGE = IMAGE_ELEMENT


@st.composite
def documents(draw: st.DrawFn) -> list[list[int]]:
    """Element lengths of documents: no two texts side by side."""
    found = []
    for _ in range(draw(st.integers(0, 8))):
        elements: list[int] = []
        for each in draw(st.lists(st.integers(1, 40) | st.just(IMAGE), max_size=12)):
            if each == IMAGE or not elements or elements[-1] == IMAGE:
                elements.append(each)
        found.append(elements)
    return found


def lengths_of(documents: list[list[int]]) -> Lengths:
    sizes = [len(each) for each in documents]
    return Lengths(
        np.array([length for each in documents for length in each], np.int32),
        np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)]),
    )


def places_of(elements: list[int], image_tokens: int, bos: bool) -> list[str]:
    """What stands at each place: b, e, t, or the number of an image."""
    places = ["b"] if bos else []
    images = iter(range(len(elements)))
    for length in elements:
        places += ["t"] * length if length != IMAGE else [str(next(images))] * image_tokens
    return [*places, "e"]


SHAPES = st.tuples(st.integers(6, 30), st.integers(1, 4), st.integers(1, 5), st.booleans())


@settings(deadline=None, max_examples=300)
@given(documents=documents(), shape=SHAPES)
def test_pieces_of_a_document(
    documents: list[list[int]], shape: tuple[int, int, int, bool]
) -> None:
    length, max_images, image_tokens, bos = shape
    for elements in documents:
        places = places_of(elements, image_tokens, bos)
        cuts = list(cut_document(elements, length, max_images, image_tokens, bos))
        assert [cut.start for cut in cuts] == [0, *(cut.stop for cut in cuts[:-1])]
        assert cuts[-1].stop == len(places)
        seen = 0
        for cut in cuts:
            piece = places[cut.start : cut.stop]
            images = [place for place in piece if place.isdigit()]
            assert 0 < len(piece) <= length
            assert len(set(images)) == cut.images <= max_images
            assert len(images) == cut.images * image_tokens, "an image is cut"
            assert cut.first_image == seen
            seen += cut.images
            assert cut.labelled == ("t" in piece[1:])
            rest = places[cut.stop :]
            if "t" in piece and "t" in rest:
                assert not piece[-1].isdigit(), "images are left without their text"


@settings(deadline=None, max_examples=200)
@given(documents=documents(), shape=SHAPES)
def test_all_documents_at_once_are_each_alone(
    documents: list[list[int]], shape: tuple[int, int, int, bool]
) -> None:
    pieces, counts = cut_documents(lengths_of(documents), *shape)
    length, max_images, image_tokens, bos = shape
    expected, cut, dropped, images = [], 0, [], 0
    for sample, elements in enumerate(documents):
        if not elements:
            continue
        cuts = list(cut_document(elements, length, max_images, image_tokens, bos))
        cut += len(cuts) > 1
        for each in cuts:
            images += each.images
            if each.labelled:
                expected.append((sample, *each[:4]))
            else:
                dropped.append(each)
    assert [tuple(map(int, row)) for row in zip(*pieces.values(), strict=True)] == expected
    assert counts["documents"] == sum(map(bool, documents))
    assert counts["cut_documents"] == cut
    assert counts["pieces"] == len(expected)
    assert counts["dropped_pieces"] == len(dropped)
    assert counts["dropped_places"] == sum(each.stop - each.start for each in dropped)
    assert counts["images"] + counts["dropped_images"] == images
    kept = {row[0] for row in expected}
    assert counts["dropped_documents"] == counts["documents"] - len(kept)


CUTS = {
    "a document that fits is whole": ([5, IMAGE, 3], [(0, 14)]),
    "a text is cut anywhere": ([30], [(0, 20), (20, 32)]),
    "an image goes on whole": ([17, IMAGE, 2], [(0, 18), (18, 25)]),
    "images go with their text": ([11, IMAGE, IMAGE, 4], [(0, 12), (12, 25)]),
    "images at the end of a document stay": ([11, IMAGE, IMAGE], [(0, 20), (20, 21)]),
    "a third image is too many": ([3, IMAGE, IMAGE, IMAGE, 2], [(0, 4), (4, 12), (12, 19)]),
}


@pytest.mark.parametrize(("elements", "expected"), CUTS.values(), ids=CUTS.keys())
def test_cut(elements: list[int], expected: list[tuple[int, int]]) -> None:
    cuts = cut_document(elements, 20, 2, 4, True)
    assert [(cut.start, cut.stop) for cut in cuts] == expected


@settings(deadline=None, max_examples=150)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 50), st.integers(0, 4)), max_size=60),
    text_only=st.booleans(),
)
def test_packs_keep_both_limits(sizes: list[tuple[int, int]], text_only: bool) -> None:
    tokens = np.array([size for size, _ in sizes], np.int64)
    images = np.array([0 if text_only else count for _, count in sizes], np.int32)
    packs = pack_pieces(tokens, images, 50, 4)
    number = int(packs.max(initial=-1)) + 1
    assert sorted(set(packs.tolist())) == list(range(number))
    if number:
        assert np.bincount(packs, weights=tokens).max() <= 50
        assert np.bincount(packs, weights=images).max() <= 4
    if text_only and number > 1:  # two packs that are half empty would be one
        assert np.sort(np.bincount(packs, weights=tokens))[:2].sum() > 50


def spread(
    key: int, size: int, low: int, high: int
) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Numbers that look lognormal between two limits."""
    unit = hash_numbers(derive(key), np.arange(size)) / 2.0**64
    return np.clip(np.exp(4 + 3 * unit), low, high).astype(np.int64)


def test_text_packs_are_full() -> None:
    tokens = spread(0, 3 * WINDOW, 5, 4096)
    packs = pack_pieces(tokens, np.zeros(len(tokens), np.int32), 4096, 16)
    assert tokens.sum() / (4096 * (packs.max() + 1)) > 0.98


def test_caption_packs_are_full_of_images() -> None:
    tokens = 146 + spread(1, 3 * WINDOW, 3, 300) // 8
    packs = pack_pieces(tokens, np.ones(len(tokens), np.int32), 4096, 16)
    assert len(tokens) / (16 * (packs.max() + 1)) > 0.98


CONFIG = PlanConfig(sequence_length=64, max_images=4, image_tokens=5, bos=True, seed=0)


def corpus(size: int = 300) -> list[list[int]]:
    return [[IMAGE, n % 37 + 1] if n % 3 else [n % 150 + 1] for n in range(size)]


def plan_of(folder: Path, config: PlanConfig = CONFIG, size: int = 300) -> PackPlan:
    return open_plan(folder, lengths_of(corpus(size)), config, "data.sources.text")


def test_plan_holds_each_piece_once(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    pieces = [piece for pack in range(plan.packs) for piece in plan.pieces_of(pack)]
    expected, counts = cut_documents(lengths_of(corpus()), 64, 4, 5, True)
    rows = sorted(zip(*(column.tolist() for column in expected.values()), strict=True))
    assert sorted(tuple(piece) for piece in pieces) == rows
    for pack in range(plan.packs):
        each = plan.pieces_of(pack)
        assert sum(piece.stop - piece.start for piece in each) == plan.token_counts[pack] <= 64
        assert sum(piece.images for piece in each) == plan.image_counts[pack] <= 4
    assert plan.counts["packs"] == plan.packs
    assert plan.fill == plan.token_counts.sum() / (64 * plan.packs)
    assert counts.items() <= plan.counts.items()
    with pytest.raises(IndexError, match="pack"):
        plan.pieces_of(plan.packs)


def test_plan_is_mapped_the_second_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = plan_of(tmp_path)
    monkeypatch.setattr("trainer.data.pack_plan.make_plan", None)
    again = plan_of(tmp_path)
    assert again.fingerprint == first.fingerprint
    assert again.pieces_of(3) == first.pieces_of(3)


def test_plan_is_of_its_configuration_and_lengths(tmp_path: Path) -> None:
    plans = [
        plan_of(tmp_path / "a"),
        plan_of(tmp_path / "a", PlanConfig(65, 4, 5, True, 0)),
        plan_of(tmp_path / "a", PlanConfig(64, 3, 5, True, 0)),
        plan_of(tmp_path / "a", PlanConfig(64, 4, 6, True, 0)),
        plan_of(tmp_path / "a", PlanConfig(64, 4, 5, False, 0)),
        plan_of(tmp_path / "a", PlanConfig(64, 4, 5, True, 1)),
        plan_of(tmp_path / "b", size=299),
    ]
    assert len({plan.fingerprint for plan in plans}) == len(plans)
    assert plan_of(tmp_path / "c").fingerprint == plans[0].fingerprint


def test_pickle_of_a_plan_holds_no_arrays(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    data = pickle.dumps(plan)
    assert len(data) < 4000
    assert pickle.loads(data).pieces_of(5) == plan.pieces_of(5)


def test_plan_without_packs_is_refused(tmp_path: Path) -> None:
    lengths = lengths_of([[IMAGE], [], [IMAGE, IMAGE]])
    with pytest.raises(InputError, match=r"sources.text: no packed sequence .* of its 2 documents"):
        open_plan(tmp_path, lengths, CONFIG, "data.sources.text")


def test_image_that_no_pack_holds_is_refused() -> None:
    with pytest.raises(RecipeError, match="64 places do not hold an image of 64 tokens"):
        PlanConfig(64, 4, 64, True, 0)


def test_plan_is_pinned() -> None:
    """Another plan is another order for those who go on with a checkpoint."""
    arrays, _ = make_plan(lengths_of(corpus(20)), CONFIG)
    packs = np.split(arrays["sample"], arrays["pack_start"][1:-1])
    assert [pack.tolist() for pack in packs] == PINNED


PINNED = [[19, 4, 17], [14, 16, 10], [11, 13, 18], [5, 8, 7, 15], [12, 6, 3, 1, 9, 2, 0]]
