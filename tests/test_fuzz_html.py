"""Fuzzing of extraction: real pages and pages made here, torn apart and put together again.

Hypothesis draws a seed page and a list of damages from a seed of its own that depends on this code
alone (`derandomize`), so that a failure comes again on every machine. It shrinks what fails; the
page is then written to a file that the failure names. `WEFT_FUZZ_SECONDS` is about how long it runs
(`make fuzz`: a minute).
"""

import gzip
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from schemas.errors import DataError
from schemas.rows import Node
from tests.conftest import SHARED_DATA, hang_guard
from transforms.charset import decode_html
from transforms.dom import parse_html
from transforms.interleave import extract_page
from transforms.page_facts import PageFacts, page_facts
from transforms.page_limits import ExtractConfig
from transforms.urls import normalize_url

SECONDS = float(os.environ.get("WEFT_FUZZ_SECONDS", "10"))
EXAMPLES_PER_SECOND = 100
MAX_BYTES = 200_000
MAX_BYTES_BEAUTIFULSOUP = 20_000
HANG_SECONDS = {"lexbor": 60.0, "beautifulsoup": 600.0}
"""CPU time after which a page is taken to have no end: thousands of times what one takes, which is
a hundredth of a second, and a fifth of one on html5lib, which is plain Python."""
CONFIG = ExtractConfig(max_seconds=1e6)
"""No page ends by the clock: the same page gives the same on any machine."""
URL = "https://fuzz.example/dir/page.html?q=1"
CRAWLED = "2024-06-01T00:00:00Z"

PROSE = "The boats come back with the tide, and people walk along the quay to see what they bring. "
MADE = {
    "article": f"""<!doctype html><html lang=en><head><title>Harbour &amp; town</title>
<base href="/b/"><link rel=canonical href="/c"><meta property="og:image" content="o.jpg">
<meta name=robots content=noai><script type="application/ld+json">
{{"@type":"Article","datePublished":"2024-03-05","author":"A"}}</script></head><body><nav>
<a href=/>Home</a></nav><article><h1>Harbour</h1><p>{PROSE * 3}</p><figure><picture>
<source srcset="a,b.webp 800w, c.webp 2x"><img src=d.jpg alt="A boat" width=640></picture>
<figcaption>The boat <a rel=license href=//creativecommons.org/licenses/by/4.0/>CC</a></figcaption>
</figure><p>{PROSE * 2}<br><br>{PROSE}</p><blockquote><p>Said.</blockquote></article>
<footer>No</footer>""",
    "lists and tables": f"""<main><ul><li>One<ul><li>Two<ol start=3><li>Three</ol></ul><li>{PROSE}
</ul><dl><dt>Tide<dd>{PROSE}<dd>Again</dl><table><caption>Boats</caption><thead><tr><th>a<th>b
</thead><tr><td rowspan=2>{PROSE}<td><img src="/t.png" alt=t><tr><td colspan=99999>x|y</table>
<table><tr><td><table><tr><td>inner</table></table><pre><code>x = [1]\n\n  y</code></pre><hr>""",
    "lazy images": f"""<body><p>{PROSE}</p>
<img data-src="//cdn.example/l.jpg" src="data:image/gif;base64,R0=">
<noscript><img src="//cdn.example/l.jpg"></noscript><a href=full.jpg><img src=thumb.jpg title=T>
</a><amp-img src="a b.png" width=1 height=1></amp-img><svg><title>s</title><image href=x /></svg>
<p>{PROSE}<img src="javascript:x"><img src="http://[::1]:99999/"><img srcset=", , ,">
<p class=caption>Words""",
    "forum": f"""<div id=posts><div class="post comment" itemscope
itemtype="http://schema.org/Comment"><span itemprop=author>Bo</span><time itemprop=datePublished
datetime=2024-01-01>x</time>{PROSE}<br>{PROSE}<p>Unclosed <b><i>mis</b>nested</i></div>
<div class=post>{PROSE * 2}</div></div>""",
    "writing systems": f"<p>{PROSE * 4}<p>海の港は町の下に。毎朝船が戻る。<p>Гавань ниже"
    " города.<p>مرحبا<p>e\u0301 \u200b \ufeff \U0001f6a2 &nbsp;&#x200d;&copy&notit;&#1234567890;",
    "frames": "<frameset><frame src=a></frameset><noframes><p>None</noframes><select><option>o",
}  # fmt: skip
TOKENS = [
    b"<!--", b"-->", b"<![CDATA[", b"]]>", b"</", b"<", b">", b'"', b"'", b"&#0;", b"&#xD800;",
    b"&", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\x1b$B", b"<plaintext>", b"<xmp>", b"<textarea>",
    b"<script>", b"</script>", b"<style>", b"<title>", b"<template>", b"<noscript>", b"<svg><p>",
    b"<math><mi><img src=x>", b"<table><a>", b"<select><img src=x>", b"<base href='http://b/'>",
    b"<base href='javascript:'>", b"<body>", b"</body>", b"</html>", b"<html lang='", b"<head>",
    b"<img src='//a/%zz\xe9.png' alt='a\x00b'>", b"<img srcset='a 1w,b 99999999999999w,c -1x'>",
    b"<img src=a.svg width=1e9 height=-1>", b"<figure><figcaption>", b"<picture><source srcset=a>",
    b"<p hidden>", b"<p style='display:none'>", b"<td rowspan=65535>", b"<li value=99999999999>",
    b"<pre>", b"<a href='x.jpg'>", b"</p>", b"</table>", b"<br>" * 30, b"<meta charset=utf-7>",
    b"<meta name=date content='99999-99-99T99:99:99+99:99'>", b"<tag<tag a<b=c>", b"<a\x0cb=\xa0>",
    b'<script type="application/ld+json">{"@type":"Article","author":[[',
]  # fmt: skip
NESTED = [
    b"<div>", b"<b>", b"<a href=x>", b"<table><tr><td>", b"<ul><li>", b"<blockquote>", b"<span>",
    b"<section>", b"<noscript>", b"<svg>", b"<figure>", b"<font>", b"<form>", b"<h1>", b"<button>",
    b"<template>", b"<p>", b"<dl><dd>", b"<object>", b"<math>", b"<picture>", b"<x-y>", b"<pre>",
]  # fmt: skip
CHARSETS = [
    None, "text/html", "text/html; charset=utf-8", "text/html; charset=windows-1252",
    "text/html; charset=shift_jis", "text/html; charset=utf-16le", "text/html; charset=gb18030",
    "text/html; charset=euc-kr", "text/html; charset=x-user-defined", "text/html; charset=no-such",
    "text/html; charset=iso-2022-jp", "text/html; charset=koi8-r",
]  # fmt: skip
ENCODINGS = ["utf-8", "utf-8", "utf-8", "windows-1252", "shift_jis", "utf-16", "gb18030", "koi8-r"]


