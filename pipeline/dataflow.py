"""Runner `dataflow`: what must be said before a job starts, the options of each, and its request.

A run is one job a step: the driver plans, starts a job, waits, reads what it committed, and plans
the next. So every job has the machines and the image of its own stage, and an output is worked on
by one driver: the service refuses a second job of a name while the first is active.
"""

import importlib.util
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.recipe import Recipe
from pipeline.workers import ModelStage, WorkersConfig, WorkerSettings
from recaptioner import recaption
from recaptioner.config import IN_PROCESS
from schemas.errors import UserError
from schemas.ids import digest
from transforms import score_items
from transforms.scorers.registry import kind_of

DATAFLOW = "DataflowRunner"
"""Beam's name of it."""
_FOLDER = re.compile(r"gs://[a-z0-9][-_a-z0-9.]+[a-z0-9]/.+")
_DISK_TYPE = "compute.googleapis.com/projects//zones//diskTypes/"


@dataclass(frozen=True, slots=True)
class Job:
    """One Beam job of a run."""

    stage: str
    name: str
    """As progress lines show it: the stage, the step, the round."""
    models: bool = False
    """Whether it shows items to models."""


def job_options(
    workers: WorkersConfig, output: str, job: Job, given: Sequence[str]
) -> tuple[str, ...]:
    """All Beam options of a job.

    Args:
        workers: Section `workers` of the recipe.
        output: Of the run; it is part of the job's name.
        job: The job.
        given: Options of the command line. They come last, so they win over the recipe.
    """
    prefix = _given(given)["job_name"] or "weft"
    label = re.sub(r"[^a-z0-9]+", "-", job.name.lower()).strip("-")
    name = f"{prefix}-{digest(output)[:8]}-{label}"
    labels = [f"--labels=weft-stage={job.stage}", f"--labels=weft-output={digest(output)[:8]}"]
    settings = worker_options(workers.of(job.stage, job.models))
    return (*settings, *labels, *given, f"--job_name={name}")


def worker_options(settings: WorkerSettings) -> list[str]:
    """The Beam options that ask Dataflow for some workers."""
    gpu = settings.accelerator
    values = {
        "machine_type": settings.machine_type,
        "max_num_workers": settings.max_workers,
        "sdk_container_image": settings.image,
        "disk_size_gb": settings.disk_gb,
        "worker_disk_type": settings.disk_type and f"{_DISK_TYPE}{settings.disk_type}",
    }
    options = [f"--{name}={value}" for name, value in values.items() if value is not None]
    # Workers have Weft in their image; Beam's default would pickle whatever `__main__` holds.
    options.append("--no_save_main_session")
    # A part keeps a core busy and has its share of the memory: one at a time in a process.
    options.append("--number_of_worker_harness_threads=1")
    if _is_one_process(settings):
        # Else a process a CPU, each in a container of its own, and each with the whole GPU in view:
        # every one would load the model.
        options.append("--experiments=no_use_multiple_sdk_containers")
    if settings.public_ips is not None:
        options.append("--use_public_ips" if settings.public_ips else "--no_use_public_ips")
    hints: dict[str, str | int | None] = {
        "min_ram": settings.min_ram,
        "cpu_count": settings.cpu_count,
    }
    right_fitting = any(value is not None for value in hints.values())
    if gpu is not None and right_fitting:
        # Right fitting is on with the first hint, and then wants the accelerator as one too.
        hints["accelerator"] = gpu.text(settings.machine_type)
    elif gpu is not None:
        options.append(f"--dataflow_service_options=worker_accelerator={gpu.text()}")
    options += [f"--resource_hints={k}={v}" for k, v in hints.items() if v is not None]
    return options


def parts_at_once(settings: WorkerSettings, given: Sequence[str]) -> int:
    """Parts that the workers of a job handle at the same time, as far as anything tells.

    A machine type that ends in a number has so many CPUs, and a process each.

    Args:
        settings: What the recipe says of the job.
        given: Options of the command line, which win.
    """
    options = _given(given)
    machine = options["machine_type"] or settings.machine_type or ""
    cpus = re.search(r"-([0-9]+)$", machine)
    processes = 1 if _is_one_process(settings) or cpus is None else int(cpus[1])
    return (options["max_num_workers"] or settings.max_workers or 1) * processes


def _is_one_process(settings: WorkerSettings) -> bool:
    """Whether a worker has one process, instead of one a CPU."""
    if settings.one_process is None:
        return settings.accelerator is not None
    return settings.one_process


def _given(options: Sequence[str]) -> dict[str, Any]:
    """What a command line says to Beam, by name."""
    from apache_beam.options.pipeline_options import PipelineOptions

    found: dict[str, Any] = PipelineOptions(list(options)).get_all_options()
    return found


