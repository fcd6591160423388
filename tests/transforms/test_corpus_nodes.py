"""Nodes and addresses as every interleaved corpus makes them."""

import pytest

from schemas.errors import InputRowError
from transforms.corpus_nodes import (
    crawl_time,
    image_address,
    image_node,
    page_address,
    paragraphs,
)

PAGE = "https://www.example.org/blog/post"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one\n\ntwo", ["one", "two"]),
        ("one\r\n \t\r\n\r\ntwo\rthree", ["one", "two\nthree"]),
        ("  a  b \n\u200b\n c ", ["a b\nc"]),
        ("\n\n \n", []),
        ("STOP\n\na\n\nSTOP b\n\nSTOP", ["a", "STOP b"]),
        ("half a pair \ud83d", ["half a pair"]),
    ],
)
def test_text_is_cut_at_blank_lines(text: str, expected: list[str]) -> None:
    assert [node.text for node in paragraphs(text, "STOP")] == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("HTTP://Img.Example.org:80/a b.jpg", "http://img.example.org/a%20b.jpg"),
        ("//img.example.org/a.jpg", "https://img.example.org/a.jpg"),
        ("../a.jpg", "https://www.example.org/a.jpg"),
        ("data:image/png;base64,AA", "data:image/png;base64,AA"),
        ("ftp://a.example/\ud83d", "ftp://a.example/"),
        ("\u200b", "https://www.example.org/blog/%E2%80%8B"),
        ("data:" + "a" * 9000, "data:" + "a" * 4091),
    ],
)
def test_image_has_an_address(raw: str, expected: str) -> None:
    assert image_address(raw, PAGE) == expected


def test_image_without_address_is_typed() -> None:
    with pytest.raises(InputRowError):
        image_address(" \n", PAGE)
    assert image_address("\u200b", "") == "about:invalid"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (300, 300),
        (0, 0),
        (12.7, 12),
        ("640", 640),
        ("50%", None),
        (-1, None),
        (None, None),
        (float("nan"), None),
        (float("inf"), None),
        (10**400, None),
        ("x", None),
    ],
)
def test_declared_size_is_a_length_or_none(value: object, expected: int | None) -> None:
    assert image_node("https://a.example/b.jpg", None, value, "7").declared_width == expected


def test_image_keeps_what_the_page_said() -> None:
    node = image_node("https://a.example/b.svg", "  an\n alt " + "x" * 5000)
    assert node.alt is not None
    assert (node.svg, node.alt[:8], len(node.alt)) == (True, "an alt x", 4000)
    assert image_node("https://a.example/b.jpg", " \n ").alt is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [(None, ""), ("", ""), ("HTTP://A.example", "http://a.example/"), ("urn:x\ny", "urn:x y")],
)
def test_page_has_an_address_or_none(url: str | None, expected: str) -> None:
    assert page_address(url) == expected


def test_crawl_time_is_read_from_the_name_of_its_file() -> None:
    name = "x/CC-MAIN-20211018032424-20211018062424-00511.warc.gz"
    assert crawl_time(name) == "2021-10-18T03:24:24Z"
    assert crawl_time("crawl.warc.gz") == crawl_time(None) == ""
