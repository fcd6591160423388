"""Reading the Parquet files of tables below `OUT`, whole or a batch at a time."""

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.tables import TABLES, schema_of
from transforms import storage


def read_table(
    output: str, paths: Iterable[str], columns: Sequence[str] | None = None
) -> pa.Table | None:
    """Some Parquet files below `OUT` as one table; None where there is no file."""
    tables = []
    for path in paths:
        fs, name = storage.resolve(f"{output}/{path}")
        with fs.open(name, "rb") as file:
            tables.append(pq.ParquetFile(file).read(columns=columns, use_threads=False))
    return pa.concat_tables(tables) if tables else None


def read_rows(
    output: str, paths: Iterable[str], table: str, columns: Sequence[str] | None = None
) -> pa.Table:
    """Files of a table of fixed schema; an empty table where there is none."""
    found = read_table(output, paths, columns)
    if found is not None:
        return found
    empty = schema_of(TABLES[table]).empty_table()
    return empty if columns is None else empty.select(columns)


def iter_batches(
    output: str, path: str, rows: int = 1024, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """A Parquet file below `OUT`, a batch at a time."""
    fs, name = storage.resolve(f"{output}/{path}")
    with fs.open(name, "rb") as file:
        yield from pq.ParquetFile(file).iter_batches(
            batch_size=rows, columns=columns, use_threads=False
        )
