"""A labelled corpus of duplicates, made of made-up words: what is planted is known exactly.

A document is an array of word numbers of one of five scripts, and its text is those words with
capitals and punctuation around them. Five numbers of twelve bits fit 64 bits, so a shingle of
`minhash.shingles` is an exact integer here, and a label holds the Jaccard similarity that a copy
really has, not the one that was aimed at. The trade-off: words are drawn evenly, so unrelated
documents share less than real ones do; what real ones share is planted (kind `boilerplate`).

| kind | documents of a family | share no family, but |
|---|---|---|
| unrelated | one | |
| exact | the same text, twice to five times | |
| same_words | the same words with other capitals and punctuation | |
| near | an original and a copy at a Jaccard similarity of 0.5 to 0.95 | |
| chain | five, each a copy of the one before at 0.75 to 0.9 | |
| boilerplate | one | header and footer, 30 to 60 percent of their shingles |
| short_equal | 3 to 9 words, the same in each | |
| short_different | 3 to 9 words, one of them its own | all other words |
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import count
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

NGRAM = 5
"""Words of a shingle, as `MinHashConfig.ngram`."""
SEED = 20261121
BINS = tuple(round(0.5 + 0.05 * number, 2) for number in range(10))
"""Middles of the Jaccard bins, each 0.05 wide."""
FEWEST = 1000
"""Documents of a corpus."""
SITE = "https://planted.example"

Words = npt.NDArray[np.uint16]
"""Numbers of words in the vocabulary of a script, from 1."""
Shingles = npt.NDArray[np.uint64]
"""Distinct shingles as numbers, sorted."""

_BIN_WIDTH = 0.05
_BITS = 12
_VOCABULARY = (1 << _BITS) - 1
_ROW_GROUP = 1000
_MIDDLE = 9
"""Up to this length every shingle holds the middle word."""

OBELICS = pa.schema(
    {
        "images": pa.list_(pa.string()),
        "metadata": pa.string(),
        "general_metadata": pa.string(),
        "texts": pa.list_(pa.string()),
    }
)


@dataclass(frozen=True, slots=True)
class Script:
    """What words look like."""

    name: str
    letters: str
    spaced: bool
    stop: str
    """What ends a sentence."""


def _letters(*ranges: tuple[int, int]) -> str:
    return "".join(chr(code) for first, last in ranges for code in range(first, last + 1))


# Letters that NFKC and case folding leave alone, so that words stay apart.
SCRIPTS = (
    Script("Latin", _letters((0x61, 0x7A)) + "äçéñöøü", True, "."),
    Script("Cyrillic", _letters((0x430, 0x44F)), True, "."),
    Script("Arabic", _letters((0x628, 0x63A), (0x641, 0x648)), True, "\u06d4"),
    Script("Han", _letters((0x4E00, 0x4E00 + _VOCABULARY - 1)), False, "。"),
    Script("Thai", _letters((0xE01, 0xE2E)), False, " "),
)


@cache
def vocabulary(script: int) -> tuple[str, ...]:
    """The words of a script, the first is number 1. In scripts without spaces a word is a letter.

    Args:
        script: Place in `SCRIPTS`.
    """
    letters = SCRIPTS[script].letters
    if not SCRIPTS[script].spaced:
        return tuple(letters)
    rng = np.random.default_rng([SEED, script])
    words: dict[str, None] = {}
    while len(words) < _VOCABULARY:
        picked = rng.integers(0, len(letters), rng.integers(2, 10)).tolist()
        words["".join(letters[place] for place in picked)] = None
    return tuple(words)


@dataclass(frozen=True, slots=True)
class Page:
    """Words and how they are written."""

    script: int
    words: Words
    sentence: int = 12
    """Words of a sentence; pages that differ in it alone have the same shingles."""

    def shingles(self) -> Shingles:
        """The distinct shingles, equal where those of `minhash.shingles` are."""
        width = min(NGRAM, len(self.words))
        last = len(self.words) - width + 1
        codes = np.zeros(last, np.uint64)
        for offset in range(width):
            codes <<= np.uint64(_BITS)
            codes |= self.words[offset : offset + last]
        codes |= np.uint64(self.script << NGRAM * _BITS)
        codes.sort()
        # `np.unique` takes five times as long for so few.
        distinct: Shingles = codes[np.concatenate([[True], codes[1:] != codes[:-1]])]
        return distinct

    def text(self) -> str:
        """The page as it is written: sentences, four of them a paragraph."""
        script, known = SCRIPTS[self.script], vocabulary(self.script)
        words = [known[number - 1] for number in self.words.tolist()]
        between, gap = (" ", " ") if script.spaced else ("", "")
        sentences = [
            between.join(words[start : start + self.sentence]).capitalize() + script.stop
            for start in range(0, len(words), self.sentence)
        ]
        paragraphs = [gap.join(sentences[at : at + 4]) for at in range(0, len(sentences), 4)]
        return "\n\n".join(paragraphs)


@dataclass(frozen=True, slots=True)
class Document:
    """A page of the corpus and its labels."""

    number: int
    page: Page
    kind: str
    family: int
    """Documents of one family are duplicates by construction, those of two are not."""
    template: int
    """Documents of several families with one template share boilerplate, or all words but one."""
    original: bool
    jaccard: float
    """Exact Jaccard similarity of the shingles to the family's original."""
    date: str
    """The day of the crawl, as `20240131`: duplicates are ranked by it."""

    @property
    def url(self) -> str:
        """What the document is known by in every table."""
        return f"{SITE}/{self.number:07d}"


