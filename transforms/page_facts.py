"""What a page says of itself beside its content: its URL, date, author, licence and terms.

Everything is taken as declared, and only where it is declared for the page: what several statements
of one kind disagree on is None, because the next best guess would be wrong on exactly the pages
where it matters. Facts are read from the parsed page; `link`, JSON-LD and drawings, which the DOM
does not hold, from the source, with searches for words and without a pattern over the whole page.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import unescape as unescape_html
from itertools import chain

from transforms.dom import Dom, unescape
from transforms.json_ld import Work, read_works
from transforms.licenses import License, license_of_url, licenses_in_text, settle
from transforms.markup import clean_text
from transforms.microdata import MAX_HITS, Microdata, read_microdata, tags_with
from transforms.page_dates import agreed_date
from transforms.robots import META_NAMES, read_robots
from transforms.urls import resolve_url

MAX_TITLE_CHARACTERS = 2000
MAX_AUTHORS = 32
MAX_AUTHOR_CHARACTERS = 200
"""Characters of a name; what is longer is a biography and left out."""
MAX_OG_IMAGES = 16
MAX_HEAD_CHARACTERS = 512 * 1024
"""Characters in which `link` elements are looked for where a page does not end its head."""
_MAX_TAG = 4000

_PUBLISHED = (
    "article:published_time", "og:article:published_time", "og:published_time", "og:pubdate",
    "article:published", "citation_publication_date", "citation_online_date", "parsely-pub-date",
    "sailthru.date", "dc.date.issued", "dcterms.issued", "dc.date.created", "dcterms.created",
    "dcterms.date", "dc.date", "publishdate", "publish-date", "publish_date", "publication_date",
    "pubdate", "date.release", "datepublished", "date",
)  # fmt: skip
_TITLE_TAGS = 1000
"""Tags of a title that are read; one heading may hold a whole page, and others that do."""
_MODIFIED = (
    "article:modified_time", "og:article:modified_time", "og:modified_time", "og:updated_time",
    "article:modified", "dcterms.modified", "dc.date.modified", "datemodified", "last-modified",
    "revised",
)  # fmt: skip
_AUTHORS = (
    "citation_author", "author", "article:author", "og:article:author", "parsely-author",
    "sailthru.author", "dc.creator", "dcterms.creator",
)  # fmt: skip
_RIGHTS = ("dc.rights", "dcterms.rights", "dcterms.license", "dc.rights.license", "license")
_OG = ("og:url", "og:locale", "og:image", "og:image:url", "content-language")
_WANTED = frozenset(
    name.encode() for name in (*_PUBLISHED, *_MODIFIED, *_AUTHORS, *_RIGHTS, *_OG, *META_NAMES)
)
_META_ATTRIBUTE = re.compile(rb' (name|property|http-equiv|content)="([^"]*)"')
_HEAD_END = re.compile("</head|<body", re.I)
_LINK_START = re.compile("<(?i:link)\\b[^<]*")
_LINK = re.compile(r"<link\b((?:[^>\"']|\"[^\"]*\"|'[^']*')*)>", re.I)
_ATTRIBUTE = re.compile(r"([^\s=>\"'/]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))")
_URL_LIKE = re.compile(r"(?:https?:)?//|www\.|[^\s@]+@[^\s@]+\.")
_OTHER_SOURCES = re.compile(rb' (?:[a-z\-]*srcset|data-[a-z\-]+|[a-z\-]*lazy-?src)="[^"]*[/.]')


@dataclass(frozen=True, slots=True)
class PageFacts:
    """The facts of a page; fields without a docstring are those of `schemas.rows.Document`."""

    title: str
    """Text of `<title>`, else of the first `h1`; may be empty."""
    language_declared: str | None
    canonical_url: str | None
    date_published: str | None
    date_modified: str | None
    authors: list[str]
    license: str | None
    license_urls: list[str]
    robots: str | None
    noindex: bool
    noai: bool
    noimageai: bool
    tdm_reserved: bool | None
    tdm_policy: str | None
    unavailable_after: str | None
    ai_opt_out: bool
    og_images: list[str]
    data_uri_images: int
    inline_svgs: int


def _title(dom: Dom) -> str:
    for name in ("title", "h1"):
        for node in dom.positions(name)[:MAX_HITS]:
            text = dom.text_of(node, most_tags=_TITLE_TAGS)[: 10 * MAX_TITLE_CHARACTERS]
            if text := clean_text(text):
                return text[:MAX_TITLE_CHARACTERS].rstrip()
    return ""


def _read_metas(dom: Dom) -> dict[str, list[str]]:
    """Contents of the meta elements that are asked for, by name in lower case, in page order."""
    metas: dict[str, list[str]] = {}
    source, nodes = dom.source, dom.positions("meta")
    for start, stop in zip(dom.starts[nodes].tolist(), dom.stops[nodes].tolist(), strict=True):
        values = dict(_META_ATTRIBUTE.findall(source, start, stop))
        content = values.pop(b"content", b"")
        for name in {value.strip().lower(): None for value in values.values()}:
            if content and name in _WANTED:
                metas.setdefault(name.decode(), []).append(unescape(content))
    return metas


def _language(
    dom: Dom, metas: dict[str, list[str]], headers: Sequence[tuple[str, str]]
) -> str | None:
    candidates = [dom.attribute(0, "lang"), dom.attribute(0, "xml:lang")]
    candidates += metas.get("content-language", [])
    candidates += [dom.attribute(node, "lang") for node in dom.positions("body")]
    # A header with several names the languages of the readers, not of the text.
    candidates += [
        value for name, value in headers if name == "content-language" and "," not in value
    ]
    candidates += [value.replace("_", "-") for value in metas.get("og:locale", [])]
    cleaned = (clean_text(candidate)[:64] for candidate in candidates)
    return next((candidate for candidate in cleaned if candidate), None)


def _head_end(html: str) -> int:
    first = _HEAD_END.search(html, 0, MAX_HEAD_CHARACTERS)
    if first is None or first[0] == "</head":
        return first.start() if first else min(len(html), MAX_HEAD_CHARACTERS)
    for closing in ("</head", "<body", "</HEAD", "<BODY"):
        if (end := html.find(closing, 0, MAX_HEAD_CHARACTERS)) >= 0:
            return end
    return min(len(html), MAX_HEAD_CHARACTERS)


def _is_hidden(html: str, tag: int) -> bool:
    """Whether a tag stands in a comment or a script."""
    for opening, closing in (("<!--", "-->"), ("<script", "</script")):
        begin = html.rfind(opening, 0, tag)
        if begin >= 0 and html.find(closing, begin, tag) < 0:
            return True
    return False


def _head_links(html: str) -> dict[str, list[str]]:
    """Targets of the `link` elements of the head that name the page's own URL or its licence."""
    targets: dict[str, list[str]] = {"canonical": [], "license": []}
    hits = 0
    for start in _LINK_START.finditer(html, 0, _head_end(html)):
        if "canonical" not in start[0] and "license" not in start[0]:
            continue
        hits += 1
        if hits > MAX_HITS:
            break
        tag = start.start()
        match = _LINK.match(html, tag, tag + _MAX_TAG)
        if match is None or _is_hidden(html, tag):
            continue
        attributes: dict[str, str] = {}
        for key, *values in _ATTRIBUTE.findall(match[1]):
            attributes.setdefault(key.lower(), unescape_html("".join(values)))
        words = attributes.get("rel", "").lower().split()
        for word, found in targets.items():
            if word in words and word in match[0]:
                found.append(attributes.get("href", ""))
    return targets


