"""Where graphs run: the presets of `--runner`, and what each needs before anything starts.

A preset is a runner of Beam with the options that work; what the user says to Beam comes after them
and wins. Whatever cannot work is refused here, in one line, before anything is written.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from pipeline.addresses import check_listens, is_loopback
from pipeline.beam_options import BeamOptions, parse_beam_options
from pipeline.job_servers import (
    JobServer,
    flink_command,
    flink_jar,
    prism_command,
    prism_program,
)
from schemas.errors import UserError
from transforms import storage

LOCAL_RUNNER = "FnApiRunner"
FLINK_VERSION = "2.2"
"""Of the job server that is used where the user names no other version."""
FLINK_PORTS = {"": 8081, "http": 8081, "https": 443}
"""Where Flink's REST service is expected if its address has no port."""
EMBEDDED = ("[local]", "[auto]")
"""Values of `--flink_master` for a Flink inside the job server."""
LOOPBACK = "LOOPBACK"
"""Beam's environment whose workers are threads of the driver."""
_OWN_OPTIONS = {
    "direct_num_workers": "say --workers N",
    "direct_running_mode": "say --workers N, and --processes for a process even where N is 1",
}
"""Options of Beam's local runner that Weft sets itself, and what to say instead."""
_ENVIRONMENTS = ("EXTERNAL", "DOCKER", "PROCESS")

Build = Callable[[Any], None]
"""Adds a graph to a pipeline. Picklable: it travels to the stage process."""


@dataclass(frozen=True, slots=True)
class RunnerConfig:
    """Where and how wide to run."""

    workers: int = 1
    """Worker processes on this machine, 1 running inside this process; elsewhere, how many the
    options of the runner name."""
    beam_options: tuple[str, ...] = ()
    """Options for Beam, as on a command line."""
    heartbeats: str | None = None
    """Local folder where workers note their progress."""
    log: str | None = None
    """Local file for what workers print; Beam is talkative."""
    processes: bool = False
    """Use a worker process even for one worker."""
    server: JobServer | None = None
    """Of this run, where the runner needs one and the user has none."""
    sees_files: bool = True
    """Whether workers run where this machine's files are."""
    services: tuple[tuple[str, str], ...] = ()
    """Services of the user's that must listen: the option that names each, and its address."""

    def check_services(self) -> None:
        """Raises `UserError` for a service that takes no connection."""
        for option, address in self.services:
            check_listens(option, address, FLINK_PORTS if option == "flink_master" else None)

    @property
    def in_process(self) -> bool:
        """Whether the graph runs inside this process."""
        return not self.is_local or (self.workers == 1 and not self.processes)

    @property
    def is_local(self) -> bool:
        """Whether the graph runs on this machine, by the runner that Weft drives itself."""
        return self.runner == LOCAL_RUNNER

    @property
    def runner(self) -> str:
        """Name of the Beam runner."""
        name = LOCAL_RUNNER
        for position, option in enumerate(self.beam_options):
            if option.startswith("--runner="):
                name = option.partition("=")[2]
            elif option == "--runner" and position + 1 < len(self.beam_options):
                name = self.beam_options[position + 1]
        return name


@dataclass(frozen=True, slots=True)
class Preset:
    """What a name of `--runner` stands for."""

    runner: str
    """Beam's class."""
    groups: frozenset[str]
    """Beam's groups of options that only this runner, and others that name them, understand."""
    width: str
    """What says how many workers there are, instead of `--workers`."""
    complete: Callable[[BeamOptions], list[str]]
    """Options to add to those that were given. Raises `UserError` for what is missing."""
    command: Callable[[Sequence[str], str], tuple[list[str], str]] | None = None
    """How its job server is started where the user names none."""
    sees_files: Callable[[BeamOptions], bool] = lambda options: True
    """Whether workers run where this machine's files are."""


def complete_local(options: BeamOptions) -> list[str]:
    """Beam's in-process runner: nothing is needed."""
    del options
    return []