@dataclass(frozen=True, slots=True)
class Pair:
    """An original and a copy of it."""

    original: Page
    copy: Page
    jaccard: float
    """Exact Jaccard similarity of their shingles."""


def jaccard(a: Shingles, b: Shingles) -> float:
    """Jaccard similarity of two sets of shingles, 0.0 to 1.0."""
    both = np.sort(np.concatenate([a, b]))
    shared = int(np.count_nonzero(both[1:] == both[:-1]))
    return shared / (len(a) + len(b) - shared)


def bin_of(similarity: float) -> int | None:
    """The place in `BINS` of a similarity; None outside of them."""
    place = round((similarity - BINS[0]) / _BIN_WIDTH)
    return place if 0 <= place < len(BINS) else None


def edited(page: Page, target: float, rng: np.random.Generator) -> Page:
    """A copy at about a Jaccard similarity: runs of words replaced, or the end cut off or added to.

    Args:
        page: At least 60 words.
        target: 0.5 to 1.0. What the copy really has is `jaccard`'s to say.
        rng: What chooses the edit.
    """
    words = page.words
    shingles = len(words) - NGRAM + 1
    changed = shingles * (1 - target) / (1 + target)
    # A run of w words stands in w + 4 shingles, so a small change fits no run, only the end.
    runs = min(int(rng.integers(0, 4)), int(changed) // NGRAM)
    if runs:
        return Page(page.script, _with_runs(words, runs, changed, page.script, rng), page.sentence)
    if rng.random() < 0.5:
        added = _draw(page.script, round(shingles * (1 / target - 1)), rng)
        return Page(page.script, np.concatenate([words, added]), page.sentence)
    left = len(words) - round(shingles * (1 - target))
    return Page(page.script, words[:left], page.sentence)


def _with_runs(
    words: Words, runs: int, changed: float, script: int, rng: np.random.Generator
) -> Words:
    """Words with a run of new ones in each of as many equal stretches."""
    result = words.copy()
    stretch = len(words) // runs
    width = max(round(changed / runs) - NGRAM + 1, 1)
    for start in range(0, runs * stretch, stretch):
        place = start + int(rng.integers(NGRAM - 1, stretch - width - NGRAM + 2))
        result[place : place + width] = _draw(script, width, rng)
    return result


def _draw(script: int, words: int, rng: np.random.Generator) -> Words:
    return rng.integers(1, len(vocabulary(script)) + 1, words, dtype=np.uint16)


def _length(low: int, high: int, rng: np.random.Generator) -> int:
    """A number of words, as often between 10 and 20 as between 100 and 200."""
    return int(np.exp(rng.uniform(np.log(low), np.log(high + 1))))


def _random_page(low: int, high: int, rng: np.random.Generator) -> Page:
    script = int(rng.integers(len(SCRIPTS)))
    return Page(script, _draw(script, _length(low, high, rng), rng))


# A group: families of pages, the original first. Families of one group share a template.
_Group = list[list[Page]]


def _unrelated(rng: np.random.Generator) -> _Group:
    return [[_random_page(10, 2000, rng)]]


def _exact(rng: np.random.Generator) -> _Group:
    return [[_random_page(10, 2000, rng)] * int(rng.integers(2, 6))]


def _rewritten(page: Page, rng: np.random.Generator) -> list[Page]:
    """The page, and one to three others of the same words."""
    copies = range(int(rng.integers(1, 4)))
    return [page, *(Page(page.script, page.words, 7 + 6 * copy) for copy in copies)]


def _same_words(rng: np.random.Generator) -> _Group:
    return [_rewritten(_random_page(30, 2000, rng), rng)]


def _near(rng: np.random.Generator) -> _Group:
    page = _random_page(60, 2000, rng)
    return [[page, edited(page, BINS[rng.integers(len(BINS))], rng)]]


def _chain(rng: np.random.Generator) -> _Group:
    pages = [_random_page(200, 1000, rng)]
    for _ in range(4):
        pages.append(edited(pages[-1], rng.uniform(0.75, 0.9), rng))
    return [pages]


def _boilerplate(rng: np.random.Generator) -> _Group:
    page = _random_page(30, 300, rng)
    header, script = page.words, page.script
    footer = _draw(script, _length(30, 300, rng), rng)
    shared = len(header) + len(footer) - 2 * (NGRAM - 1)
    families = []
    for _ in range(int(rng.integers(2, 21))):
        # A body of w words stands in w + 4 shingles.
        own = int(shared / rng.uniform(0.3, 0.6)) - shared
        body = _draw(script, own - NGRAM + 1, rng)
        families.append([Page(script, np.concatenate([header, body, footer]))])
    return families


def _short_equal(rng: np.random.Generator) -> _Group:
    page = _random_page(3, _MIDDLE, rng)
    # The text of a copy is the same, or has a full stop after every second word.
    copies = [Page(page.script, page.words, int(rng.choice([2, 12]))) for _ in range(2)]
    return [[page, *copies]]


def _short_different(rng: np.random.Generator) -> _Group:
    page = _random_page(3, _MIDDLE, rng)
    own = rng.choice(len(vocabulary(page.script)), int(rng.integers(2, 5)), replace=False) + 1
    families = []
    for word in own.tolist():
        words = page.words.copy()
        words[len(words) // 2] = word
        families.append([Page(page.script, words)])
    return families


KINDS: dict[str, tuple[float, Callable[[np.random.Generator], _Group]]] = {
    "exact": (0.1, _exact),
    "same_words": (0.05, _same_words),
    "near": (0.3, _near),
    "chain": (0.05, _chain),
    "boilerplate": (0.2, _boilerplate),
    "short_equal": (0.05, _short_equal),
    "short_different": (0.05, _short_different),
    "unrelated": (0.2, _unrelated),
}
"""Share of the documents, and what makes a group of them. Unrelated ones are what is left."""


def _groups(kind: str, seed: int) -> Iterator[_Group]:
    """Groups of a kind without end, no original like another."""
    rng = np.random.default_rng([seed, *kind.encode()])
    taken: set[tuple[int, bytes]] = set()
    while True:
        group = KINDS[kind][1](rng)
        # Two of the shortest may be equal by chance, which would make a label wrong.
        keys = {(family[0].script, family[0].words.tobytes()) for family in group}
        if len(keys) == len(group) and not keys & taken:
            taken |= keys
            yield group


def make_corpus(documents: int, seed: int = SEED) -> list[Document]:
    """A corpus of so many documents in an order that tells nothing, the same for the same seed.

    Raises:
        ValueError: Too few documents for a group of every kind.
    """
    if documents < FEWEST:
        raise ValueError(f"{documents} documents are fewer than {FEWEST}")
    families, templates = count(), count()
    made: list[Document] = []
    for kind, (share, _) in KINDS.items():
        wanted = documents if kind == "unrelated" else int(len(made) + share * documents)
        groups = _groups(kind, seed)
        # A group is never cut: what stands over is taken from the unrelated ones.
        while len(made) < wanted:
            template = next(templates)
            for pages in next(groups):
                family, first = next(families), pages[0].shingles()
                for place, page in enumerate(pages):
                    similarity = 1.0 if place == 0 else jaccard(first, page.shingles())
                    made.append(
                        Document(0, page, kind, family, template, place == 0, similarity, "")
                    )
    rng = np.random.default_rng([seed, documents])
    days = rng.integers(1, 29, len(made)).tolist()
    order = rng.permutation(len(made)).tolist()
    return [
        replace(made[int(place)], number=number, date=f"202401{day:02d}")
        for number, (place, day) in enumerate(zip(order, days, strict=True))
    ]


def make_pairs(per_bin: int, seed: int = SEED) -> list[Pair]:
    """Pairs aimed at every bin, that many each, of fresh pages of 60 to 240 words."""
    rng = np.random.default_rng([seed, per_bin])
    pairs = []
    for target in BINS:
        for _ in range(per_bin):
            page = _random_page(60, 240, rng)
            copy = edited(page, target, rng)
            pairs.append(Pair(page, copy, jaccard(page.shingles(), copy.shingles())))
    return pairs


def write_corpus(documents: Sequence[Document], path: Path) -> None:
    """Write the corpus as the pipeline reads it: Parquet in the layout of OBELICS, texts only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path, OBELICS, compression="zstd") as writer:
        for start in range(0, len(documents), _ROW_GROUP):
            rows = [_obelics_row(document) for document in documents[start : start + _ROW_GROUP]]
            writer.write_table(pa.Table.from_pylist(rows, schema=OBELICS))


def _obelics_row(document: Document) -> dict[str, object]:
    # A document's date is read off the name of the crawl file that it comes from.
    crawl = f"CC-MAIN-{document.date}000000-{document.date}030000-00000.warc.gz"
    return {
        "images": [None],
        "metadata": "[null]",
        "general_metadata": json.dumps({"url": document.url, "warc_filename": crawl}),
        "texts": [document.page.text()],
    }
