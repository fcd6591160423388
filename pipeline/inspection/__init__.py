"""What is in an output of `run`, for a person and for a program.

`snapshot` finds the files, `database` lets DuckDB read them and nothing else, `streams` measures
the shards, `facts` puts all of it together, `show` prints it.
"""

from pipeline.inspection.database import SqlResult, run_sql
from pipeline.inspection.facts import inspect_output
from pipeline.inspection.show import facts_json, render, render_sql, sql_json

__all__ = [
    "SqlResult",
    "facts_json",
    "inspect_output",
    "render",
    "render_sql",
    "run_sql",
    "sql_json",
]
