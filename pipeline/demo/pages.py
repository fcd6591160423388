"""The pages that a crawl is mostly made of: articles, galleries, languages, duplicates."""

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import quote

from pipeline.demo.images import LARGE, make_variant
from pipeline.demo.markup import Block, Figure
from pipeline.demo.plan import HOSTS, Cluster, Crawl, Page
from pipeline.demo.prose import make_article, with_changed_words

BADGE_PAGES = 16
"""Pages that show the same badge: above the limit of 10."""
SHARED_PAGES = 10
"""Pages that show the same picture: at the limit, so it stays."""
LONG = 30
"""Sentences of an article of which near-duplicates are made: about 480 words."""


def add_ordinary(crawl: Crawl) -> None:
    """One more article: with one to four pictures, or, every third time, with text alone."""
    number = len(crawl.pages)
    if number % 3 == 0:
        crawl.add_article("text_only", images=0)
    else:
        crawl.add_article("article", images=crawl.rng("ordinary", number).randint(1, 4))


def add_frequent_images(crawl: Crawl) -> None:
    """A badge on more than ten documents, and a picture on exactly ten."""
    host = HOSTS["en"][0]
    badge = crawl.picture(host, "media/season-badge.jpg", (200, 150))
    badge.outcome = "frequent"
    for _ in range(BADGE_PAGES):
        own = crawl.figure(crawl.picture(host), style="figure")
        shown = Figure(badge, "plain", alt="image", right=None)
        crawl.add_article("frequent_image", host=host, figures=[own, shown])
    host = HOSTS["en"][3]
    shared = crawl.picture(host, "media/our-square.jpg")
    for _ in range(SHARED_PAGES):
        crawl.add_article("shared_image", host=host, figures=[crawl.figure(shared, style="plain")])


def add_galleries(crawl: Crawl) -> list[Figure]:
    """Galleries of 12, 30 and 35 pictures; returns the figures of the last, which is too many."""
    figures: list[Figure] = []
    for count in (12, 30, 35):
        host = crawl.next_host()
        figures = [
            crawl.figure(crawl.picture(host, "", (240, 180)), style="link") for _ in range(count)
        ]
        article = make_article(crawl.rng("gallery", count), "en", 8)
        reasons = ["too_many_images"] if count > 30 else []
        crawl.add_article(
            "gallery",
            host=host,
            article=article,
            figures=figures,
            blocks=[*article.paragraphs, *figures],
            reasons=reasons,
        )
    return figures


def add_languages(crawl: Crawl) -> None:
    """Pages in six more languages that the recipe takes, and in one that it does not."""
    for language, count in (("de", 5), ("fr", 5), ("es", 5), ("ru", 3), ("zh", 3), ("ja", 3)):
        for number in range(count):
            crawl.add_article("language", language=language, images=number % 3)
    for number in range(4):
        images = number % 2
        crawl.add_article("language", language="tr", images=images, reasons=["language"])


def add_encodings(crawl: Crawl) -> None:
    """Every encoding, declared by the header, by the page, by both, wrongly, or by nobody."""
    for language, charset, declared, wrong in (
        ("de", "windows-1252", ("header",), {}),
        ("fr", "windows-1252", ("meta",), {"meta": "iso-8859-1"}),
        ("es", "windows-1252", ("header",), {"header": "utf-8"}),
        ("de", "utf-8", ("header", "meta"), {"meta": "shift_jis"}),
        ("fr", "utf-8", (), {}),
        ("ja", "shift_jis", ("header",), {}),
        ("ja", "shift_jis", ("meta",), {}),
        ("ja", "shift_jis", (), {}),
        ("zh", "gb18030", ("meta",), {"meta": "gb2312"}),
        ("zh", "gb18030", ("header",), {}),
        ("ru", "koi8-r", ("header",), {}),
        ("ru", "koi8-r", ("meta",), {}),
        ("ru", "koi8-r", (), {}),
    ):
        crawl.add_article(
            "encoding",
            language=language,
            images=1,
            charset=charset,
            declared=declared,
            header_charset=wrong.get("header", ""),
            meta_charset=wrong.get("meta", ""),
        )
    crawl.add_article("encoding", language="es", change=lambda text: "\ufeff" + text, declared=())
    crawl.add_article("encoding", language="de", lang="en", images=1)