def _canonical(targets: Iterable[str], metas: dict[str, list[str]], base: str) -> str | None:
    """The page's own URL; None where it names two, as search engines treat it."""
    urls = {url for text in targets if text.strip() and (url := resolve_url(base, text))}
    if urls:
        return urls.pop() if len(urls) == 1 else None
    shared = (resolve_url(base, value) for value in metas.get("og:url", []) if value.strip())
    return next((url for url in shared if url), None)


def _names(texts: Sequence[str]) -> list[str]:
    """Names of people in a list of texts: no addresses, none twice."""
    cleaned = (clean_text(text) for text in texts)
    kept = (
        name
        for name in cleaned
        if name and len(name) <= MAX_AUTHOR_CHARACTERS and not _URL_LIKE.match(name)
    )
    return list(dict.fromkeys(kept))[:MAX_AUTHORS]


def _body_licenses(dom: Dom, base: str) -> tuple[list[License], list[License]]:
    """Licences that links of the body declare for the page, and those that they only lead to."""
    declared, linked = [], []
    nodes = {*tags_with(dom, b"creativecommons.org/"), *tags_with(dom, b'rel="license')}
    for node in sorted(nodes):
        if dom.name(node) not in ("a", "area") or dom.tags[node] < 0:
            continue
        url = (
            resolve_url(base, dom.attribute(node, "href")) if dom.attribute(node, "href") else None
        )
        if url is None:
            continue
        license_ = license_of_url(url)
        names = dom.attribute(node, "rel").lower().split()
        if "license" in names and not _in_figure(dom, node):
            declared.append(license_)
        elif license_.code is not None or "license" in names:
            linked.append(license_)
    return declared, linked


def _in_figure(dom: Dom, node: int) -> bool:
    return any(dom.name(around) in ("figure", "figcaption") for around in dom.ancestors(node))


def _from_works(works: Sequence[Work], name: str) -> list[list[str]]:
    """A field of the articles of a page, one list a work; of the page itself where none has it."""
    for is_page in (False, True):
        found = [getattr(work, name) for work in works if work.is_page == is_page]
        if found := [values for values in found if values]:
            return found
    return []


