"""Personal data in texts: e-mail addresses, phone numbers and public IP addresses, masked.

What is found is replaced by something of its kind that belongs to nobody: `email@example.com` (RFC
2606), `192.0.2.1` and `2001:db8::1` (RFC 5737, RFC 3849), `+1-202-555-0100` (555-0100 to 555-0199
are set aside for fiction). So a sentence stays one that a model may learn from, no token is
invented that a reader of markup could take for an element, and masking twice is masking once.
datatrove's `PIIFormatter` does the same for e-mail and IP addresses.

The rules would rather miss than maim, for what looks like a phone number is mostly something else.
E-mail: an ASCII address whose domain has a top level, other than `logo@2x.png`. IP: IPv4 of four
numbers, and IPv6 of 2000::/3, that are global (RFC 6890); no version (`v1.2.3.4`, `version
1.2.3.4`, or all numbers below 10). Phone: international with `+` and 8 to 15 digits; North American
3-3-4; French in five pairs; else with a leading 0 or an area code in brackets, in groups that one
separator divides, 9 to 12 digits; no date, no ISBN, nothing behind a currency sign, nothing glued
to letters or in a URL.

Every pattern is bounded, so time is linear in the text.
"""

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from schemas.errors import RecipeError

EMAIL, PHONE, IP = "email", "phone", "ip"
KINDS = (EMAIL, IP, PHONE)
"""What can be masked, in the order in which it is looked for."""

MASKS = {EMAIL: "email@example.com", IP: "192.0.2.1", PHONE: "+1-202-555-0100"}
MASK_IPV6 = "2001:db8::1"
MASKED = "masked_"
"""What the facts of a part begin with that count what was masked, by kind."""

_LOCAL = r"A-Za-z0-9._%+\-"
_EMAIL = re.compile(
    rf"(?<![{_LOCAL}'])[A-Za-z0-9_](?:[{_LOCAL}']{{0,63}})@"
    r"(?:[A-Za-z0-9][A-Za-z0-9\-]{0,62}\.){1,6}([A-Za-z]{2,24})(?![A-Za-z0-9])"
)
_NO_TOP_LEVEL = frozenset(
    ("png", "jpg", "jpeg", "gif", "webp", "avif", "svg", "css", "js", "html", "htm", "php", "json")
)

_IPV4 = re.compile(r"(?<![\w.\-])\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![\w\-]|\.\d)")
_IPV6 = re.compile(
    r"(?<![\w:.])[23][0-9A-Fa-f]{3}:[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){1,6}(?![\w:])"
)
_VERSION_BEFORE = re.compile(r"(?:version|ver\.?|release|firmware|build|rev\.?|v\.)\s?$", re.I)
_BEFORE = 12
"""Characters before a find that tell what it is."""

# A run of digits in groups: at most 27 characters from a digit, a bracket or a plus on.
_PHONE = re.compile(
    r"(?<![\w.,/;#=+\-$€£¥%@&?])\+?\(?\d[\d().\-/ \u00a0\u2010\u2011]{5,24}\d(?!\w)"
)
_SEPARATOR = r"[.\-/ \u00a0\u2010\u2011]"
_GROUP_START = re.compile(rf"{_SEPARATOR}\(?\d")
_DATE = re.compile(
    r"(?<!\d)(?:\d{1,2}[./\-]\d{1,2}[./\-](?:19|20)\d\d|(?:19|20)\d\d[./\-]\d{1,2}[./\-]\d{1,2})(?!\d)"
)
_THOUSANDS = re.compile(r"\+?\d{1,3}(?:\.\d{3})+")
_ISBN_BEFORE = re.compile(r"(?:isbn|issn|ean|doi)\S{0,4}\s{0,2}$", re.I)
_PHONES = tuple(
    re.compile(pattern.replace("~", _SEPARATOR))
    for pattern in (
        r"\+[1-9]\d{0,3}(?:~?\(\d{1,5}\))?(?:~?\d{1,12}){1,7}",
        r"(?:1~)?(?:\([2-9]\d{2}\)~?|[2-9]\d{2}~)[2-9]\d{2}~\d{4}",
        r"0[1-9](?:~\d{2}){4}",
        r"0\d{1,4}(?:~\d{2,8}){0,2}~\d{3,8}",
        r"\(0\d{1,5}\)~?\d{2,8}(?:~\d{2,8}){0,3}",
    )
)
_INTERNATIONAL = _PHONES[0]


@dataclass(frozen=True, slots=True)
class PrivacyConfig:
    """What of people does not go into shards."""

    mask: tuple[str, ...] = ()
    """`email`, `phone`, `ip`: what is masked in the texts of samples. Tables keep what was
    crawled."""