def add_references(crawl: Crawl) -> None:
    """The ways in which a page names its pictures."""
    host = HOSTS["en"][1]
    for style in ("lazy", "lazy_original", "lazy_srcset", "srcset_only", "table", "link"):
        shown = [crawl.figure(crawl.picture(host), style=style) for _ in range(2)]
        crawl.add_article("reference", host=host, figures=shown)
    for style, kind in (("srcset", "JPEG"), ("picture", "WEBP")):
        small = crawl.picture(host, "", (320, 240))
        large = make_variant(small, small.url.replace("scene-", "large-"), LARGE, kind)
        crawl.add_picture(large)
        shown = [replace(crawl.figure(small, style=style), alternatives=(large,))]
        crawl.add_article("reference", host=host, figures=shown)
    protocol = replace(crawl.figure(crawl.picture(host)), ref="protocol")
    absolute = replace(crawl.figure(crawl.picture("static.harbour.test")), ref="absolute")
    crawl.add_article("reference", host=host, figures=[protocol, absolute])
    dotted = crawl.picture(host, "media/dotted/scene-a.jpg")
    crawl.add_article(
        "reference",
        host=host,
        path="stories/2024/dotted.html",
        figures=[replace(crawl.figure(dotted), ref="../../media/dotted/scene-a.jpg")],
    )
    based = crawl.picture(host, "albums/may/scene-b.jpg")
    crawl.add_article(
        "reference",
        host=host,
        figures=[replace(crawl.figure(based), ref="scene-b.jpg")],
        head=f'<base href="https://{host}/albums/may/">\n',
    )
    query = crawl.picture(host, "picture?id=7&size=large&v=2")
    crawl.add_article("reference", host=host, figures=[crawl.figure(query, style="figure")])
    for language, name in (("de", "bilder/grün und weiß.jpg"), ("ja", "写真/絵.jpg")):
        foreign = HOSTS[language][0]
        spelt = crawl.picture(foreign, quote(name))
        shown = [replace(crawl.figure(spelt, language, "plain"), ref="/" + name)]
        crawl.add_article("reference", language=language, host=foreign, figures=shown)
    twice = crawl.figure(crawl.picture(host), style="figure")
    again = replace(twice, style="plain", alt="The same picture once more", figcaption=None)
    crawl.add_article("repeated_image", host=host, figures=[twice, again])


def add_near_duplicates(crawl: Crawl, many: list[Figure]) -> None:
    """Clusters of articles that differ in a few words, on different sites."""
    hosts = HOSTS["en"]
    for number, size in enumerate((2, 2, 3, 2)):
        host = hosts[number]
        article = make_article(crawl.rng("near", number), "en", LONG)
        figures = [crawl.figure(crawl.picture(host), style="figure")]
        blocks = crawl.blocks(article, figures)
        pages = [
            crawl.add_article(
                "near_duplicate", host=host, article=article, figures=figures, blocks=blocks
            )
        ]
        for step in range(1, size):
            rng = crawl.rng("near", number, step)
            changed = with_changed_words(article, rng, 2)
            pages.append(
                crawl.add_article(
                    "near_duplicate",
                    host=hosts[(number + step) % len(hosts)],
                    article=changed,
                    blocks=_with_text(blocks, article.paragraphs, changed.paragraphs),
                    figures=figures,
                )
            )
        _close_cluster(crawl, f"near-{number}", "near_duplicate", pages, pages[-1])

    # Equal dates: the longer text survives. The earlier page is the longer one.
    article = make_article(crawl.rng("near", "tie"), "en", LONG)
    short = replace(
        article, paragraphs=(*article.paragraphs[:-1], _without_end(article.paragraphs[-1]))
    )
    first = crawl.add_article("near_duplicate", article=article)
    second = crawl.add_article("near_duplicate", article=short, date=first.date)
    _close_cluster(crawl, "near-tie", "near_duplicate", [first, second], first)

    # The latest member breaks another rule: the cluster must not die with it.
    article = make_article(crawl.rng("near", "gallery"), "en", LONG)
    host = crawl.next_host()
    own = crawl.figure(crawl.picture(host), style="figure")
    old = crawl.add_article(
        "near_duplicate",
        host=host,
        article=article,
        figures=[own],
        blocks=[own, *article.paragraphs],
    )
    changed = with_changed_words(article, crawl.rng("near", "gallery", 1), 1)
    shown = [Figure(f.picture, "link", alt="", ref="absolute", right=None) for f in many]
    new = crawl.add_article(
        "near_duplicate", article=changed, figures=shown, blocks=[*changed.paragraphs, *shown]
    )
    _close_cluster(crawl, "near-gallery", "near_duplicate", [old, new], old)
    new.reasons = ["too_many_images"]