def _date(statements: Iterable[Sequence[str]], crawled: str) -> str | None:
    """The date of the first kind of statement that gives any; None where its dates disagree."""
    for texts in statements:
        found, dated = agreed_date(texts, crawled)
        if dated:
            return found
    return None


def _flat(values: Sequence[list[str]]) -> list[str]:
    return [text for texts in values for text in texts]


def _authors(
    dom: Dom, metas: dict[str, list[str]], works: Sequence[Work], data: Microdata
) -> list[str]:
    """The names of the first kind of statement that has any, where its works agree on them."""
    declared = (names for name in _AUTHORS if (names := _names(metas.get(name, []))))
    for groups in (
        _from_works(works, "authors"),
        [next(declared, [])],
        list(data.authors.values()),
    ):
        distinct = list(dict.fromkeys(tuple(names) for texts in groups if (names := _names(texts))))
        if distinct:
            return list(distinct[0]) if len(distinct) == 1 else []
    signed = _names(
        [dom.text_of(node) for node in tags_with(dom, b'rel="author') if _is_link(dom, node)]
    )
    return signed if len(signed) == 1 else []


def _is_link(dom: Dom, node: int) -> bool:
    return dom.name(node) == "a" and bool(dom.closes[node] - node <= 20)


def _data_uri_images(dom: Dom) -> int:
    """Images that have their bytes in the page and name no file beside."""
    count = 0
    source = dom.source
    nodes = dom.positions("img")
    for start, stop in zip(dom.starts[nodes].tolist(), dom.stops[nodes].tolist(), strict=True):
        if source.find(b' src="data:', start, stop) >= 0:
            count += _OTHER_SOURCES.search(source, start, stop) is None
    return count


def _marked_dates(dom: Dom) -> Iterator[list[str]]:
    """The dates of `<time pubdate>`, an attribute that HTML had for a while."""
    times = dom.positions("time")
    marked = [
        node for node in times if b" pubdate" in dom.source[dom.starts[node] : dom.stops[node]]
    ]
    yield [dom.attribute(node, "datetime") for node in marked]


def page_facts(
    html: str,
    dom: Dom,
    base_url: str,
    headers: Sequence[tuple[str, str]] = (),
    crawled: str = "",
) -> PageFacts:
    """The facts of a page.

    Args:
        html: The page, decoded.
        dom: The same, parsed.
        base_url: What relative references are relative to.
        headers: Names, in lower case, and values of the HTTP headers it came with.
        crawled: When it was fetched, ISO 8601: no date can be later.

    Raises:
        Nothing: what cannot be read is not declared.
    """
    metas = _read_metas(dom)
    links = _head_links(html)
    works = read_works(html)
    data = read_microdata(dom)
    declared, linked = _body_licenses(dom, base_url)
    stated = [text for name in _RIGHTS for text in metas.get(name, [])]
    declared += [each for text in stated for each in licenses_in_text(text, base_url)]
    references = [
        *links["license"],
        *_flat(_from_works(works, "licenses")),
        *data.licenses,
    ]
    declared += [
        license_of_url(url)
        for text in references
        if text.strip() and (url := resolve_url(base_url, text))
    ]
    license_code, license_urls = settle(declared, linked)
    robots = read_robots(
        [(name, text) for name in sorted(META_NAMES & metas.keys()) for text in metas[name]],
        headers,
        base_url,
    )

    def statements(
        names: Sequence[str], field_name: str, items: list[list[str]]
    ) -> Iterator[Sequence[str]]:
        yield from (metas[name] for name in names[:5] if name in metas)
        yield _flat(_from_works(works, field_name))
        yield _flat(items)
        yield from (metas[name] for name in names[5:] if name in metas)

    published = chain(
        statements(_PUBLISHED, "published", list(data.published.values())), _marked_dates(dom)
    )
    images = [*metas.get("og:image", []), *metas.get("og:image:url", [])]
    image_urls = [url for text in images if text.strip() and (url := resolve_url(base_url, text))]
    return PageFacts(
        title=_title(dom),
        language_declared=_language(dom, metas, headers),
        canonical_url=_canonical(links["canonical"], metas, base_url),
        date_published=_date(published, crawled),
        date_modified=_date(
            statements(_MODIFIED, "modified", list(data.modified.values())), crawled
        ),
        authors=_authors(dom, metas, works, data),
        license=license_code,
        license_urls=license_urls,
        robots=robots.robots,
        noindex=robots.noindex,
        noai=robots.noai,
        noimageai=robots.noimageai,
        tdm_reserved=robots.tdm_reserved,
        tdm_policy=robots.tdm_policy,
        unavailable_after=robots.unavailable_after,
        ai_opt_out=robots.ai_opt_out,
        og_images=list(dict.fromkeys(image_urls))[:MAX_OG_IMAGES],
        data_uri_images=_data_uri_images(dom),
        inline_svgs=html.count("</svg"),
    )
