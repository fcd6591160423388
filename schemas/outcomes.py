"""What can become of an image URL: the closed set of outcomes, and the patterns that name some.

An outcome is the answer that table `images` keeps for a URL (and table `robots` for a host). Which
of them are asked for again is the recipe's choice (`fetch.retry`).
"""

import re
from collections.abc import Iterable

OK = "ok"

CRAWL_OUTCOMES = ("revisit", "revisit_missing")
"""Of a crawl file only: a revisit record, and one whose bytes no record holds."""

NETWORK_OUTCOMES = (
    "dns",
    "connect",
    "tls",
    "timeout",
    "disconnected",
    "protocol",
    "truncated",
    "too_many_redirects",
    "bad_redirect",
)
"""No whole answer came. `dns`: the name has no address; `connect`: nobody listens; `tls`: no
certificate that can be trusted; `timeout`: connecting, the head, a pause or the whole took too
long; `disconnected`: closed before the head was whole; `protocol`: what came is no HTTP;
`truncated`: the body ended early; `bad_redirect`: a redirect that leads nowhere."""

UNREACHED = ("dns", "connect", "timeout")
"""What a network that is not there looks like."""

CONTENT_OUTCOMES = (
    "empty",
    "too_large",
    "content_coding",
    "not_an_image",
    "svg",
    "too_many_pixels",
    "decode_error",
    "decode_timeout",
    "decode_crash",
)
"""An answer came, and it holds no image that can be used."""

BLOCK_LISTED = ("blocked_domain", "blocked_url", "blocked_image", "blocked_phash")
"""Hits of block lists."""

CONTAMINATED = "contaminated"
"""The image is one of an evaluation item."""

REFUSALS = (
    "bad_url",
    "blocked_address",
    "robots",
    "robots_unreachable",
    "opt_out",
    CONTAMINATED,
    *BLOCK_LISTED,
)
"""We did not ask, or do not keep what came: each is a decision, and a row of the ledger.
`blocked_address`: the host is at an address that is not public; `robots`: its robots.txt forbids
it; `robots_unreachable`: it could not be read, which forbids everything (RFC 9309, 2.3.1.4);
`opt_out`: the answer reserves its use; `contaminated`: only of `image_answers`, whatever `images`
says; the last four are hits of block lists."""

_NAMED = frozenset({OK, *CRAWL_OUTCOMES, *NETWORK_OUTCOMES, *CONTENT_OUTCOMES, *REFUSALS})
_STATUS = re.compile(r"http_[1-5][0-9][0-9]")
_FAMILY = re.compile(r"http_[1-5]xx")


def is_outcome(name: str) -> bool:
    """Whether a name is of the closed set: a named outcome, or `http_` and a status."""
    return name in _NAMED or _STATUS.fullmatch(name) is not None


def is_pattern(name: str) -> bool:
    """Whether a name stands for outcomes: itself, or all statuses of a family as `http_5xx`."""
    return is_outcome(name) or _FAMILY.fullmatch(name) is not None


def matches(outcome: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns stands for an outcome."""
    family = f"{outcome[:6]}xx" if _STATUS.fullmatch(outcome) else outcome
    return any(pattern in (outcome, family) for pattern in patterns)
