"""Where the shards of Weft lie: in an output, or alone."""

from schemas.errors import InputError
from schemas.shards import STREAMS, Manifest
from transforms import storage

MANIFEST = "manifest.json"
INDEX = "index.parquet"
"""What tells of the shards of a stream, beside them."""


def read_file(folder: str, name: str) -> bytes | None:
    """The content of a small file; None where there is none.

    Raises:
        InputError: It is there and cannot be read.
    """
    url = storage.join(folder, name)
    try:
        return storage.read_bytes(url)
    except NotADirectoryError:
        return None
    except OSError as e:
        raise InputError(f"{url}: cannot be read: {e}") from e


def shard_folders(url: str, names: list[str]) -> dict[str, str]:
    """Stream -> the folder of its shards below a URL; empty where no shards of Weft are there.

    Args:
        url: A folder: of one stream, of streams, or with a folder `shards` of them.
        names: What lies in it.
    """
    if "shards" in names:
        below = storage.join(url, "shards")
        return {stream: f"shards/{stream}" for stream in STREAMS if _has_facts(below, stream)}
    if MANIFEST in names or INDEX in names:
        stream = _stream_of(url)
        return {} if stream is None else {stream: ""}
    return {stream: stream for stream in STREAMS if stream in names and _has_facts(url, stream)}


def _has_facts(url: str, stream: str) -> bool:
    return not {MANIFEST, INDEX}.isdisjoint(storage.list_names(storage.join(url, stream)))


def _stream_of(url: str) -> str | None:
    """The stream of a folder of shards: by its manifest, else by its name."""
    try:
        stream = Manifest.from_json(read_file(url, MANIFEST) or b"").stream
    except (InputError, UnicodeDecodeError):
        stream = url.rstrip("/").rpartition("/")[2]
    return stream if stream in STREAMS else None