def check_dataflow(
    recipe: Recipe,
    places: Mapping[str, Sequence[str]],
    stages: Sequence[str],
    options: Sequence[str],
) -> None:
    """Refuse what no job could run with. Nothing is asked of the network.

    Args:
        recipe: The recipe.
        places: Files and folders as the user wrote them, by the option that names them.
        stages: Those that will run.
        options: Beam options of the command line.

    Raises:
        UserError: It says what to give.
    """
    if not is_installed():
        raise UserError(
            "--runner dataflow: Beam's part for Google Cloud is not installed: "
            "pip install 'weft-data[gcp]'"
        )
    given = _given(options)
    name = given["job_name"]
    if name is not None and not re.fullmatch(r"[a-z][a-z0-9-]{0,31}", name):
        raise UserError(
            f"--job_name {name}: must be a lower-case letter, then letters, digits and "
            "hyphens, 32 characters at most; output and step are added to it"
        )
    for option, urls in places.items():
        for url in urls:
            if url.startswith("file://"):
                raise UserError(
                    f"{option} {url}: workers of Dataflow mount no file system of yours; give "
                    "gs://BUCKET/FOLDER"
                )
    for option in ("temp_location", "staging_location"):
        if given[option] is not None and not _FOLDER.fullmatch(given[option]):
            raise UserError(
                f"--{option} {given[option]}: must be gs://BUCKET/FOLDER (else Beam would make "
                "a bucket of its own choice)"
            )
    if given["sdk_container_image"] is None:
        _check_images(recipe, stages)


def _check_images(recipe: Recipe, stages: Sequence[str]) -> None:
    """Refuse a stage whose workers would not have what it imports."""
    workers = recipe.settings.workers
    for stage in stages:
        if stage == recaption.STAGE and not recipe.settings.recaption.is_on:
            continue
        if workers.of(stage).image is None:
            raise UserError(
                f"workers.image: stage {stage} has no container image, and workers need one with "
                "Weft in it: docs/dataflow.md tells how to build it; then "
                "--set workers.image=REGISTRY/weft-cpu:VERSION"
            )
        if not _needs_model_libraries(recipe, stage):
            continue
        section: ModelStage = getattr(workers, stage)
        if section.image is None and section.models.image is None:
            raise UserError(
                f"workers.{stage}.models.image: models run in stage {stage}, and the image that "
                f"workers.image names is for all stages: --set workers.{stage}.models.image="
                "REGISTRY/weft-gpu:VERSION"
            )


def _needs_model_libraries(recipe: Recipe, stage: str) -> bool:
    """Whether workers of a stage import torch or vLLM."""
    settings = recipe.settings
    if stage == recaption.STAGE:
        return settings.recaption.is_on and settings.recaption.engine == IN_PROCESS
    return stage == score_items.STAGE and any(
        kind_of(scorer).embeds_texts for scorer in recipe.scorers.values()
    )


def is_installed() -> bool:
    """Whether Beam's part for Google Cloud can be imported."""
    try:
        return importlib.util.find_spec("google.cloud.dataflow") is not None
    except ModuleNotFoundError:
        return False


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What starting a job would send. Nothing of it has been sent."""

    request: dict[str, Any]
    """The body of `projects.locations.jobs.create`."""
    pipeline: Any
    """Beam's `Pipeline` proto, which the request names by URL."""
    staged: tuple[str, ...]
    """URLs of the files that would be uploaded first."""


def request_job(build: Any, options: Sequence[str]) -> JobRequest:
    """The request of a job, as Beam makes it, without a network and without credentials.

    Args:
        build: Adds the graph.
        options: All Beam options: `job_options`.

    Raises:
        UserError: Beam refuses an option.
    """
    import apache_beam as beam
    from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
    from apache_beam.runners.dataflow.internal import apiclient

    staged: list[str] = []

    class Unsent(apiclient.DataflowApplicationClient):
        """Notes what it would upload."""

        def stage_file_with_retry(
            self, gcs_or_local_path: str, file_name: str, *args: Any, **kwargs: Any
        ) -> None:
            staged.append(f"{gcs_or_local_path}/{file_name}")

    # `dry_run` ends before the service is asked for anything.
    arguments = [*options, f"--runner={DATAFLOW}", "--dry_run=True", "--no_auth"]
    parsed = PipelineOptions(arguments)
    try:
        pipeline = beam.Pipeline(options=parsed)
        build(pipeline)
        job = pipeline.run().job
        client = Unsent(job.options, job.root_staging_location)
        client.create_job_description(job)
    except ValueError as e:
        raise UserError(f"--runner dataflow: {' '.join(str(e).split())}") from e
    cloud = parsed.view_as(GoogleCloudOptions)
    body = json.loads(job.json())
    request = {"projectId": cloud.project, "location": cloud.region, "job": body}
    return JobRequest(request, job.proto_pipeline, tuple(staged))
