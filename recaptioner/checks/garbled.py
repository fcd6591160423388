"""Garbled texts: what no reader takes for a caption, whatever the picture shows.

Letters that were lost, markup and addresses that nobody gave the model, no letter at all, or the
one word that says of a picture that it is one.
"""

import re

from recaptioner.checks.text import folded_words, unquoted

_LOST_LETTER = "\ufffd"
_ELEMENTS = (
    "a|abbr|article|aside|b|blockquote|body|br|button|center|code|dd|del|div|dl|dt|em|embed"
    "|figcaption|figure|font|footer|form|h[1-6]|head|header|hr|html|i|iframe|img|input|ins|label|li"
    "|link|main|mark|meta|nav|noscript|object|ol|option|p|picture|pre|q|s|script|section|select"
    "|small|source|span|strike|strong|style|sub|sup|svg|table|tbody|td|textarea|tfoot|th|thead"
    "|title|tr|tt|u|ul|video"
)
_TAG = re.compile(rf"</?(?:{_ELEMENTS})(?=[\s/>])|<!--|<!doctype\b")
_ADDRESS = re.compile(r"(?:https?://|\bwww\.)[^\s\"'<>()\[\]]{0,500}")
_AROUND = ".,;:!?…"
_SAYING_NOTHING = (
    "image images img picture pictures pic photo photos photograph photography caption description"
    " untitled none null nan na undefined unknown bild bilder foto fotos imagen imagem immagine"
    " 图片 圖片 照片 画像 写真"
)
_BARE_WORDS = frozenset(_SAYING_NOTHING.split())
"""Said alone these describe no picture."""
_ARTICLE_WORDS = "a an the this ein eine das une un una la der l"
_ARTICLES = frozenset(_ARTICLE_WORDS.split())


def find_garbled(text: str, mode: str, alt: str, description: str) -> str:
    """What makes a tidy text no caption, or nothing.

    What the alt text or the description holds may be said, and in mode `describe` what stands in
    quotes: it is on the picture.

    Args:
        text: The caption, tidy.
        mode: `describe`, `fuse` or `rewrite`.
        alt: The alt text.
        description: The description that was to be fused.
    """
    if _LOST_LETTER in text:
        return "a letter that could not be decoded"
    given = f"{alt}\n{description}"
    if not any(map(str.isalpha, text)) and (not given.strip() or any(map(str.isalpha, given))):
        return "no letter"
    quoted = given.casefold()
    said = (unquoted(text) if mode == "describe" else text).casefold()
    for pattern in (_TAG, _ADDRESS):
        for match in pattern.finditer(said):
            if match[0].rstrip(_AROUND) not in quoted:
                return match[0]
    words = folded_words(text)
    if words and words[0] in _ARTICLES:
        words = words[1:]
    bare = "".join(words)
    return bare if bare in _BARE_WORDS else ""
