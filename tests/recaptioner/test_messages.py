"""Texts that would be structure stay text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recaptioner.engines.base import Request, Sampling
from recaptioner.engines.messages import chat_messages, plain_text

MARKERS = [
    "<image>", "<s>", "</s>", "<pad>", "<|im_end|>", "<|endoftext|>", "<|start_header_id|>",
    "<start_of_turn>", "<image_soft_token>", "<IMG_CONTEXT>", "<_>", "<!--", "<<SYS>>",
    "[INST]", "[/INST]", "[IMG_END]", "[CLS]", "<\uff5cUser\uff5c>", "<unused12>",
]  # fmt: skip


@pytest.mark.parametrize("marker", MARKERS)
def test_no_marker_is_left(marker):
    found = plain_text(f"a {marker} b{marker}")
    assert marker not in found
    assert found.replace(" ", "") == f"a{marker}b{marker}".replace(" ", "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a < b",
        "x <3",
        "1<2",
        "5 > 4",
        "[1]",
        "[sic]",
        "[A man]",
        "caf\u00e9 \U0001f600",
        "< s>",
    ],
)
def test_other_text_stays(text):
    assert plain_text(text) == text


@settings(deadline=None)
@given(st.lists(st.sampled_from([*MARKERS, "<", "[", "/", "a", " ", "|", "]", ">"])).map("".join))
def test_what_is_plain_stays_plain(text):
    found = plain_text(text)
    assert plain_text(found) == found
    assert not any(marker in found for marker in MARKERS)


@pytest.mark.parametrize("text", ["<" * 100_000, "[" * 100_000, "[A" * 50_000, "<|" * 50_000])
def test_long_texts_take_no_time(text, hang_guard_60):
    assert plain_text(text).replace(" ", "") == text


@pytest.fixture
def hang_guard_60():
    from tests.conftest import hang_guard

    with hang_guard(60):
        yield


def make(system: str, user: str) -> Request:
    return Request("k", system, user, None, Sampling(1))


def test_the_picture_comes_before_the_text():
    part = {"type": "image_url"}
    assert chat_messages(make("", "a <image>"), part) == [
        {"role": "user", "content": [part, {"type": "text", "text": "a < image>"}]}
    ]
    assert chat_messages(make("", ""), part) == [{"role": "user", "content": [part]}]


def test_a_system_text_is_a_message_of_its_own():
    assert chat_messages(make("be [INST] brief", "a"), None) == [
        {"role": "system", "content": "be [ INST] brief"},
        {"role": "user", "content": "a"},
    ]
