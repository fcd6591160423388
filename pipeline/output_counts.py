"""What a finished output holds, counted for the cost model: rows, records, files, bytes, by stage.

Rows are those of `run.json`; records and files are those that its snapshots name.
"""

from dataclasses import asdict, dataclass
from typing import Any

from pipeline.run_record import STAGES
from pipeline.state import read_commit
from schemas.shards import STREAMS
from transforms import storage, write_shards

ROWS = {
    "pages": ("extract", "pages", "in"),
    "images_in_input": ("extract", "image_records", "in"),
    "distinct_pages": ("dedup", "distinct_pages", "kept"),
    "image_urls": ("refs", "image_refs", "kept"),
    "images_found": ("refs", "images", "kept"),
    "images": ("fetch", "image_answers", "kept"),
    "distinct_images": ("dedup_images", "distinct_images", "kept"),
    "scored_images": ("score", "wanted_images_score", "kept"),
    "scored_texts": ("score", "wanted_texts", "kept"),
    "recaptions": ("recaption", "captions", "kept"),
    "interleaved_images": ("shard", "image_nodes", "kept"),
    **{f"{stream}_samples": ("shard", f"{stream}_samples", "kept") for stream in STREAMS},
}
"""Name -> stage, table and column of `run.json`."""
LINKS = ("dedup", "links")
SCORERS = "scorers"
"""What stage `score` does for its models, told apart from the candidates that any run has."""
GROUPS = tuple(
    group for stage in STAGES for group in ((stage, SCORERS) if stage == "score" else (stage,))
)
"""What costs are told of: stages, in order, and the models of `score`."""
_CANDIDATES = "candidates-"


@dataclass(frozen=True)
class StageCounts:
    """What a stage has committed, or a group of its steps."""

    part_commits: int
    """Records of parts that stand for one of the extract stage."""
    other_commits: int
    """Records of buckets, of shards, of answers."""
    part_files: int
    other_files: int
    written: int
    """Bytes of tables, packs and shards."""


@dataclass(frozen=True)
class OutputCounts:
    """An output, or what is expected of one."""

    source: str
    """Where the numbers are from."""
    parts: int
    input_bytes: int
    rows: dict[str, int]
    """A number for each name of `ROWS`, and `links`."""
    stages: dict[str, StageCounts]
    """By the names of `GROUPS`."""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "OutputCounts":
        """What `as_json` gave."""
        stages = {name: StageCounts(**found) for name, found in values["stages"].items()}
        return cls(**{**values, "stages": stages})


def count_output(output: str, record: dict[str, Any]) -> OutputCounts | None:
    """Count an output whose `run.json` is given; None where it has no pages or is not finished."""
    done = record["stages"]
    if any(done.get(stage, {}).get("status") != "done" for stage in STAGES):
        return None
    rows = {
        name: int(done[stage]["tables"].get(table, {}).get(column, 0))
        for name, (stage, table, column) in ROWS.items()
    }
    rows["links"] = int(done[LINKS[0]]["facts"].get(LINKS[1], 0))
    if not rows["pages"]:
        return None
    parts = {name.rpartition("-")[0] for name in done["extract"]["snapshot"]}
    sizes: dict[str, dict[str, int]] = {}
    stages = {
        group: _count_records(output, stage, names, parts, sizes)
        for stage in STAGES
        for group, names in _grouped(stage, done[stage]["snapshot"]).items()
    }
    size = sum(file["bytes"] for file in record["inputs"])
    return OutputCounts(output, len(parts), size, rows, stages)


def _grouped(stage: str, names: list[str]) -> dict[str, list[str]]:
    """Names of records by group."""
    if stage != "score":
        return {stage: names}
    own = [name for name in names if name.startswith(_CANDIDATES)]
    return {stage: own, SCORERS: [name for name in names if not name.startswith(_CANDIDATES)]}


def _count_records(
    output: str, stage: str, names: list[str], parts: set[str], sizes: dict[str, dict[str, int]]
) -> StageCounts:
    """Count what records of a stage name; `sizes` keeps listings of folders."""

    def size_of(folder: str, name: str) -> int:
        if folder not in sizes:
            sizes[folder] = storage.list_sizes(storage.join(output, folder))
        return sizes[folder].get(name, 0)

    counted = {"part_commits": 0, "other_commits": 0, "part_files": 0, "other_files": 0}
    written = 0
    for name in names:
        commit = read_commit(output, stage, name)
        if commit is None:
            continue
        kind = "part" if _extract_part(commit.part, parts) else "other"
        counted[f"{kind}_commits"] += 1
        for table, files in commit.files.items():
            counted[f"{kind}_files"] += len(files)
            for path in files.values():
                written += size_of(f"tables/{table}", path.rpartition("/")[2])
        for pack in commit.packs:
            folder, _, file = f"packs/{pack}".rpartition("/")
            written += size_of(folder, file)
            counted[f"{kind}_files"] += 1
        if "entry" in commit.details:
            stream, file = write_shards.shard_of_part(commit.part)
            written += size_of(f"shards/{stream}", file)
            counted["other_files"] += 1
    return StageCounts(**counted, written=written)


def _extract_part(name: str, parts: set[str]) -> bool:
    """Whether a part is one of the extract stage, or `<step>-<such a part>`."""
    return name in parts or name.partition("-")[2] in parts
