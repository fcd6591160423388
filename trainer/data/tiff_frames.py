"""Pictures of a TIFF with several (TIFF 6.0, section 2).

The PDF and ArXiv parts of MINT-1T hold the images of a document so.
"""

import struct

FRAMED = ("tif", "tiff")
"""Extensions of files that may hold several pictures."""
MAX_FRAMES = 1000


def frame_name(suffix: str, number: int) -> str:
    """The name of a picture inside a member."""
    return f"{suffix}#{number}"


def split_frame_name(name: str) -> tuple[str, int]:
    """Suffix of the member and number of the picture in it; 0 for a member that is one picture."""
    suffix, mark, number = name.partition("#")
    return suffix, int(number) if mark else 0


def tiff_frames(data: bytes | bytearray | memoryview) -> int:
    """How many pictures a TIFF holds; nothing is decoded.

    Raises:
        ValueError: No TIFF, or a chain of directories that leads out of it or has no end.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(data[:4]))
    if order is None:
        raise ValueError("no TIFF")
    seen: set[int] = set()
    try:
        (at,) = struct.unpack_from(order + "I", data, 4)
        while at:
            if at in seen or len(seen) >= MAX_FRAMES:
                raise ValueError(f"a TIFF of more than {MAX_FRAMES} pictures, or without end")
            seen.add(at)
            (entries,) = struct.unpack_from(order + "H", data, at)
            (at,) = struct.unpack_from(order + "I", data, at + 2 + 12 * entries)
    except struct.error as error:
        raise ValueError("a TIFF that leads out of itself") from error
    return len(seen)
