"""Pages that the page kernel reads without lexbor: whatever is in them, it reads as lexbor does."""

import random
from html.entities import html5
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.extraction_data import SETS, load_set, load_site_pages
from tests.conformance.case_files import read_cases
from transforms import page_kernel
from transforms.html_parsers import canonical_lexbor
from transforms.markup import word_set
from transforms.source_limits import prepare_source
from transforms.stream_parser import stream_markup

pytestmark = pytest.mark.skipif(not page_kernel.AVAILABLE, reason="the kernel was not built")

SOUPS = 100_000

derandomized = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    max_examples=3000,
)


def check(html: str) -> bool:
    """Whether the page is read, and then as by lexbor."""
    found = stream_markup(html)
    assert found is None or found == canonical_lexbor(prepare_source(html))
    return found is not None


def test_every_named_reference_is_read() -> None:
    for name in html5:
        for html in (
            f"a&{name}b",
            f"<p title='&{name}'>",
            f"<p title='&{name}=b'>",
            f"&amp;{name}",
        ):
            assert check(html)


def test_every_byte_is_read_in_names_and_values() -> None:
    for code in (*range(1, 256), 0x3000, 0x1F6A2):
        character = chr(code)
        for html in (
            f"<p{character}a b{character}c=d{character}e {character}f>g",
            f"<p a='{character}' b=\"{character}\">h<{character}i></{character}j>{character}",
        ):
            check(html)


@pytest.mark.parametrize("length", [*range(1, 40), 60, 63, 64, 65, 127, 128, 129, 1000])
def test_long_texts_are_read_around_each_place(length: int) -> None:
    for special in ("&", "<", ">", '"', "\r", "\r\n", "\u00a0", "\u00a9", "\u20ac", "&amp;"):
        for place in {0, length // 2, length - 1}:
            text = f"{'x' * place}{special}{'y' * (length - 1 - place)}"
            assert check(f"<p title='{text}'>{text}")


@pytest.mark.parametrize("width", ["", "\u00e9", "\u6d77", "\U0001f6a2", "\ud800"])
def test_texts_of_each_width_are_read(width: str) -> None:
    for length in (0, 1, 15, 16, 63, 64, 65, 200):
        assert check(f"{'a' * length}{width}<p>{'b' * length}{width}</p>")


ELEMENTS = sorted(
    word_set(
        "a b big button code em font i nobr s u p div span li ul ol dd dt dl h1 h2 pre address"
        " section table tbody tr td th caption col colgroup thead form input br img hr select"
        " option optgroup textarea title script style noscript template iframe object marquee svg"
        " g path title desc body head html meta link base ruby rp rt rtc x-y center dialog summary"
        " canvas video frameset math xmp annotation"
    )
)
PIECES = [
    *(f"<{name}>" for name in ELEMENTS),
    *(f"</{name}>" for name in ELEMENTS),
    *(f"<{name} class=c HREF='d&amp;e'>" for name in ELEMENTS[:30]),
    "<b a<=1>", "<g/>", "<input type=hidden>", "<body a=b>", "<a b=c b=d", "</p e='>'>", "<!--",
    "-->", "<!-- f -->", "<!doctype html>", "<!doctype>", "<![CDATA[", "]]>", "</>", "<?", "&amp",
    "&lt;", "&nbsp;", "&#0;", "&#10;", "&#x80;", "&notit;", "&Tab;", "\u00a0", "\u6d77",
    "\U0001f6a2", "\r\n", "\n", "\f", "'", '"', "<", "</", ">", "=", "/", " ", "g", "\ud800",
]  # fmt: skip


OF_TABLES = word_set("table tbody tr td th caption colgroup col a b i p div li ul form")
IN_TABLES = [
    *(f"<{end}{name}>" for name in sorted(OF_TABLES) for end in ("", "", "/")),
    *("1", " ", "<input type=hidden>", "<template>", "</template>", "<b c>", "<b d>"),
]


@pytest.mark.parametrize(("pieces", "share"), [(PIECES, 0.6), (IN_TABLES, 0.3)])
def test_soup_of_few_ingredients_is_read_as_by_lexbor(pieces: list[str], share: float) -> None:
    # Of few pieces many come in an order that means something.
    chance = random.Random(7)
    read = 0
    for _ in range(SOUPS):
        pool = chance.sample(pieces, chance.randrange(2, 8))
        read += check("".join(chance.choices(pool, k=chance.randrange(1, 14))))
    assert read > share * SOUPS


@derandomized
@given(st.lists(st.sampled_from(PIECES), max_size=25))
def test_soup_is_read_as_by_lexbor(drawn: list[str]) -> None:
    check("".join(drawn))


@derandomized
@given(st.lists(st.sampled_from(IN_TABLES), max_size=30))
def test_soup_of_tables_and_formatting_is_read_as_by_lexbor(drawn: list[str]) -> None:
    check("".join(drawn))


CASES = [case.html for case in read_cases()]


def test_conformance_pages_are_read_as_by_lexbor() -> None:
    read = [check(html) for html in CASES]
    assert sum(read) > 0.9 * len(read)


@derandomized
@given(
    st.sampled_from(CASES),
    st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 40)), max_size=8),
    st.lists(st.sampled_from(PIECES), min_size=8, max_size=8),
)
def test_damaged_pages_are_read_as_by_lexbor(
    page: str, places: list[tuple[int, int]], pieces: list[str]
) -> None:
    for (first, length), piece in zip(places, pieces, strict=False):
        begin = len(page) * first >> 16
        page = page[:begin] + piece + page[begin + length :]
    check(page)


def test_real_pages_are_read_as_by_lexbor(shared_data: Path) -> None:
    for name in SETS:
        read = [check(page.html) for page in load_set(name, shared_data)]
        assert sum(read) > 0.9 * len(read)
    for page in load_site_pages(shared_data)[::4]:
        check(page.html)
