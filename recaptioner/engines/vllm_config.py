"""vLLM in this process as a recipe states it: the section `recaption.vllm`."""

import json
import os
import re
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from recaptioner.models import tiny_captioner_folder
from schemas.errors import RecipeError

TINY = "weft:tiny-captioner"
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_DTYPES = ("auto", "float32", "bfloat16", "float16")
# More than can run at once: what ends is followed at once by what is rendered already.
_AHEAD = 32


@dataclass(frozen=True)
class VllmConfig:
    """Section `recaption.vllm`."""

    model: str = ""
    """The folder of a model, its name on the Hugging Face hub (`owner/name`), or
    `weft:tiny-captioner`, the small captioner of coloured shapes that comes with Weft. Code that
    comes with a model is never run."""
    revision: str = ""
    """Of a model on the hub: a commit or tag."""
    lora: str = ""
    """The folder of a LoRA adapter of the model."""
    dtype: str = "auto"
    """`auto` (that of the weights), `float32`, `bfloat16`, `float16`."""
    quantization: str = ""
    """A method of vLLM (`awq`, `fp8`, ...); empty: what the model says."""
    max_model_len: int = 0
    """Most tokens of a prompt with its answer; 0: as many as the model takes."""
    max_num_seqs: int = 256
    """Most requests that are computed together."""
    tensor_parallel_size: int = 1
    """GPUs that one engine is spread over."""
    gpu_memory_utilization: float = 0.9
    """Share of a GPU's memory that the engine takes."""
    kv_cache_gib: float = 0.0
    """Memory for keys and values; 0: what `gpu_memory_utilization` leaves, 1 GiB without a GPU."""
    enforce_eager: bool = False
    """Compile nothing: slower, and minutes earlier ready."""
    separate_process: bool = False
    """Run the engine's core in a process of its own, as it is with `tensor_parallel_size` above
    1. Preparing requests then takes nothing from it."""
    seed: int = 0
    """Of the engine; each request has its own."""
    chat_template: str = ""
    """A Jinja file in place of the model's own template."""
    chat_template_kwargs: dict[str, Any] = field(default_factory=dict)
    """Passed on to the template, such as `enable_thinking = false`."""
    mm_processor_kwargs: dict[str, Any] = field(default_factory=dict)
    """Passed on to the model's processor, such as `max_pixels`."""
    load_seconds: float = 1800.0
    """Longest time until the model is loaded."""
    step_seconds: float = 300.0
    """Longest time in which no request moves, before the engine counts as lost."""
    gpu_wait_seconds: float = 30.0
    """Longest wait for a GPU that another engine holds."""

    @property
    def capacity(self) -> int:
        """Requests in flight that keep the engine busy."""
        return self.max_num_seqs + _AHEAD

    @property
    def has_own_core(self) -> bool:
        """Whether the engine's core is a process of its own."""
        return self.separate_process or self.tensor_parallel_size > 1

    @property
    def record_name(self) -> str:
        """Model and adapter as they are recorded beside a caption: no path of this machine."""
        folder = model_folder(self.model)
        name = self.model if folder is None or self.model == TINY else folder.resolve().name
        if self.revision:
            name += f"@{self.revision}"
        return f"{name}+{Path(self.lora).resolve().name}" if self.lora else name


def model_folder(model: str) -> Path | None:
    """The folder of a model that is on this machine; None: it is on the hub."""
    if model == TINY:
        return tiny_captioner_folder()
    return Path(model) if Path(model).is_dir() else None


def check_vllm(config: VllmConfig, where: str = "recaption.vllm") -> None:
    """Refuse what cannot be loaded, as far as that is seen without loading it.

    Raises:
        RecipeError: A value that cannot be, a file that is missing, or vLLM is not installed.
    """
    _check_values(config, where)
    _check_files(config, where)
    if find_spec("vllm") is None:
        raise RecipeError(
            f"{where}: needs vLLM: `make setup-recaption`, or pip install 'weft-data[recaption]'"
        )


def _check_values(config: VllmConfig, where: str) -> None:
    if config.dtype not in _DTYPES:
        raise RecipeError(f"{where}.dtype: {config.dtype!r} is none of {', '.join(_DTYPES)}")
    for key, least in (
        ("max_model_len", 0),
        ("max_num_seqs", 1),
        ("tensor_parallel_size", 1),
        ("kv_cache_gib", 0),
        ("gpu_wait_seconds", 0),
    ):
        if not getattr(config, key) >= least:
            raise RecipeError(f"{where}.{key}: must be at least {least}")
    for key in ("load_seconds", "step_seconds"):
        if not getattr(config, key) > 0:
            raise RecipeError(f"{where}.{key}: must be above 0")
    if not 0 < config.gpu_memory_utilization <= 1:
        raise RecipeError(f"{where}.gpu_memory_utilization: must be above 0 and at most 1")


def _check_files(config: VllmConfig, where: str) -> None:
    if not config.model:
        raise RecipeError(f"{where}.model: name the model: a folder, or `owner/name` on the hub")
    folder = model_folder(config.model)
    if folder is None and not _HUB_NAME.fullmatch(config.model):
        raise RecipeError(
            f"{where}.model: {config.model!r} is no folder of this machine and no `owner/name`"
        )
    if folder is not None and not (folder / "config.json").is_file():
        raise RecipeError(f"{where}.model: {folder} holds no config.json")
    if folder is not None and config.revision:
        raise RecipeError(f"{where}.revision: {folder} is a folder, which has none")
    if config.lora:
        lora_rank(config, where)
    if config.chat_template and not Path(config.chat_template).is_file():
        raise RecipeError(f"{where}.chat_template: there is no file {config.chat_template}")


def lora_rank(config: VllmConfig, where: str = "recaption.vllm") -> int:
    """The rank of the adapter.

    Raises:
        RecipeError: Its folder does not say.
    """
    path = Path(config.lora) / "adapter_config.json"
    try:
        rank = json.loads(path.read_text(encoding="utf-8"))["r"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecipeError(
            f"{where}.lora: {config.lora} is no folder of a LoRA adapter: {path.name}: "
            f"{type(error).__name__}"
        ) from error
    if not isinstance(rank, int) or rank < 1:
        raise RecipeError(f"{where}.lora: {path}: r is {rank!r}, no rank")
    return rank


def set_environment(config: VllmConfig) -> None:
    """What vLLM reads from the environment; before it is imported.

    Nothing is told to anybody of how it is used, and for a model that is a folder no hub is asked.
    What the user has set to hear more of vLLM stays.
    """
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "1" if config.has_own_core else "0"
    os.environ["VLLM_NO_USAGE_STATS"] = "1"
    os.environ["DO_NOT_TRACK"] = "1"
    # A worker has threads, so a forked child could wait for ever for what one of them holds.
    os.environ["VLLM_WORKER_MULTIPROCESSING_METHOD"] = "spawn"
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    if model_folder(config.model) is not None:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
