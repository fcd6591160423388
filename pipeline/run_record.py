"""`run.json`: what the last run of an output did, stage by stage, and which parts readers may use.

Light on purpose: whoever only looks at an output need not wait for Beam to be imported.
"""

from typing import Any

import msgspec

from schemas.errors import InputError
from transforms import storage

RUN_FILE = "run.json"
RUN_VERSION = 1
STAGES = ("extract", "dedup", "refs", "fetch", "dedup_images", "score", "recaption", "shard")
"""Stages in the order they run."""


def read_run(output: str) -> dict[str, Any] | None:
    """The content of `run.json`, or None where there is none."""
    url = storage.join(output, RUN_FILE)
    data = storage.read_bytes(url)
    if data is None:
        return None
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.MsgspecError as e:
        raise InputError(f"{url}: not a run record: {e}") from e


def write_run(output: str, record: dict[str, Any]) -> None:
    """Publish `run.json`."""
    data = msgspec.json.format(msgspec.json.encode(record), indent=1)
    storage.write_bytes(storage.join(output, RUN_FILE), data)
