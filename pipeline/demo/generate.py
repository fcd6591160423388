"""Plans a demo crawl, writes its files, and tells the truth about it."""

import hashlib
from pathlib import Path

from pipeline.demo.images import Picture
from pipeline.demo.markup import Figure
from pipeline.demo.oddities import add_odd_pages
from pipeline.demo.pages import add_ordinary, add_typical_pages
from pipeline.demo.plan import Cluster, Crawl, Page
from pipeline.demo.prose import UNSPACED
from pipeline.demo.truth import (
    OK,
    CaptionTruth,
    ClusterTruth,
    DemoTruth,
    ImageTruth,
    ImageUse,
    PageTruth,
    write_truth,
)
from pipeline.demo.warcs import write_warcs

MIN_CAPTION_WORDS = 3
MAX_DOCUMENTS = 10
"""An image URL on more documents than this is dropped (MM1)."""

UNREAD = ("status", "content_type", "revisit", "record_failure", "same_record")
"""Reasons for which a page is rejected before its captions are read, or read a second time."""


def plan_crawl(seed: int, pages: int) -> Crawl:
    """All planned pages, filled up with ordinary articles to `pages`.

    Raises:
        ValueError: fewer pages than the planned ones.
    """
    crawl = Crawl(seed)
    add_typical_pages(crawl)
    add_odd_pages(crawl)
    if pages < len(crawl.pages):
        raise ValueError(f"the demo crawl has at least {len(crawl.pages)} pages, not {pages}")
    while len(crawl.pages) < pages:
        add_ordinary(crawl)
    return crawl


def _image_uses(page: Page) -> list[ImageUse]:
    seen: set[str] = set()
    uses = []
    for figure in page.figures:
        url = figure.picture.url
        kept = figure.picture.outcome == OK and url not in seen and not page.reasons
        uses.append(ImageUse(url, [other.url for other in figure.alternatives], kept))
        seen.add(url)
    return uses


def _page_truth(page: Page, warc: str) -> PageTruth:
    images = _image_uses(page)
    outcome = "interleaved" if any(use.kept for use in images) else "text"
    return PageTruth(
        page.url,
        page.date,
        warc,
        page.kind,
        page.record_type,
        page.language,
        page.charset,
        "rejected" if page.reasons else outcome,
        page.reasons,
        page.cluster,
        page.probes,
        images,
    )


def _expected(page: Page, figure: Figure, text: str, sure: bool) -> str:
    """Whether a caption must, may or must not reach the stream `captioned`.

    Not `sure` is a caption of a picture that the page shows twice, or one that only its place in a
    table tells.
    """
    if figure.picture.outcome != OK or figure.wrong_in:
        return "forbidden"
    if page.language not in UNSPACED and len(text.split()) < MIN_CAPTION_WORDS:
        return "forbidden"
    return "optional" if page.reasons or figure.caption_open or not sure else "required"


def _captions(page: Page) -> list[CaptionTruth]:
    if any(reason in UNREAD for reason in page.reasons):
        return []
    found = []
    seen: set[str] = set()
    for figure in page.figures:
        beside = "neighbour" if figure.style == "table" else "figcaption"
        texts = (("alt", figure.alt), (beside, figure.figcaption), ("title", figure.title))
        for origin, text in texts:
            if not text:
                continue
            first = figure.picture.url not in seen
            found.append(
                CaptionTruth(
                    page.url,
                    page.date,
                    figure.picture.url,
                    [other.url for other in figure.alternatives],
                    text.replace("\x00", "\ufffd"),
                    origin,
                    page.language,
                    figure.right,
                    figure.wrong_in,
                    list(figure.credit) if origin == "alt" else [],
                    _expected(page, figure, text, first and origin != "neighbour"),
                )
            )
        seen.add(figure.picture.url)
    return found


def _image_truth(picture: Picture, users: list[PageTruth], warcs: list[str]) -> ImageTruth:
    original = picture.revisit_of
    data = picture.data if original is None else original.data
    documents = {page.url for page in users if page.outcome != "rejected"}
    frequent = len(documents) > MAX_DOCUMENTS
    assert frequent == (picture.outcome == "frequent"), (picture.url, len(documents))
    return ImageTruth(
        picture.url,
        picture.outcome,
        len(documents),
        sorted({page.url for page in users}),
        picture.width,
        picture.height,
        picture.format,
        hashlib.sha256(data).hexdigest() if data is not None and picture.status == 200 else None,
        warcs,
        original.url if original is not None else None,
    )


def _cluster_truth(cluster: Cluster) -> ClusterTruth:
    members = sorted((page.url, page.date) for page in cluster.pages)
    survivor = (cluster.survivor.url, cluster.survivor.date)
    return ClusterTruth(cluster.name, cluster.kind, members, survivor)


def generate_demo_crawl(folder: Path, seed: int = 0, pages: int = 300) -> DemoTruth:
    """Writes a small seeded web: four WARCs and `truth.json`.

    The same seed gives the same bytes, given the same builds of Pillow's codecs and of zlib.

    Args:
        folder: where the files go; made if missing.
        seed: chooses texts, pictures and the order of records, not what is planted.
        pages: number of records that are not images.

    Returns:
        The truth, as in `truth.json`.

    Raises:
        ValueError: fewer `pages` than are planted.
    """
    crawl = plan_crawl(seed, pages)
    folder.mkdir(parents=True, exist_ok=True)
    pictures = list(crawl.pictures.values())
    warcs, page_files, image_files = write_warcs(folder, seed, crawl.pages, pictures)
    page_truths = [_page_truth(page, page_files[i]) for i, page in enumerate(crawl.pages)]
    users: dict[str, list[PageTruth]] = {picture.url: [] for picture in pictures}
    for page in page_truths:
        for use in page.images:
            for url in (use.url, *use.alternatives):
                users[url].append(page)
    images = [_image_truth(p, users[p.url], image_files.get(p.url, [])) for p in pictures]
    captions = [caption for planned in crawl.pages for caption in _captions(planned)]
    clusters = [_cluster_truth(cluster) for cluster in crawl.clusters]
    truth = DemoTruth(seed, page_truths, images, captions, clusters, warcs)
    write_truth(truth, folder / "truth.json")
    return truth
