"""The pages to extract: three published data sets with what is expected of a page, and saved sites.

They are read from a folder beside the checkout and never copied. Every extractor gets the same
decoded string.
"""

import gzip
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urljoin

from selectolax.lexbor import LexborHTMLParser, LexborNode

from benchmarks.extraction_scores import comparable_url
from benchmarks.peers import set_blocks_apart
from transforms.charset import decode_html

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SETS = ("scrapinghub", "readability", "wcxb")
READABILITY_URL = "http://fakehost/test/page.html"
"""What the set's expected documents resolved relative references against."""

_SRCSET_CANDIDATE = re.compile(r"[^\s,]\S*")
# A comma behind a descriptor ends the candidate, whether or not a space follows.
_DESCRIPTOR = re.compile(r"(\s[\d.]+[xwh]),")
_SCRIPTS = ("script", "style", "noscript", "template")


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """An expected image: all files that are this image."""

    src: str
    """Comparable URL of `src`."""
    others: frozenset[str]
    """Comparable URLs that its `srcset`, its lazy attributes or its `picture` name besides."""

    @property
    def urls(self) -> frozenset[str]:
        """All of them."""
        return self.others | {self.src}


@dataclass(frozen=True, slots=True)
class GoldPage:
    """A page and what is expected of it."""

    name: str
    url: str
    html: str
    text: str = ""
    kind: str = ""
    """Page type, in WCXB only."""
    snippets: tuple[str, ...] = ()
    """What the text must have."""
    unwanted: tuple[str, ...] = ()
    """What the text must not have."""
    images: tuple[ImageFiles, ...] = ()
    optional_images: frozenset[str] = frozenset()
    """Comparable URLs of expected images without a `src`: they are not among those to be found,
    and no mistake where they are."""


def load_set(name: str, data: Path = DATA) -> list[GoldPage]:
    """The pages of one of `SETS`, in the order of their names.

    Raises:
        FileNotFoundError: The set is not in the folder.
    """
    loaders = {"scrapinghub": _scrapinghub, "readability": _readability, "wcxb": _wcxb}
    folder = data / "extraction" / name
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not there")
    return list(loaders[name](folder))


def load_site_pages(data: Path = DATA) -> list[GoldPage]:
    """The pages of the saved sites: nothing is expected of them."""
    pages = []
    for site in sorted(data.glob("sites/*/_site.json")):
        base = json.loads(site.read_text(encoding="utf-8"))["base"]
        for path in sorted(site.parent.rglob("*.html")):
            relative = path.relative_to(site.parent).as_posix()
            html, _ = decode_html(path.read_bytes(), None)
            pages.append(GoldPage(f"{site.parent.name}/{relative}", urljoin(base, quote(relative)),
                                  html))  # fmt: skip
    return pages


def _stored(path: Path) -> str:
    """A page of the sets: stored as UTF-8, whatever its meta element says."""
    return gzip.decompress(path.read_bytes()).decode("utf-8")


def _scrapinghub(folder: Path) -> Iterator[GoldPage]:
    expected = json.loads((folder / "ground-truth.json").read_text(encoding="utf-8"))
    for name in sorted(expected):
        html = _stored(folder / "html" / f"{name}.html.gz")
        found = expected[name]
        url = found.get("url") or "http://localhost/"
        yield GoldPage(name, url, html, found.get("articleBody") or "")


def _wcxb(folder: Path) -> Iterator[GoldPage]:
    for path in sorted((folder / "ground-truth").glob("*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        html = _stored(folder / "html" / f"{path.stem}.html.gz")
        yield GoldPage(
            path.stem, found["url"], html, found["main_content"] or "",
            found["page_type"], tuple(found.get("with") or ()), tuple(found.get("without") or ()),
        )  # fmt: skip


def _readability(folder: Path) -> Iterator[GoldPage]:
    for page in sorted(path.parent for path in folder.glob("pages/*/expected.html")):
        html = (page / "source.html").read_text(encoding="utf-8")
        expected = (page / "expected.html").read_text(encoding="utf-8")
        images, optional = expected_images(expected, READABILITY_URL)
        yield GoldPage(
            page.name, READABILITY_URL, html, html_text(expected), images=images,
            optional_images=optional,
        )  # fmt: skip


def html_text(html: str) -> str:
    """The text of a whole document, blocks set apart."""
    tree = LexborHTMLParser(set_blocks_apart(html))
    tree.strip_tags(list(_SCRIPTS))
    return tree.body.text() if tree.body else ""


def expected_images(html: str, page_url: str) -> tuple[tuple[ImageFiles, ...], frozenset[str]]:
    """The images of an expected document by the file of their `src`, and those that have none.

    Two `img` of one file are one image. Lazy attributes are those whose name holds `src`.
    """
    others: dict[str, set[str]] = {}
    without: set[str] = set()
    for image in LexborHTMLParser(html).css("img"):
        source = (image.attributes.get("src") or "").strip()
        if source.startswith("data:"):
            source = ""
        named = _named_files(image, page_url)
        src = comparable_url(page_url, source)
        if src is None:
            without |= named
        else:
            others.setdefault(src, set()).update(named - {src})
    images = tuple(ImageFiles(src, frozenset(files)) for src, files in others.items())
    return images, frozenset(without)


def _named_files(image: LexborNode, page_url: str) -> set[str]:
    holders = [image]
    if image.parent is not None and image.parent.tag == "picture":
        holders += image.parent.css("source")
    references: list[str] = []
    for holder in holders:
        for name, value in holder.attributes.items():
            if "srcset" in name:
                references += _candidates(value or "")
            elif "src" in name:
                references.append(value or "")
    return {url for each in references if (url := comparable_url(page_url, each))}


def _candidates(srcset: str) -> Sequence[str]:
    """URLs of a `srcset`: words that are no descriptor (`2x`, `640w`), commas at their end off."""
    words = [
        word.rstrip(",") for word in _SRCSET_CANDIDATE.findall(_DESCRIPTOR.sub(r"\1 ", srcset))
    ]
    return [word for word in words if not re.fullmatch(r"[\d.]+[xwh]", word)]
