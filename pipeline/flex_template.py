"""The flex template of Dataflow: one small job that runs `weft run --runner dataflow`.

A template starts one job, and a run is many: each step is planned from what the one before has
committed. So the template's job has one worker and one element, and that is the driver: a command
in a process of its own, which starts the jobs of the stages. Where it is killed and the service
tries again, it goes on after the last part that was committed.
"""

import argparse
import logging
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import apache_beam as beam

from pipeline.logs import silence_import_notice
from pipeline.run import RunOptions, check_options, check_stages
from pipeline.run_record import STAGES
from pipeline.workers import has_models
from schemas.command_line import run_app
from schemas.errors import StageError, UserError

SEPARATOR = ","
"""Between values of a parameter that may be repeated on the command line."""
SETS_SEPARATOR = ";"
"""Between those of `set`, whose values may have commas."""
LAST_LINES = 20
"""Lines of a failed command that its error quotes."""
REQUIRED = ("recipe", "input", "output", "sdk_container_image")
OPTIONAL = ("gpu_image", "stages", "set", "against")
DRIVER_OPTIONS = (
    "--num_workers=1",
    "--max_num_workers=1",
    "--number_of_worker_harness_threads=1",
    "--no_save_main_session",
)
"""Of Beam, for the template's own job."""
_MODEL_STAGES = tuple(stage for stage in STAGES if has_models(stage))
_PASSED_ON = (
    "project",
    "region",
    "temp_location",
    "service_account_email",
    "network",
    "subnetwork",
    "dataflow_kms_key",
    "worker_zone",
)
"""Options of the template's job that hold for the jobs of the stages too."""


def parse_parameters(arguments: Sequence[str]) -> tuple[RunOptions, list[str]]:
    """What the template's parameters ask for.

    Args:
        arguments: As the launcher gives them: `--name=value`, those of Beam among them.

    Returns:
        The options of the run, and those of Beam.

    Raises:
        UserError: One is missing.
    """
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False, exit_on_error=False)
    for name in REQUIRED + OPTIONAL:
        parser.add_argument(f"--{name}", default="")
    ours, rest = parser.parse_known_args(list(arguments))
    missing = [name for name in REQUIRED if not getattr(ours, name)]
    if missing:
        raise UserError(f"parameter {missing[0]}: is missing")
    overrides = [
        *_values(ours.set, SETS_SEPARATOR),
        f"workers.image={ours.sdk_container_image}",
    ]
    if ours.gpu_image:
        overrides += [f"workers.{name}.models.image={ours.gpu_image}" for name in _MODEL_STAGES]
    options = RunOptions(
        recipe=ours.recipe,
        inputs=_values(ours.input, SEPARATOR),
        output=ours.output,
        stages=_values(ours.stages, SEPARATOR) or STAGES,
        overrides=overrides,
        runner="dataflow",
        beam_options=_stage_options(rest),
        log_format="json",
        against=_values(ours.against, SEPARATOR),
    )
    return options, [*rest, f"--sdk_container_image={ours.sdk_container_image}"]


def _values(text: str, separator: str) -> list[str]:
    return [value.strip() for value in text.split(separator) if value.strip()]


def _stage_options(options: Sequence[str]) -> list[str]:
    """The options of Beam for the jobs of the stages."""
    from apache_beam.options.pipeline_options import PipelineOptions

    known = PipelineOptions(list(options)).get_all_options()
    found = [f"--{name}={known[name]}" for name in _PASSED_ON if known[name]]
    if known["use_public_ips"] is False:
        found.append("--no_use_public_ips")
    return found


def run_arguments(options: RunOptions) -> list[str]:
    """The command line of the driver."""
    found = ["run", options.recipe, "--output", options.output, "--log-format", options.log_format]
    for name, values in (
        ("--input", options.inputs),
        ("--set", options.overrides),
        ("--against", options.against),
    ):
        for value in values:
            found += [name, value]
    found += ["--stages", ",".join(check_stages(options.stages)), "--runner", options.runner]
    return [*found, *options.beam_options]


def run_weft(arguments: Sequence[str]) -> int:
    """Run Weft's command in a process of its own; its lines go to the log.

    Raises:
        StageError: It failed; the last lines that it wrote are quoted.
    """
    log = logging.getLogger(__name__)
    command = [sys.executable, "-m", "beam_runner", *arguments]
    lines: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            log.info("%s", line.rstrip())
            lines = [*lines, line][-LAST_LINES:]
    if process.returncode != 0:
        raise StageError(f"weft ended with status {process.returncode}:\n{''.join(lines)}")
    return process.returncode


def build_driver(arguments: Sequence[str], pipeline: Any) -> None:
    """Add the graph of the template's job: one element, one command."""
    _ = pipeline | "NameCommand" >> beam.Create([list(arguments)]) | "RunWeft" >> beam.Map(run_weft)


def start(args: Sequence[str] | None, standalone_mode: bool = False) -> None:
    """Check everything as `weft run` does, then start the job, and do not wait for it.

    Args:
        args: Those of the process where there are none.
        standalone_mode: As Typer's applications take it.

    Raises:
        UserError: What `weft run` would refuse.
    """
    from apache_beam.options.pipeline_options import PipelineOptions

    del standalone_mode
    options, rest = parse_parameters(sys.argv[1:] if args is None else args)
    check_options(options)
    pipeline = beam.Pipeline(options=PipelineOptions([*rest, *DRIVER_OPTIONS]))
    build_driver(run_arguments(options), pipeline)
    pipeline.run()


def main(arguments: list[str] | None = None) -> int:
    """Program entry; returns the exit code."""
    logging.basicConfig(level=logging.INFO)
    silence_import_notice()
    return run_app(start, "weft", arguments)
