"""A page as text and images in reading order.

Reading order is document order. Text nodes are blocks, and their light markup is Markdown's:

- headings `# ...` to `###### ...`, one of two that say the same in a row; paragraphs as they are,
  `br` a line break, two of them a new paragraph; quotes `> ` before each line;
- a list is one node, an item a line, `- ` or `1. `, two spaces a level; a definition list is one
  node of role `definition_list`, `: ` before a definition; a list that only lays out a page, of
  posts, products or teasers, is read item by item (`layout_lists.py`);
- a table of data is one node, `| a | b |` a row; a table that only lays out a page is read cell by
  cell;
- `pre` is one node between fences of backticks, white space kept; `code` in a line stands between
  backticks;
- a `figcaption` or table `caption` is a text node of role `caption` at its place, and a figcaption
  is also the `figcaption` of every image of its figure.

An image ends the node it stands in, which goes on behind it; in a table of data it follows its row,
so that rows stay whole. An emoji or a smiley that is drawn as an image is text of its line. An
image in `noscript` that repeats its lazy twin, or any other image of the page, is left out, and so
is a text in `noscript` that stands elsewhere too or asks for JavaScript. Of two images in a row
that are one picture in two sizes, the first stays. A figure without a picture whose microdata names
one has that. Images without an http or https URL (data URIs, inline SVG), spacers by file name and
images declared one pixel wide or high are no nodes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic

from schemas.errors import HtmlParseError, PageDeadlineError, PageTooLargeError
from schemas.rows import Node
from transforms.block_writer import Place
from transforms.blocks import Walker
from transforms.content_model import ContentModel
from transforms.dom import Dom, parse_html
from transforms.image_edges import link_images
from transforms.image_objects import show_image_objects
from transforms.layout_twins import drop_layout_twins
from transforms.main_content import select_content
from transforms.page_limits import ExtractConfig
from transforms.urls import normalize_url, resolve_url

_ASKS_FOR_SCRIPTS = re.compile(r"\bjava\s?script\b", re.I)
_LONGEST_REQUEST = 300
"""Characters up to which a text in `noscript` that names JavaScript only asks for it."""


STEP_VERSION = 8
"""Changes when the same page gives other nodes."""


@dataclass(frozen=True)
class Page:
    """What a page says, before it becomes a row."""

    dom: Dom
    """The whole page, for what `page_facts.py` reads."""
    base_url: str
    """What relative references are relative to: `<base href>`, else the page's URL."""
    nodes: list[Node]


def _base_url(dom: Dom, url: str) -> str:
    own = normalize_url(url) or url
    for node in dom.positions("base"):
        if href := dom.attribute(node, "href").strip():
            return resolve_url(own, href) or own
    return own


def _are_twins(dom: Dom, first: Place, second: Place) -> bool:
    """Whether two images side by side are a lazy image and its `noscript` form, in either order."""
    scripted, plain = (first, second) if second.noscript >= 0 else (second, first)
    if plain.noscript < 0 or scripted.noscript >= 0 or not scripted.lazy:
        return False
    around = int(dom.parents[plain.noscript])
    return bool(around <= scripted.position < dom.closes[around])


def merge_twins(dom: Dom, nodes: list[Node], places: Mapping[int, Place]) -> list[Node]:
    """Nodes, with what a `noscript` holds only where it stands nowhere else.

    Args:
        dom: The page.
        nodes: Its nodes; lazy images get the alt and title that their twins have.
        places: Where images, and what is in a `noscript`, stand, by position in `nodes`.
    """
    plain = [position for position, place in places.items() if place.noscript >= 0]
    if not plain:
        return nodes
    inside = set(plain)
    scripted = [node for position, node in enumerate(nodes) if position not in inside]
    urls = {node.image_url for node in scripted if node.kind == "image"}
    texts = {node.text for node in scripted if node.kind == "text"}
    said: dict[int, Node] = {}
    """What the plain twin of a lazy image says, by the position of the lazy one."""
    dropped: set[int] = set()
    for position in plain:
        node = nodes[position]
        if node.kind == "text":
            text = node.text or ""
            # Markup escaped twice shows as tags: a tracker, not a text.
            if (
                text in texts
                or text.startswith("<")
                or (len(text) <= _LONGEST_REQUEST and _ASKS_FOR_SCRIPTS.search(text))
            ):
                dropped.add(position)
            continue
        if node.image_url in urls:
            dropped.add(position)
        for beside in (position - 1, position + 1):
            other = nodes[beside] if 0 <= beside < len(nodes) else None
            if (
                other
                and other.kind == "image"
                and _are_twins(dom, places[beside], places[position])
            ):
                said[beside] = node
                dropped.add(position)
    for position, twin in said.items():
        node = nodes[position]
        node.alt, node.title = node.alt or twin.alt, node.title or twin.title
    return [node for position, node in enumerate(nodes) if position not in dropped]


def extract_page(
    html: str,
    url: str,
    config: ExtractConfig,
    backend: str = "lexbor",
    model: ContentModel | None = None,
) -> Page:
    """The content of a page as text and images in reading order.

    Args:
        html: The page, decoded.
        url: Where it was found; relative references are resolved against it.
        config: Limits.
        backend: Parser that is tried first, see `transforms/html_parsers.py`. BeautifulSoup is the
            second try for a page that lexbor refuses; there is none after it.
        model: Weights other than those that are shipped.

    Raises:
        HtmlParseError: No backend parses the page.
        PageTooLargeError: The page is beyond a limit of `config`.
        PageDeadlineError: It took longer than `config.max_seconds`.
    """
    if len(html) > config.max_html_characters:
        raise PageTooLargeError(
            f"{len(html)} characters of HTML, over {config.max_html_characters}"
        )
    deadline = monotonic() + config.max_seconds
    try:
        dom = parse_html(html, backend, deadline)
    except HtmlParseError:
        if backend != "lexbor":
            raise
        dom = parse_html(html, "beautifulsoup", deadline)
    base = _base_url(dom, url)
    shown = show_image_objects(dom, base)
    if monotonic() > deadline:
        raise PageDeadlineError(f"parsing took over {config.max_seconds} s")
    content = select_content(shown, model)
    if monotonic() > deadline:
        raise PageDeadlineError(f"reading took over {config.max_seconds} s")
    walker = Walker(shown, content, base, limits=config, deadline=deadline)
    nodes = drop_layout_twins(merge_twins(shown, walker.walk(), walker.places))
    link_images(nodes)
    return Page(dom, base, nodes)
