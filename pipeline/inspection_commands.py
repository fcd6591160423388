"""The commands that look at outputs: `inspect`, `explain`, `diff`, `report`, `serve`.

Apart from `beam_runner.py`, which names them. What they need is imported when one is called, so
that `--help` and a mistyped option answer at once.
"""

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from schemas.errors import UserError

if TYPE_CHECKING:
    from pipeline.progress import Progress

AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress lines.")]
INSPECT_EXAMPLES = """
\b
Examples:
  weft inspect out/mine                          what is in it, and what each rule cost
  weft inspect out/mine --stream captioned       one stream of it
  weft inspect out/mine --random 5               five samples in short
  weft inspect out/mine --sample 03c585          one in full, its images to this folder
  weft inspect out/mine --verify                 is every byte what it was?
  weft inspect 's3://bucket/laion/*.tar'         tars that somebody else wrote
  weft inspect out/mine --sql "SELECT rule, count(*) FROM ledger GROUP BY ALL"
"""
"""Stands below the help of `inspect`."""

Examples = Annotated[
    int, typer.Option(min=0, max=1000, help="Examples of each kind that are shown.")
]


def terminal() -> Console:
    """A console that cuts no count where there is no terminal to fit."""
    return Console() if sys.stdout.isatty() else Console(width=140)


