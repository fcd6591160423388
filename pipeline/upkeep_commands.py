"""Commands around runs: what runners need, and what killed runs left."""

import json
from typing import Annotated

import typer

from schemas.errors import UserError


def get_runner_command(
    name: Annotated[
        str, typer.Argument(help="prism: built with Go. flink: its job server, by Maven.")
    ],
    flink_version: Annotated[
        str | None,
        typer.Option(
            "--flink_version",
            help="Of the cluster that is to run it. Default: that of --runner flink.",
        ),
    ] = None,
    beam_version: Annotated[
        str | None,
        typer.Option(
            "--beam_version",
            help="Of Flink's job server. Default: the Beam that is installed; --runner flink takes "
            "another by --flink_job_server_jar.",
        ),
    ] = None,
) -> None:
    """Get what a runner needs, once, into ~/.cache/weft (or $XDG_CACHE_HOME/weft)."""
    from pipeline.job_servers import build_prism, fetch_flink_jar
    from pipeline.runners import FLINK_VERSION

    if name not in ("prism", "flink"):
        raise UserError(f"{name}: prism or flink; other runners need nothing that Weft could get")
    if name == "prism":
        typer.echo(build_prism())
    else:
        typer.echo(fetch_flink_jar(flink_version or FLINK_VERSION, beam_version))


def clean_command(
    output: Annotated[str, typer.Argument(help="An output of `run`: a folder or any fsspec URL.")],
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; else it is only told.")] = False,
    older_than: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="HOURS",
            help="Leave what is younger. Default: 0 on a disk, whose lock tells of a run that is "
            "under way; 24 in a store, which has none.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Find what killed attempts left below an output, and with --yes remove it.

    Tables, packs and shards that no commit record and no manifest names, journals of parts that
    are published, temporary files, uploads to a store that were never ended. What a record of any
    recipe names stays, and so does every name that Weft does not write.
    """
    from pipeline.clean import clean, tell

    orphans = clean(output, yes, older_than)
    if as_json:
        typer.echo(json.dumps({**orphans.facts(), "removed": yes}, indent=1))
    else:
        for line in tell(orphans, output, yes):
            typer.echo(line)
