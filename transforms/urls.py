"""One spelling for every URL, so that a reference in a page and a record of a crawl meet.

The steps are those of the WHATWG URL standard (url.spec.whatwg.org, sections 4.3 and 4.4) for http
and https, plus three that make equal things equal: percent escapes of unreserved characters are
decoded (RFC 3986, 6.2.2.2), a stray `%` becomes `%25`, and user names and passwords are dropped.
What is not an http or https URL is None. Nothing here touches the network or raises.
"""

import ipaddress
import re
from functools import cache, lru_cache
from urllib.parse import urlsplit

import idna
import tldextract

MAX_URL_LENGTH = 4096
"""Characters of a URL, before and after normalisation; anything longer is None."""

_DEFAULT_PORTS = {"http": "80", "https": "443"}
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.\-]*):")
_REMOVED = re.compile(r"[\t\n\r]")
_EDGES = "".join(map(chr, range(0x21)))
_SURROGATES = re.compile("[\ud800-\udfff]")
_FORBIDDEN_IN_HOST = re.compile(r"[\x00-\x20\"#%/:<>?@\[\\\]^`{|}\x7f]")
_NOT_PLAIN = re.compile(r"%[0-9A-Fa-f]{2}|%|[^!$&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# Most URLs need no work: a host of plain labels, a path and a query of plain characters.
_NORMAL = re.compile(
    r"https?://(?:[a-z0-9\-]+\.)+[a-z][a-z\-]*(?:/[A-Za-z0-9_\-.~!$&'()*+,;=:@/]*(?:\?[A-Za-z0-9_\-.~&=+/,:;]*)?)"
)


def _escape(match: re.Match[str]) -> str:
    token = match.group()
    if len(token) == 3 and token[0] == "%":
        character = chr(int(token[1:], 16))
        return character if character in _UNRESERVED else token.upper()
    return "".join(f"%{byte:02X}" for byte in token.encode("utf-8"))


def _escaped(text: str) -> str:
    return _NOT_PLAIN.sub(_escape, text)


def _ipv4(host: str) -> str | None:
    """An IPv4 address in any spelling browsers accept (octal, hex, 1 to 4 parts), dotted."""
    parts = host.removesuffix(".").split(".")
    if len(parts) > 4:
        return None
    numbers = []
    for part in parts:
        try:
            if part[:2].lower() == "0x":
                numbers.append(int(part[2:] or "0", 16))
            elif not part.isascii() or not part.isdigit():
                return None
            else:
                numbers.append(int(part, 8 if len(part) > 1 and part[0] == "0" else 10))
        except ValueError:
            return None
    if any(number > 255 for number in numbers[:-1]) or numbers[-1] >= 256 ** (5 - len(numbers)):
        return None
    value = numbers[-1]
    for position, number in enumerate(numbers[:-1]):
        value += number << (8 * (3 - position))
    return str(ipaddress.IPv4Address(value))


@lru_cache(maxsize=4096)
def _normalize_host(host: str) -> str | None:
    if host.startswith("["):
        try:
            return f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]" if host[-1] == "]" else None
        except ValueError:
            return None
    if "%" in host:
        data = re.sub(
            rb"%([0-9A-Fa-f]{2})", lambda m: bytes([int(m.group(1), 16)]), host.encode("utf-8")
        )
        try:
            host = data.decode("utf-8")
        except UnicodeDecodeError:
            return None
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True, transitional=False).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            return None
    host = host.lower()
    if not host.strip(".") or len(host) > 255 or _FORBIDDEN_IN_HOST.search(host):
        return None
    last = host.removesuffix(".").rsplit(".", 1)[-1]
    if last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last):
        return _ipv4(host)
    return host


def _remove_dots(path: str) -> str:
    kept: list[str] = []
    segments = path.split("/")[1:]
    for position, segment in enumerate(segments):
        if segment not in (".", ".."):
            kept.append(segment)
            continue
        if segment == ".." and kept:
            kept.pop()
        if position == len(segments) - 1:
            kept.append("")
    return "/" + "/".join(kept)


