"""What the class and id of an element say about it.

Words are the pieces of a class between `-`, `_`, spaces and camel humps, compared whole: `date` is
not in `update`. Classes that speak of a page's state or topic are skipped (`has-sidebar`,
`tag-news`, `category-social`).
"""

import re
from functools import lru_cache
from itertools import pairwise

from transforms.markup import word_set


def _pair_set(pairs: str) -> frozenset[str]:
    return frozenset(pairs.split("|"))


STRONG_WORDS = word_set(
    "sidebar breadcrumb breadcrumbs navbar navigation nav navi footer pagination pager masthead"
    " sharing sharebar sharetools addthis sharedaddy newsletter subscribe subscription signup"
    " modal popup advert advertisement advertising adsense dfp outbrain taboola sponsored"
    " sponsor promo promos"
    " respond recirc noprint paywall linenos gutter"
    " toolbar trackback pingback yarpp zergnet revcontent dianomi"
)
"""Words that name boilerplate wherever they stand alone in a class or id."""

STRONG_PAIRS = _pair_set(
    "related posts|related articles|related content|related stories|related links"
    "|related news|related post|related article|read more|read next|more stories|more news"
    "|more from|more articles|most read|most popular|most viewed|also like|popular posts"
    "|recent posts|recommended posts|recommended articles|social share|social links"
    "|social icons|social buttons|share buttons|share bar|share links|share tools"
    "|site header|site footer|site nav|page header nav|post nav|post navigation|author bio"
    "|author box|author info|about author|tag cloud|tags list|post tags|entry tags"
    "|article tags|side bar|right rail|left rail|rail right|rail left|skip link"
    "|ad container|ad wrapper|ad slot|ad unit|ad block|ad box|google ad|up next"
    "|mailing list|screen reader|sr only|visually hidden|print only|edit section"
    "|mw editsection|toc title|reply form|comment form|login form"
)
"""Neighbouring words that name boilerplate."""

SURE_WORDS = word_set("comments comment commentlist disqus cookie cookies gdpr consent")
"""Words of what is often longer than the article beside it: readers' comments, notices."""

WEAK_WORDS = word_set(
    "share social related recommended recommendation recommendations popular trending tags"
    " menu widget widgets"
    " author byline meta header ad ads banner recent toc skip utility topbar bottom links"
    " follow buttons"
    " rail credits copyright disclaimer teaser teasers promotion callout login search rating"
    " ratings"
    " metadata dateline timestamp categories keywords print email facebook twitter pinterest"
    " whatsapp linkedin"
)
"""Words that name boilerplate when the element is small or mostly links."""

CONTENT_PAIRS = _pair_set(
    "entry content|post content|article body|article content|story body|story content"
    "|post body|entry body|body copy|page content"
    "|main content|blog post|article text"
)
"""Neighbouring words that name content: they outweigh everything else in the same class."""

MAX_NAME_WORDS = 3
"""Words of a class or id that is a name; more make it the slug of a heading."""

_STATE_PREFIXES = tuple(
    sorted(
        word_set(
            "has- with- without- no- is- tag- category- cat- post-type- type- page-id- format-"
            " template- layout- hentry wp-image js- data- topic- section- status-"
        )
    )
)
_PARTS = re.compile(r"[^\W_]+")
_HUMPS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^A-Za-z\d]+")


def _words(token: str) -> list[str]:
    words = []
    for part in _PARTS.findall(token):
        humps = _HUMPS.findall(part)
        # Generated names (hJpRRP) fall into scraps: only a name whose humps are all words is taken
        # apart.
        words += humps if all(len(hump) > 2 for hump in humps) else [part]
    return [word.lower() for word in words]


@lru_cache(maxsize=65536)
def name_verdict(names: str) -> int:
    """3: comments or a notice; 2: boilerplate; 1: it may be; 0: nothing is known."""
    verdict = 0
    for token in names.split()[:40]:
        if token.lower().startswith(_STATE_PREFIXES):
            continue
        words = _words(token[:80])
        pairs = {f"{a} {b}" for a, b in pairwise(words)}
        if not CONTENT_PAIRS.isdisjoint(pairs):
            return 0
        if not STRONG_PAIRS.isdisjoint(pairs):
            verdict = max(verdict, 2)
        if len(words) > MAX_NAME_WORDS:
            continue
        if not SURE_WORDS.isdisjoint(words):
            verdict = 3
        if not STRONG_WORDS.isdisjoint(words):
            verdict = max(verdict, 2)
        elif not WEAK_WORDS.isdisjoint(words):
            verdict = max(verdict, 1)
    return verdict
