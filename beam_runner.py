"""Weft's command line: `python beam_runner.py COMMAND`, also installed as `weft`.

Thin on purpose: it parses, calls `pipeline`, prints, and turns errors into one line and an exit
code: 2 for what the user can mend in the command or the recipe, 1 for a run that failed.
"""

import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from pipeline import inspection_commands, upkeep_commands
from pipeline.inspection_commands import terminal
from pipeline.logs import silence_import_notice
from schemas.command_line import run_app, run_program
from schemas.errors import OutputError, StoreError, UserError

if TYPE_CHECKING:
    from pipeline.progress import LogFormat
    from pipeline.run import RunOptions

# A part is handled on one core: small products are far slower when each of them starts threads.
# Set before NumPy is loaded, and passed on to worker processes.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

app = typer.Typer(
    name="weft",
    help="Web crawls into corpora for multimodal pre-training: captioned images, interleaved "
    "documents and text, as WebDataset shards, with the reason for every row kept or dropped.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_PASS_BEAM_OPTIONS = {"allow_extra_args": True, "ignore_unknown_options": True}

Inputs = Annotated[
    list[str],
    typer.Option(
        "--input", "-i",
        help="WARC file, folder, glob, text file with a path a line, or any fsspec URL. Repeat it.",
    ),
]  # fmt: skip
Output = Annotated[
    str, typer.Option("--output", "-o", help="Folder or fsspec URL for tables, packs and shards.")
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Change a value of the recipe: --set gates.shard.captioned.min_side.min=150. A rule "
        "set to false is switched off: --set gates.dedup.language=false. Repeat it.",
    ),
]
Against = Annotated[
    list[str] | None,
    typer.Option(
        "--against",
        help="Output of an earlier run with the same dedup.minhash: what its shards hold, and "
        "near-duplicates of it, are not published again. It is only read. Repeat it.",
    ),
]
Stages = Annotated[
    str | None,
    typer.Option(
        help="Only these stages, by comma: extract,dedup,refs,fetch,dedup_images,score,shard. "
        "Default: all."
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", "-w",
        help="Worker processes on this machine; 1 runs inside this process. Default: one a core. "
        "For --runner local: others have options of their own.",
    ),
]  # fmt: skip
Runner = Annotated[
    str,
    typer.Option(
        "--runner",
        help="Where to run: local (this machine), prism, flink, dataflow, or portable (any job "
        "service of Beam, by --job_endpoint); Beam's own names are taken too. Options of Beam say "
        "the rest: docs/runners.md.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress lines.")]
Format = Annotated[
    str,
    typer.Option(
        "--log-format",
        help="Of progress lines on standard error: text, or json, an object a line.",
    ),
]
WithReport = Annotated[
    bool,
    typer.Option(
        "--report/--no-report",
        help="Write OUTPUT/report/index.html at the end: funnels, thresholds to drag, galleries.",
    ),
]


@app.command(
    "run",
    context_settings=_PASS_BEAM_OPTIONS,
    epilog="Any option of Beam may follow, such as --flink_master=HOST:8081; an unknown one is an "
    "error. Run the same command again to resume: what is committed is not done twice.",
)
def run_command(
    context: typer.Context,
    recipe: Annotated[str, typer.Argument(help="Name of a shipped recipe, or a .toml file.")],
    input_: Inputs,
    output: Output,
    stages: Stages = None,
    set_: Sets = None,
    against: Against = None,
    workers: Workers = None,
    runner: Runner = "local",
    processes: Annotated[
        bool, typer.Option("--processes", help="Use a worker process even for --workers 1.")
    ] = False,
    quiet: Quiet = False,
    log_format: Format = "text",
    report: WithReport = True,
) -> None:
    """Run a recipe on a crawl: WARC files in, shards of three streams out."""
    if workers != 1 and runner == "local":
        from pipeline.stage_start import start_importing

        start_importing()
    from pipeline import funnel
    from pipeline.run import RunOptions, execute
    from pipeline.run_record import STAGES

    options = RunOptions(
        recipe=recipe,
        inputs=input_,
        output=output,
        stages=STAGES if stages is None else [name.strip() for name in stages.split(",")],
        overrides=set_ or (),
        against=against or (),
        workers=workers,
        processes=processes,
        runner=runner,
        beam_options=context.args,
        quiet=quiet,
        log_format=_log_format(log_format),
    )
    state = execute(options)
    console = terminal()
    funnel.show(state, console)
    if report:
        _report(options)
    console.print(
        f"\nNext: weft inspect {output}    (samples, sizes, languages, what each rule rejected)",
        highlight=False, soft_wrap=True,
    )  # fmt: skip


