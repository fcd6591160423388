import dataclasses
import re
from pathlib import Path

import pytest

from pipeline.publish import recipe_toml
from pipeline.recipe import load_recipe
from pipeline.run_record import STAGES
from pipeline.workers import Accelerator, WorkersConfig, WorkerSettings, has_models
from schemas.errors import RecipeError


def workers(*sets: str) -> WorkersConfig:
    return load_recipe("mm1", [f"workers.{each}" for each in sets]).settings.workers


def test_every_stage_has_a_section() -> None:
    own = {field.name for field in dataclasses.fields(WorkerSettings)}
    sections = {field.name for field in dataclasses.fields(WorkersConfig)} - own
    assert sections == set(STAGES)
    assert [stage for stage in STAGES if has_models(stage)] == ["score", "recaption"]


def test_what_a_section_leaves_open_is_asked_of_the_one_around_it() -> None:
    config = workers(
        "machine_type=n2-standard-4", "image=cpu:1", "max_workers=10", "public_ips=false",
        "score.machine_type=n2-highmem-8", "score.models.image=gpu:1",
        "score.models.accelerator.type=nvidia-l4", "fetch.public_ips=true",
    )  # fmt: skip
    assert config.of("extract") == WorkerSettings(
        machine_type="n2-standard-4", image="cpu:1", max_workers=10, public_ips=False
    )
    assert config.of("fetch").public_ips is True
    joins, models = config.of("score"), config.of("score", models=True)
    assert (joins.machine_type, joins.image, joins.accelerator) == ("n2-highmem-8", "cpu:1", None)
    assert (models.machine_type, models.image) == ("n2-highmem-8", "gpu:1")
    assert models.accelerator == Accelerator("nvidia-l4")
    # A stage without such a section has one kind of job.
    assert config.of("fetch", models=True) == config.of("fetch")


def test_without_a_section_nothing_is_said() -> None:
    assert workers().of("shard") == WorkerSettings()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("{type='nvidia-l4'}", "type:nvidia-l4;count:1;install-nvidia-driver"),
        ("{type='a-b', driver='5xx'}", "type:a-b;count:1;install-nvidia-driver:5xx"),
        ("{type='a-b', install_driver=false}", "type:a-b;count:1"),
    ],
)
def test_accelerator_is_written_as_the_service_reads_it(given: str, text: str) -> None:
    found = workers(f"score.models.accelerator={given}").of("score", models=True).accelerator
    assert found is not None
    assert found.text() == text


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("machin_type=a", "workers.machin_type: unknown key; did you mean machine_type"),
        ("scor.image=a", "workers.scor: unknown key; did you mean score"),
        ("dedup.models.image=a", "workers.dedup.models: unknown key"),
        ("score.models.acelerator={}", "workers.score.models.acelerator: unknown key; did you"),
        ("score.accelerator.typ=a", "workers.score.accelerator.typ: unknown key; did you mean ty"),
        ("score.accelerator={count=1}", "workers.score.accelerator"),
        ("machine_type='n2 standard'", "workers.machine_type 'n2 standard': must be a machine"),
        ("image='--privileged x'", "workers.image '--privileged x': must be a container image"),
        ("extract.disk_gb=9", "workers.extract.disk_gb: must be from 10 to 65536"),
        ("max_workers=0", "workers.max_workers: must be from 1 to 4000"),
        ("min_ram=32", "workers.min_ram: Expected `str"),
        ("min_ram=lots", "workers.min_ram 'lots': must be a whole number of GB"),
        ("disk_type='pd/ssd'", "workers.disk_type 'pd/ssd': must be a kind of disk"),
        ("score.accelerator.type='a;b'", "workers.score.accelerator.type 'a;b'"),
        ("score.accelerator={type='a', count=0}", "workers.score.accelerator.count: must be from"),
        ("score.models.accelerator={type='a', count=2}", "models.accelerator.count: must be 1"),
        ("recaption.models.accelerator={type='a', count=2}", "accelerator.count: must be 1: a"),
        ("accelerator={type='a', driver=';x'}", "workers.accelerator.driver ';x'"),
        ("accelerator={type='a', driver='5', install_driver=false}", "workers.accelerator.driver"),
    ],
)  # fmt: skip
def test_a_bad_value_names_its_key(given: str, message: str) -> None:
    with pytest.raises(RecipeError) as error:
        workers(given)
    assert message in str(error.value)


def test_a_worker_of_captions_has_as_many_accelerators_as_its_process_uses() -> None:
    two = "workers.recaption.models.accelerator={type='nvidia-l4', count=2}"
    recipe = load_recipe("mm1", [two, "recaption.vllm.tensor_parallel_size=2"])
    found = recipe.settings.workers.of("recaption", models=True).accelerator
    assert found == Accelerator("nvidia-l4", 2)


def test_where_a_stage_runs_is_in_no_fingerprint_and_no_card() -> None:
    plain = load_recipe("mm1")
    placed = load_recipe(
        "mm1",
        ["workers.image=cpu:1", "workers.score.models.accelerator.type=nvidia-l4"],
    )
    assert placed.fingerprint == plain.fingerprint
    assert recipe_toml(placed) == recipe_toml(plain)
    sections = [name for name in plain.values if name != "workers"]
    assert placed.section(*sections) == plain.section(*sections)
    # It is recorded, so that a run can be told from its record.
    assert placed.values["workers"]["image"] == "cpu:1"


def test_every_key_is_in_the_document() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "dataflow.md").read_text("utf-8")
    for kind in (WorkerSettings, Accelerator):
        for field in dataclasses.fields(kind):
            assert f"`{field.name}`" in text, field.name


def test_the_example_of_the_document_is_a_recipe(tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "dataflow.md").read_text("utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    path = tmp_path / "example.toml"
    path.write_text(example)
    config = load_recipe(str(path)).settings.workers
    assert config.of("score", models=True).accelerator == Accelerator("nvidia-l4")
    assert config.of("dedup").machine_type == "n2-highmem-4"