def _without_end(paragraph: str) -> str:
    """The paragraph without its last three words, still a sentence."""
    return " ".join(paragraph.split(" ")[:-3]).rstrip(',;"') + "."


def _with_text(blocks: Sequence[Block], old: tuple[str, ...], new: tuple[str, ...]) -> list[Block]:
    """The blocks with each old paragraph replaced; what a block says beyond it stays."""
    swap = dict(zip(old, new, strict=True))

    def changed(block: Block) -> Block:
        if isinstance(block, str):
            for before, after in swap.items():
                if block.startswith(before):
                    return after + block[len(before) :]
        return block

    return [changed(block) for block in blocks]


def _close_cluster(crawl: Crawl, name: str, kind: str, pages: list[Page], survivor: Page) -> None:
    """Notes a cluster; every page but the survivor is rejected for it."""
    crawl.clusters.append(Cluster(name, kind, pages, survivor))
    for page in pages:
        page.cluster = name
        if page is not survivor:
            page.reasons.append(kind)
            page.probes = []


def add_exact_duplicates(crawl: Crawl) -> None:
    """The same text at another address of the same site, in other markup."""
    for number, images in enumerate((2, 1, 0)):
        first = crawl.add_article("exact_duplicate", images=images)
        host = first.url.split("/")[2]
        second = crawl.add_article(
            "exact_duplicate",
            host=host,
            path=f"print/{number}.html",
            article=first.article,
            figures=first.figures,
            blocks=first.blocks,
            change=lambda text: text.replace("<main>", '<main class="print">\n'),
        )
        _close_cluster(crawl, f"exact-{number}", "exact_duplicate", [first, second], second)
        first.reasons.append("near_duplicate")


def add_recrawled(crawl: Crawl) -> None:
    """The same address fetched on different days: unchanged words, a few new ones, all new."""
    for number in range(3):
        first = crawl.add_article("recrawled", sentences=LONG, images=1)
        host, path = first.url.split("/", 3)[2:]
        if number:
            second = crawl.add_article("recrawled", host=host, path=path, images=1)
        else:
            assert first.article is not None
            changed = with_changed_words(first.article, crawl.rng("recrawled"), 2)
            old, new = first.article.paragraphs, changed.paragraphs
            second = crawl.add_article(
                "recrawled",
                host=host,
                path=path,
                article=changed,
                figures=first.figures,
                blocks=_with_text(first.blocks, old, new),
            )
        _close_cluster(crawl, f"url-{number}", "same_url", [first, second], second)
        if number == 0:
            first.reasons.append("near_duplicate")


def add_typical_pages(crawl: Crawl) -> None:
    """All groups of this module, once."""
    add_frequent_images(crawl)
    many = add_galleries(crawl)
    add_languages(crawl)
    add_encodings(crawl)
    add_references(crawl)
    add_near_duplicates(crawl, many)
    add_exact_duplicates(crawl)
    add_recrawled(crawl)
