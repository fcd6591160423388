"""What is in an output of `run`, for a person and for a program.

`snapshot` finds the files, `files` and `database` let DuckDB read them and nothing else, `streams`
measures the shards, `facts` puts all of it together, `sql` runs a user's query, `explain` tells of
one page, `show` and `show_explanation` print.
"""

from pipeline.inspection.explain import explain
from pipeline.inspection.facts import inspect_output
from pipeline.inspection.show import facts_json, render, render_sql, sql_json
from pipeline.inspection.show_explanation import render_explanation
from pipeline.inspection.sql import SqlResult, run_sql

__all__ = [
    "SqlResult",
    "explain",
    "facts_json",
    "inspect_output",
    "render",
    "render_explanation",
    "render_sql",
    "run_sql",
    "sql_json",
]
