"""From what extractors found to measures, tables and rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.extraction_data import GoldPage
from benchmarks.extraction_scores import (
    ImageCounts,
    Score,
    comparable_url,
    count_images,
    mean_score,
    score_shingles,
    score_words,
    snippets_present,
    sum_counts,
)
from benchmarks.report import Row, middle

SPEEDS = {"pages/s": "pages/s", "pages/CPU s": "pages/CPU s", "MB/CPU s": "MB/CPU s"}
TARGETS = {
    ("scrapinghub", "F1"): 0.960,
    ("readability", "image recall"): 0.95,
    ("readability", "image precision"): 0.90,
    ("wcxb", "F1"): 0.870,
}
MIN_SPEEDUPS = {"trafilatura": 15.0, "resiliparse": 1.0}
"""Of pages per CPU second on scrapinghub."""
MIN_AGREEMENT = 0.99


@dataclass(frozen=True)
class Measured:
    """An extractor on a data set."""

    extractor: str
    measures: dict[str, float]
    details: dict[str, Any] = field(default_factory=dict)
    page_f1: dict[str, float] = field(default_factory=dict)


def measure(
    name: str,
    pages: Sequence[GoldPage],
    extractor: str,
    runs: Sequence[Mapping[str, Any]],
    image_run: Mapping[str, Any] | None,
) -> Measured:
    """What the runs of an extractor over a data set are worth.

    Args:
        name: The data set.
        pages: Its pages.
        extractor: Its name.
        runs: One a round; the texts of the first are judged.
        image_run: The run whose images are judged, None where the extractor gives none.
    """
    found = runs[0]["found"]
    texts = [each["text"] for each in found]
    scores = [score_words(page.text, text) for page, text in zip(pages, texts, strict=True)]
    details: dict[str, Any] = {"failed_pages": sum(each["failed"] for each in found)}
    if name == "scrapinghub":
        pairs = [(page.text, text) for page, text in zip(pages, texts, strict=True)]
        measures = _of_score(score_shingles(pairs))
        scores = [score_shingles([pair]) for pair in pairs]
    else:
        measures = _of_score(mean_score(scores))
    kinds = sorted({page.kind for page in pages if page.kind})
    for kind in kinds:
        own = [score for page, score in zip(pages, scores, strict=True) if page.kind == kind]
        measures[f"F1 {kind}"] = mean_score(own).f1
    details |= _snippets(pages, texts)
    if image_run is not None and any(page.images for page in pages):
        counts = judge_images(pages, image_run["found"])
        measures["image recall"], measures["image precision"] = counts.recall, counts.precision
        plain = [replace(page, optional_images=frozenset()) for page in pages]
        details["images"] = {
            "any file": _of_counts(counts),
            "any file, those without src wrong": _of_counts(
                judge_images(plain, image_run["found"])
            ),
            "src alone": _of_counts(judge_images(plain, image_run["found"], by_src_alone=True)),
        }
    cpu, wall = (middle([sum(run[clock]) for run in runs]) for clock in ("cpu", "wall"))
    size = sum(len(page.html.encode("utf-8")) for page in pages) / 1e6
    measures |= {
        "pages/s": len(pages) / wall, "pages/CPU s": len(pages) / cpu, "MB/CPU s": size / cpu,
    }  # fmt: skip
    details["seconds"] = {
        clock: [round(sum(run[clock]), 3) for run in runs] for clock in ("cpu", "wall")
    }
    slowest = max(range(len(pages)), key=lambda at: runs[0]["cpu"][at])
    details["slowest_page"] = {
        "page": pages[slowest].name, "cpu": round(runs[0]["cpu"][slowest], 3)
    }  # fmt: skip
    page_f1 = {page.name: score.f1 for page, score in zip(pages, scores, strict=True)}
    return Measured(extractor, measures, details, page_f1)


def judge_images(
    pages: Sequence[GoldPage], found: Sequence[Mapping[str, Any]], by_src_alone: bool = False
) -> ImageCounts:
    """Counts over all pages.

    A given image is an expected one if any of its files (its URL, the full-size file it leads to)
    is any file of the expected one (`src`, `srcset`, lazy attributes, sources of its `picture`).
    One that is an expected image without `src` is in no count. `by_src_alone` compares its URL with
    `src` and nothing else: each other given image is wrong.
    """
    counts = []
    for page, each in zip(pages, found, strict=True):
        given = []
        for references in each["images"]:
            urls = [comparable_url(page.url, reference) for reference in references]
            given.append(frozenset(url for url in urls[: 1 if by_src_alone else None] if url))
        # The same file twice on a page is one image, as it is in what is expected.
        distinct = [urls for urls in dict.fromkeys(given) if urls]
        if by_src_alone:
            counts.append(count_images([{image.src} for image in page.images], distinct))
        else:
            wanted = [image.urls for image in page.images]
            counts.append(count_images(wanted, distinct, page.optional_images))
    return sum_counts(counts)


def _of_score(score: Score) -> dict[str, float]:
    return {"precision": score.precision, "recall": score.recall, "F1": score.f1}


def _of_counts(counts: ImageCounts) -> dict[str, float]:
    return {
        "expected": counts.expected, "expected_found": counts.expected_found,
        "found": counts.found, "found_expected": counts.found_expected,
        "recall": round(counts.recall, 4), "precision": round(counts.precision, 4),
    }  # fmt: skip


def _snippets(pages: Sequence[GoldPage], texts: Sequence[str]) -> dict[str, float]:
    """Share of the snippets that are kept as they should be, and left out as they should be."""
    kept = left_out = wanted = unwanted = 0
    for page, text in zip(pages, texts, strict=True):
        wanted += len(page.snippets)
        kept += snippets_present(page.snippets, text)
        unwanted += len(page.unwanted)
        left_out += len(page.unwanted) - snippets_present(page.unwanted, text)
    if not wanted + unwanted:
        return {}
    return {
        "wanted_snippets_kept": round(kept / (wanted or 1), 4),
        "unwanted_snippets_left_out": round(left_out / (unwanted or 1), 4),
    }


def make_rows(measured: Mapping[str, Sequence[Measured]]) -> list[Row]:
    """Ours (the first extractor of each set) against each of the others, and the targets."""
    rows = []
    for name, (ours, *others) in measured.items():
        for what, value in ours.measures.items():
            unit = SPEEDS.get(what, "")
            rows += [
                Row(f"{name}: {what}", value, unit, other.extractor, other.measures[what])
                for other in others
                if what in other.measures
            ]
            if not others:
                rows.append(Row(f"{name}: {what}", value, unit))
            if target := TARGETS.get((name, what)):
                rows.append(Row(f"{name}: {what}", value, unit, "target", target))
        if name == "scrapinghub":
            rate = ours.measures["pages/CPU s"]
            rows += [
                Row(f"{name}: speed over {other.extractor}", rate / other.measures["pages/CPU s"],
                    "times", "target", MIN_SPEEDUPS[other.extractor])
                for other in others if other.extractor in MIN_SPEEDUPS
            ]  # fmt: skip
    return rows


def show_sets(
    console: Console, measured: Mapping[str, Sequence[Measured]], sizes: Mapping[str, int]
) -> None:
    """Print a table a data set: a row an extractor, a column a measure."""
    for name, extractors in measured.items():
        columns = list(dict.fromkeys(what for each in extractors for what in each.measures))
        kinds = [what for what in columns if what.startswith("F1 ")]
        main = [what for what in columns if what not in kinds]
        _show(console, f"{name}, {sizes[name]} pages", extractors, main)
        if kinds:
            _show(console, f"{name}, F1 by page type", extractors, kinds)


def _show(
    console: Console, title: str, extractors: Sequence[Measured], columns: Sequence[str]
) -> None:
    table = Table(title=title, title_justify="left")
    table.add_column("extractor")
    for what in columns:
        table.add_column(what.removeprefix("F1 "), justify="right")
    for each in extractors:
        values = [each.measures.get(what) for what in columns]
        table.add_row(each.extractor, *(
            "" if value is None else f"{value:.1f}" if what in SPEEDS else f"{value:.3f}"
            for what, value in zip(columns, values, strict=True)
        ))  # fmt: skip
    console.print(table)


def show_worst(console: Console, name: str, measured: Measured, count: int) -> None:
    """Print the pages that an extractor does worst on."""
    console.print(f"{name}, pages with the lowest F1 of {measured.extractor}:")
    for page in sorted(measured.page_f1, key=lambda page: (measured.page_f1[page], page))[:count]:
        console.print(f"  {measured.page_f1[page]:.3f}  {page}", highlight=False)