def check_masks(mask: Sequence[str]) -> None:
    """Raise `RecipeError` for what is no kind, or stands twice."""
    for kind in mask:
        if kind not in KINDS:
            raise RecipeError(f"privacy.mask: {kind!r} is not one of {', '.join(sorted(KINDS))}")
    if len(set(mask)) < len(mask):
        raise RecipeError("privacy.mask: name each kind once")


class Masker:
    """Masks texts, and counts what it masks."""

    def __init__(self, kinds: Sequence[str]) -> None:
        self._maskers = [(kind, _MASKERS[kind]) for kind in KINDS if kind in kinds]
        self.counts = {kind: 0 for kind, _ in self._maskers}
        """Kind -> how many were masked."""

    def mask(self, text: str) -> str:
        """A text without what is masked."""
        for kind, masker in self._maskers:
            text, found = masker(text)
            self.counts[kind] += found
        return text

    def mask_column(self, texts: pa.ChunkedArray) -> pa.ChunkedArray:
        """The same of a column of texts; what is null stays null."""
        if not self._maskers:
            return texts
        masked = [None if text is None else self.mask(text) for text in texts.to_pylist()]
        return pa.chunked_array([pa.array(masked, pa.string())])


def mask_emails(text: str) -> tuple[str, int]:
    """A text without e-mail addresses, and how many there were."""
    return _replaced(_EMAIL, text, _email) if "@" in text else (text, 0)


def mask_ips(text: str) -> tuple[str, int]:
    """A text without public IP addresses, and how many there were."""
    text, four = _replaced(_IPV4, text, _ipv4)
    if ":" not in text:
        return text, four
    text, six = _replaced(_IPV6, text, _ipv6)
    return text, four + six


def mask_phones(text: str) -> tuple[str, int]:
    """A text without phone numbers, and how many there were."""
    pieces: list[str] = []
    found = done = at = 0
    while (candidate := _PHONE.search(text, at)) is not None:
        start, end = candidate.span()
        last = _phone_end(text, start, end)
        if last is None:
            # What begins here is none; a number may begin at its next group.
            group = _GROUP_START.search(text, start + 1, end)
            at = end if group is None else group.start() + 1
            continue
        if text[start:last] != MASKS[PHONE]:
            pieces += (text[done:start], MASKS[PHONE])
            done = last
            found += 1
        at = last
    return "".join((*pieces, text[done:])), found


_MASKERS = {EMAIL: mask_emails, IP: mask_ips, PHONE: mask_phones}


def _replaced(
    pattern: re.Pattern[str], text: str, mask: Callable[[re.Match[str]], str | None]
) -> tuple[str, int]:
    """A text with what a pattern finds and a function gives a mask for, and how many."""
    found = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal found
        masked = mask(match)
        if masked is None or masked == match[0]:
            return match[0]
        found += 1
        return masked

    return pattern.sub(replace, text), found


def _email(match: re.Match[str]) -> str | None:
    return None if match[1].lower() in _NO_TOP_LEVEL else MASKS[EMAIL]


def _ipv4(match: re.Match[str]) -> str | None:
    before = match.string[max(0, match.start() - _BEFORE) : match.start()]
    if _VERSION_BEFORE.search(before) or all(len(number) == 1 for number in match[0].split(".")):
        return None
    return MASKS[IP] if _is_public(match[0]) else None


def _ipv6(match: re.Match[str]) -> str | None:
    return MASK_IPV6 if _is_public(match[0]) else None


def _is_public(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False


def _phone_end(text: str, start: int, end: int) -> int | None:
    """Where the phone number that begins at a place ends; None where there is none."""
    if _ISBN_BEFORE.search(text[max(0, start - _BEFORE) : start]):
        return None
    while end - start >= 7:
        number = text[start:end]
        if _is_phone(number):
            return end
        # The candidate may have run on into what follows: try it without its last group.
        groups = [match.start() for match in _GROUP_START.finditer(number)]
        if not groups:
            return None
        end = start + groups[-1]
        while text[end - 1] in "(. -/\u00a0\u2010\u2011":
            end -= 1
    return None


def _is_phone(number: str) -> bool:
    digits = sum(character.isdigit() for character in number)
    form = next((form for form in _PHONES if form.fullmatch(number)), None)
    if form is None or _DATE.search(number) or _THOUSANDS.fullmatch(number):
        return False
    if form is _INTERNATIONAL:
        return 8 <= digits <= 15
    return 9 <= digits <= 12