def _cleaned(url: str) -> str:
    """The string as a browser reads it: trimmed, no tab or newline within."""
    return _SURROGATES.sub("\ufffd", _REMOVED.sub("", url.strip(_EDGES)))


def normalize_url(url: str) -> str | None:
    """The one spelling of an absolute http or https URL.

    Args:
        url: What stands in the page, the record or the table.

    Returns:
        Lower-case scheme and host (IDNA in ASCII), no user, no default port, path without dot
        segments and never empty, escapes normalised, the query kept, no fragment; None for anything
        else.
    """
    if len(url) > MAX_URL_LENGTH:
        return None
    if _NORMAL.fullmatch(url) and "/." not in url:
        return url
    url = _cleaned(url)
    match = _SCHEME.match(url)
    if match is None or (scheme := match.group(1).lower()) not in _DEFAULT_PORTS:
        return None
    rest, _, _ = url[match.end() :].partition("#")
    rest, question, query = rest.partition("?")
    rest = rest.replace("\\", "/").lstrip("/")
    authority, slash, path = rest.partition("/")
    authority = authority.rpartition("@")[2]
    host_part, port = authority, ""
    if not authority.endswith("]") and ":" in authority:
        host_part, _, port = authority.rpartition(":")
    if port and not (port.isascii() and port.isdigit() and int(port) < 65536):
        return None
    host = _normalize_host(host_part) if host_part else None
    if host is None:
        return None
    port = str(int(port)) if port else ""
    if port and port != _DEFAULT_PORTS[scheme]:
        host = f"{host}:{port}"
    result = f"{scheme}://{host}{_remove_dots(_escaped(slash + path) or '/')}"
    if question:
        result += "?" + _escaped(query)
    return result if len(result) <= MAX_URL_LENGTH else None


def resolve_url(base: str, reference: str) -> str | None:
    """A reference as a page at `base` means it, normalised.

    Args:
        base: URL of the page, or of its `<base href>`.
        reference: Absolute, protocol-relative, root-relative or relative URL; entities already
        decoded.

    Returns:
        As `normalize_url`; None for `data:`, `javascript:`, `blob:` and every other scheme, and
        where a relative reference meets a base that is no http or https URL.
    """
    if len(reference) > MAX_URL_LENGTH:
        return None
    if _NORMAL.fullmatch(reference) and "/." not in reference:
        return reference
    reference = _cleaned(reference)
    match = _SCHEME.match(reference)
    if match is not None:
        scheme = match.group(1).lower()
        if scheme not in _DEFAULT_PORTS:
            return None
        # "https:a.png" on an https page is a relative reference: browsers kept that old rule.
        if reference[match.end() : match.end() + 1] in ("/", "\\") or not base.lower().startswith(
            f"{scheme}:"
        ):
            return normalize_url(reference)
        reference = reference[match.end() :]
    absolute = normalize_url(base)
    if absolute is None:
        return None
    head = reference[:2].replace("\\", "/")
    scheme_end = absolute.index(":") + 1
    if head == "//":
        return normalize_url(absolute[:scheme_end] + reference)
    path_start = absolute.index("/", scheme_end + 2)
    if head[:1] == "/":
        return normalize_url(absolute[:path_start] + reference)
    without_query = absolute.partition("?")[0]
    if not reference or head[:1] == "#":
        return absolute
    if head[:1] == "?":
        return normalize_url(without_query + reference)
    return normalize_url(without_query[: without_query.rindex("/") + 1] + reference)


@cache
def _suffixes() -> tldextract.TLDExtract:
    # The snapshot in the package: a list fetched at run time would make the result depend on the
    # day.
    return tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)


@lru_cache(maxsize=65536)
def _site_of_host(host: str) -> str:
    return _suffixes().extract_str(host).top_domain_under_public_suffix or host


def site_of(url: str) -> str:
    """The registered domain of a URL (public suffix list), else its host, else nothing."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return ""
    return _site_of_host(host.lower())
