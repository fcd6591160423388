"""Scripts, small words, names that are of no language."""

import pytest

from recaptioner.checks.language import find_wrong_language, guess_language, language_code

WRONG = {
    ("Das Bild zeigt zwei Hunde auf dem Sofa.", "en"): "de",
    ("La photo montre deux chiens.", "en"): "fr",
    ("The dog is on a sofa.", "de"): "en",
    ("一只猫", "en"): "Cjk",
    ("a cat on a sofa", "zh"): "en",
    ("这是一张很大的照片没有假名", "ja"): "zh",
    ("これは猫です。", "zh"): "Hiragana",
    ("写真中央に座る白猫が二匹います", "zh"): "ja",
    ("고양이가 있다", "zh"): "Hangul",
    ("Машина біля її дому", "ru"): "uk",
    ("Машина, ёлка, мы", "uk"): "ru",
    ("A dog runs. Ein Mann steht auf der Straße mit einem Hut.", "en"): "de",
    ("Lapsi kantoi painavia kirjoja repussaan.", "en"): "not English",
    ("Uma mulher com um chapéu num banco", "es"): "pt",
}
RIGHT = [
    ("a cat", "en"),
    ("Café de Flore", "en"),
    ("Museo del Prado y Palacio Real", "en"),
    ("Der Spiegel on a table", "en"),
    ("The sign says “Das ist nicht der Weg zum Strand”", "en"),
    ("Nikon D750", "zh"),
    ("東京タワー", "ja"),
    ("東京都庁", "ja"),
    ("Кот", "uk"),
    ("12:30", "en"),
    ("", "en"),
    ("Das Bild zeigt zwei Hunde auf dem Sofa.", ""),
    ("Das Bild zeigt zwei Hunde auf dem Sofa.", "xx"),
    ("antioxidant botanical serum", "en"),
]
LANGUAGES = {
    "Das ist ein Hund und eine Katze": "de",
    "Le chien est sur la table avec une fleur": "fr",
    "A dog is on the table": "en",
    "Nikon D750": "",
}


@pytest.mark.parametrize(("text", "expected"), WRONG, ids=[text for text, _ in WRONG])
def test_another_language_is_named(text: str, expected: str) -> None:
    assert find_wrong_language(text, expected) == WRONG[text, expected]


@pytest.mark.parametrize(("text", "expected"), RIGHT, ids=[f"{t}, {e}" for t, e in RIGHT])
def test_the_language_asked_for_is_not_doubted(text: str, expected: str) -> None:
    assert find_wrong_language(text, expected) == ""


@pytest.mark.parametrize(("text", "language"), LANGUAGES.items(), ids=LANGUAGES)
def test_small_words_tell_the_language(text: str, language: str) -> None:
    assert guess_language(text) == language


@pytest.mark.parametrize("tag", ["zh", "zh-Hans", "ZH_cn", "zh-Hant-TW"])
def test_a_tag_begins_with_its_language(tag: str) -> None:
    assert language_code(tag) == "zh"
