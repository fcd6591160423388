"""What a page asks of machines: robots directives, and the reservation of text and data mining.

Sources: the robots meta element and `X-Robots-Tag` as Google documents them, `noai` and
`noimageai` as DeviantArt proposed them, the TDM Reservation Protocol of the W3C community group
(2024). Nothing is decided here: gates do that.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from transforms.markup import word_set
from transforms.page_dates import parse_date
from transforms.urls import resolve_url

MAX_DIRECTIVES = 64
"""Directives of a page that are kept; real ones have fewer than ten."""

AI_AGENTS = word_set(
    "ai2bot ai2bot-dolma amazonbot anthropic-ai applebot-extended bytespider ccbot"
    " chatgpt-user claude-searchbot claude-user claude-web claudebot cohere-ai"
    " cohere-training-data-crawler deepseekbot diffbot facebookbot google-cloudvertexbot"
    " google-extended gptbot"
    " iaskspider imagesiftbot img2dataset kangaroo meta-externalagent meta-externalfetcher"
    " mistralai-user oai-searchbot omgili omgilibot pangubot perplexity-user perplexitybot"
    " timpibot velenpublicwebcrawler webzio-extended youbot"
)
"""Crawlers that collect for models, by the names that their makers give them, lower case."""

OTHER_AGENTS = word_set(
    "applebot baiduspider bingbot duckduckbot googlebot googlebot-image googlebot-news"
    " googlebot-video googleother msnbot naverbot otherbot petalbot slurp teoma yandex"
    " yandexbot yeti"
)
"""Other crawlers that pages address by a meta element of their name."""

META_NAMES = frozenset({"robots", "tdm-reservation", "tdm-policy"}) | AI_AGENTS | OTHER_AGENTS

_AI_DIRECTIVES = frozenset({"noai", "noimageai", "noml", "disallowaitraining"})
_REFUSALS = frozenset({"noindex", "none", "nosnippet", "noarchive", "nocache", "noimageindex"})
_WITH_VALUE = frozenset(
    {"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"}
)
# A date may hold a comma behind the name of the day.
_UNTIL = re.compile(r"unavailable_after\s*:\s*((?:[a-z]{3,9},\s*)?[^,]*)", re.I)
_DIRECTIVE = re.compile(r"[a-z][a-z0-9_\-]{1,40}(?::[a-z0-9\-]{1,20})?")
_AGENT = re.compile(r"\*|[a-z][a-z0-9_.\-]{1,40}")


@dataclass(frozen=True, slots=True)
class Robots:
    """The wishes of a page, see the columns of the same names of `schemas.rows.Document`."""

    robots: str | None
    noindex: bool
    noai: bool
    noimageai: bool
    tdm_reserved: bool | None
    tdm_policy: str | None
    unavailable_after: str | None
    ai_opt_out: bool


def parse_directives(text: str, agent: str = "") -> tuple[list[tuple[str, str]], list[str]]:
    """Pairs of agent (empty for all) and directive, and the dates of `unavailable_after`.

    Args:
        text: Content of a meta element, or one header line with an agent before a colon perhaps.
        agent: Whom the meta element addresses, in lower case.
    """
    text = text[:4000]
    dates = _UNTIL.findall(text)
    pairs: list[tuple[str, str]] = []
    parts = _UNTIL.sub("unavailable_after", text).lower().replace(";", ",").split(",")
    # A name before a colon addresses all that follows; without one, what is said again is not read.
    for part in parts if ":" in text else dict.fromkeys(parts):
        head, colon, rest = (piece.strip() for piece in part.partition(":"))
        if colon and head not in _WITH_VALUE and _AGENT.fullmatch(head):
            agent, part = ("" if head in ("*", "all", "robots") else head), rest
        elif colon:
            part = f"{head}:{rest}"
        pairs += [(agent, word) for word in part.split() if _DIRECTIVE.fullmatch(word)]
    return pairs, dates


def read_robots(
    metas: Iterable[tuple[str, str]], headers: Sequence[tuple[str, str]], base: str
) -> Robots:
    """What the meta elements and the HTTP headers of a page ask.

    Args:
        metas: Name, in lower case, and content of the elements named in `META_NAMES`.
        headers: Name, in lower case, and value of each header line.
        base: What a relative policy is relative to.
    """
    pairs: list[tuple[str, str]] = []
    dates: list[str] = []
    reservations: list[str] = []
    policies: list[str] = []
    for name, value in dict.fromkeys(metas):
        if name == "tdm-reservation":
            reservations.append(value.strip())
        elif name == "tdm-policy":
            policies.append(value)
        else:
            asked, until = parse_directives(value, "" if name == "robots" else name)
            pairs += asked
            dates += until
    for name, value in headers:
        if name == "x-robots-tag":
            asked, until = parse_directives(value)
            pairs += asked
            dates += until
        elif name == "tdm-reservation":
            reservations.append(value.strip())
        elif name == "tdm-policy":
            policies.append(value)
    pairs = list(dict.fromkeys(pairs))[:MAX_DIRECTIVES]
    words = {word for _, word in pairs}
    known_dates = sorted(found for text in dates if (found := parse_date(text.strip())))
    reserved = True if "1" in reservations else False if "0" in reservations else None
    policy_urls = (resolve_url(base, policy) for policy in policies if policy.strip())
    return Robots(
        robots=", ".join(f"{agent}: {word}" if agent else word for agent, word in pairs) or None,
        noindex=("", "noindex") in pairs or ("", "none") in pairs,
        noai="noai" in words,
        noimageai="noimageai" in words,
        tdm_reserved=reserved,
        tdm_policy=next((url for url in policy_urls if url), None),
        unavailable_after=known_dates[0] if known_dates else None,
        ai_opt_out=reserved is True
        or not _AI_DIRECTIVES.isdisjoint(words)
        or any(agent in AI_AGENTS and word in _REFUSALS for agent, word in pairs),
    )
