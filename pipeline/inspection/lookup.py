"""What the tables of an output say of some ids: the ledger, the shards, the scores.

Tables that a run did not make have no rows here, so that an output of any recipe, and one that was
stopped, can be asked.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.inspection.database import dict_rows
from pipeline.inspection.rule_paths import ledger_path
from pipeline.inspection.snapshot import Snapshot
from pipeline.inspection.streams import Json
from schemas.shards import STREAMS, parse_shard_name

VIEWS = (
    "ledger", "scores_text", "scores_images", "scores_captions",
    *(f"index_{stream}" for stream in STREAMS),
)  # fmt: skip
_IDS = "(SELECT unnest(?::VARCHAR[]))"

LedgerKey = tuple[str, int | None]
"""Id, and node of what is one."""


@dataclass(frozen=True)
class Lookup:
    """A connection, and which views it has."""

    con: Any
    views: frozenset[str]

    @classmethod
    def over(cls, con: Any, snapshot: Snapshot) -> "Lookup":
        """What a connection over a snapshot can be asked."""
        made = {table for table, files in snapshot.tables.items() if files}
        return cls(con, frozenset({*made, *(f"index_{stream}" for stream in STREAMS)}))

    def rows(self, view: str, query: str, *values: Any) -> list[Json]:
        """The rows of a query of a view; none where the run did not make its table."""
        return dict_rows(self.con, query, *values) if view in self.views else []

    def ledger(
        self, ids: Collection[str], kinds: Sequence[str] = ()
    ) -> dict[LedgerKey, list[Json]]:
        """What failed, by id and node: the rows of each gate with the decisive one first.

        Args:
            ids: Of pages, captions, documents (for their nodes), image URLs, records.
            kinds: Only rows of these kinds; all where none is named.
        """
        found: dict[LedgerKey, list[Json]] = {}
        for row in self.rows(
            "ledger",
            "SELECT id, node, kind, gate, rule, decisive, value, value_text, threshold FROM ledger "
            f"WHERE id IN {_IDS} AND (? OR kind IN {_IDS}) "
            "ORDER BY gate, decisive DESC, rule, value, value_text",
            sorted(ids), not kinds, list(kinds),
        ):  # fmt: skip
            key = (row.pop("id"), row.pop("node"))
            found.setdefault(key, []).append(row)
        return found

    def samples(self, keys: Iterable[str]) -> dict[str, Json]:
        """Where samples lie: key -> `stream`, `split`, `shard` and `key`; of others nothing."""
        wanted, found = sorted(set(keys)), {}
        for stream in STREAMS:
            view = f"index_{stream}"
            query = f"SELECT key, shard FROM {view} WHERE key IN {_IDS}"
            for row in self.rows(view, query, wanted):
                split, _ = parse_shard_name(row["shard"])
                found[row["key"]] = {"stream": stream, "split": split, **row}
        return found

    def text_scores(self, page_id: str) -> Json:
        """The measures of a page's text; empty where there are none."""
        for row in self.rows("scores_text", "SELECT * FROM scores_text WHERE id = ?", page_id):
            return {name: value for name, value in row.items() if name != "id"}
        return {}

    def image_scores(self, keys: Collection[str]) -> dict[str, Json]:
        """Scores of images alone, by `image_key`."""
        query = f"SELECT * FROM scores_images WHERE image_key IN {_IDS} ORDER BY ALL"
        found: dict[str, Json] = {}
        for row in self.rows("scores_images", query, sorted(keys)):
            # An image has a row in each part that uses it, and the same scores in all of them.
            found[row.pop("image_key")] = row
        return found

    def caption_scores(self, ids: Collection[str]) -> dict[str, Json]:
        """Scores of captions with their images, by `caption_id`."""
        query = f"SELECT * FROM scores_captions WHERE caption_id IN {_IDS} ORDER BY ALL"
        return {
            row.pop("caption_id"): row for row in self.rows("scores_captions", query, sorted(ids))
        }


def ended_by(ledger: Iterable[Mapping[str, Any]]) -> list[str]:
    """The paths of the decisive rules among ledger rows: what ended a row."""
    paths = (
        ledger_path(row["gate"], row["kind"], row["rule"]) for row in ledger if row["decisive"]
    )
    return list(dict.fromkeys(paths))
