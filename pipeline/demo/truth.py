"""What the demo crawl holds and what must become of it, as a value that is also `truth.json`.

The truth is that of the recipe `demo`: languages en, de, fr, es, zh, ja, ru; 50 to 100,000 words;
Gopher's limits on repetition; no lorem ipsum; 1 to 30 images a document; images with sides from 100
to 10,000 pixels, at most twice as long as wide, without `logo`, `button`, `icon`, `plugin` or
`widget` in their URL, on at most 10 documents, and only their first place in a document. Of
duplicates the latest date survives, then the longer text, then the smaller id, among the members
that pass all other rules.
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec

OK = "ok"
IMAGE_OUTCOMES = (
    OK,
    "missing",
    "decode_error",
    "not_an_image",
    "too_many_pixels",
    "svg",
    "too_small",
    "aspect",
    "url_word",
    "frequent",
)
REASONS = (
    "status",
    "content_type",
    "revisit",
    "record_failure",
    "same_record",
    "same_url",
    "exact_duplicate",
    "near_duplicate",
    "too_short",
    "no_content",
    "repetition",
    "language",
    "lorem_ipsum",
    "too_many_images",
)


@dataclass(frozen=True, slots=True)
class ImageUse:
    """An image of a page, in reading order."""

    url: str
    alternatives: list[str]
    """Other URLs at which the page offers the same picture (`srcset`, `source`): any is right."""
    kept: bool
    """Must stand in the interleaved document: an `ok` image in its first place on the page."""


@dataclass(frozen=True, slots=True)
class PageTruth:
    """A record that is not an image: a page, or what a crawler stored in its place."""

    url: str
    date: str
    """WARC-Date. URL and date name a page, except that a record stored twice is listed twice."""
    warc: str
    kind: str
    """What it was made to be: `article`, `gallery`, `spam`, ..."""
    record_type: str
    language: str
    charset: str
    """The encoding the bytes are really in; empty where there is no text."""
    outcome: str
    """`interleaved`, `text` or `rejected`."""
    reasons: list[str]
    """Why it is rejected: what it was made for first, then what else may be found; else empty."""
    cluster: str | None
    probes: list[str]
    """Runs of text that must be found in what is extracted, white space aside."""
    images: list[ImageUse]


@dataclass(frozen=True, slots=True)
class CaptionTruth:
    """A text that a page gives to one of its images."""

    page_url: str
    page_date: str
    image_url: str
    alternatives: list[str]
    text: str
    """As a browser reads it: entities resolved, NUL as U+FFFD (which a reader may drop)."""
    origin: str
    """`alt`, `figcaption`, `title`, or `neighbour` for a text in the cell below the picture."""
    language: str
    right: bool | None
    """Whether it describes the picture; None for texts that describe nothing."""
    wrong_in: str | None
    """`shape` or `colour` where a wrong caption was planted."""
    credit: list[str]
    """Name and number of an alt text that says whose the picture is: what must survive."""
    expected: str
    """In the stream `captioned`: `required`, `forbidden`, or `optional` (open to the recipe)."""


@dataclass(frozen=True, slots=True)
class ImageTruth:
    """An image URL that a page refers to."""

    url: str
    outcome: str
    """One of `IMAGE_OUTCOMES`."""
    documents: int
    """Distinct page URLs among the surviving pages that use it."""
    pages: list[str]
    width: int | None
    """Upright, in pixels; null where no header can be read or no bytes are there."""
    height: int | None
    format: str | None
    sha256: str | None
    warcs: list[str]
    """Files that hold a record of this URL."""
    same_bytes_as: str | None
    """The other URL whose record a revisit refers to."""


@dataclass(frozen=True, slots=True)
class ClusterTruth:
    """Pages that are one page, and the member that must survive."""

    name: str
    kind: str
    """`same_url`, `exact_duplicate` or `near_duplicate`."""
    members: list[tuple[str, str]]
    """URL and date."""
    survivor: tuple[str, str]


@dataclass(frozen=True, slots=True)
class WarcTruth:
    """A file of the crawl."""

    name: str
    bytes: int
    sha256: str
    records: dict[str, int]
    """Whole records by WARC-Type."""
    corrupt: int
    """Records whose gzip member cannot be inflated; good ones follow."""
    truncated: int
    """Records that the end of the file cuts off."""


@dataclass(frozen=True, slots=True)
class DemoTruth:
    """Everything a test needs to know about a generated crawl."""

    seed: int
    pages: list[PageTruth]
    images: list[ImageTruth]
    captions: list[CaptionTruth]
    clusters: list[ClusterTruth]
    warcs: list[WarcTruth]

    def captioned(self, expected: str = "required") -> set[tuple[str, str]]:
        """Pairs (image URL, page URL) with at least one caption of this expectation."""
        return {(c.image_url, c.page_url) for c in self.captions if c.expected == expected}

    def counts(self) -> dict[str, int]:
        """Pages by outcome; a rejected page counts under its first reason."""
        found: dict[str, int] = {}
        for page in self.pages:
            name = f"rejected: {page.reasons[0]}" if page.reasons else page.outcome
            found[name] = found.get(name, 0) + 1
        return dict(sorted(found.items()))


def write_truth(truth: DemoTruth, path: Path) -> None:
    """Writes the truth as indented JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(truth), indent=1) + b"\n")


def read_truth(path: Path) -> DemoTruth:
    """Reads what `write_truth` wrote."""
    return msgspec.json.decode(path.read_bytes(), type=DemoTruth)
