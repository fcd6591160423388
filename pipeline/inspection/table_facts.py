"""What only the tables of a run tell: image URLs, evaluation items, languages, sites, captions.

Apart from `facts`, which imports it where a run has such tables: shards alone need no DuckDB.
"""

from collections.abc import Sequence

import duckdb

from pipeline.inspection.contamination import contamination_facts
from pipeline.inspection.database import broken_file, first_line, open_database, view_files
from pipeline.inspection.image_answers import answer_facts
from pipeline.inspection.sample_texts import read_places, text_facts
from pipeline.inspection.snapshot import Snapshot
from pipeline.inspection.streams import Json
from schemas.errors import InputError

IMAGES, CONTAMINATION, SAMPLES = "image_answers", "contamination", "samples"
"""The tables that are read here."""


def table_facts(
    snapshot: Snapshot, tables: Sequence[str], indexed: Sequence[str]
) -> tuple[Json | None, Json | None, dict[str, Json]]:
    """Read tables of a run.

    Args:
        snapshot: The output.
        tables: Which of `IMAGES`, `CONTAMINATION` and `SAMPLES`.
        indexed: The streams of which `SAMPLES` tells; each has an index.

    Returns:
        `image_answers.answer_facts`, `contamination.contamination_facts` (None where their table is
        not read), and `sample_texts.text_facts` by stream.

    Raises:
        InputError: A file cannot be read; the message names it.
    """
    used = [*tables, *(f"index_{stream}" for stream in indexed)]
    with open_database(snapshot, used) as con:
        try:
            images = answer_facts(con) if IMAGES in tables else None
            contamination = contamination_facts(con) if CONTAMINATION in tables else None
            texts = {}
            if SAMPLES in tables and indexed:
                read_places(con, list(indexed))
                texts = {stream: text_facts(con, stream) for stream in indexed}
        except duckdb.Error as e:
            files = view_files(snapshot)
            broken = broken_file(snapshot, [file for view in used for file in files[view]])
            raise broken or InputError(f"{snapshot.output}: {first_line(e)}") from e
    return images, contamination, texts
