"""The ladder: whatever a model says, every text ends with a caption, its origin and an outcome."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from recaptioner.engines.base import Reply, Request, Sampling
from recaptioner.ladder import Climb, Item, LadderConfig, Question
from recaptioner.prompts import TEMPLATES
from recaptioner.validators import CheckConfig
from schemas.recaption_rows import OUTCOMES, PlannedText, RecaptionAnswer

GOOD, FUSED = "A red circle on the left.", "A red circle on the left, by Anna Weber, 1987."
BAD = "I'm sorry, but I cannot see the image."
IMAGE = Image.new("RGB", (8, 8))
ALT = PlannedText("t1", "red circle by Anna Weber, 1987", "en")
OTHER = PlannedText("t2", "our circle no. 42", "en")


def config(
    describe: str | None = "describe_short", write: str | None = "fuse_short"
) -> LadderConfig:
    def question(name: str | None) -> Question | None:
        return None if name is None else Question(name, TEMPLATES[name], Sampling(77))

    return LadderConfig("me", question(describe), question(write), CheckConfig(), 1, 0.7)


def climb(
    answers: list[str | Reply],
    texts: tuple[PlannedText, ...] = (ALT,),
    made: LadderConfig | None = None,
    description: str | None = None,
) -> tuple[list[RecaptionAnswer], list[Request]]:
    """Answer what is asked in the order in which it is asked; all must be used up."""
    found = Climb(made or config(), Item("i", texts, description), IMAGE, "m")
    asked: list[Request] = []
    waiting = found.begin()
    while waiting:
        request = waiting.pop(0)
        asked.append(request)
        answer = answers.pop(0)
        reply = answer if isinstance(answer, Reply) else Reply(request.key, answer, "stop", 10, 5)
        waiting += found.answer(replace(reply, key=request.key))
    assert found.is_done
    assert not answers
    return found.rows, asked


def told(rows: list[RecaptionAnswer]) -> list[tuple[str, str, str, str]]:
    return [(row.text_hash, row.text, row.origin, row.outcome) for row in rows]


def test_describe_then_fuse() -> None:
    rows, asked = climb([GOOD, FUSED])
    assert told(rows) == [("", GOOD, "describe", "ok"), ("t1", FUSED, "fuse", "ok")]
    assert rows[1].prompt.startswith("fuse_short@1#")
    assert [row.completion_tokens for row in rows] == [5, 5]
    assert asked[0].image is IMAGE
    assert asked[1].image is None
    assert GOOD in asked[1].user
    assert ALT.text in asked[1].user


def test_an_image_is_described_once_for_all_its_texts() -> None:
    second = "A red circle on the left, circle no. 42 of ours."
    rows, asked = climb([GOOD, FUSED, second], (ALT, OTHER))
    assert len(asked) == 3
    assert [row.text for row in rows] == [GOOD, FUSED, second]


def test_a_known_description_is_not_asked_for_again() -> None:
    rows, asked = climb([FUSED], description=GOOD)
    assert told(rows) == [("t1", FUSED, "fuse", "ok")]
    assert len(asked) == 1


def test_a_refused_answer_is_asked_again_with_another_seed_then_more_strictly() -> None:
    rows, asked = climb([BAD, GOOD, BAD, BAD, FUSED])
    assert told(rows) == [("", GOOD, "describe", "resampled"), ("t1", FUSED, "fuse", "stricter")]
    assert rows[1].problems == ["refusal", "refusal"]
    assert rows[1].completion_tokens == 15
    assert asked[0].user == asked[1].user
    assert asked[0].sampling.temperature == 0
    assert asked[1].sampling.temperature == 0.7
    assert len({request.sampling.seed for request in asked}) == len(asked)
    assert asked[4].user.endswith(TEMPLATES["fuse_short"].stricter)
    assert asked[4].sampling.temperature == 0


def test_a_fusion_falls_back_to_the_description() -> None:
    rows, _ = climb([GOOD, BAD, BAD, BAD])
    assert told(rows)[1] == ("t1", GOOD, "describe", "fallback_description")
    assert rows[1].prompt.startswith("describe_short@1#")


def test_without_a_description_the_alt_text_stays() -> None:
    rows, asked = climb([BAD, BAD, BAD], (ALT, OTHER))
    assert told(rows) == [
        ("", "", "describe", "refused"),
        ("t1", ALT.text, "alt", "fallback_alt"),
        ("t2", OTHER.text, "alt", "fallback_alt"),
    ]
    assert len(asked) == 3


def test_lost_names_are_no_caption() -> None:
    rows, _ = climb([GOOD, "A red circle on the left.", FUSED])
    assert told(rows)[1] == ("t1", FUSED, "fuse", "resampled")
    assert "lost_entities" in rows[1].problems


def test_what_an_engine_cannot_take_is_not_asked_again() -> None:
    rows, asked = climb([Reply("", error="the prompt is too long")])
    assert len(asked) == 1
    assert told(rows)[1] == ("t1", ALT.text, "alt", "fallback_alt")
    assert rows[1].problems == ["engine_error"]


def test_describe_alone_gives_every_text_the_description() -> None:
    rows, _ = climb([GOOD], (ALT, OTHER), config(write=None))
    assert told(rows)[1:] == [("t1", GOOD, "describe", "ok"), ("t2", GOOD, "describe", "ok")]


def test_rewriting_needs_no_picture_and_falls_back_to_the_alt_text() -> None:
    made = config(describe=None, write="rewrite_short")
    rows, asked = climb([BAD, BAD, BAD], made=made)
    assert told(rows) == [("t1", ALT.text, "alt", "fallback_alt")]
    assert all(request.image is None for request in asked)


def test_an_empty_alt_text_gets_the_description() -> None:
    rows, asked = climb([GOOD], (PlannedText("t3", "  ", ""),))
    assert len(asked) == 1
    assert told(rows)[1] == ("t3", GOOD, "describe", "fallback_description")


def test_an_image_that_cannot_be_shown_keeps_its_texts() -> None:
    found = Climb(config(), Item("i", (ALT, OTHER)), None, "m")
    found.fail("ImageDecodeError")
    assert found.is_done
    assert told(found.rows) == [
        ("t1", ALT.text, "alt", "ImageDecodeError"),
        ("t2", OTHER.text, "alt", "ImageDecodeError"),
    ]


def test_special_tokens_around_an_answer_are_no_part_of_it() -> None:
    rows, _ = climb([GOOD, f' "{FUSED}"</s>'])
    assert rows[1].text == FUSED


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.one_of(
            st.sampled_from([GOOD, FUSED, BAD, "", "a a a a a a a a a a a a", ALT.text]),
            st.text(max_size=60),
            st.just(Reply("", "cut off in the", "length")),
            st.just(Reply("", error="no")),
        ),
        min_size=20,
        max_size=20,
    ),
    st.sampled_from([(), (ALT,), (ALT, OTHER)]),
    st.sampled_from(["vecap", "describe", "rewrite"]),
)
def test_no_text_is_ever_lost(
    answers: list[str | Reply], texts: tuple[PlannedText, ...], mode: str
) -> None:
    made = {
        "vecap": config(),
        "describe": config(write=None),
        "rewrite": config(describe=None, write="rewrite_short"),
    }[mode]
    found = Climb(made, Item("i", texts), IMAGE, "m")
    waiting = found.begin()
    for answer in answers:
        if not waiting:
            break
        request = waiting.pop(0)
        reply = answer if isinstance(answer, Reply) else Reply(request.key, answer, "stop")
        waiting += found.answer(replace(reply, key=request.key))
    assert found.is_done
    rows = [row for row in found.rows if row.text_hash]
    assert sorted(row.text_hash for row in rows) == sorted(text.text_hash for text in texts)
    assert all(row.text and row.outcome in OUTCOMES for row in rows)


def test_the_same_answers_give_the_same_rows() -> None:
    answers = [BAD, GOOD, BAD, FUSED]
    assert climb([*answers]) == climb([*answers])


def test_an_unsafe_alt_text_that_is_fallen_back_to_is_told_of() -> None:
    unsafe = PlannedText("t1", "a zorgle by Anna Weber, 1987", "en")
    checks = CheckConfig(unsafe_words=("zorgle",))
    answers: list[str | Reply] = [BAD] * 3
    rows, _ = climb(answers, (unsafe,), replace(config(), checks=checks))
    assert told(rows)[-1] == ("t1", unsafe.text, "alt", "fallback_alt")
    assert rows[-1].problems[-1] == "unsafe_alt"
    off = replace(checks, off=("unsafe_words",))
    answers = [BAD] * 3
    rows, _ = climb(answers, (unsafe,), replace(config(), checks=off))
    assert "unsafe_alt" not in rows[-1].problems
