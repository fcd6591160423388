"""What holds for every page: nothing twice, document order, no memory, one answer of two parsers.

The pages are those of the case files and generated ones, whose texts and images carry numbers in
the order of the source, so that what came out can be compared without a second extractor.
"""

import random
import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.rows import Node
from tests.conformance.case_files import URL, Case, read_cases
from transforms.html_parsers import BACKENDS
from transforms.interleave import Page, extract_page
from transforms.page_limits import ExtractConfig

CASES = read_cases()
CONFIG = ExtractConfig()
MANY = settings(max_examples=150, deadline=None, derandomize=True, database=None)
SMALL = 250
"""Characters of text of a page up to which all of it is content (`main_content.MIN_TEXT`)."""

_MARKER = re.compile(r"^\s*(?:\d+\.|[-:>|]|#{1,6})\s")
_NUMBER = re.compile(r"n(\d+)n")


def letters(text: str) -> str:
    """Letters and digits of a text: what no markup of ours changes."""
    return "".join(filter(str.isalnum, text))


class _Characters(HTMLParser):
    """All characters of a source that are not in tags; a second, simpler reading of it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def lines_and_source(html: str, page: Page) -> tuple[list[str], str]:
    """Lines of the nodes that can be told apart, and the page, both as letters."""
    reader = _Characters()
    reader.feed(html)
    reader.close()
    lines = [
        letters(_MARKER.sub("", line))
        for node in page.nodes
        for line in (node.text or "").split("\n")
    ]
    return [line for line in lines if len(line) >= 12], letters("".join(reader.texts))


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_sentences_of_a_page_come_once_and_in_order(case: Case) -> None:
    lines, source = lines_and_source(case.html, extract_page(case.html, case.url, CONFIG))
    once = [line for line in lines if source.count(line) == 1]
    output = "\n".join(lines)
    assert [line for line in once if output.count(line) > 1] == []
    places = [source.index(line) for line in once]
    assert places == sorted(places)


def test_case_pages_have_sentences_to_look_for() -> None:
    """Else the test above would hold of nothing."""
    found = 0
    for case in CASES:
        lines, source = lines_and_source(case.html, extract_page(case.html, case.url, CONFIG))
        found += sum(source.count(line) == 1 for line in lines)
    assert found > 400


@pytest.mark.parametrize("seed", [1, 2])
def test_extraction_does_not_depend_on_what_was_extracted_before(seed: int) -> None:
    def extract(case: Case, backend: str) -> list[Node]:
        return extract_page(case.html, case.url, CONFIG, backend).nodes

    work = [(case, backend) for case in CASES for backend in BACKENDS]
    alone = {(case.name, backend): extract(case, backend) for case, backend in work}
    shuffled = [*work, *work[:100]]
    random.Random(seed).shuffle(shuffled)
    changed = [
        (case.name, backend)
        for case, backend in shuffled
        if extract(case, backend) != alone[case.name, backend]
    ]
    assert changed == []


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_backends_agree_on_case_pages(case: Case) -> None:
    first, second = (extract_page(case.html, case.url, CONFIG, backend) for backend in BACKENDS)
    assert first.nodes == second.nodes
    assert first.base_url == second.base_url


# Generated pages. A part is a template; `@` becomes a numbered text, `$` a numbered image URL.

VISIBLE = (
    "<p>@</p>",
    "<p>@<br>@</p>",
    "<p>@ <b>@</b> <a href='/x'>@</a></p>",
    "<h2>@</h2>",
    "@<hr>",
    "<ul><li>@</li><li>@<ol><li>@</li></ol></li></ul>",
    "<ol start=4><li><p>@</p><img src='$'></li></ol>",
    "<dl><dt>@</dt><dd>@</dd></dl>",
    "<blockquote><p>@</p></blockquote>",
    "<pre>@\n@</pre>",
    "<table><tr><th>@</th><th>@</th></tr><tr><td>@</td><td>@<img src='$'></td></tr></table>",
    "<table><caption>@</caption><tr><td>@</td><td>@</td></tr><tr><td>@</td><td>@</td></tr></table>",
    "<table><tr><td><h3>@</h3></td><td><p>@</p></td></tr></table>",
    "<figure><img src='$'><figcaption>@</figcaption></figure>",
    "<figure><figcaption>@</figcaption><img src='$'><img src='$'></figure>",
    "<a href='/y'><img src='$'></a>",
    "<picture><source srcset='$ 900w'><img src='small.jpg'></picture>",
    "<details><summary>@</summary>@</details>",
)
LEFT_TO_THE_SELECTOR = (
    "<p hidden>@</p>",
    "<nav><ul><li><a href='/1'>@</a></li><li><a href='/2'>@</a></li></ul></nav>",
    "<div class='share-bar'><a href='/3'>@</a></div>",
    "<aside><p>@</p></aside>",
    "<footer>@</footer>",
    "<form><label>@</label></form>",
)
WRAPPERS = (
    "<div>%</div>",
    "<section class='content'>%</section>",
    "<article>%</article>",
    "<div class='sidebar'>%</div>",
    "<span>%</span>",
    "<b>%</b>",
    "<table role='presentation'><tr><td>%</td></tr></table>",
    "<ul><li>%</li></ul>",
    "<blockquote>%</blockquote>",
)
END_TAGS = re.compile(r"</(?:p|li|td|tr|div|section|article|b|span|blockquote|figure|dd)>")
WORDS = ("river", "stone", "lamp", "orchard", "bridge", "window", "copper", "winter", "garden")


def page_of(parts: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Pages of some parts, in wrappers, with the numbers not yet filled in."""
    wrapped = st.recursive(
        st.lists(st.sampled_from(parts), min_size=1, max_size=4).map("".join),
        lambda inner: st.tuples(
            st.sampled_from(WRAPPERS), st.lists(inner, min_size=1, max_size=3).map("".join)
        ).map(lambda pair: pair[0].replace("%", pair[1])),
        max_leaves=6,
    )
    return st.lists(wrapped, min_size=1, max_size=4).map("".join)