def inspect_command(
    target: Annotated[
        str,
        typer.Argument(
            help="An output of `run`, its folder `shards` or that of a stream; or any tars by the "
            "WebDataset convention (img2dataset, MINT-1T, ...): a folder, one tar, a glob. A path "
            "or any fsspec URL, such as s3://bucket/shards.",
        ),
    ],
    stream: Annotated[
        list[str] | None,
        typer.Option(
            "--stream",
            help="Tell only of this stream of Weft: captioned, interleaved or text. Repeat it.",
        ),
    ] = None,
    sample: Annotated[
        str | None,
        typer.Option(
            "--sample",
            metavar="KEY",
            help="Show one sample: where it lies, its text, captions or nodes in order, scores and "
            "origin; and write its images out. The first 6 characters of its key are enough.",
        ),
    ] = None,
    random: Annotated[
        int | None,
        typer.Option(
            "--random",
            metavar="N",
            min=1,
            max=1000,
            help="Show N samples in short, drawn by the hash of key and --seed, spread over the "
            "streams.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of --random: another draws others.")] = 0,
    images: Annotated[
        str | None,
        typer.Option(
            "--images",
            metavar="DIR",
            help="Folder for the images of --sample (default: the current one) and of --random "
            "(default: none are written), as KEY.00.jpg, KEY.01.jpg, ... No file is overwritten.",
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Read every byte and recompute every sha256, offset, size and key of shards and "
            "packs. Exit code 0: all is well, 1: something is wrong.",
        ),
    ] = False,
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="Count languages, sites and captions however large the tables are.",
        ),
    ] = False,
    sql: Annotated[
        str | None,
        typer.Option(
            help="A DuckDB query over the tables of the run, and index_captioned, "
            "index_interleaved, index_text."
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show what is in an output: samples, sizes, languages, sites, what each rule rejected.

    The numbers of shards that have an index are told without opening a tar; other tars are read
    from beginning to end. What is missing or damaged is told, and the rest is shown. Only --sample
    and --images write anything.
    """
    asked = [name for name, value in (("--sample", sample), ("--random", random),
             ("--verify", verify or None), ("--sql", sql)) if value is not None]  # fmt: skip
    if len(asked) > 1:
        raise UserError(f"inspect: {' and '.join(asked)}: give one of them")
    if images is not None and asked not in (["--sample"], ["--random"]):
        raise UserError("inspect: --images goes with --sample or --random")
    if sql is not None:
        if stream:
            raise UserError("inspect: --stream does not go with --sql: name index_<stream>")
        _query(target, sql, as_json)
        return
    streams = _streams(stream)
    if verify:
        _verify(target, streams, as_json, quiet)
    elif sample is not None or random is not None:
        _samples(target, streams, sample, random, seed, images, as_json, quiet)
    else:
        _inspect(target, streams, full, as_json, quiet)


def _streams(names: list[str] | None) -> list[str]:
    """The streams that are asked for, all by default, in their order."""
    from schemas.shards import STREAMS

    unknown = [name for name in names or () if name not in STREAMS]
    if unknown:
        raise UserError(f"--stream {unknown[0]!r}: must be one of {', '.join(STREAMS)}")
    return [name for name in STREAMS if not names or name in names]


def _target(target: str, streams: list[str], tolerant: bool = False) -> Any:
    """What lies at a place; raises `UserError` for a stream of tars that have none."""
    from pipeline.inspection.targets import TarFiles, find_target

    found = find_target(target, tolerant)
    if isinstance(found, TarFiles) and streams != _streams(None):
        raise UserError(
            f"--stream {streams[0]}: {target} has no streams, its tars no index.parquet"
        )
    return found


def _query(target: str, sql: str, as_json: bool) -> None:
    from pipeline.inspection.show_sql import render_sql, sql_json
    from pipeline.inspection.sql import run_sql

    result = run_sql(target, sql)
    if as_json:
        typer.echo(sql_json(result))
    else:
        render_sql(result, terminal())


def _inspect(target: str, streams: list[str], full: bool, as_json: bool, quiet: bool) -> None:
    from pipeline.inspection.facts import SAMPLES_LIMIT, snapshot_facts
    from pipeline.inspection.show import render
    from pipeline.inspection.snapshot import Snapshot

    found = _target(target, streams)
    if isinstance(found, Snapshot):
        facts = snapshot_facts(found, streams, None if full else SAMPLES_LIMIT)
        _show(facts, as_json, render)
        return
    from pipeline.inspection.foreign import foreign_facts
    from pipeline.inspection.show_foreign import render_foreign

    _show(foreign_facts(found, quiet), as_json, render_foreign)


def _samples(
    target: str,
    streams: list[str],
    key: str | None,
    count: int | None,
    seed: int,
    images: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    from pipeline.inspection import samples, show_samples
    from pipeline.inspection.sample_content import sample_facts
    from pipeline.inspection.sample_images import write_images

    found = _target(target, streams)
    if key is not None:
        drawn = [samples.find_sample(found, key, streams, quiet)]
        images = "." if images is None else images
    else:
        drawn = samples.draw_samples(found, count or 0, seed, streams, quiet)
    told = []
    for sample in drawn:
        facts = sample_facts(sample)
        paths = {} if images is None else write_images(sample, images)
        for image in facts["images"]:
            image["path"] = paths.get(image["member"])
        told.append(facts)
    if key is not None:
        _show(told[0], as_json, show_samples.render_sample)
    else:
        _show(told, as_json, show_samples.render_samples)


def _verify(target: str, streams: list[str], as_json: bool, quiet: bool) -> None:
    from pipeline.inspection.show_verify import render_verified
    from pipeline.inspection.verify import verify

    facts = verify(_target(target, streams, tolerant=True), streams, quiet)
    _show(facts, as_json, render_verified)
    if not facts["sound"]:
        raise typer.Exit(1)


def explain_command(
    output: Annotated[str, typer.Argument(help="An output of `run`.")],
    key: Annotated[
        str | None,
        typer.Argument(
            help="The URL of a page or image as it was crawled; a doc_id, text_id, caption_id or "
            "image_key, or the key of a sample in a shard (of these the first 6 digits are "
            "enough); or a record as FILE:OFFSET."
        ),
    ] = None,
    rule: Annotated[
        str | None,
        typer.Option(
            "--rule",
            help="Tell of a rule instead: how many rows fail it, which are just kept and which "
            "just dropped. Its path in the recipe, gates.shard.captioned.min_side, or the end of "
            "it where that is one rule only. Built-in rules are there too: image_missing.",
        ),
    ] = None,
    examples: Examples = 10,
    as_json: AsJson = False,
) -> None:
    """Tell the life of a page, caption, image or sample, or show a rule at its threshold.

    Where it came from, its measures, its duplicates, what each gate said and why, where it ended:
    stream, split and shard, or the rule that ended it; of an image which copies an image has.
    """
    if (key is None) == (rule is None):
        raise UserError("explain: give a KEY, or --rule NAME")
    if rule is not None:
        from pipeline.inspection.rule_examples import explain_rule
        from pipeline.inspection.show_rule import render_rule

        _show(explain_rule(output, rule, examples), as_json, render_rule)
    else:
        from pipeline.inspection.explain import explain
        from pipeline.inspection.show_explanation import render_explanation

        _show(explain(output, str(key)), as_json, render_explanation)


def diff_command(
    output_a: Annotated[str, typer.Argument(help="An output of `run`.")],
    output_b: Annotated[
        str, typer.Argument(help="Another, of the same input: a copy that was run again, or a new.")
    ],
    examples: Examples = 5,
    as_json: AsJson = False,
) -> None:
    """Compare two outputs: what a changed recipe moved, rule by rule, with examples.

    The recipes' values that differ; rows and samples kept in one only; for each rule the rows that
    it drops in one output and that the other keeps; the shards that differ.
    """
    from pipeline.inspection.diff import diff_outputs
    from pipeline.inspection.show_diff import render_diff

    _show(diff_outputs(output_a, output_b, examples), as_json, render_diff)


def report_command(
    output: Annotated[str, typer.Argument(help="An output of `run`.")],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the path.")] = False,
) -> None:
    """Write OUTPUT/report/index.html: the corpus to look at, in one file that opens from disk.

    The funnel of each stream, what each rule takes and what lies at its threshold with pictures,
    thresholds to drag with what they would keep, captions side by side, documents, duplicates,
    slices that lose more than others. `run` writes it too. report.json beside it has the numbers.
    """
    from pipeline.progress import Progress

    typer.echo(write_and_tell(output, Progress(quiet), again=True))


def serve_command(
    output: Annotated[
        str,
        typer.Argument(
            help="An output of `run`, or its folder `shards`: a folder or any fsspec URL."
        ),
    ],
    host: Annotated[
        str,
        typer.Option(
            help="Name or address to listen on. Beyond this machine everyone who reaches it can "
            "read the corpus: there is no password."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks one that is free.")] = 8765,
    open_: Annotated[bool, typer.Option("--open", help="Open the report in the browser.")] = False,
) -> None:
    """Serve an output to a browser: its report, SQL over its tables, its images. Ctrl-C ends it.

    / is the report, /query a page of queries, whose address holds the query and can be shared. It
    only reads: one SELECT at a time over the tables of the last run, 30 seconds and 1000 rows at
    most, and no file beside them. For programs: /api/sql?q=SELECT..., /api/sample/KEY,
    /image/IMAGE_KEY, /shard/STREAM/KEY/SUFFIX. From another machine: ssh -L 8765:localhost:8765.
    """
    from pipeline.serve.server import serve_output

    serve_output(output, host, port, open_, typer.echo, lambda line: typer.echo(line, err=True))


def write_and_tell(output: str, progress: "Progress", again: bool) -> str:
    """Write the report of an output; where its page is."""
    from pipeline.inspection.show import size
    from pipeline.report.write import write_report

    begin = time.monotonic()
    written = write_report(output, lambda line: progress.say(f"report: {line}"), again)
    took = f"{time.monotonic() - begin:.1f} s" if written.is_new else "up to date"
    progress.say(f"report: {size(written.size)}, {took}")
    return written.page


def _show(facts: Any, as_json: bool, render: Any) -> None:
    """Print facts as JSON, or for a person."""
    from pipeline.inspection.show import facts_json

    if as_json:
        typer.echo(facts_json(facts))
    else:
        render(facts, terminal())
