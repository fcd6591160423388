"""Ledger rows of the built-in rules: they have a name and a reason, and no measured value."""

import pyarrow as pa

from schemas.errors import FetchError
from schemas.rows import LedgerRow
from schemas.tables import schema_of


def builtin_ledger(
    gate: str,
    kind: str,
    ids: pa.ChunkedArray,
    nodes: pa.ChunkedArray | None,
    rule: str,
    threshold: str,
) -> pa.Table:
    """Ledger rows of a built-in rule that has no value."""
    count = len(ids)
    return pa.table(
        {
            "gate": pa.array([gate] * count, pa.string()),
            "kind": pa.array([kind] * count, pa.string()),
            "id": ids,
            "node": pa.nulls(count, pa.int64()) if nodes is None else nodes,
            "rule": pa.array([rule] * count, pa.string()),
            "decisive": pa.array([True] * count),
            "value": pa.nulls(count, pa.float64()),
            "value_text": pa.nulls(count, pa.string()),
            "threshold": pa.array([threshold] * count, pa.string()),
        }
    ).cast(schema_of(LedgerRow))


_ALLOWED = {
    "robots": "robots.txt allows it",
    "robots_unreachable": "robots.txt can be read",
    "opt_out": "no reservation in the answer",
    "blocked_address": "a public address, or fetch.allow_hosts",
    "bad_url": "http or https, at a port of the web",
}
"""Refusal -> what it takes; the others are hits of block lists."""


def refused_image(image_url: str, error: FetchError) -> LedgerRow:
    """The row of an image URL that is refused (`REFUSALS` in `schemas/outcomes.py`)."""
    threshold = _ALLOWED.get(error.outcome, "on no block list")
    return LedgerRow(
        "answer", "image_url", image_url, None, error.outcome, True, None, str(error), threshold
    )
