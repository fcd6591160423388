"""Fits the weights that `transforms/content_model.py` reads, and says what they are worth.

`python -m benchmarks.train_content_model --data FOLDER`

Learns from WCXB (Murrough-Foley, Web Content Extraction Benchmark, 2026, CC BY 4.0) and from the
article extraction benchmark of Scrapinghub/Zyte (MIT): pages with the text of their main content.
Pages are split by site into folds; each fold is judged by a network that never saw its sites. The
shipped weights are then fitted to all pages. Writes

- `transforms/content_model.npz`: the shipped weights;
- `benchmarks/results/content_model_folds.npz`: the weights of each fold, with which
  `make bench-extract` judges the pages of these two sets;
- `benchmarks/results/content_model.json`: what the folds reach, and how they were made.
"""

import hashlib
import re
import time
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer

from benchmarks.content_network import LabelledPage, as_whole_model, fit, to_whole_numbers
from benchmarks.extraction_data import DATA, load_set
from transforms.content_features import Blocks, measure_blocks
from transforms.content_model import WEIGHTS, ContentModel, score_blocks
from transforms.dom import Dom, parse_html
from transforms.urls import site_of

RESULTS = Path(__file__).parent / "results"
FOLDS = 4
SETS = ("wcxb", "scrapinghub")
CROPPED_WORTH = 0.25
"""What a small page cut out of a large one counts beside it."""
SHINGLE = 4
"""Words that must agree in a row for a long block to count as content."""
_WORDS = re.compile(r"\w+")


def fold_of(site: str) -> int:
    """The fold that judges the pages of a site."""
    return hashlib.sha256(site.encode()).digest()[0] % FOLDS


def label_blocks(words: list[list[str]], truth: list[str]) -> npt.NDArray[np.float32]:
    """How much of each block is in the main content, 0 to 1.

    A block of at least `SHINGLE` words is compared by its shingles. A shorter one is content where
    it stands in the main content between what the long ones around it stand for.
    """
    shingles: dict[tuple[str, ...], int] = {}
    for at in range(len(truth) - SHINGLE + 1):
        shingles.setdefault(tuple(truth[at : at + SHINGLE]), at)
    places: dict[str, list[int]] = defaultdict(list)
    for at, word in enumerate(truth):
        places[word].append(at)
    labels = np.zeros(len(words), np.float32)
    anchors: list[tuple[int, int]] = []
    for number, block in enumerate(words):
        if len(block) >= SHINGLE:
            runs = [tuple(block[at : at + SHINGLE]) for at in range(len(block) - SHINGLE + 1)]
            found = [shingles[run] for run in runs if run in shingles]
            labels[number] = len(found) / len(runs)
            if labels[number] > 0.5:
                anchors.append((number, found[0]))
    before = 0
    for number, block in enumerate(words):
        while before < len(anchors) and anchors[before][0] <= number:
            before += 1
        if not block or len(block) >= SHINGLE:
            continue
        last = anchors[before - 1] if before else None
        following = anchors[before] if before < len(anchors) else None
        low = last[1] if last else 0
        high = following[1] if following else len(truth)
        if last and following:
            low, high = min(low, high), max(low, high)
        elif following:
            low = max(0, high - 60)
        elif last:
            high = low + len(words[last[0]]) + 60
        size = len(block)
        labels[number] = any(
            low <= at <= high and truth[at : at + size] == block for at in places.get(block[0], ())
        )
    return labels


