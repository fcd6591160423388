"""The configuration of a training: one TOML file, typed, every key known.

Each section belongs to one part of the trainer and is handed to it whole.
"""

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from schemas.errors import RecipeError
from schemas.overrides import override_value
from schemas.shards import STREAMS

CONFIGS = Path(__file__).parent / "configs"
CONNECTORS = (
    "c_abstractor", "linear", "mlp", "avg_pool", "attention_pool", "perceiver", "q_former",
)  # fmt: skip
PRECISIONS = ("fp32", "bf16")
ATTENTIONS = ("auto", "sdpa", "flex_attention", "flash_attention_2", "eager")


@dataclass(frozen=True)
class SourceConfig:
    """`[data.sources.NAME]`: a folder of shards of one stream."""

    weight: int
    """Packed sequences of it among `sum of weights`: MM1 takes 45 interleaved, 45 captioned, 10
    text. An integer, for the mix is an exact periodic table."""
    stream: str = ""
    """`captioned`, `interleaved` or `text`; unset: the name of the source."""
    path: str = ""
    """Folder or fsspec URL, absolute or below `--data`; unset: the name of the source."""


@dataclass(frozen=True)
class DataConfig:
    """`[data]`: what is read, and how it becomes packed sequences."""

    sources: dict[str, SourceConfig] = field(default_factory=dict)
    split: str = "train"
    """The shards `<split>-NNNNNN.tar`; of foreign shards the name of no split matters."""
    sequence_length: int = 4096
    """Tokens of a packed sequence (MM1: 4096)."""
    max_images: int = 16
    """Images of a packed sequence at most (MM1: 16)."""
    global_batch: int = 512
    """Packed sequences of a step, over all ranks: a multiple of ranks x `micro_batch`."""
    micro_batch: int = 1
    """Packed sequences that a rank computes at once."""
    max_pixels: int = 100_000_000
    """Width x height above which an image is not decoded but replaced."""
    draft: bool = True
    """Let the JPEG decoder shrink pictures that are at least twice as large as the encoder sees."""
    workers: int = 2
    """Processes of a rank that read and decode; 0: none, the training process does it."""
    read_ahead: int = 4
    """Micro-batches whose bytes a worker reads ahead."""
    max_failures: int = 100
    """Samples with undecodable content in a row, of one rank, that end the run."""
    retries: int = 4
    """Times that a read is tried again before its error ends the run."""
    cache: str = ""
    """Folder of token counts and pack plans; unset: beside the shards."""


@dataclass(frozen=True)
class VisionConfig:
    """`[vision]`: an image encoder of open_clip, of which the blocks are taken."""

    model: str = "ViT-L-14-336"
    """A name of open_clip, `hf-hub:owner/name`, `local-dir:/folder` or `weft:tiny-clip`."""
    pretrained: str = ""
    """A tag of open_clip or a path of a checkpoint; unset: random weights."""
    image_size: int = 0
    """Pixels of the square input; 0: what the model was trained with. Position embeddings are
    interpolated."""
    freeze: bool = False
    learning_rate: float = 1.0
    """Factor of the learning rate of the optimizer."""
    recompute: bool = False
    """Activations of the blocks are computed again in the backward pass."""


@dataclass(frozen=True)
class ConnectorConfig:
    """`[connector]`: from features of the encoder to image tokens of the decoder."""

    kind: str = "c_abstractor"
    tokens: int = 144
    """Tokens an image; of `linear` and `mlp` it must be the number of patches, 0 stands for it."""
    hidden: int = 1024
    """Inner width (`c_abstractor`, `attention_pool`, `perceiver`, `q_former`)."""
    depth: int = 3
    """Blocks a stage (`c_abstractor`), layers (`perceiver`, `q_former`)."""
    heads: int = 16
    pooling: str = "adaptive"
    """Of `c_abstractor` and `avg_pool`, where sides do not divide: `adaptive` windows as torch
    makes them, or `uniform`, of one size and stride, as Apple's toolkit does."""
    freeze: bool = False
    learning_rate: float = 1.0


