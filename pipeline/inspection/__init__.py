"""What is in an output of `run`, or in any shards, for a person and for a program.

`snapshot` finds the files of an output, `tar_files` tars of anybody; `files` and `database` let
DuckDB read tables and nothing else, `streams` measures the shards, `facts` puts all of it together,
`foreign` measures tars without an index. `samples` finds single samples, `verify` recomputes hashes
and offsets, `sql` runs a user's query, `explain` tells the life of one item, `rule_examples` what a
rule does at its threshold, `diff` what two outputs differ in; `show` and `show_*` print.

Imports are most of the time that `weft inspect` takes, so each command names the modules that it
needs.
"""

from pipeline.inspection.facts import inspect_output

__all__ = ["inspect_output"]