def complete_prism(options: BeamOptions) -> list[str]:
    """Prism, with the program that was built for this version of Beam, or the one that is named."""
    if options.get("job_endpoint"):
        return [*_loopback(options, "prism", options.given["job_endpoint"])]
    program = _kept_file(options, "prism_location", prism_program(), "prism")
    if not os.access(program, os.X_OK):
        raise UserError(f"{program}: is no program: make it executable (chmod +x)")
    return [f"--prism_location={program}", *_loopback(options, "prism", "localhost")]


def complete_flink(options: BeamOptions) -> list[str]:
    """Flink: its own job server, and loopback workers where Flink is on this machine."""
    master = options.get("flink_master", "[local]")
    added = [f"--flink_master={master}"]
    if options.get("flink_submit_uber_jar") and master in EMBEDDED:
        raise UserError("--flink_submit_uber_jar: needs --flink_master=HOST:PORT of a cluster")
    if options.get("flink_submit_uber_jar") and not options.get("flink_job_server_jar"):
        raise UserError(
            "--flink_submit_uber_jar: needs --flink_job_server_jar=PATH of Beam's published jar, "
            "which holds all that the cluster needs (docs/runners.md)"
        )
    version = options.get("flink_version", FLINK_VERSION)
    added.append(f"--flink_version={version}")
    if not options.get("job_endpoint"):
        get = f"flink --flink_version={version}"
        jar = _kept_file(options, "flink_job_server_jar", flink_jar(version), get)
        added.append(f"--flink_job_server_jar={jar}")
        java = options.get("job_server_java_launcher", "java")
        if not options.get("flink_submit_uber_jar") and shutil.which(java) is None:
            raise UserError(
                f"--runner flink: there is no {java}: its job server takes Java 17 (Debian: "
                "apt-get install openjdk-17-jre-headless); --job_server_java_launcher=PATH "
                "names another"
            )
    place = "localhost" if master in EMBEDDED else master
    return [*added, *_loopback(options, "flink", place)]


def complete_portable(options: BeamOptions) -> list[str]:
    """Any job service of Beam, by its address."""
    endpoint = options.get("job_endpoint")
    if not endpoint:
        raise UserError(
            "--runner portable: needs --job_endpoint=HOST:PORT, where a job service of Beam listens"
        )
    return _loopback(options, "portable", endpoint)


def complete_dataflow(options: BeamOptions) -> list[str]:
    """Google Cloud Dataflow: a project, a region, and a bucket for what is staged."""
    missing = [name for name in ("project", "region", "temp_location") if not options.get(name)]
    if missing:
        raise UserError(
            f"--runner dataflow: needs {' and '.join(f'--{name}=...' for name in missing)}"
            " (docs/dataflow.md)"
        )
    for name in ("temp_location", "staging_location"):
        place = options.get(name)
        if place and not place.startswith("gs://"):
            raise UserError(f"--{name}={place}: must be a folder in a bucket: gs://BUCKET/FOLDER")
    return []


def _kept_file(options: BeamOptions, option: str, kept: Path, get: str) -> Path:
    """The file that an option names, or else the one that Weft keeps. Raises `UserError`."""
    named = options.get(option)
    path = Path(named) if named else kept
    if path.is_file():
        return path
    if named:
        raise UserError(f"--{option}={named}: is no file of this machine, and Weft fetches none")
    raise UserError(
        f"--runner {get.split()[0]}: there is no {kept}; `weft get-runner {get}` gets it, once; "
        f"--{option}=PATH names another"
    )