@dataclass(frozen=True)
class DecoderConfig:
    """`[decoder]`: any `AutoModelForCausalLM`."""

    model: str = ""
    """A folder or a name of the hub; unset: made from `config`, with random weights."""
    config: dict[str, Any] = field(default_factory=dict)
    """An architecture: `model_type` and what its configuration class takes."""
    random_weights: bool = False
    """Take the architecture, of `config` or else of `model`, and no weights."""
    tokenizer: str = ""
    """A folder or a name of the hub; `weft:tiny` is the small one that comes along; unset: that of
    `model`."""
    attention: str = "auto"
    """Implementation of transformers; `auto`: `flex_attention` on a GPU, else `sdpa`."""
    freeze: bool = False
    learning_rate: float = 1.0
    recompute: bool = False


@dataclass(frozen=True)
class OptimizerConfig:
    """`[optimizer]`: AdamW and its schedule."""

    steps: int = 200_000
    learning_rate: float = 0.0
    """The peak; 0: exp(-0.4214 ln N - 0.5535), N the decoder's parameters without embeddings
    (McKinzie et al. 2024, section 3.3)."""
    weight_decay: float = -1.0
    """Decoupled; -1: 0.1 x the peak learning rate (MM1)."""
    warmup_steps: int = 2000
    final_fraction: float = 0.1
    """The cosine ends at this share of the peak."""
    betas: tuple[float, float] = (0.9, 0.95)
    epsilon: float = 1e-8
    clip_norm: float = 1.0
    z_loss: float = 0.0
    """Weight of the squared log-partition (MM1-30B: 1e-4)."""


@dataclass(frozen=True)
class CheckpointConfig:
    """`[checkpoint]`."""

    every: int = 1000
    """Steps between two."""
    keep: int = 3
    """The newest that are kept."""
    asynchronous: bool = True


@dataclass(frozen=True)
class RunConfig:
    """`[run]`: where and how it computes."""

    seed: int = 0
    precision: str = "bf16"
    """`bf16` with gradients reduced in fp32, or `fp32`."""
    min_gpus: int = 0
    """GPUs of 80 GB below which the model does not fit; 0: a CPU will do."""
    threads: int = 0
    """Threads of torch on a CPU; 0: one a core. Kept in the checkpoint: sums depend on it."""
    compile: bool = False
    loss_chunk: int = 2048
    """Tokens whose logits are in memory at once."""
    log_every: int = 10


