"""Both sides of each number of repeats."""

import pytest

from recaptioner.checks.loops import find_loop

LOOPS = {
    "a word five times": ("no " * 4, "no " * 5),
    "a number eight times": ("7 " * 7, "7 " * 8),
    "an emoji ten times": ("🐱" * 9 + " x", "🐱" * 10 + " x"),
    "two emoji five times": ("🐱🐶" * 4 + " x", "🐱🐶" * 5 + " x"),
    "two words three times": ("on a " * 2, "on a " * 3),
    "six words three times": ("a b c d e f " * 2, "a b c d e f " * 3),
    "seven words twice": ("a b c d e f g", "a b c d e f g " * 2),
    "a letter ten times": ("a" + "h" * 9, "a" + "h" * 10),
    "a syllable six times": ("la" * 5, "la" * 6),
    "a mark twenty times": ("x" + "=" * 19, "x" + "=" * 20),
    "a sentence of four words": (
        "It is red. Here is a dog. It is red.",
        "It is very red. Here is a dog. It is very red.",
    ),
    "a run of nine words": (
        "1 2 3 4 5 6 7 8 dogs and 1 2 3 4 5 6 7 8 cats",
        "1 2 3 4 5 6 7 8 9 dogs and 1 2 3 4 5 6 7 8 9 cats",
    ),
    "chinese letters three times": ("一只猫" * 2, "一只猫" * 3),
    "case and accents": ("Été ete ÉTÉ été", "Été ete ÉTÉ été Ete"),
}


@pytest.mark.parametrize(("below", "loop"), LOOPS.values(), ids=LOOPS)
def test_a_repeat_is_a_loop_from_a_number_on(below: str, loop: str) -> None:
    assert find_loop(below.strip(), 1.0) == ""
    assert find_loop(loop.strip(), 1.0) != ""


def test_a_long_text_may_repeat_a_share_of_its_runs() -> None:
    things = ("cat", "dog", "cow", "pig", "hen", "fox", "owl")
    text = " ".join(f"there is a big {thing} and" for thing in things)
    assert find_loop(text, 0.4) == ""
    assert find_loop(text, 0.2) == "there is a big"


def test_what_is_repeated_may_stand_anywhere() -> None:
    assert find_loop("At sea on a boat on a boat on a boat there are men", 1.0) == "on a boat"
    assert find_loop("", 0.0) == ""