def real_pages() -> list[bytes]:
    """Some of the real pages beside the checkout, where they are, as they were received."""
    root = SHARED_DATA / "extraction"
    found = [
        *sorted((root / "scrapinghub" / "html").glob("*.html.gz"))[::9],
        *sorted((root / "wcxb" / "html").glob("*.html.gz"))[::31],
        *sorted((root / "readability" / "pages").glob("*/source.html*"))[::9],
    ]
    pages = [
        gzip.decompress(p.read_bytes()) if p.suffix == ".gz" else p.read_bytes() for p in found
    ]
    return [page for page in pages if len(page) <= MAX_BYTES]


SEEDS = [page.encode() for page in MADE.values()] + real_pages()


# A damage: what is done, where (two places, in 65536ths of the page), and a number that it needs.
Damage = tuple[str, int, int, int]


def _insert(page: bytes, at: int, piece: bytes) -> bytes:
    return page[:at] + piece + page[at:]


def _flip(page: bytes, start: int, end: int, number: int) -> bytes:
    changed = bytearray(page)
    step = max(1, (end - start) // (1 + number % 32))
    for at in range(start, end, step):
        changed[at] ^= 1 << ((at + number) % 8)
    return bytes(changed)


def _flood(page: bytes, start: int, end: int, number: int) -> bytes:
    """Attributes behind the first tag name from `start` on: different ones, or one many times."""
    opening = page.find(b"<", start)
    space = page.find(b" ", opening)
    at = space if opening >= 0 and space >= 0 else len(page)
    names = (b" a%d=1" % n for n in range(number % 6000))
    flood = b"".join(names) if end % 2 else b' alt="x"' * (number % 6000)
    return _insert(page, at, flood)


DAMAGES: dict[str, Callable[[bytes, int, int, int], bytes]] = {
    "truncate": lambda page, start, end, number: page[:end],
    "behead": lambda page, start, end, number: page[start:],
    "delete": lambda page, start, end, number: page[:start] + page[end:],
    "duplicate": lambda page, start, end, number: _insert(
        page, end, page[start:end] * min(number % 50, MAX_BYTES // (end - start + 1))
    ),
    "move": lambda page, start, end, number: _insert(
        page[:start] + page[end:], number % (len(page) - (end - start) + 1), page[start:end]
    ),
    "splice": lambda page, start, end, number: _insert(
        page, start, SEEDS[number % len(SEEDS)][start : end + 2000]
    ),
    "flip": _flip,
    "nul": lambda page, start, end, number: _insert(page, start, b"\x00" * (1 + number % 100)),
    "token": lambda page, start, end, number: _insert(page, start, TOKENS[number % len(TOKENS)]),
    "nest": lambda page, start, end, number: _insert(
        page, start, NESTED[number % len(NESTED)] * (1 + number % 3001)
    ),
    "unclose": lambda page, start, end, number: page[:start] + page[start:end].replace(b"</", b"<"),
    "flood": _flood,
    "recode": lambda page, start, end, number: page.decode("utf-8", "replace").encode(
        ENCODINGS[number % len(ENCODINGS)], "replace"
    ),
}

damages = st.lists(
    st.tuples(
        st.sampled_from(sorted(DAMAGES)),
        st.integers(0, 65535), st.integers(0, 65535), st.integers(0, 1 << 20),
    ),
    max_size=8,
)  # fmt: skip


def damaged(seed: bytes, steps: list[Damage]) -> bytes:
    """A seed after some damages, in their order."""
    page = seed
    for name, first, second, number in steps:
        start, end = sorted((first * len(page) >> 16, second * len(page) >> 16))
        page = DAMAGES[name](page, start, end, number)[:MAX_BYTES]
    return page


def extracted(html: str, backend: str = "lexbor") -> tuple[list[Node], PageFacts] | str:
    """What a page gives: nodes and facts, or the name of a `DataError`."""
    try:
        page = extract_page(html, URL, CONFIG, backend)
        dom = parse_html(html, backend)
    except DataError as error:
        return error.error
    return page.nodes, page_facts(html, dom, page.base_url, (), CRAWLED)


def check_node(node: Node) -> None:
    assert node.kind in ("text", "image")
    assert (node.text is None) == (node.kind == "image")
    assert (node.image_url is None) == (node.kind == "text")
    for url in (node.image_url, node.full_url):
        assert url is None or normalize_url(url) == url, url
    for text in (node.text, node.alt, node.title, node.figcaption, node.neighbour):
        if text is not None:
            assert "\x00" not in text
            assert text.strip(), "a blank text"
            text.encode()  # no lone surrogate


def check_page(page: bytes, declared: str | None, backend: str, between: str) -> None:
    """All properties of extraction on one page."""
    try:
        html, _ = decode_html(page, declared)
    except DataError:
        return
    with hang_guard(HANG_SECONDS[backend]):
        first = extracted(html, backend)
    extracted(between)
    assert extracted(html, backend) == first, "it depends on what was extracted before"
    if isinstance(first, str):
        return
    nodes, facts = first
    for node in nodes:
        check_node(node)
    for node in nodes:
        assert node.paragraph is None or nodes[node.paragraph].kind == "text"
    for url in (facts.canonical_url, facts.tdm_policy, *facts.og_images, *facts.license_urls):
        assert url is None or normalize_url(url) == url, url
    for text in (facts.title, facts.robots, facts.language_declared, *facts.authors):
        assert text is None or "\x00" not in text


def test_damages_do_what_they_say() -> None:
    page = "<p>à <b>def</b></p>".encode() * 10
    for name in DAMAGES:
        assert damaged(page, [(name, 9000, 30000, 1003)]) != page, name
    assert damaged(page, []) == page


def fuzz(
    check: Callable[[bytes, str | None, str, str], None], folder: Path, seconds: float
) -> None:
    """Check damaged pages for some seconds; what fails is shrunk, and written to `folder`."""
    end = time.monotonic() + 1.5 * seconds
    failing = False

    @settings(
        max_examples=max(10, int(EXAMPLES_PER_SECOND * seconds)),
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.integers(0, len(SEEDS) - 1),
        damages,
        st.sampled_from(CHARSETS),
        st.sampled_from(["lexbor"] * 11 + ["beautifulsoup"]),
        st.sampled_from(sorted(MADE)),
    )
    def holds(
        seed: int, steps: list[Damage], declared: str | None, backend: str, between: str
    ) -> None:
        nonlocal failing
        # On a slow machine fewer of the same pages are tried; what failed is never skipped.
        if time.monotonic() > end and not failing:
            return
        page = damaged(SEEDS[seed], steps)
        if backend == "beautifulsoup":
            page = page[:MAX_BYTES_BEAUTIFULSOUP]
        try:
            check(page, declared, backend, MADE[between])
        except Exception as error:
            failing = True
            path = folder / f"{hashlib.sha256(page).hexdigest()[:16]}.html"
            path.write_bytes(page)
            error.add_note(f"the page: {path} ({declared}, {backend})")
            raise

    holds()


def test_extraction_holds_on_damaged_pages(tmp_path_factory: pytest.TempPathFactory) -> None:
    fuzz(check_page, tmp_path_factory.mktemp("fuzz"), SECONDS)


def test_failure_names_the_file_of_the_smallest_page(tmp_path: Path) -> None:
    def check(page: bytes, declared: str | None, backend: str, between: str) -> None:
        assert b"<noscript>" not in page

    with pytest.raises(AssertionError) as caught:
        fuzz(check, tmp_path, 4)
    (note,) = (note for note in caught.value.__notes__ if note.startswith("the page: "))
    named = Path(note.removeprefix("the page: ").partition(" (")[0])
    assert b"<noscript>" in named.read_bytes()
    smallest = min(path.stat().st_size for path in tmp_path.iterdir())
    assert named.stat().st_size <= 2 * smallest
