"""Paragraphs are counted as by hand, however pages lie in parts and buckets."""

import random
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.rows import Text, TextScore
from schemas.tables import to_batch
from transforms.pages import PageFiles
from transforms.select_images import KeptFiles
from transforms.sink import Part, PartSink
from transforms.site_paragraphs import (
    CommitParagraphs,
    CountPages,
    EmitParagraphs,
    NumberedFiles,
    _page_number,
)
from transforms.text_scores import score_text

MIN_PAGES = 3
WORDS = ("Read more", "read  MORE", "Follow us", "About", "Contact", "")


class Page(NamedTuple):
    site: str
    path: str
    """Empty: a row without a page."""
    paragraphs: tuple[str, ...]
    component: str | None
    is_kept: bool


_PAGES = st.lists(
    st.builds(
        Page, st.sampled_from(["a.example", "b.example", ""]), st.sampled_from(["", *"pqrs"]),
        st.lists(st.sampled_from(WORDS), max_size=4).map(tuple),
        st.sampled_from([None, None, "c1", "c2"]), st.sampled_from([True, True, True, False]),
    ),
    max_size=14,
)  # fmt: skip


def write_part(folder: Path, name: str, pages: list[tuple[int, Page]]) -> KeptFiles:
    def write(table: str, rows: Any) -> str:
        pq.write_table(rows, folder / f"{name}-{table}.parquet")
        return f"{name}-{table}.parquet"

    texts, scores = [], []
    for number, page in pages:
        url, text = page.path and f"https://{page.site}/{page.path}", "\n\n".join(page.paragraphs)
        page_id = f"{number:032x}"
        facts = ("", "en", None, "", "utf-8", None, "f", 0, "")
        texts.append(Text(page_id, url, page.site, *facts, text))
        scores.append(score_text(page_id, text))
    kept = [f"{number:032x}" for number, page in pages if page.is_kept]
    joined = [(f"{n:032x}", page.component) for n, page in pages if page.component is not None]
    clusters = pa.table(
        {"id": pa.array([row[0] for row in joined], pa.string()),
         "component": pa.array([row[1] for row in joined], pa.string())}
    )  # fmt: skip
    return KeptFiles(
        PageFiles(
            part=name,
            documents=None,
            texts=write("texts", pa.Table.from_batches([to_batch(texts, Text)])),
            captions=None,
            scores_text=write("scores", pa.Table.from_batches([to_batch(scores, TextScore)])),
            image_records=None,
        ),
        write("signatures", pa.table({"id": pa.array(kept, pa.string())})),
        write("clusters", clusters),
        None,
    )


def run_step(pages: list[Page], order: random.Random, parts: int, buckets: int) -> Any:
    """The rows of `repeated_paragraphs`, and the words that are left of each shortened page."""
    dealt: dict[str, list[tuple[int, Page]]] = {f"part{n}": [] for n in range(parts)}
    numbered = list(enumerate(pages))
    order.shuffle(numbered)
    for row in numbered:
        dealt[order.choice(list(dealt))].append(row)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {part: write_part(folder, part, rows) for part, rows in dealt.items()}
        meeting = defaultdict(list)
        names = {str(number): part for number, part in enumerate(files)}
        for number, part in names.items():
            found = NumberedFiles(int(number), files[part])
            for bucket, rows in EmitParagraphs(name, buckets)(Part(part, "f", found)):
                meeting[bucket].append(rows)
        back = defaultdict(list)
        for bucket, blocks in meeting.items():
            order.shuffle(blocks)
            for number, rows in CountPages(MIN_PAGES)(bucket, pa.concat_tables(blocks)):
                back[names[number]].append(rows)
        assert set(back) == set(files)
        repeated, left = [], {}
        for part, blocks in back.items():
            commit = CommitParagraphs(name, MIN_PAGES, files)
            with PartSink("dedup", name, Part(f"paragraphs-{part}", "f", part)) as sink:
                commit(Part(f"paragraphs-{part}", "f", part), pa.concat_tables(blocks), sink)
                told = sink.publish()
            for table, paths in told.files.items():
                rows = pq.read_table(folder / next(iter(paths.values()))).to_pylist()
                if table == "repeated_paragraphs":
                    repeated += [tuple(row.values()) for row in rows]
                else:
                    left |= {row["id"]: row["words"] for row in rows}
    return sorted(repeated), left


def by_hand(pages: list[Page]) -> Any:
    kept = [(n, page) for n, page in enumerate(pages) if page.is_kept and page.site and page.path]
    seen = defaultdict(set)

    def name(page: Page) -> int:
        return _page_number(page.component, f"https://{page.site}/{page.path}")

    def pages_with(page: Page, text: str) -> set[int]:
        return seen[page.site, text.lower().split().__repr__()]

    for _, page in kept:
        for text in page.paragraphs:
            pages_with(page, text).add(name(page))
    repeated, left = [], {}
    for number, page in kept:
        texts = [text for text in page.paragraphs if text]
        gone = {at: len(pages_with(page, text)) for at, text in enumerate(texts)}
        gone = {at: count for at, count in gone.items() if count >= MIN_PAGES}
        if 2 * sum(len(texts[at]) for at in gone) > sum(map(len, texts)):
            first = name(page)
            gone = {at: n for at, n in gone.items() if min(pages_with(page, texts[at])) != first}
        repeated += [(f"{number:032x}", at, count, MIN_PAGES - 1) for at, count in gone.items()]
        if gone:
            stays = [text for at, text in enumerate(texts) if at not in gone]
            left[f"{number:032x}"] = len(" ".join(stays).split())
    return sorted(repeated), left


@settings(deadline=None, max_examples=60)
@given(_PAGES, st.integers(1, 3), st.integers(1, 4), st.randoms(use_true_random=False))
def test_what_is_repeated_is_what_a_count_by_hand_says(
    pages: list[Page], parts: int, buckets: int, order: random.Random
) -> None:
    assert run_step(pages, order, parts, buckets) == by_hand(pages)


def test_copies_of_one_page_do_not_delete_their_own_text() -> None:
    own = ("All that this page says",)
    crawled = [Page("a.example", "p", own, None, True)] * 5
    printed = [Page("a.example", path, own, "c1", True) for path in "pqrs"]
    assert run_step(crawled, random.Random(1), 2, 2) == ([], {})
    assert run_step(printed, random.Random(1), 2, 2) == ([], {})
    others = [Page("a.example", path, own, None, True) for path in "pqr"]
    assert len(run_step(others, random.Random(1), 2, 2)[0]) == 2, "the first one keeps it"
