"""Where an echo and a copy begin."""

import pytest

from recaptioner.checks.echoes import find_copy, find_echo

PROMPT = "Say in one short sentence what is there.\nBe brief.\nAlt text: {}\nGiven caption: {}"


def echo(text: str, alt: str = "", description: str = "", echo_words: int = 6) -> str:
    prompt = PROMPT.format(alt, description)
    return find_echo(text, prompt, alt, description, echo_words)


def test_a_run_of_the_prompt_is_an_echo_from_a_number_of_words_on() -> None:
    assert echo("in one short sentence what I see") == ""
    assert echo("in one short sentence what is seen") == "in one short sentence what is"
    assert echo("in one short sentence what is seen", echo_words=7) == ""


def test_a_whole_sentence_of_the_prompt_is_an_echo_from_three_words_on() -> None:
    assert echo("A dog. Be brief.") == ""
    assert find_echo("A dog. Be very brief.", "Be very brief.", "", "", 6) == "Be very brief."


def test_what_alt_text_or_description_hold_may_be_quoted() -> None:
    said = "Say in one short sentence what is there. USER: Given caption: <image>"
    assert echo(said)
    assert echo(said, alt=said) == ""
    assert echo(said, description=said) == ""
    assert echo(f"{said} {said}", alt=said) == "USER:"


def test_a_field_of_the_prompt_is_an_echo_with_its_colon_or_if_it_is_long() -> None:
    assert echo("The given caption says so.") == "given caption"
    assert find_echo("A caption says so.", "Caption: a", "a", "", 6) == ""
    assert find_echo("So: caption: b", "Caption: a", "a", "", 6) == "caption:"


def test_chinese_prompts_are_measured_in_letters() -> None:
    prompt = "请用一句话描述这张图片里的东西"
    assert find_echo("用一句话描述这张。", prompt, "", "", 6) == ""
    assert find_echo("用一句话描述这张图。", prompt, "", "", 6) != ""


@pytest.mark.parametrize(
    ("text", "overlap", "is_copy"),
    [
        ("one two three four five", 0.8, True),
        ("five four three two one", 0.8, True),
        ("one two three four six", 0.6, True),
        ("one two three four six", 0.67, False),
        ("one two three four", 0.8, False),
    ],
)
def test_a_rewritten_text_is_a_copy_by_the_share_of_common_words(
    text: str, overlap: float, is_copy: bool
) -> None:
    found = find_copy(text, "rewrite", "", "One, two, three, four, five!", "", overlap)
    assert bool(found) == is_copy


def test_a_description_is_a_copy_only_of_what_its_prompt_held() -> None:
    assert find_copy("A dog", "describe", "Describe it.", "a dog", "", 0.8) == ""
    assert find_copy("A dog", "describe", "Not this: a dog!", "a dog", "", 0.8)
    assert find_copy("A dog", "describe", "Not this: a dogma", "a dog", "", 0.8) == ""


def test_a_fused_caption_may_be_the_alt_text_if_there_is_nothing_to_add() -> None:
    assert find_copy("a red dog", "fuse", "", "a red dog", "The dog is red", 0.8) == ""
    assert find_copy("a red dog", "fuse", "", "a red dog", "A dog on grass", 0.8)
    assert find_copy("a dog on grass", "fuse", "", "a red dog", "A dog on grass", 0.8) == ""
    assert find_copy("", "fuse", "", "...", "", 0.8) == ""
