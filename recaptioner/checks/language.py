"""Language: whether a caption is in the one that was asked for.

A caption is too short for a statistical detector: resiliparse takes `A red circle above a blue
square` for French. So the script decides first, then the words that sentences are made with, of
which a caption has some in any language. A text without any is not English if none of its words
is common in English captions; of another language the detector is asked, if the text is long. What
stands in quotes, and names with their particles, are of no language.
"""

import re
from collections import Counter
from typing import cast
from unicodedata import name, normalize

from resiliparse.parse.lang import detect_fast, supported_langs

from recaptioner.checks.text import fold, sentences, unquoted, words
from recaptioner.common_words import is_common

LATIN = "LATIN"
"""Scripts are called by the first word of the names of their letters in Unicode."""
_SCRIPTS = {
    **dict.fromkeys(("ru", "uk", "bg", "be", "mk", "kk", "ky", "mn", "tg"), ("CYRILLIC",)),
    **dict.fromkeys(("sr", "uz", "az"), ("CYRILLIC", LATIN)),
    **dict.fromkeys(("ar", "fa", "ur", "ps", "arz", "ckb", "sd", "ug"), ("ARABIC",)),
    **dict.fromkeys(("hi", "mr", "ne", "sa"), ("DEVANAGARI",)),
    **{"zh": ("CJK",), "ja": ("CJK", "HIRAGANA", "KATAKANA"), "ko": ("HANGUL", "CJK")},
    **{"el": ("GREEK",), "he": ("HEBREW",), "yi": ("HEBREW",), "th": ("THAI",), "lo": ("LAO",)},
    **{"ka": ("GEORGIAN",), "hy": ("ARMENIAN",), "am": ("ETHIOPIC",), "km": ("KHMER",)},
    **{"my": ("MYANMAR",), "bn": ("BENGALI",), "ta": ("TAMIL",), "te": ("TELUGU",)},
    **{"kn": ("KANNADA",), "ml": ("MALAYALAM",), "gu": ("GUJARATI",), "pa": ("GURMUKHI",)},
    **{"si": ("SINHALA",), "or": ("ORIYA",), "bo": ("TIBETAN",)},
}
"""Scripts of languages that are not written in Latin letters: first words of Unicode's names."""

LANGUAGES = frozenset((*supported_langs(), *_SCRIPTS))
"""Every language that can be asked for, ISO 639-1 where it has such a code."""

