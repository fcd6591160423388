"""What kind of file an input is: by its first bytes, else by its name.

A name may lie and a damaged file has no first bytes to go by, so either alone is not enough.
"""

from typing import Literal

from schemas.errors import InputRowError
from transforms.byte_streams import decompressed, open_file
from transforms.tar_members import BLOCK, is_header

FileKind = Literal["parquet", "zip", "tar", "lines"]

TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.bz2")
_PARQUET_ENDINGS = (".parquet", ".pq")


def file_kind(url: str) -> FileKind:
    """Parquet, zip or tar, the last compressed or not; everything else is lines."""
    with open_file(url) as file:
        head = file.read(4)
        if head == b"PAR1":
            return "parquet"
        if head in (b"PK\x03\x04", b"PK\x05\x06"):
            return "zip"
        file.seek(0)
        block = b""
        try:
            stream = decompressed(file)
            while len(block) < BLOCK and (piece := stream.read(BLOCK - len(block))):
                block += piece
        except InputRowError:
            block = b""  # reading it tells of the damage
    name = url.lower()
    if (len(block) == BLOCK and is_header(block)) or name.endswith(TAR_ENDINGS):
        return "tar"
    if name.endswith(_PARQUET_ENDINGS):
        return "parquet"
    return "zip" if name.endswith(".zip") else "lines"
