"""Texts that hold an item are found by the share of the item's n-grams, as a plain search does."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms import contamination_texts
from transforms.contamination_texts import TextIndex, TextNgrams, iter_ngrams, text_ngrams
from transforms.minhash import TokenHashes, word_hashes, words

QUESTION = (
    "A train leaves the harbour at seven in the morning with forty boxes of herring; at each of "
    "its five stops three boxes are sold. How many boxes are left when it arrives in the city?"
)
PAGE = "The market opens at eight. {} Nobody asked what became of the fish that were not sold."


def index_of(items: Sequence[TextNgrams], min_overlap: float = 0.5) -> TextIndex:
    hashes = np.concatenate([np.zeros(0, np.uint64), *(item.ngrams for item in items)])
    numbers = np.repeat(np.arange(len(items)), [len(item.ngrams) for item in items])
    order = np.lexsort((numbers, hashes))
    return TextIndex(
        hashes[order],
        numbers[order],
        np.array([item.width for item in items], np.int64),
        np.array([len(item.ngrams) for item in items], np.int64),
        min_overlap,
    )


def made(texts: Sequence[str], ngram: int = 13, min_words: int = 8) -> list[TextNgrams]:
    known = TokenHashes()
    found = [text_ngrams(text, ngram, known) for text in texts]
    return [item for item in found if item.words >= min_words]


def search(items: Sequence[str], text: str, ngram: int) -> dict[int, float]:
    """Overlap of each item with a text, by comparing words."""
    inside = words(text)
    found = {}
    for number, item in enumerate(items):
        own = words(item)
        if not own:
            continue
        width = min(ngram, len(own))
        runs = {tuple(own[i : i + width]) for i in range(len(own) - width + 1)}
        there = {tuple(inside[i : i + width]) for i in range(len(inside) - width + 1)}
        if runs & there:
            found[number] = len(runs & there) / len(runs)
    return found


SHORT = "How many herrings fit into one wooden box?"
"""Eight words."""
CHINESE = "\u6e2f\u53e3\u7684\u8239\u5728\u65e9\u6668\u51fa\u6d77\u5417"
CASES = {
    "as it is": (QUESTION, PAGE.format(QUESTION), True),
    "nothing but it": (QUESTION, QUESTION, True),
    "other case and punctuation": (
        QUESTION,
        PAGE.format(QUESTION.upper().replace(";", " -").replace(".", "!").replace(" IN ", " IN\n")),
        True,
    ),
    "marked up": (QUESTION, PAGE.format(QUESTION.replace("forty", "**forty**")), True),
    "a paraphrase": (
        QUESTION,
        PAGE.format(
            "Forty boxes of herring are on a train that departs from the port at 7 am. Three are "
            "sold at every one of the five stations. What number reaches the city?"
        ),
        False,
    ),
    "half of it": (QUESTION, PAGE.format(" ".join(QUESTION.split()[:18])), False),
    "most of it": (QUESTION, PAGE.format(" ".join(QUESTION.split()[:30])), True),
    "a word changed near the end": (QUESTION, QUESTION.replace("arrives", "comes"), True),
    "a word changed in the middle of a short one": (
        QUESTION, QUESTION.replace("boxes are sold", "bags are sold"), False,
    ),
    "a short item, whole": (SHORT, PAGE.format(SHORT), True),
    "a short item, less a word": (SHORT, PAGE.format("How many fit into one wooden box?"), False),
    "too short an item": ("Is the herring a fish at all?", "Is the herring a fish at all?", False),
    "without spaces": (CHINESE, f"\u95ee\u9898\uff1a{CHINESE}\uff1f", True),
    "no text": (QUESTION, "", False),
    "half a surrogate pair": (QUESTION + " \ud800", "\udfff\x00 " + QUESTION, True),
}  # fmt: skip


@pytest.mark.parametrize(("item", "text", "expected"), CASES.values(), ids=CASES.keys())
def test_item_is_found_in_a_text(item: str, text: str, expected: bool) -> None:
    found = index_of(made([item])).find([text])
    assert [bool(each) for each in found] == [expected]


@pytest.mark.parametrize(("overlap", "expected"), [(0.75, True), (0.76, False)])
def test_threshold_is_a_share_of_the_item(overlap: float, expected: bool) -> None:
    item = "one two three four five six seven eight nine ten eleven"
    text = PAGE.format("one two three four five six seven eight nine ten") * 3
    index = index_of(made([item], ngram=8), overlap)
    (found,) = index.find([text])
    assert [match.overlap for match in found] == ([0.75] if expected else [])


def test_an_item_over_the_end_of_a_text_is_in_neither() -> None:
    half = len(QUESTION) // 2
    index = index_of(made([QUESTION]), 0.9)
    assert index.find([QUESTION[:half], QUESTION[half:], QUESTION])[:2] == [[], []]
    assert index.find([QUESTION[:half], QUESTION[half:], QUESTION])[2] != []


def test_items_that_share_their_beginning_are_told_apart() -> None:
    shared = "Which of the following statements about the harbour in the story told above is true"
    items = [f"{shared}? {end}" for end in ("The boats are red.", "All men of the town can sail.")]
    (found,) = index_of(made(items), 0.9).find([PAGE.format(items[1])])
    assert [(match.text, match.overlap) for match in found] == [(1, 1.0)]


def test_an_index_of_nothing_finds_nothing() -> None:
    assert index_of([]).find(["a text", ""]) == [[], []]
    assert index_of(made([QUESTION])).find([]) == []


WORDS = st.lists(st.sampled_from("abc"), max_size=14).map(" ".join)


@given(
    st.lists(WORDS, min_size=1, max_size=5),
    st.lists(WORDS, max_size=5),
    st.integers(1, 5),
    st.sampled_from([0.01, 0.5, 1.0]),
    st.integers(1, 9),
)
@settings(deadline=None)
def test_finds_what_a_plain_search_finds_however_texts_are_batched(
    items: list[str], texts: list[str], ngram: int, overlap: float, size: int
) -> None:
    index = index_of(made(items, ngram, min_words=0), overlap)
    expected = [
        {number: share for number, share in search(items, text, ngram).items() if share >= overlap}
        for text in texts
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contamination_texts, "_BLOCK_WORDS", size)
        patch.setattr(contamination_texts, "_BATCH_WORDS", 2 * size)
        found = index.find(texts)
    assert [{match.text: match.overlap for match in each} for each in found] == expected
    assert index.find(texts) == found


@given(st.lists(st.sampled_from("ab"), max_size=12), st.sets(st.integers(1, 6)))
@settings(deadline=None)
def test_runs_have_one_hash_where_their_words_are_the_same(
    tokens: list[str], widths: set[int]
) -> None:
    hashes = word_hashes(" ".join(tokens), TokenHashes())
    known: dict[int, tuple[str, ...]] = {}
    lengths = {}
    for width, found in iter_ngrams(hashes, widths):
        lengths[width] = len(found)
        for start, value in enumerate(found.tolist()):
            run = tuple(tokens[start : start + width])
            assert known.setdefault(value, run) == run
    assert lengths == {width: len(tokens) - width + 1 for width in widths if width <= len(tokens)}
    assert len(set(known.values())) == len(known)