_WORDS = {
    "en": "a an the of in on at to with and or is are was were by for from near under over above"
    " below behind beside between next this that it its his her their as has have which who there"
    " two one no not be some into out up down do i",
    "de": "der die das dem den des ein eine einen einem einer eines und oder mit auf in im am vor"
    " neben hinter über unter zwischen ist sind war sitzt steht liegt läuft zeigt von vom zum zur"
    " bei an für nach zu sich auch nicht mehrere zwei drei daneben",
    "fr": "le la les l un une des du de d et ou avec sur dans sous devant derrière est sont était"
    " qui au aux en à par pour près entre deux trois montre il elle ce cette son sa ses plusieurs",
    "es": "el la los las un una unos unas y o de del con en sobre bajo junto está están es son que"
    " al por para entre dos tres muestra su sus se detrás delante varias varios hay este esta",
    "it": "il lo la gli le un uno una e o di del della dei delle con su sul sulla in nel nella"
    " sotto davanti dietro è sono che al alla per tra due tre mostra si da dal accanto",
    "pt": "o os as um uma uns umas e ou de do da dos das com em no na nos nas sobre sob está estão"
    " é são que ao à por para entre dois duas três mostra seu sua num numa ao lado",
    "nl": "de het een en of met op in onder voor achter naast tussen is zijn van die dat aan bij"
    " naar over twee drie zit staat ligt loopt er niet ook te om",
    "sv": "en ett och eller med på i under framför bakom bredvid mellan är som av till från vid två"
    " tre sitter står ligger den det de inte",
    "da": "en et og eller med på i under foran bag ved siden mellem er som af til fra to tre sidder"
    " står ligger den det de ikke der",
    "no": "en et ei og eller med på i under foran bak ved siden mellom er som av til fra to tre"
    " sitter står ligger den det de ikke",
    "fi": "ja on ovat joka jossa kanssa vieressä edessä takana päällä alla se ei kaksi kolme hän"
    " istuu seisoo",
    "pl": "w z i na do się jest są nad pod przed za obok przy dwa dwie trzy który która oraz przez"
    " od nie to siedzi stoi leży",
    "cs": "v s a na do se je jsou nad pod před za vedle u dva dvě tři který která nebo od ne to"
    " sedí stojí leží ve",
    "ro": "un o și cu pe în din la este sunt lângă sub peste între de care doi două trei al ale"
    " unei unui stă",
    "tr": "bir ve ile bu da de için üzerinde altında önünde arkasında yanında iki üç olan duran"
    " oturan var",
    "id": "yang di dan dengan dari ke pada untuk sebuah seorang ini itu dua tiga sedang adalah"
    " duduk berdiri atas bawah",
    "hu": "a az egy és vagy van vannak ül áll fekszik mellett előtt mögött alatt felett két három"
    " nem hogy",
}
_WORD_SETS = {language: frozenset(said.split()) for language, said in _WORDS.items()}
_JOINING = (
    "de la le les du des del della delle di da do dos das el los las y e et von van der den zu zum"
    " d l al dal en i"
)
_PARTICLES = frozenset(_JOINING.split())
"""What names are joined by: `Museo del Prado`."""
_MIN_WORDS = 2
"""Words of another language from which on a caption may be in it."""
_FLIPPED_WORDS = 3
"""Such words in one sentence that has none of the language asked for."""
_MIN_UNKNOWN_WORDS = 3
"""Words from which on a text without one that is common in English captions may be no English."""
_EDGES = ".,;:!?()[]…«»"
_DETECTOR_WORDS = 12
_DETECTOR_GAP = 60
"""By how much another language must be nearer; resiliparse's ranks go from 0 to 1200 and more."""
_MIN_HAN_WITHOUT_KANA = 12
_CODE = re.compile(r"[-_]")
_RUSSIAN, _UKRAINIAN = frozenset("ыэъё"), frozenset("іїєґ")


def language_code(code: str) -> str:
    """The language of a tag: `zh` of `zh-Hans`."""
    return _CODE.split(code.casefold(), maxsplit=1)[0]


def guess_language(text: str) -> str:
    """The language whose small words a tidy text uses most; empty if none or if two do."""
    small = _small_words(text)
    hits = [(count, code) for code in _WORDS if (count := _hits(small, code, ""))]
    hits.sort(reverse=True)
    if not hits or (len(hits) > 1 and hits[0][0] == hits[1][0]):
        return ""
    return hits[0][1]


def find_wrong_language(text: str, expected: str) -> str:
    """The language or script that a tidy text is in, if it is not the one expected.

    Args:
        text: The text.
        expected: One of `LANGUAGES`. Empty, or none of them: nothing is wrong.
    """
    if expected not in LANGUAGES:
        return ""
    said = unquoted(text)
    scripts = _count_scripts(said)
    total = scripts.total()
    if not total:
        return ""
    allowed = _SCRIPTS.get(expected, (LATIN,))
    foreign = total - sum(scripts[script] for script in allowed)
    if 2 * foreign > total and foreign >= 2:
        script = max(sorted(scripts), key=lambda one: (one not in allowed, scripts[one]))
        if script != LATIN:
            return script.capitalize()
        # A product's name may be all of a caption in any language.
        return _latin_language(said) or ("Latin" if len(words(said)) > 5 else "")
    if LATIN in allowed:
        return _other_latin(said, expected)
    return _same_script(said, expected, scripts)


def _latin_language(text: str) -> str:
    small = _small_words(text)
    count, code = max((_hits(small, code, ""), code) for code in _WORDS)
    return code if count else ""


def _count_scripts(text: str) -> Counter[str]:
    if text.isascii():
        return Counter({LATIN: sum(map(str.isalpha, text))})
    letters = Counter(filter(str.isalpha, text))
    counts: Counter[str] = Counter()
    for letter, count in letters.items():
        counts[_script(letter)] += count
    return counts


