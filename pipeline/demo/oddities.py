"""The rest of the crawl: pages that must be rejected, broken ones, odd images, odd captions."""

import re
from dataclasses import replace

from pipeline.demo.images import LARGE
from pipeline.demo.markup import Block, Figure, content_html
from pipeline.demo.plan import FIRST_DATE, HOSTS, Crawl, Page, write_date
from pipeline.demo.prose import make_article, spam_paragraphs
from pipeline.demo.scenes import caption, wrong_caption
from pipeline.demo.words import LISTS, LOREM, SHORT

HTML = [("Content-Type", "text/html; charset=utf-8")]

HOSTILE = (
    "<script>alert('caption')</script> {x}",
    "'; DROP TABLE captions; -- {x}",
    '"{x}" said the {{template}} of 100% \\n width',
    "{x} \u202eesrever ni\u202c and \u200fback\u200f",
    "{x} \U0001f40d\U0001f469\u200d\U0001f52c \ufb01nally \u0301",
    "{x} with a \x00 byte inside",
)
"""Alternative texts that a careless program would run, or choke on; `{x}` is a right caption."""

POOR = ("image", "IMG_2041.JPG", "", None, "photo", "DSC00017.jpeg")
"""Alternative texts that say nothing of the picture."""


def add_rejected(crawl: Crawl) -> None:
    """Spam, menus, too little text, no text, dummy text."""
    for number in range(6):
        article = replace(
            make_article(crawl.rng("spam", number), "en", 2),
            paragraphs=spam_paragraphs(crawl.rng("spam text", number)),
        )
        # Without sentences the detector has little to go by, so the language may be refused too.
        reasons = ["repetition", "language"]
        crawl.add_article("spam", article=article, reasons=reasons, images=number % 2)
    for number in range(5):
        rng = crawl.rng("menus", number)
        words = rng.sample(LISTS["village"], 16)
        items = "".join(f'<li><a href="/{w.lower()}/">{w}</a></li>' for w in words)
        menus: list[Block] = [("raw", f"<nav><ul>{items}</ul></nav>")] * 3
        article = replace(make_article(rng, "en", 1), paragraphs=("Choose a place.",))
        reasons = ["too_short", "no_content", "repetition"]
        crawl.add_article("navigation", article=article, blocks=menus, reasons=reasons)
    for number in range(5):
        texts = crawl.rng("short", number).sample(SHORT, 2)
        article = replace(make_article(crawl.rng("short"), "en", 1), paragraphs=tuple(texts))
        reasons = ["too_short", "language"]
        crawl.add_article("short", article=article, images=number % 2, reasons=reasons)
    article = make_article(crawl.rng("lorem"), "en", 12)
    article = replace(article, paragraphs=(article.paragraphs[0], LOREM, *article.paragraphs[1:]))
    crawl.add_article("lorem_ipsum", article=article, reasons=["lorem_ipsum"])
    empty = ["no_content", "too_short", "language"]
    crawl.add_raw("empty", b"", list(empty), headers=HTML)
    script = (
        b'<!DOCTYPE html><title>App</title><div id="root"></div><script src="/app.js"></script>'
    )
    crawl.add_raw("empty", script, list(empty), headers=HTML)
    frames = (
        b'<html><head><title>Old</title></head><frameset><frame src="a.html"></frameset></html>'
    )
    crawl.add_raw("empty", frames, list(empty), headers=HTML)


def add_not_pages(crawl: Crawl) -> None:
    """Errors, redirects, and responses that are not HTML."""
    article = make_article(crawl.rng("error"), "en", 12)
    sorry = content_html(article.paragraphs, "").encode()
    for status in (404, 404, 403, 500, 503):
        crawl.add_raw("error", sorry, ["status"], status=status, headers=HTML)
    for status in (301, 302, 307):
        headers = [("Location", "https://meadow.example/"), *HTML]
        crawl.add_raw("redirect", b"<p>Moved.</p>", ["status"], status=status, headers=headers)
    pdf = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
    for name, body in (
        ("application/pdf", pdf),
        ("text/css", b"body { margin: 0 auto; max-width: 40em }\n"),
        ("application/javascript", b"document.title = 'ready';\n"),
        ("application/json", b'{"items": [1, 2, 3]}\n'),
    ):
        crawl.add_raw("not_html", body, ["content_type"], headers=[("Content-Type", name)])