def crop(dom: Dom, blocks: Blocks, target: npt.NDArray[np.float32], rng: Random) -> Dom | None:
    """The page with elements taken out at random until few blocks are left.

    Small pages are rare in the sets and common on the web. Something of the content always stays.
    """
    wanted = rng.randint(6, 60)
    first = blocks.first
    if len(first) < 2 * wanted:
        return None
    elements = np.flatnonzero(dom.closes > np.arange(len(dom)))
    begin = np.searchsorted(first, elements)
    end = np.searchsorted(first, dom.closes[elements])
    chosen = np.flatnonzero((end > begin) & (end - begin < len(first) * 0.6)).tolist()
    rng.shuffle(chosen)
    gone = np.zeros(len(first), np.bool_)
    good = target > 0.5
    cut = np.zeros(len(dom) + 1, np.int64)
    for each in chosen:
        inside = slice(int(begin[each]), int(end[each]))
        if not (good & ~gone)[: inside.start].any() and not (good & ~gone)[inside.stop :].any():
            continue
        left = int((~gone).sum())
        if left <= wanted:
            break
        if int((~gone[inside]).sum()) > max(left - wanted // 2, 1):
            continue
        gone[inside] = True
        element = int(elements[each])
        cut[element] += 1
        cut[int(dom.closes[element]) + 1] -= 1
    removed = np.cumsum(cut[:-1]) > 0
    pieces = []
    for tag in np.flatnonzero(~removed).tolist():
        stop = int(dom.text_stops[tag])
        pieces.append(dom.source[int(dom.starts[tag]) : stop])
    return Dom(b"".join(pieces))


def label_page(page: tuple[str, str, str, str, str]) -> list[LabelledPage]:
    """Measures and labels a page given as (key, URL, page type, HTML, main content).

    Returns the page and, where it is large, a small page cut out of it, with `~` behind its key.
    """
    key, url, kind, html, text = page
    truth = _WORDS.findall(text.lower())
    dom = parse_html(html)
    whole = _label(key, url, kind, dom, truth)
    if whole is None:
        return []
    small = crop(dom, whole.blocks, whole.target, Random(key))
    cropped = None if small is None else _label(f"{key}~", url, kind, small, truth)
    return [whole] if cropped is None else [whole, replace(cropped, worth=CROPPED_WORTH)]


def _label(key: str, url: str, kind: str, dom: Dom, truth: list[str]) -> LabelledPage | None:
    blocks = measure_blocks(dom)
    if not len(blocks.size):
        return None
    words = [
        _WORDS.findall("".join(dom.text_behind(tag) for tag in range(first, last + 1)).lower())
        for first, last in zip(blocks.first.tolist(), blocks.last.tolist(), strict=True)
    ]
    target = label_blocks(words, truth)
    counts = np.array([len(block) for block in words], np.float32)
    # A picture without text is what the texts on both sides of it are, where these agree.
    counted = counts.copy()
    known = np.flatnonzero(counts > 0)
    pictures = np.flatnonzero((counts == 0) & (blocks.images > 0))
    if len(known):
        behind = np.searchsorted(known, pictures)
        low = target[known[np.maximum(behind - 1, 0)]] > 0.5
        high = target[known[np.minimum(behind, len(known) - 1)]] > 0.5
        agree = low == high
        counted[pictures[agree]] = 4
        target[pictures[agree]] = low[agree]
    weight = counted**0.7
    weight /= max(float(weight.sum()), 1e-9)
    return LabelledPage(key, site_of(url), kind, blocks, words, truth, target, weight, counts)


def page_f1(page: LabelledPage, keep: npt.NDArray[np.bool_]) -> float:
    """F1 over word counts."""
    found: Counter[str] = Counter()
    for block in np.flatnonzero(keep).tolist():
        found.update(page.words[block])
    wanted = Counter(page.truth)
    both = sum((found & wanted).values())
    total = sum(found.values()) + sum(wanted.values())
    return 2 * both / total if total else 1.0


def _shingles(words: list[str]) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[at : at + 4]) for at in range(max(len(words) - 3, 1)))


def shingle_f1(pages: list[tuple[LabelledPage, npt.NDArray[np.bool_]]]) -> float:
    """F1 of mean precision and mean recall over 4-word shingles."""
    precision, recall = [], []
    for page, keep in pages:
        words = [word for block in np.flatnonzero(keep).tolist() for word in page.words[block]]
        found, wanted = _shingles(words), _shingles(page.truth)
        both = sum((found & wanted).values())
        precision.append(both / max(sum(found.values()), 1))
        recall.append(both / max(sum(wanted.values()), 1))
    p, r = float(np.mean(precision)), float(np.mean(recall))
    return 2 * p * r / (p + r)


