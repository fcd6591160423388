"""What is refused before a job starts, and the options of each job. Beam's requests of whole runs:
tests/test_dataflow_jobs.py."""

from collections.abc import Sequence

import pytest

from beam_runner import main
from pipeline import dataflow
from pipeline.dataflow import Job, check_dataflow, job_options, parts_at_once, worker_options
from pipeline.recipe import load_recipe
from pipeline.run_record import STAGES
from pipeline.workers import Accelerator, WorkerSettings
from schemas.errors import UserError

GIVEN = ("--project=some-project", "--region=europe-west4", "--temp_location=gs://bucket/tmp")
L4 = Accelerator("nvidia-l4")
ALWAYS = ("--no_save_main_session", "--number_of_worker_harness_threads=1")
ONE_PROCESS = "--experiments=no_use_multiple_sdk_containers"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused is the same whether Beam's Google part is here or not."""
    monkeypatch.setattr(dataflow, "is_installed", lambda: True)


def check(
    sets: Sequence[str] = (),
    options: Sequence[str] = (),
    output: str = "gs://b/out",
    input_: str = "gs://b/in",
    stages: Sequence[str] = STAGES,
    recipe: str = "mm1",
) -> None:
    places = {"--input": [input_], "--output": [output]}
    check_dataflow(load_recipe(recipe, sets), places, stages, (*GIVEN, *options))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "workers.image: stage extract has no container image"),
        ({"stages": ["shard"]}, "workers.image: stage shard has no container image"),
        ({"sets": ["workers.extract.image=a"]}, "stage dedup has no container image"),
        (
            {"sets": ["workers.image=a"], "recipe": "laion"},
            "workers.score.models.image: models run in stage score",
        ),
        (
            {"sets": ["workers.image=a", "recaption.mode=describe"]},
            "workers.recaption.models.image: models run in stage recaption",
        ),
        ({"options": ["--job_name=My_job"]}, "--job_name My_job: must be a lower-case letter"),
        ({"output": "file:///mnt/out"}, "--output file:///mnt/out: workers of Dataflow mount no"),
        ({"input_": "file:///mnt/in"}, "--input file:///mnt/in: workers of Dataflow mount no"),
        ({"options": ["--temp_location=gs://bucket"]}, "--temp_location gs://bucket: must be gs"),
        ({"options": ["--staging_location=gs://b/x"]}, "--staging_location gs://b/x: must be gs"),
    ],
)
@pytest.mark.usefixtures("installed")
def test_what_no_job_could_run_with_is_refused(asked: dict[str, str], message: str) -> None:
    with pytest.raises(UserError) as error:
        check(**asked)  # type: ignore[arg-type]
    assert message in str(error.value)


@pytest.mark.parametrize(
    "asked",
    [
        {"sets": ["workers.image=a"]},
        {"options": ["--sdk_container_image=a"]},
        {"sets": ["workers.image=a", "workers.score.models.image=g"], "recipe": "laion"},
        {"sets": ["workers.image=a", "workers.score.image=g"], "recipe": "laion"},
        {"sets": ["workers.image=a"], "recipe": "laion", "stages": ["extract"]},
        {"sets": ["workers.extract.image=a"], "stages": ["extract"]},
        {"sets": ["workers.image=a", "scorers.quality={}"]},
        {
            "sets": [
                "workers.image=a", "recaption.mode=describe", "recaption.engine=server",
                "recaption.server.url=http://x/v1", "recaption.server.model=m",
            ]
        },
    ],
    ids=[
        "an image for all", "on the command line", "and one for models", "one for the stage",
        "a stage without models", "the one stage", "a scorer without torch", "a server writes",
    ],
)  # fmt: skip
@pytest.mark.usefixtures("installed")
def test_what_can_run_passes(asked: dict[str, str]) -> None:
    check(**asked)  # type: ignore[arg-type]


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dataflow, "is_installed", lambda: False)
    monkeypatch.setattr("pipeline.runners._check_runner", lambda name: None)
    command = ["run", "mm1", "-i", "gs://b/in", "-o", "gs://b/out", "--runner", "dataflow", *GIVEN]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert "weft-data[gcp]" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        (WorkerSettings(), [*ALWAYS]),
        (
            WorkerSettings(machine_type="n2-standard-8", max_workers=9, disk_gb=50),
            [
                "--machine_type=n2-standard-8", "--max_num_workers=9", "--disk_size_gb=50",
                *ALWAYS,
            ],
        ),
        (
            WorkerSettings(accelerator=L4),
            [
                *ALWAYS, ONE_PROCESS,
                "--dataflow_service_options=worker_accelerator="
                "type:nvidia-l4;count:1;install-nvidia-driver",
            ],
        ),
        (
            WorkerSettings(accelerator=L4, one_process=False, cpu_count=4),
            [
                *ALWAYS, "--resource_hints=cpu_count=4",
                "--resource_hints=accelerator=type:nvidia-l4;count:1;install-nvidia-driver",
            ],
        ),
        (
            WorkerSettings(one_process=True, public_ips=True),
            [*ALWAYS, ONE_PROCESS, "--use_public_ips"],
        ),
    ],
)  # fmt: skip
def test_settings_become_options_of_beam(settings: WorkerSettings, options: list[str]) -> None:
    assert worker_options(settings) == options


def test_the_command_line_wins_over_the_recipe_but_for_the_name_of_the_job() -> None:
    workers = load_recipe("mm1", ["workers.machine_type=a-1"]).settings.workers
    given = (*GIVEN, "--machine_type=b-2", "--job_name=mine")
    options = job_options(workers, "gs://b/out", Job("dedup", "dedup, labels, round 2"), given)
    machines = [option for option in options if option.startswith("--machine_type")]
    assert machines == ["--machine_type=a-1", "--machine_type=b-2"]
    names = [option for option in options if option.startswith("--job_name")]
    assert names[0] == "--job_name=mine"
    assert names[-1].startswith("--job_name=mine-")
    assert names[-1].endswith("-dedup-labels-round-2")


def test_jobs_of_two_outputs_have_two_names() -> None:
    workers = load_recipe("mm1").settings.workers
    job = Job("extract", "extract")
    one, other = (job_options(workers, f"gs://b/{n}", job, GIVEN)[-1] for n in (1, 2))
    assert one != other
    assert one == job_options(workers, "gs://b/1", job, GIVEN)[-1]


@pytest.mark.parametrize(
    ("settings", "given", "parts"),
    [
        (WorkerSettings(), (), 1),
        (WorkerSettings(max_workers=10), (), 10),
        (WorkerSettings(max_workers=10, machine_type="n2-standard-8"), (), 80),
        (WorkerSettings(max_workers=10, machine_type="g2-standard-8", accelerator=L4), (), 10),
        (WorkerSettings(max_workers=10), ("--max_num_workers=3", "--machine_type=e2-micro-2"), 6),
    ],
)
def test_parts_at_once_are_processes_of_all_workers(
    settings: WorkerSettings, given: tuple[str, ...], parts: int
) -> None:
    assert parts_at_once(settings, given) == parts