@app.command("demo")
def demo_command(
    output: Output = "out/demo",
    workers: Workers = None,
    pages: Annotated[int, typer.Option(min=210, help="Pages of the generated crawl.")] = 300,
    seed: Annotated[int, typer.Option(help="Seed of the generated crawl.")] = 0,
    captions: Annotated[
        bool,
        typer.Option(
            "--captions",
            help="Let the small captioner that comes with Weft describe the pictures and fuse what "
            "it sees with their alt texts. It takes vLLM (`make setup-recaption`) and two minutes.",
        ),
    ] = False,
    quiet: Quiet = False,
    log_format: Format = "text",
    report: WithReport = True,
) -> None:
    """Generate a small crawl and run the recipe `demo` on it: the whole pipeline in a minute."""
    from pipeline import funnel
    from pipeline.demo import generate_demo_crawl
    from pipeline.run import RunOptions, check_options, execute

    if "://" in output:
        raise OutputError(f"--output {output}: the demo needs a local folder, for its crawl too")
    crawl = Path(output).absolute().with_name(Path(output).absolute().name + "-crawl")
    overrides = ["recaption.mode=vecap"] if captions else []
    options = RunOptions(
        "demo", [str(crawl)], output, overrides=overrides, workers=workers, quiet=quiet,
        log_format=_log_format(log_format),
    )  # fmt: skip
    check_options(options)
    if not quiet:
        typer.echo(f"Generating a crawl of about {pages} pages in {crawl} ...", err=True)
    try:
        generate_demo_crawl(crawl, seed=seed, pages=pages)
    except ValueError as e:
        raise UserError(f"--pages {pages}: {e}") from e
    except OSError as e:
        raise OutputError(f"{crawl}: cannot be written: {e}") from e
    state = execute(options)
    console = terminal()
    funnel.show(state, console)
    if report:
        _report(options)
    console.print(
        f"\nShards of three streams are in {output}/shards. What to do next:\n"
        f"  weft inspect {output}                      what is in them, and what each rule cost\n"
        f"  weft serve {output}                        the report, with SQL over the tables\n"
        f"  weft inspect {output} --sql 'SELECT rule, count(*) FROM ledger GROUP BY ALL'\n"
        f"  weft run demo --input {crawl} --output {output} "
        "--set gates.shard.captioned.min_side.min=300\n"
        "                                            change a threshold: only shards are redone\n"
        "  weft run mm1 --input YOUR.warc.gz --output out/mine",
        highlight=False, soft_wrap=True,
    )  # fmt: skip


def _log_format(name: str) -> "LogFormat":
    """A format of progress lines. Raises `UserError`."""
    if name not in ("text", "json"):
        raise UserError(f"--log-format {name}: text or json")
    return "json" if name == "json" else "text"


def _report(options: "RunOptions") -> None:
    """Write the report of a run that has ended well, whatever becomes of the report."""
    from pipeline.progress import Progress

    progress = Progress(options.quiet, options.log_format)
    try:
        page = inspection_commands.write_and_tell(options.output, progress, again=False)
    except (UserError, StoreError) as error:
        page = f"not written: {error}"
    typer.echo(f"\nReport: {page}")


@app.command("plan", context_settings=_PASS_BEAM_OPTIONS)
def plan_command(
    context: typer.Context,
    recipe: Annotated[str, typer.Argument(help="Name of a shipped recipe, or a .toml file.")],
    input_: Inputs,
    output: Output,
    set_: Sets = None,
    against: Against = None,
    workers: Workers = None,
    runner: Runner = "local",
    sample: Annotated[
        int,
        typer.Option(
            min=0,
            help="Have captions written for so many images first (100 tell enough), and predict "
            "tokens and hours of all from them. They are kept. Takes the stages up to score.",
        ),
    ] = 0,
    job_request: Annotated[
        str | None,
        typer.Option(
            "--job-request",
            metavar="FILE",
            help="Write what the next job would send to Dataflow (--runner dataflow), as JSON.",
        ),
    ] = None,
    scale: Annotated[
        bool,
        typer.Option(
            "--scale",
            help="Say instead what 10 thousand, a million, a billion, MM1's 3 billion pages would "
            "cost, by measured unit costs, and what breaks first. A page is like those of OUTPUT "
            "where a run has ended there, else like the demo's.",
        ),
    ] = False,
    price: Annotated[
        list[str] | None,
        typer.Option(
            "--price",
            help="What you pay, in dollars, for --scale: --price cpu_hour=0.04. Also gpu_hour, "
            "gb_shuffled, gb_written, million_reads, million_writes. Repeat it.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Say what `run` would do: input sizes, parts to run, parts that are up to date."""
    from pipeline import plan, recaption_cost, scale_table
    from pipeline.run import RunOptions

    options = RunOptions(
        recipe, input_, output, overrides=set_ or (), against=against or (),
        workers=workers, runner=runner, beam_options=context.args, quiet=as_json,
    )  # fmt: skip
    if price and not scale:
        raise UserError("--price: is for --scale, which is not given")
    if scale and (sample or job_request):
        other = "--sample" if sample else "--job-request"
        raise UserError(f"--scale: says what any number of pages costs; leave out {other}")
    if scale:
        from pipeline.scale import Prices

        found = scale_table.make_scale(options, Prices.parse(price or []))
        if as_json:
            typer.echo(json.dumps(found, indent=1))
        else:
            scale_table.show_scale(found, terminal())
        return
    if sample:
        recaption_cost.write_sample(options, sample)
    made = plan.make_plan(options)
    if as_json:
        typer.echo(json.dumps(made, indent=1))
    else:
        plan.show(made, terminal())
    if job_request is not None:
        from pipeline.next_job import write_request

        typer.echo(write_request(options, job_request), err=True)


app.command("inspect", epilog=inspection_commands.INSPECT_EXAMPLES)(
    inspection_commands.inspect_command
)
app.command("explain")(inspection_commands.explain_command)
app.command("diff")(inspection_commands.diff_command)
app.command("report")(inspection_commands.report_command)
app.command("serve")(inspection_commands.serve_command)


app.command("get-runner")(upkeep_commands.get_runner_command)
app.command("clean")(upkeep_commands.clean_command)


@app.command("recipes")
def recipes_command() -> None:
    """List the recipes that come with Weft."""
    from pipeline.recipe import load_recipe, shipped_recipes

    for name in shipped_recipes():
        typer.echo(f"{name:16} {load_recipe(name).settings.description}")


def main(arguments: list[str] | None = None) -> int:
    """Program entry; returns the exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    silence_import_notice()
    return run_app(app, "weft", arguments)


def program() -> NoReturn:
    """The installed program `weft`."""
    run_program(main)


if __name__ == "__main__":
    program()
