"""HTML of the demo crawl: the many ways in which pages put text and pictures on the screen."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from pipeline.demo.images import Picture

PLACEHOLDER = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="


@dataclass(slots=True)
class Figure:
    """A picture on a page with the texts beside it."""

    picture: Picture
    style: str = "figure"
    """One of the branches of `figure_html`."""
    alt: str | None = None
    figcaption: str | None = None
    title: str | None = None
    alternatives: tuple[Picture, ...] = ()
    right: bool | None = True
    wrong_in: str | None = None
    caption_open: bool = False
    """Whether the caption is good or not is left to the recipe."""
    credit: tuple[str, ...] = ()
    """Name and number that only the alt text knows."""
    ref: str = "path"
    """How the URL is written: `path`, `absolute`, `protocol`, or the text of the attribute."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around the content of a page."""

    url: str
    title: str
    language: str
    site: str
    menu: tuple[str, ...]
    head: str = ""
    """More elements for the head, before the title."""
    declare_language: str | None = None
    """Value of the attribute `lang`; empty: no attribute; None: the true language."""


def reference(url: str, page_url: str, how: str) -> str:
    """The URL as an attribute's value, not yet escaped."""
    parts, page = urlsplit(url), urlsplit(page_url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    if how == "protocol":
        return f"//{parts.netloc}{path}"
    if how == "path":
        return path if parts.netloc == page.netloc and parts.scheme == page.scheme else url
    return url if how == "absolute" else how


def _attributes(figure: Figure) -> str:
    text = "" if figure.alt is None else f' alt="{html.escape(figure.alt)}"'
    return text + (f' title="{html.escape(figure.title)}"' if figure.title else "")


def figure_html(figure: Figure, page_url: str) -> str:
    """The element or elements of a figure in its style."""
    src = html.escape(reference(figure.picture.url, page_url, figure.ref))
    others = [html.escape(reference(p.url, page_url, "path")) for p in figure.alternatives]
    text = _attributes(figure)
    caption = html.escape(figure.figcaption or "")
    img = f'<img src="{src}"{text}>'
    match figure.style:
        case "link":
            return f'<p><a href="/view?picture=1">{img}</a></p>'
        case "plain":
            return f"<p>{img}</p>"
        case "picture":
            sources = "".join(f'<source srcset="{o}" type="image/webp">' for o in others)
            inner = f"<picture>{sources}{img}</picture>"
        case "srcset":
            sets = f"{src} 320w, " + ", ".join(f"{o} 640w" for o in others)
            inner = f'<img src="{src}" srcset="{sets}" sizes="(max-width: 640px) 100vw"{text}>'
        case "srcset_only":
            inner = f'<img srcset="{src} 2x"{text}>'
        case "lazy":
            inner = (
                f'<img class="lazy" src="{PLACEHOLDER}" data-src="{src}"{text}>'
                f"<noscript>{img}</noscript>"
            )
        case "lazy_original":
            inner = f'<img class="lazy" data-original="{src}"{text}>'
        case "lazy_srcset":
            inner = f'<img class="lazy" src="{PLACEHOLDER}" data-srcset="{src} 640w"{text}>'
        case "table":
            return f'<table class="pic"><tr><td>{img}</td></tr><tr><td>{caption}</td></tr></table>'
        case "unquoted":
            return f"<IMG SRC={src} ALT='{html.escape(figure.alt or '')}'>"
        case style:
            assert style == "figure", style
            inner = img
    if figure.figcaption is None:
        return f"<div class=media>{inner}</div>"
    return f"<figure>{inner}<figcaption>{caption}</figcaption></figure>"


Block = str | tuple[str, str] | Figure
"""A paragraph, a pair of element and text (`raw` is markup as it is), or a figure."""


def content_html(blocks: Sequence[Block], page_url: str) -> str:
    """The blocks in order, a line each."""
    lines = []
    for block in blocks:
        if isinstance(block, Figure):
            lines.append(figure_html(block, page_url))
        elif isinstance(block, str):
            lines.append(f"<p>{html.escape(block, quote=False)}</p>")
        else:
            name, text = block
            escaped = html.escape(text, quote=False)
            lines.append(text if name == "raw" else f"<{name}>{escaped}</{name}>")
    return "\n".join(lines)


def page_html(frame: Frame, blocks: Sequence[Block]) -> str:
    """A whole page: head, menu, content, footer."""
    declared = frame.language if frame.declare_language is None else frame.declare_language
    lang = f' lang="{declared}"' if declared else ""
    menu = "".join(f'<li><a href="/{word.lower()}">{word}</a></li>' for word in frame.menu)
    title = html.escape(frame.title)
    return (
        f"<!DOCTYPE html>\n<html{lang}>\n<head>\n{frame.head}<title>{title}</title>\n"
        f'<link rel="stylesheet" href="/style.css">\n</head>\n<body>\n'
        f'<header><a href="/">{frame.site}</a><nav><ul>{menu}</ul></nav></header>\n'
        f"<main><article>\n<h1>{title}</h1>\n{content_html(blocks, frame.url)}\n</article></main>\n"
        f"<footer><p>(c) {frame.site}</p></footer>\n</body>\n</html>\n"
    )
