"""What is suspicious about the text of a caption: facts for the rules of a recipe, no verdicts.

Every test looks at the whole text: `Click to enlarge` is boilerplate, `Click to enlarge: the old
harbour in 1910` is a caption. Patterns run on short texts only, so that their time is bounded.
"""

import re

import pyarrow as pa
import pyarrow.compute as pc

from transforms.caption_words import (
    AGENCIES,
    BOILERPLATE,
    CONTROLS,
    CREDIT_LABELS,
    FILLERS,
    GENERIC,
    KINDS,
    plain,
)

FLAGS = ("file_name", "generic", "boilerplate", "same_as_title", "repeated")
"""Every flag, in the order in which a caption carries them.

- `file_name`: the name of a file, a URL, a hash, an identifier, a size in pixels.
- `generic`: a word for a picture and nothing in it; or no word at all.
- `boilerplate`: the label of a control of the page, or a credit and nothing else.
- `same_as_title`: the title of the page or of its site.
- `repeated`: stands at another picture of the page too.
"""

_MAX_FILE_NAME = 300
_MAX_LABEL = 120
_MAX_CREDIT = 120

_EXTENSIONS = "jpe?g|jpe|jfif|pjpeg|png|gif|webp|avif|bmp|tiff?|svgz?|ico|hei[cf]|psd|eps"
_DATE = r"\d{4}[-_.]\d\d?[-_.]\d\d?"
_FILE_NAMES = (
    # holiday (2).jpg, ../img/a.png?v=3
    rf"[^<>|]*\.(?:{_EXTENSIONS})(?:[?\#]\S*)?",
    # an address
    r"(?:https?://|www\.|data:image/|file://)\S*",
    # IMG_1234, DSC00012 (2)
    r"(?:img|image|dsc|dscn|dscf|_?mg|pict|pxl|mvi|vid|gopr|dji|pano|sam|cimg|imag|burst|photo|scan)"
    r"[-_ ]?\d{3,}[\w-]*(?:[ -]?(?:\(\d+\)|copy))?",
    # Screenshot 2020-01-02 at 10.11.12, WhatsApp Image 2020-01-02 at 10.11.12
    rf"[^\W\d_]+(?:[-_ ][^\W\d_]+){{0,3}}[-_ ]+\(?{_DATE}(?:[-_ T]*(?:at|um|à|в|kl\.?)?[-_ ]*"
    r"\d\d?[-_.:h]\d\d.{0,12})?\)?",
    # a hash, a UUID
    r"(?=\S*\d)[0-9a-f]{12,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    # an identifier: letters and digits in turn
    r"(?=[\w-]{24})(?=(?:[^\d\s]*\d+[^\d\s]+){3})[\w-]+",
    # 20190412_101112, 1000001540
    r"[-_.]?\d{6,}(?:[-_.]\d+)*(?:_[no])?",
    # 300x250
    r"\d{2,5} ?[x\u00d7] ?\d{2,5}(?: ?px| pixels)?",
    # header_bg_2
    r"(?=[^_]*[a-z0-9]_+[a-z0-9])[a-z0-9_.()-]+",
    # My%20House
    r"\S*%[0-9a-f]{2}\S*",
    # boat-300x200, boat-scaled, boat-1024
    r"[a-z0-9_]+(?:-[a-z0-9_]+)*-(?:\d{2,4}x\d{2,4}|scaled|e?\d{5,})",
    # What WordPress writes where there is no alternative text.
    r"this image has an empty alt attribute.*",
)
_FILE_NAME = re.compile("|".join(f"(?:{pattern})" for pattern in _FILE_NAMES), re.I)
_SLUG = re.compile(r"(?=\S{20})[a-z0-9]+(?:-[a-z0-9]+){3,}")
"""my-summer-holiday-photo: lower case only, because names of places have hyphens too."""