def _loopback(options: BeamOptions, name: str, place: str) -> list[str]:
    """Workers in this process where the engine can reach it, unless the user says otherwise."""
    environment = (options.get("environment_type") or "").upper()
    if environment not in ("", LOOPBACK, *_ENVIRONMENTS):
        known = ", ".join((LOOPBACK, *_ENVIRONMENTS))
        raise UserError(f"--environment_type={environment}: is none of {known}")
    here = is_loopback(place)
    if not environment:
        if not here:
            raise UserError(
                f"--runner {name}: say what the workers of {place} are: --environment_type=EXTERNAL"
                " --environment_config=HOST:PORT (a worker pool beside each of them), or "
                "--environment_type=DOCKER --environment_config=IMAGE (docs/runners.md)"
            )
        return [f"--environment_type={LOOPBACK}"]
    if environment == LOOPBACK and not here:
        raise UserError(
            f"--environment_type={LOOPBACK}: its workers are threads of this process, which "
            f"{place} cannot reach; use EXTERNAL or DOCKER"
        )
    needs = environment in _ENVIRONMENTS
    if needs and not options.get("environment_config") and not options.get("environment_options"):
        what = {"EXTERNAL": "HOST:PORT", "DOCKER": "IMAGE", "PROCESS": '\'{"command": "..."}\''}
        raise UserError(
            f"--environment_type={environment}: needs --environment_config={what[environment]}, "
            "where Weft is installed"
        )
    return []


def _workers_are_here(options: BeamOptions) -> bool:
    """Whether workers see this machine's files, as far as the options tell.

    A worker pool at `localhost` is beside the engine's own workers, wherever those are.
    """
    environment = (options.get("environment_type") or LOOPBACK).upper()
    engine = options.get("flink_master", "[local]")
    pool = str(options.get("environment_config") or "")
    embedded = engine in EMBEDDED and not options.get("job_endpoint")
    return environment == LOOPBACK or (environment == "EXTERNAL" and is_loopback(pool) and embedded)


_PORTABLE = frozenset({"PortableOptions", "JobServerOptions"})
PRESETS = {
    "local": Preset(LOCAL_RUNNER, frozenset({"DirectOptions"}), "use --workers N", complete_local),
    "prism": Preset(
        "PrismRunner", _PORTABLE | {"PrismRunnerOptions"}, "the machine decides",
        complete_prism, prism_command, _workers_are_here,
    ),
    "flink": Preset(
        "FlinkRunner", _PORTABLE | {"FlinkRunnerOptions"}, "use --parallelism=N",
        complete_flink, flink_command, _workers_are_here,
    ),
    "dataflow": Preset(
        "DataflowRunner", frozenset({"WorkerOptions"}), "use --max_num_workers=N",
        complete_dataflow, sees_files=lambda options: False,
    ),
    "portable": Preset(
        "PortableRunner", _PORTABLE, "the engine decides",
        complete_portable, sees_files=_workers_are_here,
    ),
}  # fmt: skip
"""What `--runner` takes. Beam's own names of these runners mean the same."""


def find_preset(name: str) -> Preset | None:
    """The preset of a name, which may be Beam's; None for a runner that Weft has no preset for."""
    if name.lower() in PRESETS:
        return PRESETS[name.lower()]
    # Beam takes a runner's name in any case, with its module, and without its last word.
    last = name.lower().rpartition(".")[2]
    for preset in PRESETS.values():
        if last in (preset.runner.lower(), preset.runner.lower().removesuffix("runner")):
            return preset
    return None


