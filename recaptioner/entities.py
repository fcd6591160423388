"""Entities: the names, numbers and dates of an alt text, and what became of them in a caption.

Fusing is done for what only the alt text knows, so each of them must survive; another value of the
same kind in its place is worse than none. Names are found by their capitals, which is enough where
capitals mean something: not in German, whose nouns all have one, not in scripts without case, and
hardly in titles. There only what is marked in another way is a name: acronyms, `iPhone`, `D750`.

No model is asked: the alt text is data from strangers, and every step is a bounded pattern.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from recaptioner.checks.language import guess_language
from recaptioner.checks.text import fold, tidy
from recaptioner.common_words import is_common
from recaptioner.quantities import MONTHS, Quantity, find_quantities

_MIN_TITLE_WORDS = 2
_MAX_PLACED_TITLE = 6
"""Words of a title in which what stands where places do is one: longer ones are lists of tags."""
_MAX_MODEL = 12
"""Letters and digits of the longest word such as `D750`."""
_SHOUTED = 0.8

_PICTURE_WORDS = r"(?:photo(?:graph)?|image|picture|illustration|foto|bild)s?"
_NOISE = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        # Addresses, handles, files, identifiers, phone numbers.
        r"\b(?:https?://|www\.)\S{1,500}|\S{1,100}@\S{1,100}|(?<!\w)[@#]\w{1,60}",
        r"[\w%().-]{1,120}\.(?:jpe?g|png|gif|webp|svg|bmp|tiff?|avif|heic|psd|html?|php)\b",
        r"\b(?:whatsapp (?:image|video)|screen ?shot|bildschirmfoto|capture d[’']écran"
        r"|captura de pantalla)s?[ _-]\d{4}[ -]\d\d[ -]\d\d(?: (?:at|um|à|a las) [\d.:]{4,8})?",
        r"\b(?:(?:img|dsc[nf]?|pict|cimg|imag)[-_ ]?\d{3,12}"
        r"|(?:_?mg|pxl|mvi|gopr|dji|sam)[-_]?\d{4,12}|p\d{6,9})\w{0,20}",
        r"\b\w{0,60}_\w{1,60}\b",
        r"\b(?=[a-f]{0,40}\d)[0-9a-f]{10,64}\b",
        r"\b\d{3,5} ?[x×] ?\d{3,5}(?: ?px| pixels)?\b|\b(?:720|1080|1440|2160)[pi]\b|\b[48]k\b",
        r"(?<!\w)(?:\+\d{1,3}|\(\d{2,5}\))[ \d()./-]{5,20}\d",
        # What numbers a picture, a product, a page.
        r"\b(?:figure|fig\.?|image|img|photo|picture|pic|screenshot|slide|page|diagram|table"
        r"|abb\.?|abbildung|bild|foto|sku|isbn|ref) ?(?:no\.? ?|nr\.? ?|#)?"
        r"\d{1,15}\b(?: ?(?:of|/|von) ?\d{1,6})?",
        r"[(\[]\d{1,3}(?: ?/ ?\d{1,3})?[)\]]$|#\d{1,15}\b",
        # Credits.
        rf"[(\[]?\b(?:{_PICTURE_WORDS} ?(?:(?:credits?|courtesy|source) ?(?::|by|of)|by|via|:)"
        r"|credits? ?:|courtesy (?:of|:)|source ?:|copyright\b|via )[^)\].;|]{0,80}[)\]]?"
        r"|(?:©|\(c\))[^)\].;|]{0,80}",
        r"\b(?:getty images|shutterstock|istock(?:photo)?|alamy|ap photo|unsplash|pexels|pixabay"
        r"|adobe stock|wikimedia commons|depositphotos|dreamstime|freepik|123rf)\b",
        r"[|(/–—-] ?(?:getty|reuters|afp|flickr|pinterest|etsy|amazon(?:\.com)?|ebay)\)?$",
    )
)
_SITE = re.compile(r" \|[^|\d]{1,60}$")
"""The name of the site behind a bar."""

_TOKEN = re.compile(r"(?:[^\W\d_]\.){2,6}|[^\W_]{1,60}(?:['’][^\W\d_]{1,30})?")
_ABBREVIATED = frozenset(("st", "mr", "mrs", "ms", "dr", "prof", "mt", "ft", "jr", "sr"))
_PLACING = frozenset(("in", "at", "from", "near"))
_JOINING = "of the de la le les du des del della di da do dos das van von der den zu zum y e et"
_CONNECTORS = frozenset(_JOINING.split())
_FUNCTION_WORDS = (
    "a an the of in on at to with and or is are was were by for from near under over as into up out"
    " its their his her your my our it this that off vs amp & per via not no but nor"
)
_SMALL = frozenset(_FUNCTION_WORDS.split()) | (_CONNECTORS - {"y", "e"})
_NAMELESS = "i i'm i've i'll i'd monday tuesday wednesday thursday friday saturday sunday"
_NO_NAME = frozenset((*MONTHS, *_NAMELESS.split()))
_CAPITALS_MEAN_NOTHING = frozenset(("de", "lb"))
_INSIDE_SENTENCE = " ,;-–—/&+()[]"
"""What may stand between the words of a sentence; any other mark, and a quote, may begin one."""


@dataclass(frozen=True, slots=True)
class Name:
    """A run of words that is, or in a title may be, a name."""

    text: str
    words: tuple[str, ...]
    """Its distinctive words, folded: what must survive."""
    is_certain: bool = True
    """Not where capitals say little."""


@dataclass(frozen=True)
class Entities:
    """What a text names."""

    names: tuple[Name, ...] = ()
    quantities: tuple[Quantity, ...] = ()


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a text, as names are found by it."""

    text: str
    """As written, without a possessive 's."""
    folded: str
    starts_sentence: bool
    joins: bool
    """Whether only a space, a hyphen or an initial's dot is between it and the one before."""
    is_placed: bool
    """Whether it follows a comma, or a word such as `in`: what stands there is often a place."""

    @property
    def is_capital(self) -> bool:
        """Whether it begins with a capital."""
        return self.text[:1].isupper()

    @property
    def is_marked(self) -> bool:
        """An acronym, a capital inside, or letters and digits in one."""
        rest = self.text[1:]
        if self.text.isalpha():
            return not rest.islower() and any(map(str.isupper, rest))
        if any(map(str.isdigit, self.text)):
            return len(self.text) <= _MAX_MODEL and any(map(str.isupper, self.text))
        return any(map(str.isupper, rest))