def add_transfers(crawl: Crawl) -> None:
    """Bodies as servers send them: compressed, in chunks, or not as they say."""
    for coding in ("gzip", "gzip,chunked", "deflate", "chunked", "br"):
        crawl.add_article("transfer", images=1, coding=coding)
    # The head promises gzip and the body is plain: what a proxy leaves behind.
    crawl.add_article("transfer", images=1, coding="gzip claimed")
    cut = [("WARC-Truncated", "length")]
    crawl.add_article("cut_by_crawler", images=1, warc_headers=cut, change=_without_end_tags)


def _without_end_tags(text: str) -> str:
    return text[: text.index("</article>")]


def _misnested(text: str) -> str:
    text = text.replace("<main><article>", "<main><table><tr><td><b><i>")
    return text.replace("</article></main>", "</b></i></td></main>")


def _unclosed(text: str) -> str:
    for tag in ("</p>", "</li>", "</ul>", "</body>", "</html>"):
        text = text.replace(tag, "")
    return text


def _bare(text: str) -> str:
    head, body = text.split("<main><article>")
    return head[head.index("<title>") : head.index("</title>")] + "</title>" + body


def _single_quoted(text: str) -> str:
    return re.sub(r'="([^"]*)"', r"='\1'", text)


def add_broken_html(crawl: Crawl) -> None:
    """Markup that only an error-tolerant parser reads; the article is whole in all of them."""
    changes = (
        _unclosed,
        _misnested,
        _bare,
        lambda text: text.replace("<p>", "\x00<p>\x00").replace(". ", ".\x00 "),
        lambda text: text.replace("</main>", "</main><!-- never closed <script> if (a < b) {"),
        lambda text: text.replace("<body>", "<body><body class=x><font><center>"),
    )
    for change in changes:
        host = crawl.next_host()
        shown = [crawl.figure(crawl.picture(host), style="figure")]
        crawl.add_article("broken_html", host=host, figures=shown, change=change)
    host = crawl.next_host()
    shown = [crawl.figure(crawl.picture(host), style="unquoted")]
    shown[0].alt = "plain old attributes, a red frame"
    shown[0].right = None
    crawl.add_article("broken_html", host=host, figures=shown, change=_single_quoted)


def add_odd_images(crawl: Crawl) -> None:
    """Every kind of odd image beside a good one; and pages that have no good one."""
    host = HOSTS["en"][4]
    for kinds in (
        ("missing", "gif"),
        ("missing_404", "cmyk"),
        ("truncated", "turned"),
        ("html", "rgba"),
        ("empty", "palette"),
        ("pixel", "webp"),
        ("huge", "tiny"),
        ("banner", "svg"),
        ("tower",),
    ):
        names = [f"odd/{kind}-{len(crawl.pages)}.jpg" for kind in kinds]
        odd = [crawl.odd_picture(host, *pair) for pair in zip(kinds, names, strict=True)]
        pictures = [*odd, crawl.picture(host)]
        crawl.add_article("odd_image", host=host, figures=[crawl.figure(p) for p in pictures])
    for kinds in (("missing", "pixel"), ("truncated",), ("svg", "banner")):
        names = [f"odd/only-{kind}-{len(crawl.pages)}.jpg" for kind in kinds]
        odd = [crawl.odd_picture(host, *pair) for pair in zip(kinds, names, strict=True)]
        crawl.add_article("no_good_image", host=host, figures=[crawl.figure(p) for p in odd])
    host = HOSTS["en"][2]
    for word in ("logo", "button", "icon", "plugin", "widget"):
        furniture = crawl.picture(host, f"static/{word}-large.jpg")
        furniture.outcome = "url_word"
        shown = [crawl.figure(furniture), crawl.figure(crawl.picture(host))]
        crawl.add_article("url_word", host=host, figures=shown)


