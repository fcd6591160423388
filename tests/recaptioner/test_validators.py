"""The checks against a table of outputs; cleaning; the recipe's section; texts made to hurt.

`outputs.jsonl` was written in parts. The rules were tuned on the cases without `held_out`; those
with it were written before the rules had seen them, and `held_out` counts the rounds.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recaptioner.checks.text import clean_output
from recaptioner.validators import (
    CONTRADICTED_ENTITIES,
    COPIED_ALT,
    EMPTY,
    INVENTED_ENTITIES,
    KINDS,
    LOST_ENTITIES,
    MAX_CHARACTERS,
    MODES,
    REFUSAL,
    TOO_LONG,
    TRUNCATION,
    UNSAFE,
    WRONG_LANGUAGE,
    CheckConfig,
    Checked,
    Problem,
    check,
)
from schemas.errors import RecipeError
from tests.conftest import hang_guard

TABLE = Path(__file__).with_name("outputs.jsonl")
MIN_CASES, MIN_POSITIVES = 150, 12
MIN_PRECISION = MIN_RECALL = 0.95


@dataclass(frozen=True)
class Case:
    """A line of the table."""

    checked: Checked
    config: CheckConfig
    expected: frozenset[str]
    held_out: int

    @cached_property
    def found(self) -> frozenset[str]:
        return frozenset(problem.kind for problem in check(self.checked, self.config))


def read_table() -> Iterator[Case]:
    first, *rows = map(json.loads, TABLE.read_text(encoding="utf-8").splitlines())
    for row in rows:
        alt, description = row.get("alt", ""), row.get("description", "")
        prompt = first["prompts"][row["prompt"]]
        checked = Checked(
            text=clean_output(row["text"]),
            mode=row["mode"],
            finish=row.get("finish", "stop"),
            prompt=prompt.replace("{alt}", alt).replace("{description}", description),
            alt=alt,
            alt_language=row.get("alt_language", "en"),
            description=description,
        )
        config = CheckConfig(language=row.get("language", "en"), max_words=row.get("max_words", 0))
        yield Case(checked, config, frozenset(row["expected"]), row.get("held_out", 0))


CASES = list(read_table())
SPLITS = {
    "all": CASES,
    "tuned": [case for case in CASES if not case.held_out],
    "held out": [case for case in CASES if case.held_out],
}


def test_table_is_large_and_names_known_kinds() -> None:
    assert len(CASES) >= MIN_CASES
    assert len(SPLITS["held out"]) >= len(CASES) / 2
    positives = Counter(kind for case in CASES for kind in case.expected)
    assert set(positives) == set(KINDS)
    assert min(positives.values()) >= MIN_POSITIVES
    assert sum(not case.expected for case in CASES) >= MIN_CASES


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("split", SPLITS)
def test_precision_and_recall_over_the_table(split: str, kind: str) -> None:
    right = [case for case in SPLITS[split] if kind in case.expected]
    found = [case for case in SPLITS[split] if kind in case.found]
    both = [case for case in right if case in found]
    missed = [case.checked.text for case in right if case not in found]
    invented = [case.checked.text for case in found if case not in right]
    assert len(both) >= MIN_PRECISION * len(found), f"no {kind}: {invented}"
    assert len(both) >= MIN_RECALL * len(right), f"{kind}: {missed}"


def kinds_of(checked: Checked, config: CheckConfig | None = None) -> list[str]:
    return [problem.kind for problem in check(checked, config or CheckConfig())]


@pytest.mark.parametrize("language", ["en", ""])
def test_real_alt_texts_as_outputs_raise_no_alarm(shared_data: Path, language: str) -> None:
    files = sorted((shared_data / "sites").glob("*/_refs.jsonl"))
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    texts = sorted({text for row in rows if (text := clean_output(row["alt"] or ""))})
    assert len(texts) > 600
    config = CheckConfig(language=language)
    alarms = {text: got for text in texts if (got := kinds_of(Checked(text, "describe"), config))}
    assert alarms == {}


def test_real_alt_texts_keep_their_own_entities(shared_data: Path) -> None:
    files = sorted((shared_data / "sites").glob("*/_refs.jsonl"))
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    alts = sorted({row["alt"] for row in rows if row["alt"]})
    config = CheckConfig(max_entities=1000, off=(COPIED_ALT,))
    for alt in alts:
        text = clean_output(f"A photo on a page, which shows this: {alt}")
        assert kinds_of(Checked(text, "fuse", alt=alt), config) == [], alt


def test_problems_come_in_the_order_of_their_kinds() -> None:
    checked = Checked(
        "Ein Mann, der porno porno porno porno porno und",
        "fuse",
        finish="length",
        alt="Berlin 1989",
        description="A man",
    )
    found = kinds_of(checked, CheckConfig(max_words=3))
    assert len(found) >= 6
    assert found == sorted(found, key=KINDS.index)


@pytest.mark.parametrize("kind", [EMPTY, REFUSAL])
def test_what_is_no_caption_has_one_problem(kind: str) -> None:
    text = {EMPTY: "…", REFUSAL: "I'm sorry, but I can't describe this image, porn and"}[kind]
    checked = Checked(text, "fuse", finish="length", alt="Berlin 1989")
    assert kinds_of(checked) == [kind]


def test_a_kind_that_is_off_is_not_looked_for() -> None:
    checked = Checked("Ein roter Hund läuft am Strand und", "describe")
    assert kinds_of(checked) == [WRONG_LANGUAGE]
    german = CheckConfig(language="de")
    assert kinds_of(checked, german) == [TRUNCATION]
    assert kinds_of(checked, CheckConfig(language="de", off=(TRUNCATION,))) == []
    assert kinds_of(Checked("", "describe"), CheckConfig(off=KINDS)) == []


def test_details_are_short() -> None:
    names = ", ".join(f"Anna Berg{chr(97 + n)}" for n in range(12))
    [problem] = check(Checked("Some people.", "fuse", alt=f"people: {names}"), CheckConfig())
    assert problem.kind == LOST_ENTITIES
    assert len(problem.detail) == 120
    assert problem == Problem(LOST_ENTITIES, problem.detail)


def test_entities_are_compared_in_the_modes_that_the_recipe_names() -> None:
    lost = Checked("A gate.", "rewrite", alt="the Brandenburg Gate in 1989")
    assert kinds_of(lost) == [LOST_ENTITIES]
    assert kinds_of(lost, CheckConfig(entity_modes=("fuse",))) == []
    assert kinds_of(Checked("A gate.", "describe", alt=lost.alt)) == []


def test_what_contradicts_is_not_told_twice() -> None:
    checked = Checked("A gate in 1961.", "fuse", alt="a gate in 1989")
    assert kinds_of(checked) == [CONTRADICTED_ENTITIES]
    off = CheckConfig(off=(CONTRADICTED_ENTITIES,))
    assert check(checked, off) == (Problem(INVENTED_ENTITIES, "1961"),)


def test_entities_are_invented_in_the_modes_that_the_recipe_names() -> None:
    for mode in MODES:
        checked = Checked("A gate in Bremen.", mode, alt="old gate", description="A gate.")
        assert kinds_of(checked) == ([] if mode == "describe" else [INVENTED_ENTITIES])
        assert kinds_of(checked, CheckConfig(entity_modes=())) == []


def test_only_the_first_entities_of_an_alt_text_must_be_kept() -> None:
    checked = Checked("The port of Ostend.", "fuse", alt="the ports of Ostend and Bruges")
    assert kinds_of(checked) == [LOST_ENTITIES]
    assert kinds_of(checked, CheckConfig(max_entities=1)) == []


def test_words_of_the_recipe_are_unsafe_whatever_their_case() -> None:
    config = CheckConfig(unsafe_words=("Gun Show", "vodká"))
    assert kinds_of(Checked("A poster of a gun-show.", "describe"), config) == [UNSAFE]
    assert kinds_of(Checked("A bottle of VODKA.", "describe"), config) == [UNSAFE]
    assert kinds_of(Checked("A gun, and a show of dogs.", "describe"), config) == []


BAD_CONFIGS = {
    "off": {"off": ("typos",)},
    "language": {"language": "english"},
    "echo_words": {"echo_words": 3},
    "max_repeated": {"max_repeated": 1.01},
    "copy_overlap": {"copy_overlap": 0.5},
    "max_words": {"max_words": -1},
    "unsafe_words": {"unsafe_words": ("--",)},
    "entity_modes": {"entity_modes": ("merge",)},
    "max_entities": {"max_entities": 0},
}
EDGE_CONFIGS = {
    "echo_words": [4, 50],
    "max_repeated": [0.0, 1.0],
    "copy_overlap": [0.51, 1.0],
    "max_words": [0, 1],
    "max_entities": [1, 1000],
    "language": ["", "de", "zh"],
}


@pytest.mark.parametrize(("key", "values"), BAD_CONFIGS.items(), ids=BAD_CONFIGS)
def test_a_bad_value_is_refused_by_its_key(key: str, values: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match=f"^{key} must"):
        CheckConfig(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(("key", "values"), EDGE_CONFIGS.items(), ids=EDGE_CONFIGS)
def test_values_at_the_edge_are_taken(key: str, values: list[object]) -> None:
    for value in values:
        assert getattr(CheckConfig(**{key: value}), key) == value  # type: ignore[arg-type]


CLEANED = {
    "  A dog\n\truns. ": "A dog runs.",
    '"A dog runs."': "A dog runs.",
    "“A dog’s bone”": "A dog’s bone",
    "'It's a dog'": "It's a dog",
    '"A" and "B"': '"A" and "B"',
    "„Ein Hund“": "Ein Hund",
    "Caption: A dog runs.": "A dog runs.",
    '**Caption:** "A dog runs."': "A dog runs.",
    "### Final caption: A dog runs.": "A dog runs.",
    "Here is a short caption for the image: A dog runs.": "A dog runs.",
    "Sure! Here's the rewritten sentence: A dog runs.": "A dog runs.",
    "Here is a dog.": "Here is a dog.",
    "Bildunterschrift: Ein Hund": "Ein Hund",
    "```text\nA dog runs.\n```": "A dog runs.",
    "```A dog runs.```": "A dog runs.",
    "**A dog runs.**": "A dog runs.",
    "A **red** dog runs.": "A **red** dog runs.",
    "A dog runs.</s>": "A dog runs.",
    "<s> A dog runs.<|im_end|>\n<|endoftext|>": "A dog runs.",
    "A dog</s> runs": "A dog</s> runs",
    "[INST] A dog": "[INST] A dog",
    "cafe\u0301": "café",
    "a\x00b\ud800c\ufeffd\u00ade": "abcde",
    "e\x00\u0301": "é",
    "👩‍👩‍👧 👍🏽 ❤️": "👩‍👩‍👧 👍🏽 ❤️",
    "می\u200cخواهم": "می\u200cخواهم",
    "\u200fقطة\u200f": "\u200fقطة\u200f",
    "标题：一只猫": "一只猫",
    "A dog ¦ caption: none": "A dog ¦ caption: none",
    "Captions: an exhibition": "Captions: an exhibition",
}


@pytest.mark.parametrize(("text", "cleaned"), CLEANED.items(), ids=map(ascii, CLEANED))
def test_clean_output_takes_off_what_models_put_around(text: str, cleaned: str) -> None:
    assert clean_output(text) == cleaned


PIECES = (
    "Caption: |\"|'|“|”|**|```|\n|</s>|<|im_end|>|e|\u0301|\x00|Here is a caption: |A dog| |__"
    "|`|«|»|„|\u0345|🐕|\u200d"
)
TEXTS_OF_PIECES = st.lists(st.sampled_from(PIECES.split("|")), max_size=20).map("".join)
TEXTS = st.one_of(st.text(max_size=60), TEXTS_OF_PIECES)


@settings(deadline=None)
@given(TEXTS)
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    cleaned = clean_output(text)
    assert clean_output(cleaned) == cleaned
    assert cleaned == cleaned.strip()
    cleaned.encode()  # no lone surrogate


@settings(deadline=None)
@given(TEXTS, TEXTS, st.sampled_from(["describe", "fuse", "rewrite"]), st.sampled_from(["en", ""]))
def test_any_text_is_checked_the_same_twice(text: str, alt: str, mode: str, language: str) -> None:
    checked = Checked(text, mode, prompt=f"Alt text: {alt}", alt=alt, description=text[:20])
    config = CheckConfig(language=language, max_words=5)
    assert check(checked, config) == check(checked, config)


HURTING = {
    "spaces": "a ",
    "one word": "a",
    "quotes": '"',
    "open quotes": "“",
    "apostrophes": "' ",
    "brackets": "(",
    "digits": "1 ",
    "thousands": "1.000.",
    "dates": "may 3, ",
    "times": "12:30 ",
    "special tokens": "</s>",
    "labels": 'Caption: "',
    "apologies": "sorry, i ",
    "sentences": "A. ",
    "marks": "e\u0301\u0323",
    "marks out of order": "\u0301\u0323",
    "emoji": "😀👍🏽",
    "chinese": "一只猫坐在沙发上，",
    "names": "Abc of ",
    "initials": "A.B.",
    "identifiers": "a_b@",
    "addresses": "http://a",
    "hex": "abcdef",
    "credits": "photo by ",
    "files": "img 1 of ",
    "fields": "a:\n",
    "chat tokens": "<|a",
    "hanging": "is sitting in ",
    "tags": "<b>",
    "sites": "www.a.",
    "particles": "de la ",
    "surrogates": "\ud800a",
}


@pytest.mark.parametrize("unit", HURTING.values(), ids=HURTING)
def test_texts_made_to_hurt_end(unit: str) -> None:
    long = (unit * 100_000)[:100_000]
    with hang_guard():
        cleaned = clean_output(long)
        config = CheckConfig(max_words=5, unsafe_words=("gun show",))
        for text in (cleaned[:MAX_CHARACTERS], "A cat in Paris in 2019."):
            check(Checked(text, "rewrite", "stop", f"Alt text: {long}", long, "", long), config)


def test_a_text_that_no_model_should_write_is_too_long() -> None:
    config = CheckConfig(off=(TOO_LONG,))
    for text in ("a " * MAX_CHARACTERS, "porn " * MAX_CHARACTERS):
        assert kinds_of(Checked(text, "describe"), config) == [TOO_LONG]
    words = " ".join(f"w{n}" for n in range(MAX_CHARACTERS))[:MAX_CHARACTERS]
    assert kinds_of(Checked(words, "describe", finish="length"), config)[-1] == TRUNCATION
