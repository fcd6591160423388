"""Section `workers` of a recipe: on what machines each stage runs, where a service starts them.

Nothing here changes what is written, so it is part of no fingerprint. A stage is some Beam jobs;
in `score` and `recaption` one of them shows items to models, the others cut and join tables. Only
the first needs what models need, so it has a section of its own: `[workers.score.models]`.
"""

import dataclasses
import re
from dataclasses import dataclass, field
from typing import Any

from schemas.errors import RecipeError

_IMAGE = re.compile(r"[a-z0-9][a-z0-9.:_/-]*(:[\w.-]+)?(@sha256:[0-9a-f]{64})?", re.ASCII)
_RAM = re.compile(r"[1-9][0-9]*(GB|GiB|MB|MiB)")
_WORD = re.compile(r"[a-z][a-z0-9-]*")
_DRIVER = re.compile(r"[0-9a-z.]*")


@dataclass(frozen=True)
class Accelerator:
    """GPUs of a worker."""

    type: str
    """As the service names it, such as `nvidia-l4`."""
    count: int = 1
    """GPUs a worker. A process uses one, or `recaption.vllm.tensor_parallel_size` of them."""
    install_driver: bool = True
    """Have the service install NVIDIA's driver."""
    driver: str = ""
    """Version of the driver to install, such as `5xx`; empty: the service's own choice."""

    def text(self, machine_type: str | None = None) -> str:
        """As Dataflow reads it; with a machine type where it is to be a hint."""
        parts = [f"type:{self.type}", f"count:{self.count}"]
        if machine_type is not None:
            parts.append(f"machine_type:{machine_type}")
        if self.install_driver:
            parts.append("install-nvidia-driver" + (f":{self.driver}" if self.driver else ""))
        return ";".join(parts)


@dataclass(frozen=True)
class WorkerSettings:
    """The workers of some jobs. What is not given is asked of the section around it."""

    machine_type: str | None = None
    """Such as `n2-standard-8`."""
    max_workers: int | None = None
    """Machines that a job may have at once."""
    image: str | None = None
    """Container image with Weft in it: `containers/`."""
    disk_gb: int | None = None
    """Size of a worker's disk in GB."""
    disk_type: str | None = None
    """Such as `pd-ssd`."""
    min_ram: str | None = None
    """Memory a worker must have at least, such as `32GB`: a hint, for right fitting."""
    cpu_count: int | None = None
    """CPUs a worker should have: a hint, for right fitting."""
    accelerator: Accelerator | None = None
    one_process: bool | None = None
    """One process a worker instead of one a CPU. Where nothing is said: with an accelerator,
    which all processes of a machine would see and share."""
    public_ips: bool | None = None
    """Give workers public addresses; stage `fetch` needs them, or a NAT."""


@dataclass(frozen=True)
class ModelStage(WorkerSettings):
    """The workers of a stage that asks models."""

    models: WorkerSettings = field(default_factory=WorkerSettings)
    """Those of the job that shows items to models."""


@dataclass(frozen=True)
class WorkersConfig(WorkerSettings):
    """Section `workers`: for all stages, and a section a stage for what is other there."""

    extract: WorkerSettings = field(default_factory=WorkerSettings)
    dedup: WorkerSettings = field(default_factory=WorkerSettings)
    refs: WorkerSettings = field(default_factory=WorkerSettings)
    fetch: WorkerSettings = field(default_factory=WorkerSettings)
    dedup_images: WorkerSettings = field(default_factory=WorkerSettings)
    score: ModelStage = field(default_factory=ModelStage)
    recaption: ModelStage = field(default_factory=ModelStage)
    shard: WorkerSettings = field(default_factory=WorkerSettings)

    def of(self, stage: str, models: bool = False) -> WorkerSettings:
        """What holds for a job: the innermost section that says something about a key.

        Args:
            stage: Of the job.
            models: Whether the job shows items to models.
        """
        found: WorkerSettings = getattr(self, stage)
        sections = [self, found]
        if models and isinstance(found, ModelStage):
            sections.append(found.models)
        merged: dict[str, Any] = {}
        for key in dataclasses.fields(WorkerSettings):
            values = [getattr(section, key.name) for section in sections]
            merged[key.name] = next((v for v in reversed(values) if v is not None), None)
        return WorkerSettings(**merged)


def has_models(stage: str) -> bool:
    """Whether a stage has a job that shows items to models."""
    return isinstance(getattr(WorkersConfig(), stage), ModelStage)


def check_workers(config: WorkersConfig, tensor_parallel_size: int) -> None:
    """Check section `workers`.

    Args:
        config: The section.
        tensor_parallel_size: GPUs that a process of stage `recaption` uses.

    Raises:
        RecipeError: It names the key.
    """
    _check_section("workers", config)
    for stage in dataclasses.fields(WorkersConfig):
        section = getattr(config, stage.name)
        if not isinstance(section, WorkerSettings):
            continue
        where = f"workers.{stage.name}"
        _check_section(where, section)
        if not isinstance(section, ModelStage):
            continue
        _check_section(f"{where}.models", section.models)
        used = tensor_parallel_size if stage.name == "recaption" else 1
        asked = config.of(stage.name, models=True).accelerator
        if asked is not None and asked.count != used:
            raise RecipeError(
                f"{where}.models.accelerator.count: must be {used}: a worker has one process, "
                f"which uses {used}; more workers use more GPUs (max_workers)"
            )


def _check_section(where: str, section: WorkerSettings) -> None:
    counts = {
        "max_workers": (1, 4000),
        "disk_gb": (10, 65536),
        "cpu_count": (1, 416),
    }
    for key, (least, most) in counts.items():
        value = getattr(section, key)
        if value is not None and not least <= value <= most:
            raise RecipeError(f"{where}.{key}: must be from {least} to {most}")
    texts = {
        "machine_type": (_WORD, "a machine type, such as n2-standard-8"),
        "image": (_IMAGE, "a container image, such as registry.example/weft-cpu:0.1.0"),
        "disk_type": (_WORD, "a kind of disk, such as pd-ssd"),
        "min_ram": (_RAM, "a whole number of GB, GiB, MB or MiB, such as 32GB"),
    }
    for key, (form, wanted) in texts.items():
        value = getattr(section, key)
        if value is not None and not form.fullmatch(value):
            raise RecipeError(f"{where}.{key} {value!r}: must be {wanted}")
    gpu = section.accelerator
    if gpu is None:
        return
    if not _WORD.fullmatch(gpu.type):
        raise RecipeError(f"{where}.accelerator.type {gpu.type!r}: must be such as nvidia-l4")
    if not 1 <= gpu.count <= 16:
        raise RecipeError(f"{where}.accelerator.count: must be from 1 to 16")
    if not _DRIVER.fullmatch(gpu.driver) or (gpu.driver and not gpu.install_driver):
        raise RecipeError(
            f"{where}.accelerator.driver {gpu.driver!r}: must be a version such as 5xx, and "
            "install_driver true"
        )
