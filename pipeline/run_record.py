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


class _Stage(msgspec.Struct):
    status: str = ""
    seconds: float = 0.0
    snapshot: list[str] = []
    tables: dict[str, dict[str, Any]] = {}
    facts: dict[str, Any] = {}


class _Input(msgspec.Struct):
    source: str
    bytes: int


class _Recipe(msgspec.Struct):
    values: dict[str, Any] = {}


class _Record(msgspec.Struct):
    """The form that readers rely on; there is more in a record than this."""

    stages: dict[str, _Stage] = {}
    inputs: list[_Input] = []
    recipe: _Recipe = msgspec.field(default_factory=_Recipe)


def read_run(output: str) -> dict[str, Any] | None:
    """The content of `run.json`, or None where there is none."""
    url = storage.join(output, RUN_FILE)
    try:
        data = storage.read_bytes(url)
    except PermissionError as e:
        raise InputError(f"{url}: cannot be read: {e}") from e
    if data is None:
        return None
    try:
        record = msgspec.json.decode(data, type=dict[str, Any])
        msgspec.convert(record, _Record)
    except msgspec.MsgspecError as e:
        raise InputError(f"{url}: not a run record: {e}") from e
    record.setdefault("stages", {})
    record.setdefault("inputs", [])
    return record


def write_run(output: str, record: dict[str, Any]) -> None:
    """Publish `run.json`."""
    data = msgspec.json.format(msgspec.json.encode(record), indent=1)
    storage.write_bytes(storage.join(output, RUN_FILE), data)