def _script(letter: str) -> str:
    """The first word of a letter's name, which is its script."""
    return name(normalize("NFKC", letter)[0], "UNKNOWN").split()[0].split("-")[0]


def _same_script(text: str, expected: str, scripts: Counter[str]) -> str:
    kana = scripts["HIRAGANA"] + scripts["KATAKANA"]
    if expected == "zh" and kana >= 3 and 10 * kana > scripts.total():
        return "ja"
    if expected == "ja" and not kana and scripts["CJK"] >= _MIN_HAN_WITHOUT_KANA:
        return "zh"
    russian = sum(letter in _RUSSIAN for letter in text.casefold())
    ukrainian = sum(letter in _UKRAINIAN for letter in text.casefold())
    if expected == "ru" and ukrainian >= 2 and not russian:
        return "uk"
    if expected == "uk" and russian >= 2 and not ukrainian:
        return "ru"
    return ""


def _small_words(text: str) -> Counter[str]:
    """Words in lower case, or first of a sentence; not the particles that join two names."""
    found: Counter[str] = Counter()
    shouted = text.isupper()
    for sentence in sentences(text):
        said = words(sentence)
        run: list[str] = []
        before_is_name = False
        for at, word in enumerate(said):
            if word in _PARTICLES:
                run.append(word)
                continue
            is_name = not word.islower()
            if not (before_is_name and is_name):
                found.update(run)
            run.clear()
            if shouted or not at or not is_name:
                found[word.casefold()] += 1
            before_is_name = is_name
        found.update(run)
    return found


def _hits(small: Counter[str], language: str, without: str) -> int:
    """How many words are of one language and not of another one."""
    theirs, others = _WORD_SETS[language], _WORD_SETS.get(without, frozenset())
    return sum(count for word, count in small.items() if word in theirs and word not in others)


def _kinds(small: Counter[str], language: str) -> int:
    return sum(word in _WORD_SETS[language] for word in small)


def _other_latin(text: str, expected: str) -> str:
    small = _small_words(text)
    rivals = []
    for code in _WORDS:
        theirs = _hits(small, code, expected)
        ours = _hits(small, expected, code) if expected in _WORDS else 0
        needed = _MIN_WORDS if expected in _WORDS else max(_FLIPPED_WORDS, small.total() // 3)
        if code != expected and theirs >= needed and theirs > 2 * ours and _kinds(small, code) > 1:
            rivals.append((theirs, code))
    if rivals:
        return max(rivals)[1]
    if expected not in _WORDS:
        return _detected(text, small, expected)
    for sentence in sentences(text):
        said = _small_words(sentence)
        for code in _WORDS:
            if (
                _hits(said, code, expected) >= _FLIPPED_WORDS
                and not _hits(said, expected, code)
                and code != expected
            ):
                return code
    if _hits(small, expected, ""):
        return ""
    return _not_english(text) if expected == "en" else _detected(text, small, expected)


def _not_english(text: str) -> str:
    """Whether a text is a sentence, or has accents, and no word that is common in captions.

    A list of rare English words has neither.
    """
    plain = [word.strip(_EDGES) for word in text.split()]
    plain = [word for word in plain if len(word) > 2 and word.isalpha() and word.islower()]
    if len(plain) < _MIN_UNKNOWN_WORDS or any(is_common(fold(word)) for word in plain):
        return ""
    accented = sum(not word.isascii() for word in plain)
    is_sentence = len(plain) > _MIN_UNKNOWN_WORDS and text[-1] in ".!?"
    return "not English" if accented >= 2 or is_sentence else ""


def _detected(text: str, small: Counter[str], expected: str) -> str:
    """What the detector says of a long text, names left out, if it is far from what is expected."""
    if small.total() < _DETECTOR_WORDS:
        return ""
    plain = " ".join(word for word in words(text) if word.islower())
    found = detect_fast(plain, cutoff=1 << 20, n_results=len(supported_langs()))
    ranks = dict(cast(list[tuple[str, int]], found))
    nearest = min(sorted(ranks), key=ranks.__getitem__)
    return nearest if ranks.get(expected, 0) - ranks[nearest] >= _DETECTOR_GAP else ""