def tokenize(text: str) -> list[Token]:
    """The words of a tidy text, dotted acronyms whole."""
    found: list[Token] = []
    end = 0
    for match in _TOKEN.finditer(text):
        gap = text[end : match.start()]
        word = match[0].replace("’", "'")
        is_initial = bool(found) and len(found[-1].text) == 1 and found[-1].is_capital
        is_short = is_initial or (bool(found) and found[-1].folded in _ABBREVIATED)
        joins = bool(found) and (gap in (" ", "-", "") or (is_short and gap in (". ", ".")))
        starts = not joins and bool(gap.strip(_INSIDE_SENTENCE) or not found)
        folded = fold(word.replace(".", "")).removesuffix("'s").removesuffix("'")
        is_placed = bool(found) and ("," in gap or found[-1].folded in _PLACING)
        found.append(Token(word.removesuffix("'s"), folded, starts, joins, is_placed))
        end = match.end()
    return found


def without_noise(alt: str) -> str:
    """A tidy alt text without files, addresses, serial numbers, credits and the name of a site."""
    for pattern in _NOISE:
        alt = pattern.sub("; ", alt)  # what stood apart stays apart
    return _SITE.sub("", tidy(alt)).strip("; ")


def find_entities(text: str, language: str = "", common: Collection[str] = ()) -> Entities:
    """Names, numbers, years, dates and times of a tidy text, in order.

    Args:
        text: The text.
        language: ISO 639-1; empty: as its small words say, else English.
        common: Folded words that are no names, such as those of a description in lower case.
    """
    language = language or guess_language(text) or "en"
    return Entities(
        tuple(_find_names(text, language, common)), tuple(find_quantities(text, language))
    )


