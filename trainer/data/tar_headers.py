"""Headers of tar members: POSIX ustar with PAX headers, and GNU long names."""

import re
import zlib
from dataclasses import dataclass

BLOCK = 512
SUM_MODULUS = 65521
MAX_EXTENSION_BYTES = 1 << 20
"""Largest PAX header or GNU long name."""

_FILES = b"0\x007"
_NAME = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)")
"""Key and suffix as webdataset 1.0 tells them apart."""
_RECORD = re.compile(rb"([1-9][0-9]{0,6}) ([^=\n]{1,256})=")


@dataclass(frozen=True, slots=True)
class TarHeader:
    """What a header block says."""

    name: bytes
    size: int
    """Bytes of the data that follow it, without padding."""
    kind: int
    """The type flag."""

    @property
    def is_file(self) -> bool:
        """A regular file; not an extension, a folder, a link or a sparse file."""
        return self.kind in _FILES and not self.name.endswith(b"/")

    @property
    def padded(self) -> int:
        """Bytes from the end of the header to the next one. What a link states it does not have."""
        return 0 if self.kind in b"123456" else self.size + -self.size % BLOCK


def sample_name(name: str) -> tuple[str, str] | None:
    """Key, folders included, and suffix, in lower case, of a member's name; None without a dot."""
    found = _NAME.fullmatch(name)
    return (found[1], found[2].lower()) if found else None


def byte_sum(block: bytes) -> int:
    """The checksum of a header modulo `SUM_MODULUS` (POSIX.1-2017, pax, ustar)."""
    # The low half of Adler-32 is the sum of all bytes plus one, modulo 65521 (RFC 1950), at a tenth
    # of the cost of `sum`, which would be most of the time of a small sample. The checksum counts
    # its own eight bytes as blanks.
    return (zlib.adler32(block) & 0xFFFF) - 1 - sum(block[148:156]) + 8 * 0x20


def parse_header(block: bytes | memoryview) -> TarHeader:
    """Read a header of 512 bytes; raises `ValueError` for what is none."""
    block = bytes(block)
    if len(block) != BLOCK or (_number(block[148:156]) - byte_sum(block)) % SUM_MODULUS:
        raise ValueError("no tar header where one must be")
    name = block[:100].split(b"\0", 1)[0]
    prefix = block[345:500].split(b"\0", 1)[0]
    if prefix and block[257:263] == b"ustar\0":
        name = prefix + b"/" + name
    return TarHeader(name, _number(block[124:136]), block[156])


def _number(field: bytes) -> int:
    """A numeric field: octal, or base 256 as GNU writes large ones; raises `ValueError`."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0") or b"0"
    if not digits.isdigit():  # `int` would take signs and underscores
        raise ValueError("no number where a tar header has one")
    return int(digits, 8)


def pax_records(data: bytes) -> dict[bytes, bytes]:
    """The records of a PAX header; raises `ValueError`."""
    values: dict[bytes, bytes] = {}
    position = 0
    while position < len(data) and data[position]:
        found = _RECORD.match(data, position)
        end = position + int(found[1]) if found else 0
        if found is None or end > len(data) or end <= found.end() or data[end - 1] != 0x0A:
            raise ValueError("a PAX header that cannot be read")
        values[found[2]] = data[found.end() : end - 1]
        position = end
    return values
