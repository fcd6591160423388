"""robots.txt: whether its host lets us ask for a URL, and how often (RFC 9309).

What groups are ours is read here, patterns are matched by Protego. Two reasons: Protego takes
`User-agent: We` for us and `User-agent: Weft/1.0` for somebody else, and it copies every rule for
each agent of a group, so that half a megabyte can ask for gigabytes.

Patterns are matched without backtracking, in time that grows with the file times the URL. The
number of those that hold `*` or `$` is bounded all the same, because half a megabyte of them takes
a second for a long URL. Beyond the bound a rule is read so that it forbids more: a pattern to
disallow by what stands before its first `*` or `$`, one to allow not at all.

A line of a kind that nobody knows neither ends a group nor does anything else (2.2.4); the known
lines outside the standard, as `Crawl-delay`, end a list of agents: that is how they are used.
"""

import re
from dataclasses import dataclass
from typing import Self

from protego import Protego

from schemas.errors import FetchError
from schemas.fetch_rows import RobotsFile
from schemas.outcomes import NETWORK_OUTCOMES, OK, matches
from transforms.fetch_config import PRODUCT

MAX_ROBOTS_BYTES = 500 * 1024
"""How much of a file is read (RFC 9309, 2.5)."""
MAX_SPECIAL = 2000
"""Rules with `*` or `$`, and further `*` in them, that are read as they are."""

_OURS = PRODUCT.lower()
_AGENT = re.compile(r"\s*user(?:-|\s+)?agent\s*(?:[:\s]|$)\s*([^#]*)", re.IGNORECASE)
_TOKEN = re.compile(r"[a-z_\-]+")
_RULES = ("allow", "disal", "dissa", "diasl", "crawl", "request", "visit")
"""How lines begin that end a list of agents; common misspellings among them."""
_LINE_END = re.compile(r"\r\n?|\n")
# Characters that only Python takes for the end of a line.
_NO_LINE_END = str.maketrans(dict.fromkeys("\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029", " "))

_UNAVAILABLE = ("http_2xx", "http_3xx", "http_4xx", "empty", "too_many_redirects", "bad_redirect")
"""Answers that say that there is no file, so that everything is allowed (2.3.1.2, 2.3.1.3)."""
_OWN = (*NETWORK_OUTCOMES, "bad_url", "blocked_address")
"""Outcomes that an image of the host would have as well."""


def origin_of(url: str) -> str:
    """Scheme, host and port of a normalised URL: whom a robots.txt speaks for."""
    return "/".join(url.split("/", 3)[:3])


def robots_url(url: str) -> str:
    """Where the robots.txt for a normalised URL is."""
    return f"{origin_of(url)}/robots.txt"


def decode_robots(data: bytes) -> str:
    """The text of a file as received, as far as it is read: whole lines of UTF-8.

    Bytes that are no UTF-8 are replaced, zeros are removed: what is ASCII in UTF-16 stays readable.
    """
    if len(data) > MAX_ROBOTS_BYTES:
        data = data[:MAX_ROBOTS_BYTES]
        # Half a line might forbid everything: `Disallow: /` where `Disallow: /private` stood.
        data = data[: max(data.rfind(b"\n"), data.rfind(b"\r")) + 1]
    return data.decode("utf-8", "replace").replace("\0", "").lstrip("\ufeff\ufffd")


def _agent(value: str) -> str:
    """Whom a line addresses, as a product token in lower case, or `*`."""
    words = value.lower().split()
    if words[:1] == ["*"]:
        return "*"
    token = _TOKEN.match(value.lower().replace("*", "").strip())
    return token[0] if token else ""


def _our_lines(text: str) -> list[str]:
    """The lines of the groups that hold for us, without the lines that say whose they are."""
    groups: dict[str, dict[str, None]] = {}  # of agents; a line twice is a line
    agents: set[str] = set()
    in_list = False
    for line in _LINE_END.split(text):
        found = _AGENT.match(line)
        if found:
            agents = agents if in_list else set()
            in_list = True
            agent = _agent(found[1])
            if agent in (_OURS, "*"):
                agents.add(agent)
                groups.setdefault(agent, {})
        elif line.lstrip().lower().startswith(_RULES):
            in_list = False
            for agent in agents:
                groups[agent][line] = None
    return list(groups.get(_OURS, groups.get("*", {})))


def _bounded(lines: list[str]) -> list[str]:
    """The lines, with special ones beyond the bound read so that they forbid more."""
    kept = []
    special = 0
    for line in lines:
        line = line.partition("#")[0].translate(_NO_LINE_END).strip()
        if "*" in line or "$" in line:
            special += max(1, line.count("*"))
            if special > MAX_SPECIAL:
                if line.lower().startswith("allow"):
                    continue
                line = re.split(r"[*$]", line, maxsplit=1)[0]
                line = line if "/" in line else "Disallow: /"
        kept.append(line)
    return kept


@dataclass(frozen=True, slots=True)
class RobotsRules:
    """What a host's robots.txt says to us."""

    _protego: Protego
    _refusal: tuple[str, str] | None = None
    """Outcome and message where nothing may be asked for."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a file; whatever it holds, it is read."""
        lines = _bounded(_our_lines(text))
        return cls(Protego.parse("\n".join(["User-agent: *", *lines])))

    @classmethod
    def of(cls, row: RobotsFile) -> Self:
        """What follows from the answer to the request for the file."""
        if row.outcome == OK:
            return cls.parse(row.text or "")
        rules = cls.parse("")
        if row.outcome != "http_429" and matches(row.outcome, _UNAVAILABLE):
            return rules
        outcome = row.outcome if row.outcome in _OWN else "robots_unreachable"
        detail = f" ({row.message})" if row.message else ""
        return cls(rules._protego, (outcome, f"{row.origin}/robots.txt: {row.outcome}{detail}"))

    def allows(self, url: str) -> bool:
        """Whether we may ask for a normalised URL of the host."""
        return self._refusal is None and self._protego.can_fetch(url, PRODUCT)

    @property
    def crawl_delay(self) -> float | None:
        """Seconds between two requests, if the host asks for any; nothing bounds them."""
        return self._protego.crawl_delay(PRODUCT)

    def verdict(self, url: str) -> FetchError | None:
        """Why a normalised URL of the host is not asked for; None where it may be.

        Its outcome is `robots`, `robots_unreachable`, or that of the request for the file where no
        request can be answered.
        """
        if self._refusal:
            return FetchError(*self._refusal)
        if not self.allows(url):
            return FetchError("robots", f"{robots_url(url)} disallows it")
        return None


def verdict(row: RobotsFile, url: str) -> FetchError | None:
    """As `RobotsRules.verdict`, for a single URL."""
    return RobotsRules.of(row).verdict(url)
