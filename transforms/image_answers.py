"""Answers: for every image URL the one answer that counts, from crawl files and from all fetches.

Answers come from buckets of URLs (`refs`) and from buckets of domains (`fetch`), and meet here by
URL. Block lists are applied once more, because a list may be longer than when an image was fetched,
and because images of a crawl file were never asked for. Images of evaluation items are left out
here and nowhere before: the answer that is kept stays an image, should the tables change.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from schemas.outcomes import CONTAMINATED, OK
from schemas.rows import Image
from schemas.tables import schema_of, to_batch
from transforms.block_lists import BlockListConfig, BlockLists
from transforms.contamination import ImageMatcher
from transforms.ledger import refused_image
from transforms.refs import RefsConfig, url_bucket
from transforms.shuffle import Block, split_rows
from transforms.sink import Part, PartSink
from transforms.table_files import read_table

STAGE = "fetch"
STEP_VERSION = 1


@dataclass(eq=False)
class EmitAnswers:
    """Map side: the answers of some files, by URL."""

    output: str
    config: RefsConfig

    def __call__(self, part: Part) -> Iterator[Block]:
        """Yield answers; an empty block for every bucket of URLs where the part has no file."""
        paths: tuple[str, ...] = part.spec
        if not paths:
            for number in range(self.config.buckets):
                yield f"{number:05d}", schema_of(Image).empty_table()
            return
        # All files of a commit at once: a block costs more than the few rows that one file has.
        rows = read_table(self.output, paths)
        assert rows is not None
        urls = rows["image_url"].to_pylist()
        yield from split_rows(rows, [url_bucket(url, self.config.buckets) for url in urls])


@dataclass(frozen=True, slots=True)
class EvaluationImages:
    """Where the images of evaluation items lie, and how near an image may come to them."""

    output: str
    path: str | None
    distance: int


@dataclass(eq=False)
class CommitAnswers:
    """Reduce side: the answer of each URL, unless a block list or an evaluation item has it."""

    block_lists: BlockListConfig
    evaluation: EvaluationImages | None = None

    def setup(self) -> None:
        """Load the block lists and the images of evaluation items, once a worker."""
        self._blocked = BlockLists.load(self.block_lists)
        self._items = None
        if (found := self.evaluation) is not None:
            self._items = ImageMatcher(found.output, found.path, found.distance)

    def __call__(self, part: Part, rows: pa.Table, sink: PartSink) -> None:
        """Choose; count every URL."""
        del part
        order = [
            ("image_url", "ascending"),
            ("attempt", "descending"),
            ("answered_at", "descending"),
        ]
        best: dict[str, dict[str, object]] = {}
        for row in rows.sort_by(order).to_pylist():
            known = best.get(row["image_url"])
            if known is None or (known["outcome"] != OK and row["outcome"] == OK):
                best[row["image_url"]] = row
        chosen = [Image(**values) for _, values in sorted(best.items())]  # type: ignore[arg-type]
        sink.seen("image_answers", len(chosen))
        sink.write("image_answers", to_batch([self._judged(row, sink) for row in chosen], Image))

    def _judged(self, row: Image, sink: PartSink) -> Image:
        hit = self._blocked.answer(row.image_url, row.final_url, row.sha256, row.phash)
        contaminated = self._contaminated(row, sink) if hit is None else None
        if contaminated is not None:
            return contaminated
        if hit is None or row.outcome == hit.outcome:
            # A refused or failed answer is an answer: what it means is for gate `shard` to say.
            sink.count("image_answers", kept=1)
            return row
        sink.reject("image_answers", refused_image(row.image_url, hit))
        return _without_bytes(row, hit.outcome, str(hit))

    def _contaminated(self, row: Image, sink: PartSink) -> Image | None:
        """The answer without its bytes, where it is an image of an evaluation item."""
        if self._items is None or row.outcome != OK:
            return None
        found = self._items.find(row.image_url, row.sha256, row.phash)
        if not found:
            return None
        for each in found:
            sink.write_row("contamination", each)
        refused = self._items.refused(found[0])
        sink.reject("image_answers", refused)
        return _without_bytes(row, CONTAMINATED, f"of an evaluation item: {refused.value_text}")


def _without_bytes(row: Image, outcome: str, message: str) -> Image:
    return Image(
        row.image_url,
        None,
        outcome,
        row.attempt,
        sha256=row.sha256,
        phash=row.phash,
        status=row.status,
        content_type=row.content_type,
        final_url=row.final_url,
        answered_at=row.answered_at,
        message=message,
    )