def runner_config(
    name: str,
    words: Sequence[str] = (),
    workers: int | None = None,
    processes: bool = False,
    *,
    default_workers: int = 1,
) -> RunnerConfig:
    """What a command line says about where to run, made whole.

    Args:
        name: Of `--runner`.
        words: Options of Beam.
        workers: Of `--workers`.
        processes: Of `--processes`.
        default_workers: Where nothing says how many there are.

    Raises:
        UserError: What is asked for cannot work.
    """
    options = parse_beam_options(words)
    if options.get("streaming"):
        raise UserError("--streaming: a crawl has an end, and Weft's graphs are batch")
    if "runner" in options.given:
        raise UserError("--runner: is given twice; say once where to run")
    preset = find_preset(name)
    if preset is None:
        _check_runner(name)
    elif preset.runner == LOCAL_RUNNER:
        _refuse_options_of_others(options, preset, name)
        for option in sorted(options.given.keys() & _OWN_OPTIONS.keys()):
            raise UserError(f"--{option}: {_OWN_OPTIONS[option]}")
        return RunnerConfig(workers or default_workers, tuple(words), processes=processes)
    asked = [f"--workers {workers}"] * (workers is not None) + ["--processes"] * processes
    if asked:
        says = "say it by its own options" if preset is None else preset.width
        raise UserError(f"{asked[0]}: is for --runner local; with --runner {name} {says}")
    width = max(options.get("parallelism") or 0, options.get("max_num_workers") or 0)
    workers = width if width > 0 else default_workers
    if preset is None:
        here = _workers_are_here(options)
        return RunnerConfig(
            workers, (f"--runner={name}", *words), sees_files=here, services=_services(options)
        )
    _refuse_options_of_others(options, preset, name)
    completed = (f"--runner={preset.runner}", *preset.complete(options), *words)
    _check_runner(preset.runner)
    server = None
    if preset.command and not (options.get("job_endpoint") or options.get("flink_submit_uber_jar")):
        server = JobServer(partial(preset.command, completed))
    here = preset.sees_files(options)
    return RunnerConfig(
        workers, completed, server=server, sees_files=here, services=_services(options)
    )


def _services(options: BeamOptions) -> tuple[tuple[str, str], ...]:
    """What the user says is running, by option."""
    if endpoint := options.get("job_endpoint"):
        return (("job_endpoint", endpoint),)
    master = options.get("flink_master", EMBEDDED[0])
    return () if master in EMBEDDED else (("flink_master", master),)


def check_places(runner: str, option: str, places: Sequence[str]) -> None:
    """Refuse paths of this machine for workers that run elsewhere. Raises `UserError`.

    Args:
        runner: Whose workers.
        option: That names the places.
        places: As the user wrote them. `file:///...` is the user's word that all workers mount it.
    """
    for place in places:
        if storage.is_local(place) and not place.startswith("file://"):
            raise UserError(
                f"{option} {place}: is a path of this machine, which the workers of {runner} do "
                "not see; use a URL such as s3://, gs:// or hdfs://, or "
                f"file://{os.path.abspath(place)} where every worker and this machine mount the "
                "same folder there"
            )


def _refuse_options_of_others(options: BeamOptions, preset: Preset, name: str) -> None:
    everywhere = frozenset().union(*(other.groups for other in PRESETS.values()))
    for option, group in options.owners.items():
        if group in everywhere - preset.groups or group == "SparkRunnerOptions":
            fit = [key for key, other in PRESETS.items() if group in other.groups]
            whose = f"--runner {' or '.join(fit)}" if fit else "another runner"
            raise UserError(f"--{option}: is an option of {whose}, not of --runner {name}")


def _check_runner(name: str) -> None:
    """Refuse a runner of Beam that is not there, or not to be used. Raises `UserError`."""
    short = name.lower().rpartition(".")[2].removesuffix("runner")
    if short.endswith("direct"):
        raise UserError(
            f"--runner={name}: use --workers N (Beam's {LOCAL_RUNNER}); the direct runner looks "
            "for a Go program on the network and falls back without a word"
        )
    from apache_beam.runners.runner import PipelineRunner, create_runner

    known = f"--runner takes {', '.join(PRESETS)}, or a class of Beam by its name"
    module, _, kind = name.rpartition(".")
    try:
        # A path of modules may lead to anything that can be called, and Beam would call it.
        found = getattr(import_module(module), kind) if module else None
        is_runner = isinstance(found, type) and issubclass(found, PipelineRunner)
        if found is PipelineRunner or (module and not is_runner):
            raise UserError(f"--runner={name}: is no runner of Beam; {known}")
        create_runner(name)
    except UserError:
        raise
    except (ValueError, TypeError) as e:
        raise UserError(f"--runner={name}: there is no such runner; {known}") from e
    except Exception as e:  # a module of somebody's may raise anything
        said = " ".join(str(e).split()).replace("apache_beam[gcp]", "'weft-data[gcp]'")
        raise UserError(f"--runner={name}: {type(e).__name__}: {said}; {known}") from e
