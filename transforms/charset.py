"""The bytes of a page as text: in the encoding it declares, unless the bytes say otherwise.

Order: byte-order mark, `Content-Type` of the response, `<meta>` (or XML declaration) in the first
bytes, detection. Labels mean what the WHATWG Encoding standard makes of them (`latin-1` is
windows-1252, `gb2312` is gb18030, ...). A declaration is overruled in two cases only: the bytes are
UTF-8 with real multi-byte sequences, which no other encoding produces by chance, or they do not
decode as declared while another candidate decodes them better. So one stray byte in a UTF-8 page
costs one U+FFFD, not the page.
"""

import re

import webencodings  # type: ignore[import-untyped]
from resiliparse.parse.encoding import detect_encoding

from schemas.errors import CharsetError

PRESCAN_BYTES = 4096
"""Bytes searched for a declaration; the standard stops at 1024, real pages put scripts first."""

MAX_BAD_SHARE = 0.3
"""Share of U+FFFD and control characters from which a page counts as undecodable."""

_TOLERATED_BAD_BYTES = 0.1
"""Share of non-ASCII bytes that may fail before a declared encoding is doubted."""

_MIN_SEQUENCES_OVER_CJK = 8
"""Multi-byte UTF-8 sequences needed to overrule a declared double-byte encoding that decodes too:
a few short words are valid in both."""

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16le"), (b"\xfe\xff", "utf-16be"))
# Where Python's codec of the standard's name knows fewer characters than the standard's encoding.
_CODECS = {"gbk": "gb18030", "shift_jis": "cp932", "euc-kr": "cp949"}
# Misspelt labels that browsers do not know and old pages use.
_MISSPELT = {
    "latin-1": "latin1",
    "win-1251": "cp1251",
    "win-1252": "cp1252",
    "utf_8": "utf-8",
    "utf8mb4": "utf-8",
}
# Names of the detector that are no label of the standard.
_DETECTED = {
    "euc_jp": "euc-jp",
    "euc_kr": "euc-kr",
    "mac-roman": "macintosh",
    "iso2022_jp": "iso-2022-jp",
}
_DOUBLE_BYTE = frozenset({"gbk", "gb18030", "big5", "euc-jp", "iso-2022-jp", "shift_jis", "euc-kr"})

_HTTP_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([^\s\"';,]+)", re.I)
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.S)
_META = re.compile(rb"<meta[\s/]([^>]{0,1024})", re.I)
_META_CHARSET = re.compile(rb"(?:^|[\s/\"'])charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:\-]+)", re.I)
_META_HTTP_EQUIV = re.compile(rb"http-equiv\s*=\s*[\"']?\s*content-type", re.I)
_CONTENT_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:\-]+)", re.I)
_QUOTED = re.compile(rb"=\s*(?:\"[^\"]*\"|'[^']*')")
_XML = re.compile(rb"\s*<\?xml[^>]{0,256}?encoding\s*=\s*[\"']([A-Za-z0-9_.:\-]+)", re.I)
_SEQUENCES = re.compile(r"[^\x00-\x7f]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\ufffd]")
_SURROGATES = re.compile("[\ud800-\udfff]")


def _canonical(label: str) -> str | None:
    label = label.strip().lower()
    encoding = webencodings.lookup(_MISSPELT.get(label, label))
    return None if encoding is None or encoding.name == "replacement" else str(encoding.name)


def _declared_in_markup(payload: bytes) -> str | None:
    head = _COMMENT.sub(b"", payload[:PRESCAN_BYTES])
    label = None
    for match in _META.finditer(head):
        attributes = match.group(1)
        # `charset=` inside another attribute's quotes counts only for http-equiv (the old
        # spelling).
        found = _META_CHARSET.search(_QUOTED.sub(_keep_if_charset_value, attributes))
        if found is None and _META_HTTP_EQUIV.search(attributes):
            found = _CONTENT_CHARSET.search(attributes)
        if found is not None:
            label = found.group(1)
            break
    if label is None and (xml := _XML.match(head)):
        label = xml.group(1)
    name = None if label is None else _canonical(label.decode("ascii"))
    if name in ("utf-16le", "utf-16be"):
        return "utf-8"  # the declaration was read as ASCII, so it cannot be true
    return "windows-1252" if name == "x-user-defined" else name


