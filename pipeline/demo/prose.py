"""Text of the demo crawl: articles that read as prose, their small changes, and spam.

Quality rules, language detectors and near-duplicate detection must see what they see on real
pages: sentences of varied length that end with punctuation, no phrase twice on a page while its
list lasts, and little in common between two pages that were not meant to be alike.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from string import Formatter

from pipeline.demo.languages import LANGUAGES
from pipeline.demo.scenes import COLOURS, SHAPES, Scene
from pipeline.demo.words import LISTS, SENTENCES, TOPICS

UNSPACED = ("zh", "ja")
"""Languages written without spaces between words."""


@dataclass(frozen=True, slots=True)
class Article:
    """A title and paragraphs, in one language."""

    language: str
    title: str
    paragraphs: tuple[str, ...]

    @property
    def text(self) -> str:
        """The paragraphs, a line each."""
        return "\n".join(self.paragraphs)


class _Deck:
    """Lists drawn from like cards: a list is shuffled, dealt to its end, then shuffled again."""

    def __init__(self, rng: random.Random, lists: dict[str, tuple[str, ...]]) -> None:
        self._rng = rng
        self._lists = lists
        self._left: dict[str, list[str]] = {}

    def draw(self, name: str) -> str:
        left = self._left.get(name)
        if not left:
            left = self._left[name] = self._rng.sample(self._lists[name], len(self._lists[name]))
        return left.pop()


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _fill(template: str, deck: _Deck) -> str:
    """Fills the gaps; `verb` and `rest` are the two halves of one `act`, in that order."""
    filled, rest = "", ""
    for literal, gap, _, _ in Formatter().parse(template):
        filled += literal
        if gap is None:
            continue
        name = gap.lower()
        if name == "verb":
            value, _, rest = deck.draw("act").partition("~")
        else:
            value = rest if name == "rest" else deck.draw(name)
        filled += _capital(value) if gap[0].isupper() else value
    return _capital(filled)


def make_article(rng: random.Random, language: str, sentences: int) -> Article:
    """An article of so many sentences (English: of 16 words), in paragraphs of two to five."""
    if language == "en":
        # A long page needs more words than one subject has: a second and third join in.
        names = rng.sample(tuple(TOPICS), 1 + min(2, sentences // 9))
        lists = {key: sum((TOPICS[name][key] for name in names), ()) for key in TOPICS[names[0]]}
        deck = _Deck(rng, {**LISTS, **lists, "form": SENTENCES})
        title = rng.choice(TOPICS[names[0]]["titles"]) + ", told in " + deck.draw("village")
    else:
        deck = _Deck(rng, LANGUAGES[language])
        title = deck.draw("title")
    written = [_fill(deck.draw("form"), deck) for _ in range(sentences)]
    gap = "" if language in UNSPACED else " "
    paragraphs = []
    while written:
        size = rng.randint(2, 5)
        paragraphs.append(gap.join(written[:size]))
        written = written[size:]
    return Article(language, title, tuple(paragraphs))


def with_changed_words(article: Article, rng: random.Random, changes: int) -> Article:
    """The article with so many words replaced, each at least six words away from the others."""
    words = [paragraph.split(" ") for paragraph in article.paragraphs]
    places = [
        (p, w) for p, row in enumerate(words) for w in range(5, len(row) - 6) if row[w].isalpha()
    ]
    chosen: list[tuple[int, int]] = []
    for place in rng.sample(places, len(places)):
        if all(place[0] != p or abs(place[1] - w) > 6 for p, w in chosen):
            chosen.append(place)
        if len(chosen) == changes:
            break
    for (p, w), swap in zip(chosen, rng.sample(LISTS["swap"], changes), strict=True):
        words[p][w] = swap
    return Article(article.language, article.title, tuple(" ".join(row) for row in words))


def spam_paragraphs(rng: random.Random) -> tuple[str, ...]:
    """Keyword lists as shops write them for search engines: the same few phrases, over and over."""
    phrases = rng.sample(LISTS["spam"], 3)
    line = " ".join(f"{phrase}," for phrase in phrases) + " " + phrases[0] + "."
    return tuple([_capital(line)] * 9 + [_capital(" ".join(phrases * 12)) + "."])


def foreign_caption(scene: Scene, rng: random.Random, language: str) -> str:
    """A right caption of a scene's first object in a language of `LANGUAGES`."""
    words = LANGUAGES[language]
    thing = scene.objects[0]
    shape = SHAPES.index(thing.shape)
    gender = int(words["gender"][shape])
    forms = words["colour"][tuple(COLOURS).index(thing.colour)].split("/")
    phrase = words["one"][0].split("/")[gender if "/" in words["one"][0] else 0]
    one = phrase.format(colour=forms[gender % len(forms)], shape=words["shape"][shape])
    return _capital(rng.choice(words["caption"]).format(one=one))


def probes(paragraphs: Sequence[str], unspaced: bool) -> list[str]:
    """Short runs from the first and the last paragraph, to be found again in what is extracted."""
    first, last = paragraphs[0], paragraphs[-1]
    if unspaced:
        return [first[:12], last[-13:-1]]
    return [" ".join(first.split(" ")[:6]), " ".join(last.split(" ")[-6:])]


def word_ngrams(text: str, size: int) -> set[tuple[str, ...]]:
    """The distinct runs of `size` words of a text."""
    words = text.split()
    return {tuple(words[i : i + size]) for i in range(len(words) - size + 1)}


def sentence_with(rng: random.Random, description: str) -> str:
    """A sentence that speaks of a picture, for the paragraph beside it."""
    lead = rng.choice(
        (
            "The sketch from the notebook shows {x}",
            "Beside the text somebody drew {x}",
            "One page carries nothing but {x}",
            "What you see next is {x}",
            "The printed card has on it {x}",
        )
    )
    return lead.format(x=description) + "."
