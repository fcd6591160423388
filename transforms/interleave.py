"""A page as text and images in reading order.

Reading order is document order. Text nodes are blocks, and their light markup is Markdown's:

- headings `# ...` to `###### ...`; paragraphs as they are, `br` a line break, two of them a new
  paragraph; quotes `> ` before each line;
- a list is one node, an item a line, `- ` or `1. `, two spaces a level; a definition list is one
  node of role `definition_list`, `: ` before a definition;
- a table of data is one node, `| a | b |` a row; a table that only lays out a page is read cell by
  cell;
- `pre` is one node between fences of backticks, white space kept; `code` in a line stands between
  backticks;
- a `figcaption` or table `caption` is a text node of role `caption` at its place, and a figcaption
  is also the `figcaption` of every image of its figure.

An image ends the node it stands in, which goes on behind it; in a table of data it follows its row,
so that rows stay whole. An image in `noscript` that repeats its lazy twin, or any other image of
the page, is left out, and so is a text in `noscript` that stands elsewhere too or asks for
JavaScript. Images without an http or https URL (data URIs, inline SVG), spacers by file name and
images declared one pixel wide or high are no nodes.
"""

import re
from dataclasses import dataclass

from schemas.errors import HtmlParseError, PageTooLargeError
from schemas.rows import Node
from transforms.block_writer import Block
from transforms.blocks import Walker
from transforms.dom import Dom, parse_html
from transforms.main_content import select_content
from transforms.markup import clean_text
from transforms.urls import normalize_url, resolve_url

_ASKS_FOR_SCRIPTS = re.compile(r"\bjava\s?script\b", re.I)
_LONGEST_REQUEST = 300
"""Characters up to which a text in `noscript` that names JavaScript only asks for it."""


STEP_VERSION = 1
"""Changes when the same page gives other nodes."""


@dataclass(frozen=True)
class ExtractConfig:
    """Limits of one page. A page beyond them is a typed failure, never cut in silence."""

    max_html_characters: int = 20_000_000
    """Characters of the source; the largest pages that people write have about two million."""
    max_nodes: int = 50_000
    """Text and image nodes of the result."""
    max_characters: int = 5_000_000
    """Characters of text of the result; a long book has three million."""
    max_alt_characters: int = 4_000
    """Characters kept of an alt, title or figcaption; no caption is longer."""


@dataclass(frozen=True)
class Page:
    """What a page says, before it becomes a row."""

    title: str
    """Text of `<title>`, else of the first `h1`; may be empty."""
    language_declared: str | None
    """`lang` of the root element, else `Content-Language` of a meta element, as written."""
    base_url: str
    """What relative references are relative to: `<base href>`, else the page's URL."""
    nodes: list[Node]


def _text_of(dom: Dom, node: int) -> str:
    return clean_text("".join(dom.texts[node : dom.ends[node]]))


def _title(dom: Dom) -> str:
    for name in ("title", "h1"):
        for node in dom.positions(name):
            if text := _text_of(dom, node):
                return text
    return ""


def _declared_language(dom: Dom) -> str | None:
    candidates = [dom.attribute(0, "lang"), dom.attribute(0, "xml:lang")]
    candidates += [
        dom.attribute(node, "content")
        for node in dom.positions("meta")
        if dom.attribute(node, "http-equiv").lower() == "content-language"
    ]
    candidates += [dom.attribute(node, "lang") for node in dom.positions("body")]
    cleaned = (clean_text(candidate)[:64] for candidate in candidates)
    return next((candidate for candidate in cleaned if candidate), None)


def _base_url(dom: Dom, url: str) -> str:
    own = normalize_url(url) or url
    for node in dom.positions("base"):
        if href := dom.attribute(node, "href").strip():
            return resolve_url(own, href) or own
    return own


def _are_twins(dom: Dom, first: Block, second: Block) -> bool:
    """Whether two images side by side are a lazy image and its `noscript` form, in either order."""
    scripted, plain = (first, second) if second.noscript >= 0 else (second, first)
    if plain.noscript < 0 or scripted.noscript >= 0 or not scripted.lazy:
        return False
    around = dom.parents[plain.noscript]
    return around <= scripted.position < dom.ends[around]


def merge_twins(dom: Dom, blocks: list[Block]) -> list[Node]:
    """The nodes of blocks; what a `noscript` holds only where it stands nowhere else."""
    if all(block.noscript < 0 for block in blocks):
        return [block.node for block in blocks]
    scripted = [block.node for block in blocks if block.noscript < 0]
    urls = {node.image_url for node in scripted if node.kind == "image"}
    texts = {node.text for node in scripted if node.kind == "text"}
    nodes: list[Node] = []
    for position, block in enumerate(blocks):
        node = block.node
        if block.noscript >= 0:
            if node.kind == "image":
                beside = (
                    blocks[max(0, position - 1) : position],
                    blocks[position + 1 : position + 2],
                )
                if node.image_url in urls or any(
                    other[0].node.kind == "image" and _are_twins(dom, other[0], block)
                    for other in beside
                    if other
                ):
                    continue
            else:
                text = node.text or ""
                # Markup escaped twice shows as tags: a tracker, not a text.
                if (
                    text in texts
                    or text.startswith("<")
                    or (len(text) <= _LONGEST_REQUEST and _ASKS_FOR_SCRIPTS.search(text))
                ):
                    continue
        nodes.append(node)
    return nodes


def extract_page(html: str, url: str, config: ExtractConfig, backend: str = "lexbor") -> Page:
    """The content of a page as text and images in reading order.

    Args:
        html: The page, decoded.
        url: Where it was found; relative references are resolved against it.
        config: Limits.
        backend: Parser that is tried first, see `transforms/dom.py`. BeautifulSoup is the second
        try for a page that
            lexbor refuses; there is none after it.

    Raises:
        HtmlParseError: No backend parses the page.
        PageTooLargeError: The page is beyond a limit of `config`.
    """
    if len(html) > config.max_html_characters:
        raise PageTooLargeError(
            f"{len(html)} characters of HTML, over {config.max_html_characters}"
        )
    try:
        dom = parse_html(html, backend)
    except HtmlParseError:
        if backend != "lexbor":
            raise
        dom = parse_html(html, "beautifulsoup")
    base = _base_url(dom, url)
    characters = count = 0

    def check(block: Block) -> None:
        nonlocal characters, count
        count += 1
        characters += len(block.node.text or "")
        if count > config.max_nodes:
            raise PageTooLargeError(f"more than {config.max_nodes} nodes")
        if characters > config.max_characters:
            raise PageTooLargeError(f"more than {config.max_characters} characters of text")

    content = select_content(dom)
    walker = Walker(dom, content.dropped, base, config.max_alt_characters, emit=check)
    nodes = merge_twins(dom, walker.walk(content.start, content.end))
    return Page(_title(dom), _declared_language(dom), base, nodes)
