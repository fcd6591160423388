"""Repeated n-grams against the definition, word by word."""

from array import array
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.repetition import ngram_ratios, repeat_ratios


def by_definition(words: list[str]) -> dict[int, float | None]:
    """Shares of characters, counted one place at a time."""
    if not words:
        return dict.fromkeys(range(2, 11))
    ratios: dict[int, float | None] = {}
    for n in range(2, 11):
        grams = [tuple(words[place : place + n]) for place in range(len(words) - n + 1)]
        counts = Counter(grams)
        several = [gram for gram in counts if counts[gram] > 1]
        covered: set[int] = set()
        if n <= 4 and several:
            best = max((counts[gram], sum(map(len, gram))) for gram in several)
            shares = []
            for gram in several:
                if (counts[gram], sum(map(len, gram))) == best:
                    places = {i + k for i, g in enumerate(grams) if g == gram for k in range(n)}
                    shares.append(sum(len(words[i]) for i in places))
            ratios[n] = shares[0] / sum(map(len, words))
            continue
        seen: set[tuple[str, ...]] = set()
        for place, gram in enumerate(grams):
            if n > 4 and gram in seen:
                covered.update(range(place, place + n))
            seen.add(gram)
        ratios[n] = sum(len(words[i]) for i in covered) / sum(map(len, words))
    return ratios


words_lists = st.lists(st.sampled_from(["a", "bb", "ccc"]), max_size=40)
with_repeats = st.tuples(words_lists, words_lists).map(lambda two: two[0] + two[1] + two[0])


@settings(max_examples=300, deadline=None)
@given(words_lists | with_repeats)
def test_ngram_ratios_are_those_of_the_definition(words: list[str]) -> None:
    found, expected = ngram_ratios(words), by_definition(words)
    for n in range(5, 11):
        assert found[n] == pytest.approx(expected[n])
    for n in range(2, 5):
        # Of n-grams equally frequent and long, which one is taken is the module's choice.
        assert found[n] == pytest.approx(expected[n]) or ambiguous(words, n)


def ambiguous(words: list[str], n: int) -> bool:
    grams = Counter(tuple(words[place : place + n]) for place in range(len(words) - n + 1))
    keys = [(count, sum(map(len, gram))) for gram, count in grams.items()]
    return keys.count(max(keys)) > 1


def test_ratio_of_equals_is_that_of_the_first_word_seen() -> None:
    # "a a" and "b b" occur three times each; runs of "a" overlap, pairs of "b" stand apart.
    words = ["a", "a", "a", "a", "x", "b", "b", "y", "b", "b", "z", "b", "b"]
    assert ngram_ratios(words)[2] == pytest.approx(4 / 13)


@given(st.lists(st.sampled_from(["a", "bb", "ccc", "dd"]), max_size=30))
def test_repeats_of_lines_are_all_but_the_first(lines: list[str]) -> None:
    ratio, characters = repeat_ratios(array("q", map(hash, lines)), array("q", map(len, lines)))
    if not lines:
        assert (ratio, characters) == (None, None)
        return
    seen: set[str] = set()
    repeats = [line for line in lines if line in seen or seen.add(line)]  # type: ignore[func-returns-value]
    assert ratio == len(repeats) / len(lines)
    assert characters == sum(map(len, repeats)) / sum(map(len, lines))