def numbered(page: str, text: Callable[[int], str]) -> tuple[str, int]:
    """The page with its texts and images numbered in the order of the source, and how many."""
    count = 0

    def fill(match: re.Match[str]) -> str:
        nonlocal count
        count += 1
        return text(count) if match.group() == "@" else f"n{count}n.jpg"

    return re.sub(r"[@$]", fill, page), count


def numbers_of(page: Page) -> list[int]:
    """The numbers of the texts and images of a page, as they came out."""
    shown = (node.text or node.image_url or "" for node in page.nodes)
    return [int(number) for text in shown for number in _NUMBER.findall(text)]


def sentence(number: int) -> str:
    """A text that is long enough to be prose, and unlike every other."""
    words = [WORDS[(number * step + step) % len(WORDS)] for step in range(1, 9)]
    return f"The n{number}n {' '.join(words)}, and so it was told."


@MANY
@given(page_of(VISIBLE))
def test_small_generated_page_comes_out_whole_once_and_in_order(template: str) -> None:
    html, count = numbered(template, "n{}n".format)
    if template.count("@") * 5 > SMALL:
        return
    for backend in BACKENDS:
        found = numbers_of(extract_page(html, URL, CONFIG, backend))
        assert found == list(range(1, count + 1))


@MANY
@given(page_of(VISIBLE + LEFT_TO_THE_SELECTOR), st.sets(st.integers(0, 40), max_size=6))
def test_generated_page_comes_out_once_and_in_order(template: str, unclosed: set[int]) -> None:
    """Whatever is chosen of it, and with end tags missing."""
    html, _ = numbered(template, sentence)
    for place, tag in reversed(list(enumerate(END_TAGS.finditer(html)))):
        if place in unclosed:
            html = html[: tag.start()] + html[tag.end() :]
    pages = [extract_page(html, URL, CONFIG, backend) for backend in BACKENDS]
    assert pages[0].nodes == pages[1].nodes
    found = numbers_of(pages[0])
    assert found == sorted(set(found))


def test_generated_pages_keep_something() -> None:
    """Else the test above would hold of nothing: of plain paragraphs some must come out."""
    html, count = numbered("<article>" + "<p>@</p>" * 12 + "</article>", sentence)
    assert numbers_of(extract_page(html, URL, CONFIG)) == list(range(1, count + 1))
