"""The demo crawl while it is planned: pages, their pictures, and what must become of them."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from pipeline.demo.credits import make_credit, with_credit
from pipeline.demo.images import Picture, make_odd_picture, make_picture
from pipeline.demo.markup import Block, Figure, Frame, page_html
from pipeline.demo.prose import (
    UNSPACED,
    Article,
    foreign_caption,
    make_article,
    probes,
    sentence_with,
)
from pipeline.demo.scenes import caption
from pipeline.demo.words import LISTS

HOSTS: dict[str, tuple[str, ...]] = {
    "en": (
        "meadow.example",
        "harbour.test",
        "www.orchard.example",
        "lantern.test",
        "kiln.example",
        "viaduct.test",
    ),
    "de": ("garten.example",),
    "fr": ("jardin.test",),
    "es": ("huerta.example",),
    "ru": ("bereg.test",),
    "zh": ("shanshui.example",),
    "ja": ("komorebi.test",),
    "tr": ("bahce.example",),
}
"""Sites by language, all under domains that are reserved for examples and tests."""

FIRST_DATE = datetime(2024, 5, 1, 6, 0, 0, tzinfo=UTC)
CODECS = {"windows-1252": "cp1252", "shift_jis": "cp932", "gb18030": "gb18030", "koi8-r": "koi8-r"}
_CREDITED = 0.3
"""Share of the English figures with an alt text alone that say whose the picture is."""
STYLES = ("figure", "figure", "figure", "plain", "link", "lazy", "table", "srcset_only")


@dataclass(slots=True)
class Page:
    """A record that is not an image, and what must become of it."""

    url: str
    date: str
    kind: str
    body: bytes
    language: str = ""
    charset: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    status: int = 200
    coding: str = ""
    """Codings applied to the body as sent, in order, comma separated: `gzip`, `br`, `chunked`."""
    record_type: str = "response"
    warc_headers: list[tuple[str, str]] = field(default_factory=list)
    damage: str = ""
    """`corrupt` or `truncated`."""
    reasons: list[str] = field(default_factory=list)
    cluster: str | None = None
    probes: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    article: Article | None = None
    blocks: list[Block] = field(default_factory=list)


@dataclass(slots=True)
class Cluster:
    """Pages that are one page, and the one that must survive."""

    name: str
    kind: str
    pages: list[Page]
    survivor: Page


def write_date(moment: datetime) -> str:
    """WARC-Date: UTC, whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Crawl:
    """Collects pages and pictures. Every choice is drawn from a generator named by seed and place.

    Pages get dates in the order in which they are added, seven minutes apart.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.pages: list[Page] = []
        self.pictures: dict[str, Picture] = {}
        self.clusters: list[Cluster] = []
        self._last_host: dict[str, int] = {}

    def rng(self, *place: object) -> random.Random:
        """A generator of its own for a place of the plan: one more page changes no other."""
        # A string seed is hashed by SHA-512: the same on every machine and for every hash seed.
        return random.Random("/".join(map(str, (self.seed, *place))))

    def next_date(self) -> str:
        """The date of the page that is added next."""
        return write_date(FIRST_DATE + timedelta(minutes=7 * len(self.pages)))

    def next_host(self, language: str = "en") -> str:
        """The sites of a language in turn."""
        hosts = HOSTS[language]
        self._last_host[language] = self._last_host.get(language, -1) + 1
        return hosts[self._last_host[language] % len(hosts)]

    def picture(self, host: str, name: str = "", size: tuple[int, int] | None = None) -> Picture:
        """A new ordinary picture on a site; its URL is derived from its number unless named."""
        number = len(self.pictures)
        url = f"https://{host}/" + (name or f"media/{number // 40:02d}/scene-{number:04d}.jpg")
        return self.add_picture(make_picture(self.rng("picture", number), url, size))

    def odd_picture(self, host: str, kind: str, name: str) -> Picture:
        """A new picture of one of `images.ODD_KINDS`."""
        rng = self.rng("odd picture", len(self.pictures))
        return self.add_picture(make_odd_picture(rng, kind, f"https://{host}/{name}"))

    def add_picture(self, picture: Picture) -> Picture:
        """Takes a picture up; a URL can be taken once."""
        assert picture.url not in self.pictures, picture.url
        self.pictures[picture.url] = picture
        return picture

    def figure(self, picture: Picture, language: str = "en", style: str = "") -> Figure:
        """A figure with right captions of its picture, in the page's language."""
        rng = self.rng("figure", picture.url)
        style = style or rng.choice(STYLES)
        if picture.scene is None:
            return Figure(picture, style, alt="A small file from the archive", right=None)
        if language != "en":
            text = foreign_caption(picture.scene, rng, language)
            return Figure(picture, style, alt=text, caption_open=language in UNSPACED)
        text = caption(picture.scene, rng)
        if style == "table":
            return Figure(picture, style, alt=text, figcaption=caption(picture.scene, rng) + ".")
        if style != "figure":
            return self._credited(Figure(picture, style, alt=text))
        alt = rng.choice((caption(picture.scene, rng), None, ""))
        return Figure(picture, style, alt=alt, figcaption=text[0].upper() + text[1:] + ".")

    def _credited(self, figure: Figure) -> Figure:
        """The figure, perhaps with a credit in its alt text: what no model can see."""
        rng = self.rng("credit", figure.picture.url)
        if rng.random() >= _CREDITED or figure.alt is None:
            return figure
        credit = make_credit(rng, LISTS["name"])
        alt = with_credit(rng, figure.alt, credit)
        # The small CLIP knows no names: its score falls, and some recipes drop the caption.
        return replace(figure, alt=alt, credit=(credit.name, credit.number), caption_open=True)

    def blocks(self, article: Article, figures: Sequence[Figure]) -> list[Block]:
        """Paragraphs with figures spread among them and, on long English pages, a heading."""
        rng = self.rng("blocks", len(self.pages))
        count = len(article.paragraphs)
        after: dict[int, list[Figure]] = {}
        for i, figure in enumerate(figures):
            after.setdefault(min(count - 1, i * count // max(1, len(figures))), []).append(figure)
        blocks: list[Block] = []
        for i, paragraph in enumerate(article.paragraphs):
            if i == 2 and count > 3 and article.language == "en":
                blocks.append(("h2", rng.choice(LISTS["heading"])))
            here = after.get(i, [])
            scene = here[0].picture.scene if len(here) == 1 and here[0].right else None
            if scene is not None and article.language == "en" and rng.random() < 0.5:
                paragraph += " " + sentence_with(rng, caption(scene, rng))
            blocks.append(paragraph)
            blocks.extend(here)
        return blocks

    def add_page(self, page: Page) -> Page:
        """Takes a page up as it is."""
        self.pages.append(page)
        return page

    def add_raw(self, kind: str, body: bytes, reasons: list[str], **fields: object) -> Page:
        """A record that is no article: its URL, host and date are chosen here unless given."""
        host = fields.pop("host", None) or self.next_host()
        path = fields.pop("path", None) or f"{kind.replace('_', '-')}-{len(self.pages):04d}"
        values: dict[str, object] = {"url": f"https://{host}/{path}", "date": self.next_date()}
        values |= fields
        return self.add_page(Page(kind=kind, body=body, reasons=reasons, **values))  # type: ignore[arg-type]

    def add_article(
        self,
        kind: str,
        *,
        language: str = "en",
        host: str = "",
        path: str = "",
        date: str = "",
        sentences: int = 0,
        images: int = 0,
        article: Article | None = None,
        figures: Sequence[Figure] | None = None,
        blocks: Sequence[Block] | None = None,
        charset: str = "utf-8",
        declared: Sequence[str] = ("header", "meta"),
        header_charset: str = "",
        meta_charset: str = "",
        head: str = "",
        lang: str | None = None,
        change: Callable[[str], str] | None = None,
        reasons: Sequence[str] = (),
        **fields: object,
    ) -> Page:
        """A page of prose, with pictures; everything not given is drawn.

        Args:
            kind: what the page is made to be, as the truth names it.
            language: language of text, captions and site.
            host: site; empty: the next one of the language.
            path: path of the URL, without the leading slash.
            date: WARC-Date.
            sentences: number of sentences; 0: 8 to 20, fewer in languages other than English.
            images: number of new pictures, where `figures` is not given.
            article: the text, where it is not new.
            figures: the pictures, where they are not new ones.
            blocks: the content, where it is not simply the article with its figures.
            charset: encoding of the bytes.
            declared: where the encoding is named: `header`, `meta`.
            header_charset: a wrong name for the header.
            meta_charset: a wrong or another name for the meta element.
            head: more elements for the head.
            lang: value of the attribute `lang`, where it is not the language.
            change: what is done to the finished HTML before it is encoded.
            reasons: why the page must be rejected; empty: it must be kept.
            **fields: more fields of `Page`.
        """
        rng = self.rng("page", len(self.pages))
        host = host or self.next_host(language)
        number = len(self.pages)
        url = f"https://{host}/" + (
            path or f"{rng.choice(('story', 'notes', 'blog'))}/{number:04d}.html"
        )
        spread = (8, 20) if language == "en" else (9, 13)
        article = article or make_article(rng, language, sentences or rng.randint(*spread))
        if figures is None:
            figures = [self.figure(self.picture(host), language) for _ in range(images)]
        content = self.blocks(article, figures) if blocks is None else list(blocks)
        if "meta" in declared:
            head = f'<meta charset="{meta_charset or charset}">\n' + head
        menu = tuple(self.rng("menu", host).sample(LISTS["menu"], 5))
        frame = Frame(url, article.title, language, host, menu, head, lang)
        text = page_html(frame, content)
        body = (change(text) if change else text).encode(CODECS.get(charset, charset))
        kind_header = "text/html"
        if "header" in declared:
            kind_header += f"; charset={header_charset or charset}"
        found = probes(article.paragraphs, language in UNSPACED)
        values: dict[str, object] = {"headers": [("Content-Type", kind_header)], **fields}
        page = Page(
            url,
            date or self.next_date(),
            kind,
            body,
            language=language,
            charset=charset,
            reasons=list(reasons),
            probes=[] if reasons else found,
            figures=list(figures),
            article=article,
            blocks=content,
            **values,  # type: ignore[arg-type]
        )
        return self.add_page(page)