def keep_blocks(page: LabelledPage, model: ContentModel, threshold: float) -> Any:
    """The blocks that the model keeps; tables and code are not taken as a whole here."""
    return score_blocks(page.blocks, model) > threshold


def judge(
    pages: list[tuple[LabelledPage, ContentModel]], threshold: float = 0.0
) -> dict[str, float]:
    """Mean F1 of WCXB, also by page type, and shingle F1 of the article set."""
    by_type: dict[str, list[float]] = defaultdict(list)
    articles = []
    for page, model in pages:
        if page.key.endswith("~"):
            continue
        keep = keep_blocks(page, model, threshold)
        if page.kind == "scrapinghub":
            articles.append((page, keep))
        else:
            by_type[page.kind].append(page_f1(page, keep))
    found = {f"wcxb {kind}": float(np.mean(values)) for kind, values in sorted(by_type.items())}
    found["wcxb"] = float(np.mean([value for values in by_type.values() for value in values]))
    found["scrapinghub"] = shingle_f1(articles)
    return found


def load_pages(data: Path) -> list[LabelledPage]:
    """All pages of both sets, measured and labelled."""
    raw = [
        (f"{name}/{page.name}", page.url, page.kind or name, page.html, page.text)
        for name in SETS
        for page in load_set(name, data)
    ]
    with ProcessPoolExecutor() as pool:
        return [page for found in pool.map(label_page, raw, chunksize=16) for page in found]


def _fit_fold(pages: list[LabelledPage], fold: int | None, seed: int, epochs: int) -> Any:
    chosen = [page for page in pages if fold is None or fold_of(page.site) != fold]
    return to_whole_numbers(fit(chosen, seed, epochs))


def main(
    data: Annotated[Path, typer.Option(help="Folder with the data sets.")] = DATA,
    epochs: Annotated[int, typer.Option(help="Passes over the pages.")] = 30,
    folds: Annotated[bool, typer.Option(help="Also fit and judge the folds.")] = True,
    shipped: Annotated[bool, typer.Option(help="Also fit the weights that are shipped.")] = True,
    processes: Annotated[int, typer.Option(help="Networks fitted at once, a core each.")] = 2,
    into: Annotated[Path, typer.Option(help="Folder for trials; empty for the project.")] = Path(),
) -> None:
    """Fit the content model and judge it on pages of sites it never saw."""
    start = time.monotonic()
    pages = load_pages(data)
    print(f"{len(pages)} pages, {sum(len(p.target) for p in pages)} blocks", flush=True)
    trial = into != Path()
    jobs = [*(range(FOLDS) if folds else ()), *([None] if shipped else ())]
    with ProcessPoolExecutor(processes) as pool:
        fitted = {
            fold: pool.submit(_fit_fold, pages, fold, 0 if fold is None else fold + 1, epochs)
            for fold in jobs
        }
        arrays = {fold: job.result() for fold, job in fitted.items()}
    if shipped:
        np.savez_compressed(into / "content_model.npz" if trial else WEIGHTS, **arrays[None])
    if folds:
        flat = {f"{fold}/{n}": v for fold in range(FOLDS) for n, v in arrays[fold].items()}
        where = into if trial else RESULTS
        np.savez_compressed(where / "content_model_folds.npz", **flat)
        models = {fold: as_whole_model(arrays[fold]) for fold in range(FOLDS)}
        for threshold in (-1.0, -0.5, 0.0, 0.5, 1.0):
            found = judge([(page, models[fold_of(page.site)]) for page in pages], threshold)
            print(threshold, {name: round(value, 4) for name, value in found.items()}, flush=True)
    print(f"{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    # A network is fitted on one core: its products are too small for two.
    typer.run(main)
