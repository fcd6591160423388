"""The report that stands in an output, and what tells whether it is of the last run.

Light on purpose: whoever only looks at a report need not wait for what makes one.
"""

import json
from typing import Any

import msgspec

from pipeline.run_record import read_run
from schemas.ids import digest
from transforms import storage

REPORT_VERSION = 1
FOLDER = "report"
PAGE, FACTS = "index.html", "report.json"


class _Head(msgspec.Struct):
    """What is read of a report that stands there."""

    made_of: str = ""


def report_urls(output: str) -> tuple[str, str]:
    """Where the page of an output's report lies, and its facts."""
    folder = storage.join(output, FOLDER)
    return storage.join(folder, PAGE), storage.join(folder, FACTS)


def report_identity(output: str) -> str:
    """Hash of the recipe, the parts and the version that the report of an output is made of."""
    run: dict[str, Any] = read_run(output) or {}
    stages = {
        name: [stage.get("status"), stage.get("snapshot")]
        for name, stage in run.get("stages", {}).items()
    }
    parts = [REPORT_VERSION, run.get("recipe"), run.get("versions"), stages]
    return digest("report", json.dumps(parts, sort_keys=True))


def made_of(facts: bytes | None) -> str:
    """The identity that report.json tells of; empty where it is none."""
    try:
        return msgspec.json.decode(facts or b"{}", type=_Head).made_of
    except msgspec.MsgspecError:
        return ""


def standing_facts(output: str, identity: str) -> dict[str, Any] | None:
    """The facts of a report that stands in an output; None where there is none of an identity."""
    data = storage.read_bytes(report_urls(output)[1])
    if data is None or made_of(data) != identity:
        return None
    facts: dict[str, Any] = json.loads(data)
    return facts
