"""Ids are hashes of what they name, so they do not depend on the run, the machine or the order."""

import hashlib

ID_DIGITS = 32
"""Hex digits of an id: 128 bits, so two of 10^12 rows collide with probability below 10^-14."""


def digest(*fields: str | int | bytes) -> str:
    """A 128-bit hash of a tuple of fields.

    Each is length-prefixed, so ("ab", "c") and ("a", "bc") differ.
    """
    pieces: list[bytes] = []
    for value in fields:
        data = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
        pieces += (len(data).to_bytes(8, "little"), data)
    return hashlib.sha256(b"".join(pieces)).hexdigest()[:ID_DIGITS]


def document_id(url: str, date_or_key: str, payload_sha256: str) -> str:
    """`doc_id` and `text_id`: URL, WARC-Date or table row key, payload sha256."""
    return digest("document", url, date_or_key, payload_sha256)


def caption_id(doc_id: str, node: int, origin: str, text: str) -> str:
    """`caption_id`: document, node, origin, text."""
    return digest("caption", doc_id, node, origin, text)


def image_key(sha256: str) -> str:
    """`image_key`: the first 32 hex digits of the sha256 of the bytes as received."""
    return sha256[:ID_DIGITS]
