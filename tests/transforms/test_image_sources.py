"""Srcsets of strangers; what becomes of them on pages is in the conformance suite."""

import pytest

from tests.conftest import hang_guard
from transforms.image_sources import MAX_SRCSET_LENGTH, parse_srcset


@pytest.mark.parametrize(
    ("srcset", "urls"),
    [
        ("a.jpg", ["a.jpg"]),
        ("a.jpg, b.jpg 2x", ["a.jpg", "b.jpg"]),
        ("a,b.jpg 1x,c.jpg 2x", ["a,b.jpg", "c.jpg"]),
        (" ,, a.jpg 1x ,\n , b.jpg,, ", ["a.jpg", "b.jpg"]),
        ("a.jpg (1x, 2x), b.jpg", ["a.jpg", "b.jpg"]),
        (", ,\u00a0\u3000", []),
        ("", []),
    ],
)
def test_srcset_gives_its_urls(srcset: str, urls: list[str]) -> None:
    assert [url for url, *_ in parse_srcset(srcset)] == urls


@pytest.mark.parametrize("filler", [" ", ",", " ,", "(", "a,", "a ", "\u3000", "1x "])
def test_srcset_of_fillers_takes_linear_time(filler: str) -> None:
    for srcset in ("a.jpg 2x," + filler * MAX_SRCSET_LENGTH, filler * MAX_SRCSET_LENGTH + "a.jpg"):
        with hang_guard():
            for _ in range(50):
                parse_srcset(srcset)