_LETTER = re.compile(r"[^\W\d_]")
_SHORT_CODE = re.compile(r":[a-z0-9_+-]{2,40}:")
_DIGITS = re.compile(r"\d+")
_CONTROL = re.compile("|".join(f"(?:{pattern})" for pattern in CONTROLS))
_SPLIT = re.compile(
    r"\s*(?:[/|,\u2013\u2014\u2022\u00b7\uff0f]|\s-|\s(?:via|for|on|through)(?=\s))\s*", re.I
)
_BRACKETS = "()[]\uff08\uff09\u3010\u3011 \t."
_CREDIT_START = re.compile(
    rf"(?:{CREDIT_LABELS})"
    r"(?:\s*(?::|\uff1a|/|\||=|\u00a9|\(c\))\s*|\s+-\s+|\s+courtesy\s+(?:of\s+|:\s*)?"
    r"|\s+(?:by|por|par|via)\s+|\s+of(?=\s*:))+(?P<who>.+)",
    re.I,
)
"""Not `Bild von` and `Imagen de`, which say by whom a picture is as often as of what."""
_COPYRIGHT = re.compile(
    r"(?:\u00a9|\(c\)\s|copyright\b(?:\s*(?:\u00a9|\(c\)))?)\s*(?P<who>.+)", re.I
)
_SMALL = frozenset(
    {"by", "via", "for", "of", "and", "the", "on", "from", "at", "in", "with", "c"}
    | {"de", "la", "le", "du", "et", "par", "para", "por", "del", "di", "da", "y", "e"}
    | {"von", "van", "der", "den", "und", "mit"}
)
_CASELESS = re.compile(r"[\u0590-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_HANDLE = re.compile(r"@[\w.]+|(?:https?://)?[\w-]+(?:\.[\w-]+)+\S*")
_IN_BRACKETS = re.compile(r"[(\[\uff08]([^()\[\]\uff08\uff09]{2,80})[)\]\uff09]\s*\.?$")
_LABELLED_END = re.compile(
    rf"(?<![\w-])(?:{CREDIT_LABELS}|\u00a9|\(c\))\s*(?::|\uff1a|\u00a9|/)", re.I
)
_MARKS = ":\uff1a\u00a9/"
"""One of which follows a label."""
_SENTENCE_END = re.compile(r"[.!?\u2026](?<=[^\W\d_]{3}.)\s+|[\u3002\uff01\uff1f]")
_TITLE_PARTS = re.compile(r"\s+(?:[|\u2013\u2014\u00b7\u00bb\u00ab:-]|::)\s+|\s*[|\u00bb\u00ab]\s*")


def is_file_name(text: str) -> bool:
    """Whether a text is the name of a file, a URL, a hash, an identifier or a size."""
    if len(text) > _MAX_FILE_NAME:
        return " " not in text  # no word is that long
    return _FILE_NAME.fullmatch(text) is not None or _SLUG.fullmatch(text) is not None


def is_generic(text: str) -> bool:
    """Whether a text is a word for a picture (`Image 3`, `blog post photo`) or no word at all."""
    if _LETTER.search(text) is None or _SHORT_CODE.fullmatch(text):
        return True
    if len(text) > _MAX_LABEL:
        return False
    said = plain(text)
    if said in GENERIC:
        return True
    words = _DIGITS.sub(" ", said).split()
    return any(word in KINDS for word in words) and all(
        word in KINDS or word in FILLERS for word in words
    )


def _names_someone(text: str) -> bool:
    """Whether a text reads as names: of people, agencies, sites, years."""
    if _CASELESS.search(text):
        return len(_LETTER.findall(text)) <= 12
    words = re.split(r"[\s/|,()&+\u00a9\u2013\u2014:]+", text.strip(_BRACKETS))
    words = [word for word in words if word]
    return 0 < len(words) <= 10 and all(
        word[0].isupper()
        or word.isdecimal()
        or word.casefold() in _SMALL
        or word.casefold() in AGENCIES
        or _HANDLE.fullmatch(word) is not None
        or _LETTER.search(word) is None
        for word in words
    )


def is_credit(text: str) -> bool:
    """Whether a text says who made or owns a picture and nothing else: `Photo: A. Bee / AFP`."""
    text = text.strip(_BRACKETS)
    if not text or len(text) > _MAX_CREDIT:
        return False
    for pattern in (_CREDIT_START, _COPYRIGHT):
        match = pattern.fullmatch(text)
        if match is not None and _names_someone(match["who"]):
            return True
    names_agency = False
    for part in filter(None, _SPLIT.split(text)):
        if plain(part) in AGENCIES:
            names_agency = True
        elif len(part.split()) > 4 or not _names_someone(part):
            return False
    return names_agency


def ends_in_credit(text: str) -> bool:
    """Whether the end of a text is a credit: `A boat at sea. Photo: A. Bee`, `... (AFP)`."""
    bracketed = _IN_BRACKETS.search(text)
    if bracketed is not None and is_credit(bracketed[1]):
        return True
    last = 0
    if any(mark in text for mark in _MARKS):
        *_, last = [0, *(match.start() for match in _LABELLED_END.finditer(text))]
    *_, begin = [0, *(match.end() for match in _SENTENCE_END.finditer(text))]
    end, sentence = text[last:], text[begin:]
    return is_credit(end) or (sentence != end and is_credit(sentence))


def is_boilerplate(text: str) -> bool:
    """Whether a text is the label of a control of the page, or a credit and nothing else."""
    if len(text) > _MAX_LABEL:
        return False
    said = plain(text)
    return said in BOILERPLATE or _CONTROL.fullmatch(said) is not None or is_credit(text)


def title_parts(titles: list[str]) -> frozenset[str]:
    """Titles, and what stands between bars in them, as `plain` leaves them: `Boats | Harbour`."""
    parts = [part for title in titles for part in (title, *_TITLE_PARTS.split(title))]
    return frozenset(said for part in parts if (said := plain(part)))


def flag_text(text: str) -> list[str]:
    """The flags of a text that follow from itself, in the order of `FLAGS`."""
    if is_file_name(text):
        return ["file_name"]
    if is_generic(text):
        return ["generic"]
    return ["boilerplate"] if is_boilerplate(text) else []


FLAG_FIELDS = [pa.field(f"flag_{name}", pa.bool_()) for name in FLAGS]
"""The flags as rules see them: a column each, true where a caption carries the flag."""


def flag_columns(flags: pa.ChunkedArray) -> dict[str, pa.Array]:
    """The columns of `FLAG_FIELDS` from a column of lists of flags."""
    lists = flags.combine_chunks()
    names, owners = lists.flatten(), pc.list_parent_indices(lists)
    rows = pa.array(range(len(lists)), owners.type)
    return {
        f"flag_{name}": pc.is_in(rows, value_set=owners.filter(pc.equal(names, name)))
        for name in FLAGS
    }