@dataclass(frozen=True)
class TrainConfig:
    """The whole file."""

    description: str = ""
    data: DataConfig = field(default_factory=DataConfig)
    vision: VisionConfig = field(default_factory=VisionConfig)
    connector: ConnectorConfig = field(default_factory=ConnectorConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    run: RunConfig = field(default_factory=RunConfig)


def config_names() -> list[str]:
    """Names of the configurations that come along."""
    return sorted(path.stem for path in CONFIGS.glob("*.toml"))


def load_config(name_or_path: str, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read a configuration.

    Args:
        name_or_path: A name out of `config_names`, or the path of a TOML file.
        overrides: `section.key=value`, the value as TOML writes it; a bare word is a string.

    Raises:
        RecipeError: No such file, or a key or value that is none; the message names it.
    """
    path = Path(name_or_path)
    if not name_or_path.endswith(".toml"):
        path = CONFIGS / f"{name_or_path}.toml"
    if not path.is_file():
        raise RecipeError(
            f"{name_or_path}: no configuration of this name: {', '.join(config_names())}, or the "
            "path of a .toml file"
        )
    try:
        plain = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not TOML: {error}") from error
    for override in overrides:
        override_value(plain, override)
    return parse_config(plain)


def parse_config(plain: dict[str, Any]) -> TrainConfig:
    """Check and type a decoded file. Raises `RecipeError` naming the key."""
    _refuse_unknown(plain, TrainConfig, "")
    try:
        config = msgspec.convert(plain, TrainConfig, strict=True)
    except msgspec.ValidationError as error:
        raise RecipeError(f"configuration: {error}") from error
    check_config(config)
    return config


def _refuse_unknown(plain: Any, kind: Any, where: str) -> None:
    """Refuse keys that a section does not have: msgspec passes over them in dataclasses."""
    if not isinstance(plain, dict) or not is_dataclass(kind):
        return
    known = {each.name: each.type for each in fields(kind)}
    for key, value in plain.items():
        name = f"{where}{key}"
        if key not in known:
            near = get_close_matches(key, known, 1)
            hint = f"; near: {near[0]}" if near else f"; it has: {', '.join(known)}"
            raise RecipeError(f"{name}: no such key{hint}")
        if name == "data.sources" and isinstance(value, dict):
            for source, section in value.items():
                _refuse_unknown(section, SourceConfig, f"{name}.{source}.")
        else:
            _refuse_unknown(value, known[key], f"{name}.")


def _refuse_not_finite(section: Any, where: str) -> None:
    """TOML has nan and inf, and nan passes every comparison."""
    for each in fields(section):
        value, name = getattr(section, each.name), f"{where}{each.name}"
        if is_dataclass(value):
            _refuse_not_finite(value, f"{name}.")
        elif any(isinstance(v, float) and not math.isfinite(v) for v in _numbers(value)):
            raise RecipeError(f"{name}: a finite number is wanted, not {value}")


def _numbers(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def check_config(config: TrainConfig) -> None:
    """Refuse values that no training can have. Raises `RecipeError` naming the key."""
    _refuse_not_finite(config, "")
    data, optimizer = config.data, config.optimizer
    positive = {
        "data.sequence_length": data.sequence_length,
        "data.max_images": data.max_images,
        "data.global_batch": data.global_batch,
        "data.micro_batch": data.micro_batch,
        "data.max_pixels": data.max_pixels,
        "data.read_ahead": data.read_ahead,
        "data.max_failures": data.max_failures,
        "optimizer.steps": optimizer.steps,
        "checkpoint.every": config.checkpoint.every,
        "checkpoint.keep": config.checkpoint.keep,
        "run.loss_chunk": config.run.loss_chunk,
        "run.log_every": config.run.log_every,
    }
    for name, value in positive.items():
        if value < 1:
            raise RecipeError(f"{name}: must be at least 1, not {value}")
    at_least_zero: dict[str, float] = {
        "data.workers": data.workers,
        "data.retries": data.retries,
        "vision.image_size": config.vision.image_size,
        "connector.tokens": config.connector.tokens,
        "optimizer.warmup_steps": optimizer.warmup_steps,
        "run.threads": config.run.threads,
        "run.min_gpus": config.run.min_gpus,
        "run.seed": config.run.seed,
        "optimizer.learning_rate": optimizer.learning_rate,
        "optimizer.z_loss": optimizer.z_loss,
        "vision.learning_rate": config.vision.learning_rate,
        "connector.learning_rate": config.connector.learning_rate,
        "decoder.learning_rate": config.decoder.learning_rate,
    }
    for name, number in at_least_zero.items():
        if number < 0:
            raise RecipeError(f"{name}: must not be negative, not {number}")
    if not 0 <= optimizer.final_fraction <= 1:
        raise RecipeError(
            f"optimizer.final_fraction: a share, 0 to 1, not {optimizer.final_fraction}"
        )
    if not all(0 <= beta < 1 for beta in optimizer.betas):
        raise RecipeError(f"optimizer.betas: from 0 to below 1, not {list(optimizer.betas)}")
    for name, bound in {
        "optimizer.epsilon": optimizer.epsilon,
        "optimizer.clip_norm": optimizer.clip_norm,
    }.items():
        if bound <= 0:
            raise RecipeError(f"{name}: must be above 0, not {bound}")
    if optimizer.weight_decay < 0 and optimizer.weight_decay != -1:
        raise RecipeError(
            "optimizer.weight_decay: not negative, or -1 for a tenth of the learning rate, not "
            f"{optimizer.weight_decay}"
        )
    for name, chosen, allowed in (
        ("connector.kind", config.connector.kind, CONNECTORS),
        ("connector.pooling", config.connector.pooling, ("adaptive", "uniform")),
        ("decoder.attention", config.decoder.attention, ATTENTIONS),
        ("run.precision", config.run.precision, PRECISIONS),
    ):
        if chosen not in allowed:
            raise RecipeError(f"{name}: {chosen!r} is none of {', '.join(allowed)}")
    for name, source in data.sources.items():
        stream = source.stream or name
        if stream not in STREAMS:
            raise RecipeError(
                f"data.sources.{name}.stream: {stream!r} is none of {', '.join(STREAMS)}"
            )
        if source.weight < 0:
            raise RecipeError(f"data.sources.{name}.weight: must not be negative")
    if not any(source.weight for source in data.sources.values()):
        raise RecipeError("data.sources: no source has a weight above 0")
    if not config.decoder.model and not config.decoder.config:
        raise RecipeError("decoder: give `model` or `config`")
    if not config.decoder.model and not config.decoder.tokenizer:
        raise RecipeError("decoder.tokenizer: a decoder made from `config` needs one")