def _keep_if_charset_value(match: re.Match[bytes]) -> bytes:
    """A quoted value, emptied unless it is a bare word as an encoding label is."""
    value = match.group()
    return value if re.fullmatch(rb"=\s*[\"']\s*[A-Za-z0-9_.:\-]+\s*[\"']", value) else b"=''"


def _decode(payload: bytes, name: str) -> str:
    if name in _CODECS:
        return payload.decode(_CODECS[name], "replace")
    encoding = webencodings.lookup(name)
    assert encoding is not None, name
    return str(encoding.codec_info.decode(payload, "replace")[0])


def _utf16_by_zeros(payload: bytes) -> str | None:
    """UTF-16 without a mark shows in markup as a zero in every other byte."""
    head = payload[:1024]
    if len(head) < 4 or head.count(0) < len(head) * 0.3:
        return None
    return "utf-16le" if head[1::2].count(0) > head[0::2].count(0) else "utf-16be"


def _choose(payload: bytes, declared: list[str]) -> tuple[str, str]:
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        if declared and declared[0] in _DOUBLE_BYTE:
            if payload.isascii() and b"\x1b" not in payload:
                return text, declared[0]
            sequences = len(_SEQUENCES.findall(text))
            if sequences < _MIN_SEQUENCES_OVER_CJK or b"\x1b" in payload:
                other = _decode(payload, declared[0])
                if "\ufffd" not in other:
                    return other, declared[0]
        elif declared and declared[0].startswith("utf-16"):
            wide = _decode(payload, declared[0])
            if "<" in wide and len(_CONTROLS.findall(wide)) < MAX_BAD_SHARE * len(wide):
                return wide, declared[0]
        return text, (declared[0] if declared and payload.isascii() else "utf-8")
    non_ascii = len(payload) - len(payload.translate(None, bytes(range(128, 256))))
    best: tuple[float, str, str] | None = None
    detected = detect_encoding(payload) or "windows-1252"
    names = [*declared, _canonical(_DETECTED.get(detected, detected)) or "windows-1252"]
    for name in dict.fromkeys([*names, "utf-8", "windows-1252"]):
        decoded = _decode(payload, name)
        bad = len(_CONTROLS.findall(decoded)) / max(1, non_ascii)
        if bad <= _TOLERATED_BAD_BYTES:
            return decoded, name
        if best is None or bad < best[0]:
            best = (bad, decoded, name)
    assert best is not None
    return best[1], best[2]


def decode_html(payload: bytes, content_type: str | None) -> tuple[str, str]:
    """Decodes a page.

    Args:
        payload: Body of the response, content and transfer codings undone.
        content_type: The response's `Content-Type`, if any.

    Returns:
        The text, without NUL and without lone surrogates, undecodable bytes as U+FFFD; and the
        WHATWG name of the encoding, lower-case. A page in plain ASCII keeps its declared name, else
        `utf-8`.

    Raises:
        CharsetError: More than `MAX_BAD_SHARE` of the characters are U+FFFD or control characters.
    """
    for mark, name in _BOMS:
        if payload.startswith(mark):
            text = _decode(payload[len(mark) :], name)
            break
    else:
        match = _HTTP_CHARSET.search(content_type) if content_type else None
        http = _canonical(match.group(1)) if match else None
        zeros = _utf16_by_zeros(payload)
        labels = (zeros,) if zeros else (http, _declared_in_markup(payload))
        text, name = _choose(payload, [label for label in labels if label is not None])
    bad = len(_CONTROLS.findall(text))
    if bad > MAX_BAD_SHARE * len(text):
        raise CharsetError(f"{bad} of {len(text)} characters cannot be decoded as {name}")
    return _SURROGATES.sub("\ufffd", text.replace("\x00", "")), name