def add_image_records(crawl: Crawl) -> None:
    """Images that the crawl holds in another way than as a response of their own."""
    host = HOSTS["en"][5]
    again = crawl.picture(host, "media/seen-again.jpg")
    again.revisited = True
    copy = crawl.picture(host, "media/copy-of-seen-again.jpg")
    copy.revisit_of, copy.scene = again, again.scene
    copy.width, copy.height = again.width, again.height
    direct = crawl.picture(host, "media/stored-as-resource.jpg")
    direct.record_type = "resource"
    for picture in (again, copy, direct):
        crawl.add_article("image_record", host=host, figures=[crawl.figure(picture)])


def add_captions(crawl: Crawl) -> None:
    """Texts that say nothing, texts that are wrong, texts that attack."""
    host = HOSTS["en"][1]
    for alt in POOR:
        named = crawl.figure(crawl.picture(host), style="plain")
        named.alt, named.right = alt, None
        crawl.add_article("poor_alt", host=host, figures=[named])
    for number in range(10):
        kind = ("shape", "colour")[number % 2]
        shown = []
        for _ in range(2):
            picture = crawl.picture(host, size=LARGE if number == 0 else None)
            assert picture.scene is not None
            text = wrong_caption(picture.scene, crawl.rng("wrong", picture.url), kind)
            shown.append(Figure(picture, "plain", alt=text, right=False, wrong_in=kind))
        crawl.add_article("wrong_caption", host=host, figures=shown)
    for hostile in HOSTILE:
        picture = crawl.picture(host)
        assert picture.scene is not None
        text = hostile.format(x=caption(picture.scene, crawl.rng("hostile", picture.url)))
        crawl.add_article("hostile_alt", host=host, figures=[Figure(picture, "plain", alt=text)])
    picture = crawl.picture(host)
    assert picture.scene is not None
    endless = " and ".join(
        caption(picture.scene, crawl.rng("endless", number)) for number in range(300)
    )
    shown = [Figure(picture, "plain", alt=endless, caption_open=True)]
    crawl.add_article("hostile_alt", host=host, figures=shown)
    picture = crawl.picture(host)
    assert picture.scene is not None
    title = caption(picture.scene, crawl.rng("title", picture.url))
    shown = [Figure(picture, "plain", alt="", title=title)]
    crawl.add_article("title_caption", host=host, figures=shown)


def add_records(crawl: Crawl) -> None:
    """A page stored twice, a revisit, a resource; records that no reader gets whole."""
    page = crawl.add_article("same_record", images=1)
    crawl.add_page(replace(page, reasons=["same_record"], probes=[], figures=list(page.figures)))
    page = crawl.add_article("revisited", images=1)
    later = write_date(FIRST_DATE.replace(year=2025))
    revisit = Page(
        page.url,
        later,
        "revisit",
        page.body,
        language=page.language,
        charset=page.charset,
        headers=page.headers,
        record_type="revisit",
        warc_headers=[
            ("WARC-Profile", "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"),
            ("WARC-Refers-To-Target-URI", page.url),
            ("WARC-Refers-To-Date", page.date),
        ],
        reasons=["revisit"],
    )
    crawl.add_page(revisit)
    crawl.add_article("resource", images=1, record_type="resource")
    for damage in ("corrupt", "truncated", "truncated"):
        crawl.add_article("damaged", damage=damage, sentences=40, reasons=["record_failure"])


def add_odd_pages(crawl: Crawl) -> None:
    """All groups of this module, once."""
    add_rejected(crawl)
    add_not_pages(crawl)
    add_transfers(crawl)
    add_broken_html(crawl)
    add_odd_images(crawl)
    add_image_records(crawl)
    add_captions(crawl)
    add_records(crawl)
