"""Answers: for every image URL the one answer that counts, from crawl files and from all fetches.

Answers come from buckets of URLs (`refs`) and from buckets of domains (`fetch`), and meet here by
URL. Block lists are applied once more, because a list may be longer than when an image was fetched,
and because images of a crawl file were never asked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from schemas.outcomes import OK
from schemas.rows import Image
from schemas.tables import schema_of, to_batch
from transforms.block_lists import BlockListConfig, BlockLists
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
        for path in paths:
            rows = read_table(self.output, [path])
            assert rows is not None
            urls = rows["image_url"].to_pylist()
            yield from split_rows(rows, [url_bucket(url, self.config.buckets) for url in urls])


@dataclass(eq=False)
class CommitAnswers:
    """Reduce side: the answer of each URL, unless a block list names the image."""

    block_lists: BlockListConfig

    def setup(self) -> None:
        """Load the block lists, once a worker."""
        self._blocked = BlockLists.load(self.block_lists)

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
        if hit is None or row.outcome == hit.outcome:
            # A refused or failed answer is an answer: what it means is for gate `shard` to say.
            sink.count("image_answers", kept=1)
            return row
        sink.reject("image_answers", refused_image(row.image_url, hit))
        return Image(
            row.image_url,
            None,
            hit.outcome,
            row.attempt,
            sha256=row.sha256,
            phash=row.phash,
            status=row.status,
            content_type=row.content_type,
            final_url=row.final_url,
            answered_at=row.answered_at,
            message=str(hit),
        )
