"""Endings that are cut off, and endings that only look so."""

import pytest

from recaptioner.checks.endings import find_truncation

SENTENCES = "A brown dog runs along the beach. A white cat sits on a wall in the sun."

CUT = [
    ("A dog,", "en"),
    ("A dog –", "en"),
    ("A dog (brown", "en"),
    ("A dog [left] (brown", "en"),
    ('A sign "Stop', "en"),
    ("A sign “Stop", "en"),
    ("A dog on the", "en"),
    ("A dog next to", "en"),
    ("The dog is", "en"),
    ("Ein Hund und", "de"),
    ("一只猫和", "zh"),
    (f"{SENTENCES} A bird flies over the roof of a house on a hi", "en"),
]
WHOLE = [
    ("A dog", "en"),
    ("A dog.", "en"),
    ("A dog (brown)", "en"),
    ("Bread (1), milk (12)", "en"),
    ("a) bread b) milk", "en"),
    ('A 24" screen', "en"),
    ('A book called "The year 2025"', "en"),
    ("„Halt“ steht da", "de"),
    ("A dog :(", "en"),
    ("Plan A", "en"),
    ("Ein Hund the", "de"),
    ("A switch that is on", "en"),
    ("What it is", "en"),
    (f"{SENTENCES} Photo by Ann Lee of Ostend", "en"),
    (SENTENCES, "en"),
    ("A dog runs there. A cat sits there. A bird flies", "en"),
    ("", "en"),
]


@pytest.mark.parametrize(("text", "language"), CUT, ids=[text for text, _ in CUT])
def test_a_text_that_needs_more_is_cut_off(text: str, language: str) -> None:
    assert find_truncation(text, "stop", language)


@pytest.mark.parametrize(("text", "language"), WHOLE, ids=[text or "empty" for text, _ in WHOLE])
def test_a_text_that_may_end_so_is_whole(text: str, language: str) -> None:
    assert find_truncation(text, "stop", language) == ""
    assert find_truncation(text, "length", language)
