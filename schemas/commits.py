"""The commit record of a part: written last, and alone what makes the part's files visible."""

from typing import Any

import msgspec


class TableCounts(msgspec.Struct, omit_defaults=False):
    """Rows of one table that a part or stage saw, and where each of them went."""

    seen: int = 0
    kept: int = 0
    rejected: dict[str, int] = {}
    """Decisive rule -> rows."""
    failed: dict[str, int] = {}
    """Error type -> rows."""

    def add(self, other: "TableCounts") -> None:
        """Add the counts of another part."""
        self.seen += other.seen
        self.kept += other.kept
        for mine, theirs in ((self.rejected, other.rejected), (self.failed, other.failed)):
            for name, rows in theirs.items():
                mine[name] = mine.get(name, 0) + rows

    @property
    def lost(self) -> int:
        """Rows that went nowhere; anything but 0 is a bug."""
        return self.seen - self.kept - sum(self.rejected.values()) - sum(self.failed.values())

    def as_json(self) -> dict[str, Any]:
        """The form of `run.json`: totals, and the reasons beside them."""
        return {
            "in": self.seen,
            "kept": self.kept,
            "rejected": sum(self.rejected.values()),
            "failed": sum(self.failed.values()),
            "rejected_by_rule": dict(sorted(self.rejected.items())),
            "failed_by_error": dict(sorted(self.failed.items())),
        }


class Commit(msgspec.Struct):
    """What one part published. Paths are relative to `OUT`."""

    stage: str
    part: str
    fingerprint: str
    files: dict[str, dict[str, str]] = {}
    """Table -> name of the file's part -> path of the Parquet file."""
    packs: list[str] = []
    """Packs below `OUT/packs` that rows of this part point into."""
    counts: dict[str, TableCounts] = {}
    facts: dict[str, int] = {}
    """Numbers that are no rows of a table: records by type, bytes read."""
    details: dict[str, Any] = {}
    """What a later step needs and no table holds, such as the entry of a shard in its manifest."""

    @property
    def name(self) -> str:
        """`<part>-<fingerprint>`, the stem of the record and of the part's files."""
        return f"{self.part}-{self.fingerprint}"

    def file(self, table: str) -> str | None:
        """The one file of a table that the part has published; None where it has none."""
        return next(iter(self.files.get(table, {}).values()), None)

    def to_json(self) -> bytes:
        """Canonical bytes."""
        return msgspec.json.format(msgspec.json.encode(self, order="deterministic"), indent=1)

    @classmethod
    def from_json(cls, data: bytes) -> "Commit":
        """Read a record back; raises `msgspec.ValidationError` on anything else."""
        return msgspec.json.decode(data, type=cls)


def commit_path(stage: str, name: str) -> str:
    """Path of a commit record relative to `OUT`."""
    return f"commits/{stage}/{name}.json"