def _find_names(text: str, language: str, common: Collection[str]) -> Iterable[Name]:
    tokens = tokenize(text)
    content = [token for token in tokens if _is_content(token)]
    shouted = _is_shouted(content)
    if shouted and language != "en":
        return
    if language in _CAPITALS_MEAN_NOTHING:
        yield from (
            Name(token.text, (token.folded,))
            for token in content
            if token.is_marked and not is_common(token.folded)
        )
        return
    lower = {token.folded for token in tokens if token.text.islower()}

    def is_plain(token: Token) -> bool:
        return is_common(token.folded) or token.folded in common or token.folded in lower

    # English alone writes titles with a capital at every word.
    if shouted or (language == "en" and _is_title(tokens, content)):
        yield from _names_of_title(content, shouted, is_plain)
    else:
        yield from _names_of_sentence(tokens, is_plain)


def _is_content(token: Token) -> bool:
    return len(token.folded) > 1 and token.folded not in _SMALL and not token.text.isdecimal()


def _is_shouted(content: list[Token]) -> bool:
    letters = "".join(token.text for token in content)
    upper = sum(map(str.isupper, letters))
    return len(content) >= _MIN_TITLE_WORDS and upper > _SHOUTED * sum(map(str.isalpha, letters))


def _is_title(tokens: list[Token], content: list[Token]) -> bool:
    """Whether every word has a capital that may have one, so that capitals say nothing."""
    if not content or tokens[0].text.islower():
        return False
    small = sum(token.text[:1].islower() and not token.is_marked for token in content)
    return 10 * small <= len(content)


def _names_of_title(
    content: list[Token], shouted: bool, is_plain: Callable[[Token], bool]
) -> Iterable[Name]:
    for token in content:
        if token.folded in _NO_NAME or is_plain(token) or not token.text[:1].isalpha():
            continue
        is_placed = token.is_placed and len(content) <= _MAX_PLACED_TITLE
        is_certain = not shouted and (token.is_marked or is_placed)
        yield Name(token.text, (token.folded,), is_certain)


def _names_of_sentence(tokens: list[Token], is_plain: Callable[[Token], bool]) -> Iterable[Name]:
    for run in capital_runs(tokens):
        if run[0].starts_sentence and not run[0].is_marked:
            # The first word of a sentence has its capital anyway.
            if len(run) == 1:
                continue
            if is_plain(run[0]) or run[0].folded in _SMALL:
                run = run[1:]
        while run and not (run[0].is_capital or run[0].is_marked):
            run = run[1:]
        capitals = [token for token in run if token.is_capital or token.is_marked]
        if all(token.folded in _NO_NAME for token in capitals):
            continue  # months, or nothing
        distinct = [token for token in capitals if not is_plain(token) or _is_acronym(token)]
        if not distinct and len(capitals) >= 2:
            distinct = capitals  # the White House
        distinct = [token for token in distinct if len(token.folded) > 1 or len(capitals) == 1]
        if any(len(token.folded) > 1 for token in distinct):
            words = tuple(dict.fromkeys(token.folded for token in distinct))
            yield Name(" ".join(token.text for token in run), words)


def _is_acronym(token: Token) -> bool:
    return token.is_marked and not is_common(token.folded)


def capital_runs(tokens: Sequence[Token]) -> Iterable[list[Token]]:
    """Words with capitals that follow each other, small words such as `of` between them allowed."""
    run: list[Token] = []
    small: list[Token] = []
    for token in tokens:
        if run and not token.joins:
            yield run
            run, small = [], []
        if (token.is_capital or token.is_marked) and token.text != "I":
            run += [*small, token]
            small = []
        elif run and token.folded in _CONNECTORS:
            small.append(token)
        elif run and token.text.isdecimal():
            small.append(token)  # iPhone 12 Pro
        elif run:
            yield run
            run, small = [], []
    if run:
        yield run
