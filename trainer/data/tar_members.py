"""A sample's bytes, as they were cut out of a shard, into its members.

The index says where a sample lies; what lies there must be tar headers of one key, each with its
checksum, that fill the range exactly. Anything else means that the shard is not the one that was
indexed. POSIX ustar with PAX headers and GNU long names are read: what `tarfile`, img2dataset and
GNU tar write. No name is ever a path: nothing is written, no link is followed.
"""

import re

from schemas.errors import InputError
from trainer.data.tar_headers import BLOCK, SUM_MODULUS, byte_sum, sample_name

_USTAR = b"ustar"
_FILES = frozenset(b"0\0007")
_FOLDER, _PAX, _PAX_GLOBAL, _GNU_NAME, _GNU_LINK = b"5xgLK"
_RECORD = re.compile(rb"([1-9][0-9]{0,8}) (path|size)=")


class IndexMismatchError(InputError):
    """The index does not fit the shard: other bytes lie where it says that a sample lies."""


def read_members(data: bytes | memoryview) -> tuple[str, dict[str, memoryview]]:
    """Key and members of one sample.

    Args:
        data: From the sample's first tar header to the end of its last member's padding.

    Returns:
        The key, folders included, and the members by suffix in lower case, in their order; a member
        is a view of `data`.

    Raises:
        IndexMismatchError: The bytes are not exactly one sample.
    """
    view = memoryview(data)
    key = ""
    members: dict[str, memoryview] = {}
    position, end = 0, len(view)
    long_name: bytes | None = None
    long_size: int | None = None
    while position < end:
        header = bytes(view[position : position + BLOCK])
        size = _checked_size(header, position)
        kind = header[156]
        start = position + BLOCK
        if kind in _FILES and long_size is not None:
            size = long_size
        position = start + size + -size % BLOCK
        if position > end:
            raise IndexMismatchError(f"a member of {size} bytes reaches beyond the sample")
        if kind in _FILES:
            name = _name(header) if long_name is None else long_name
            long_name = long_size = None
            of_key, suffix = _split(name)
            if members and of_key != key:
                raise IndexMismatchError(f"members of {key!r} and of {of_key!r}")
            if suffix in members:
                raise IndexMismatchError(f"{of_key!r} has two members {suffix!r}")
            key = of_key
            members[suffix] = view[start : start + size]
        elif kind == _GNU_NAME:
            long_name = bytes(view[start : start + size]).rstrip(b"\0")
        elif kind == _PAX:
            long_name, long_size = _pax(bytes(view[start : start + size]))
        elif kind not in (_FOLDER, _PAX_GLOBAL, _GNU_LINK):
            raise IndexMismatchError(f"a member of type {chr(kind)!r}, which is no file")
    if not members:
        raise IndexMismatchError("no member")
    return key, members


def _checked_size(header: bytes, position: int) -> int:
    """The size that a header states, after a look at its magic and its checksum."""
    if len(header) != BLOCK or header[257:262] != _USTAR:
        raise IndexMismatchError(f"no tar header at byte {position} of the sample")
    if (_octal(header[148:156], position) - byte_sum(header)) % SUM_MODULUS:
        raise IndexMismatchError(f"a tar header with a wrong checksum at byte {position}")
    field = header[124:136]
    if field[0] == 0x80:  # GNU's and star's way to state more than 8 GiB
        return int.from_bytes(field[1:], "big")
    return _octal(field, position)


def _octal(field: bytes, position: int) -> int:
    digits = field.strip(b" \0")
    # `int` alone would take signs and underscores.
    if not digits.isdigit():
        raise IndexMismatchError(f"a tar header without numbers at byte {position}")
    try:
        return int(digits, 8)
    except ValueError as error:
        raise IndexMismatchError(f"a tar header with a wrong number at {position}") from error


def _name(header: bytes) -> bytes:
    name = header[:100].partition(b"\0")[0]
    # GNU's magic is followed by a blank, and its fields behind are something else.
    if header[262] == 0 and header[345]:
        return header[345:500].partition(b"\0")[0] + b"/" + name
    return name


def _split(name: bytes) -> tuple[str, str]:
    text = name.decode("utf-8", "replace")
    found = sample_name(text)
    if found is None:
        raise IndexMismatchError(f"a member called {text[:200]!r}, which is of no sample")
    return found


def _pax(block: bytes) -> tuple[bytes | None, int | None]:
    """`path` and `size` of a PAX header, where it has them."""
    name: bytes | None = None
    size: int | None = None
    position = 0
    while position < len(block):
        length = block[position : position + 10].partition(b" ")[0]
        if not length.isdigit() or not 3 <= int(length) <= len(block) - position:
            raise IndexMismatchError("a PAX header that cannot be read")
        record = block[position : position + int(length)]
        position += int(length)
        match = _RECORD.match(record)
        if match is None:
            continue
        value = record[match.end() :].removesuffix(b"\n")
        if match[2] == b"path":
            name = value
        elif value.isdigit():
            size = int(value)
    return name, size
